// virtio 1.4 §5.3 Console Device, driver side. The device is untrusted: ports it invents, lengths it makes up
// and messages that make no sense do no more than get it refused.

public import Virtio

/// What the driver knows of one port.
public struct ConsolePort: Equatable, Sendable {
  /// Whether the device has the port.
  public internal(set) var isPresent = false
  /// Whether the device wants it used as a text console.
  public internal(set) var isConsole = false
  /// Whether the device's end is open: somebody is there to read and write.
  public internal(set) var isDeviceOpen = false
  /// Whether our end is open: input is wanted.
  public internal(set) var isOpen = false
  /// Its name. The bytes are the device's: check them before they go to a terminal.
  public internal(set) var name = ConsolePortName()
  /// Its size in characters, when the device told it.
  public internal(set) var size: ConsoleSize?

  /// No port.
  public init() {}
}

/// How much memory each port gets.
public struct ConsoleBuffers: Equatable, Sendable {
  /// Bytes of one receive buffer.
  public var receiveByteCount = 256
  /// Receive buffers, a power of two.
  public var receiveCount: UInt16 = 4
  /// Bytes of one transmit buffer.
  public var transmitByteCount = 256
  /// Transmit buffers, a power of two up to 64.
  public var transmitCount: UInt16 = 4

  /// 256 bytes, four times each way.
  public init() {}
}

/// Drives a console device and up to `portLimit` of its ports.
///
/// The embedder calls `poll()` when the device interrupts, until it returns false, and reads each port until
/// nothing comes; after that a further interrupt is certain. Nothing here waits. After a fault every call
/// throws it again: drop the driver and start over.
public struct ConsoleDriver<Registers: RegisterAccess & ~Copyable, let portLimit: Int>: ~Copyable {
  /// The transport, for display.
  public private(set) var transport: MMIODriverTransport<Registers>
  /// Ports that can exist, on the device's word.
  public private(set) var portCountMax: UInt32 = 1
  /// Messages of the device that made no sense and were ignored.
  public internal(set) var refusedMessageCount: UInt32 = 0
  var ports: [portLimit of PortSlot]
  var control: ConsoleChannels?
  var fault: DeviceFault?

  /// Takes a device into use, with what is offered of `features` of its type and of `ringFeatures`.
  ///
  /// Nil when `memory` runs out; the device is then marked as failed. Throws what is wrong with the device.
  public init?<Memory: DriverMemory & ~Copyable>(
    _ transport: consuming MMIODriverTransport<Registers>, memory: inout Memory,
    features: Features = ConsoleFeature.all, ringFeatures: Features = .mmioTransportBits,
    buffers: ConsoleBuffers = ConsoleBuffers()
  ) throws(DeviceFault) {
    precondition(portLimit > 0, "a console has a port")
    precondition(buffers.receiveByteCount > 0 && buffers.transmitByteCount > 0, "empty buffers")
    self.init(transport)
    guard self.transport.deviceID == .console else {
      throw .wrongDeviceType(self.transport.deviceID.rawValue)
    }
    _ = try self.transport.negotiate(supported: features & ConsoleFeature.all | ringFeatures)
    let isComplete: Bool
    do throws(DeviceFault) {
      isComplete = try setUp(buffers, &memory)
    } catch {
      self.transport.fail()
      throw error
    }
    guard isComplete else {
      self.transport.fail()
      return nil
    }
    begin()
  }

  /// A driver that has no queues yet.
  private init(_ transport: consuming MMIODriverTransport<Registers>) {
    self.transport = transport
    ports = InlineArray { _ in PortSlot() }
  }

  private var isMultiport: Bool { transport.features.contains(ConsoleFeature.multiport) }

  /// Sets up the queues of the ports (§5.3.5) and the control queues, and lets the device go live. False when
  /// memory runs out.
  private mutating func setUp<Memory: DriverMemory & ~Copyable>(
    _ buffers: ConsoleBuffers, _ memory: inout Memory
  ) throws(DeviceFault) -> Bool {
    if isMultiport { portCountMax = transport.configuration32(ConsoleConfiguration.portCountMax) }
    if portCountMax == 0 { throw .invalidConfiguration }
    for port in 0..<Int(min(UInt32(portLimit), portCountMax)) {
      ports[port].channels = try ConsoleChannels(
        receive: ConsoleQueue.receive(port), buffers, on: transport, memory: &memory)
      if ports[port].channels == nil { return false }
    }
    if isMultiport {
      control = try ConsoleChannels(
        receive: ConsoleQueue.controlReceive, .control, on: transport, memory: &memory)
      if control == nil { return false }
    }
    if transport.features.contains(ConsoleFeature.size) {
      ports[0].state.size = try Self.readSize(transport)
    }
    try transport.start()
    return true
  }

  /// §5.3.5: fills the receive queues, and with several ports says that we are ready.
  private mutating func begin() {
    for port in 0..<portLimit where ports[port].channels != nil {
      ports[port].channels!.receive.fill()
      ports[port].channels!.receive.publish(to: transport)
    }
    if isMultiport {
      control!.receive.fill()
      control!.receive.publish(to: transport)
      do throws(DeviceFault) {
        // §5.3.6.2.2: MUST send DEVICE_READY.
        try send(ConsoleControl(id: 0, event: ConsoleEvent.deviceReady, value: 1))
      } catch {
        fault = error
      }
    } else {
      ports[0].state.isPresent = true
      ports[0].state.isConsole = true
      ports[0].state.isDeviceOpen = true
      ports[0].state.isOpen = true
    }
  }

  /// What is known of `port`; nothing of a port that this driver has no room for.
  public func port(_ port: Int) -> ConsolePort {
    port >= 0 && port < portLimit ? ports[port].state : ConsolePort()
  }

  /// Whether the device has `port`, and this driver room for it. Mutating, as the driver would be copied to
  /// look at it otherwise.
  mutating func hasPort(_ port: Int) -> Bool {
    port >= 0 && port < portLimit && ports[port].state.isPresent
  }

  /// Acknowledges the device's interrupt and takes its news.
  ///
  /// Returns whether there were any: about the ports, or more to come. Call it again then.
  public mutating func poll() throws(DeviceFault) -> Bool {
    if let fault { throw fault }
    do throws(DeviceFault) {
      var isNews = false
      if transport.takeInterrupts().configurationChange {
        if transport.needsReset { throw .needsReset }
        if transport.features.contains(ConsoleFeature.size) {
          // §5.3.6: the size is that of port 0.
          ports[0].state.size = try Self.readSize(transport)
          isNews = true
        }
      }
      if control != nil, try receiveMessages() { isNews = true }
      return isNews
    } catch {
      fault = error
      throw error
    }
  }

  /// Copies input of `port` into `target`. Returns how many bytes; 0 when there are none, or no such port.
  public mutating func read(port: Int, into target: inout MutableRawSpan) throws(DeviceFault) -> Int {
    if let fault { throw fault }
    guard hasPort(port) else { return 0 }
    do throws(DeviceFault) {
      let count = try ports[port].channels!.receive.read(into: &target)
      ports[port].channels!.receive.publish(to: transport)
      return count
    } catch {
      fault = error
      throw error
    }
  }

  /// Sends the first bytes of `source` to `port`. Returns how many were taken: fewer than all of them when
  /// the device is behind, and it interrupts once it goes on; 0 when there is no such port.
  public mutating func write(port: Int, _ source: RawSpan) throws(DeviceFault) -> Int {
    if let fault { throw fault }
    guard hasPort(port) else { return 0 }
    do throws(DeviceFault) {
      return try ports[port].channels!.transmit.write(source, to: transport)
    } catch {
      fault = error
      throw error
    }
  }

  /// Whether the device has used all output of `port`. When not, it interrupts as it goes on.
  public mutating func isDrained(port: Int) throws(DeviceFault) -> Bool {
    if let fault { throw fault }
    guard hasPort(port) else { return true }
    do throws(DeviceFault) {
      return try ports[port].channels!.transmit.isDrained()
    } catch {
      fault = error
      throw error
    }
  }

  /// Writes a single character by the configuration space; the queues may be in any state. Returns whether
  /// the device offers that.
  public func emergencyWrite(_ byte: UInt8) -> Bool { transport.writeToConsoleInEmergency(byte) }

  /// Resets the device, so that it forgets the memory. Throws when it does not.
  public consuming func shutDown() throws(DeviceFault) {
    var transport = transport
    try transport.reset()
  }

  /// `cols` and `rows` of one generation.
  private static func readSize(
    _ transport: borrowing MMIODriverTransport<Registers>
  ) throws(DeviceFault) -> ConsoleSize {
    for _ in 0..<16 {
      let generation = transport.configurationGeneration()
      let columns = transport.configuration16(ConsoleConfiguration.columns)
      let rows = transport.configuration16(ConsoleConfiguration.rows)
      if transport.configurationGeneration() == generation {
        return ConsoleSize(columns: columns, rows: rows)
      }
    }
    throw .configurationUnstable
  }
}

/// A port and, when the device can have it, its queues.
struct PortSlot: ~Copyable {
  var state = ConsolePort()
  var channels: ConsoleChannels?
}

/// Two queues that belong together: the second's number follows the first's.
struct ConsoleChannels: ~Copyable {
  var receive: ConsoleReceiveChannel
  var transmit: ConsoleTransmitChannel

  @inline(never)
  init?<Registers: RegisterAccess & ~Copyable, Memory: DriverMemory & ~Copyable>(
    receive index: Int, _ buffers: ConsoleBuffers, on transport: borrowing MMIODriverTransport<Registers>,
    memory: inout Memory
  ) throws(DeviceFault) {
    guard
      let receive = try ConsoleReceiveChannel(
        index, count: buffers.receiveCount, byteCount: buffers.receiveByteCount, on: transport,
        memory: &memory),
      let transmit = try ConsoleTransmitChannel(
        index + 1, count: buffers.transmitCount, byteCount: buffers.transmitByteCount, on: transport,
        memory: &memory)
    else { return nil }
    self.receive = receive
    self.transmit = transmit
  }
}

extension ConsoleBuffers {
  /// Buffers of the control queues: a message each. QEMU drops a message that finds no buffer, and announces
  /// all its ports at once, of which it has at most 31.
  static var control: ConsoleBuffers {
    var buffers = ConsoleBuffers()
    buffers.receiveByteCount = ConsoleControl.byteCountMax
    buffers.receiveCount = 32
    buffers.transmitByteCount = ConsoleControl.byteCount
    buffers.transmitCount = 8
    return buffers
  }
}

extension MMIODriverTransport where Registers: ~Copyable {
  /// §5.3.5: writes a single character to a console device in whatever state it is, even one that no driver
  /// has taken into use. Returns false, and does nothing, when the device has no emergency write.
  public func writeToConsoleInEmergency(_ byte: UInt8) -> Bool {
    guard deviceID == .console, offeredFeatures().contains(ConsoleFeature.emergencyWrite) else {
      return false
    }
    setConfiguration32(UInt32(byte), ConsoleConfiguration.emergencyWrite)
    return true
  }
}
