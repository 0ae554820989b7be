// virtio 1.4 §5.17 SCMI Device, driver side: an agent's channels to a platform. The device is untrusted: it
// decides what messages say, and nothing else.

public import Virtio

/// How many messages an SCMI driver has room for.
public struct SCMIDriverSettings: Sendable {
  /// Commands under way at the same time, 1 to 64; a device with a small queue may allow fewer.
  public var commandCount: UInt16 = 8
  /// Events that the device can send before we look, 1 to 64.
  public var eventCount: UInt16 = 8
  /// Bytes of the longest message with its header, in either direction, 8 to 65536.
  public var messageByteCount = 136

  /// The default settings.
  public init() {}
}

/// A response that came, and which command it belongs to.
public struct SCMIDriverResponse: Equatable, Sendable {
  /// What `send` returned.
  public let command: UInt32
  /// Bytes of the response, with its header, on the device's word. Fewer than 8 make no sense.
  public let byteCount: Int
}

/// Sends the commands of an agent, and receives responses, delayed responses and notifications.
///
/// Nothing here waits: after an interrupt, `receive` and `receiveEvent` are called until they return nil;
/// after that a further interrupt is certain. What the messages say is for the agent to check. After a fault
/// every call throws it again: drop the driver and start over.
public struct SCMIDriver<Registers: RegisterAccess & ~Copyable>: ~Copyable {
  /// The transport, for display.
  public let transport: MMIODriverTransport<Registers>
  /// Bytes of the longest message with its header.
  public let messageByteCount: Int
  private var commands: DriverVirtqueue
  private var events: DriverVirtqueue?
  private let memory: DMABuffer
  private let eventMemory: DMABuffer
  /// One bit a command that can be sent.
  private var free: UInt64
  private var fault: DeviceFault?

  /// Takes a device into use, with what is offered of `features` of its type and of `ringFeatures`.
  ///
  /// Nil when `memory` runs out; the device is then marked as failed. Throws what is wrong with the device.
  public init?<Memory: DriverMemory & ~Copyable>(
    _ transport: consuming MMIODriverTransport<Registers>, memory: inout Memory,
    features: Features = SCMIFeature.all, ringFeatures: Features = .mmioTransportBits,
    settings: SCMIDriverSettings = SCMIDriverSettings()
  ) throws(DeviceFault) {
    precondition(1...64 ~= settings.commandCount && 1...64 ~= settings.eventCount, "impossible counts")
    precondition(8...65536 ~= settings.messageByteCount, "an impossible length")
    var transport = transport
    guard transport.deviceID == .scmi else { throw .wrongDeviceType(transport.deviceID.rawValue) }
    let negotiated = try transport.negotiate(supported: features & SCMIFeature.all | ringFeatures)
    let length = settings.messageByteCount
    do throws(DeviceFault) {
      // A command takes two descriptors; a queue of one could never hold it.
      let index = UInt16(SCMIQueue.command)
      let size = try transport.queueSize(index, wanted: 2 * settings.commandCount, minimum: 2)
      let count = min(settings.commandCount, size / 2)
      var events: DriverVirtqueue?
      var eventCount: UInt16 = 0
      if negotiated.contains(SCMIFeature.platformToAgent) {
        eventCount = try transport.queueSize(UInt16(SCMIQueue.event), wanted: settings.eventCount)
        events = DriverVirtqueue(
          index: UInt16(SCMIQueue.event), size: eventCount, features: negotiated, from: &memory)
      }
      guard
        let commands = DriverVirtqueue(
          index: index, size: size, features: negotiated, indirectCapacity: 2, from: &memory),
        (events == nil) == (eventCount == 0),
        let buffers = memory.allocateShared(byteCount: Int(count) * 2 * length, alignment: 16),
        let eventBuffers = memory.allocateShared(byteCount: Int(eventCount) * length, alignment: 16)
      else {
        transport.fail()
        return nil
      }
      try transport.enable(commands)
      if eventCount != 0 { try transport.enable(events!) }
      try transport.start()
      free = count == 64 ? .max : (1 << UInt64(count)) - 1
      self.commands = commands
      self.events = events
      self.memory = buffers
      eventMemory = eventBuffers
    } catch {
      transport.fail()
      throw error
    }
    self.transport = transport
    messageByteCount = length
    _ = self.commands.enableNotifications()
    // §5.17.6.2.1: SHOULD populate `eventq`.
    for slot in 0..<Int(events?.size ?? 0) { post(slot) }
    if events != nil { _ = events!.enableNotifications() }
    publishEvents()
  }

  /// Whether notifications and delayed responses can come.
  ///
  /// §5.17.6.1.2: otherwise the agent MUST NOT request any.
  public var receivesEvents: Bool { transport.features.contains(SCMIFeature.platformToAgent) }

  /// Whether a command can be sent now.
  public var hasRoom: Bool { free != 0 }

  /// The statistics region `id` of `SCMIStatisticsRegion`, or nil when there is none.
  public func region(_ id: UInt32) -> SharedMemoryRegion? {
    guard transport.features.contains(SCMIFeature.sharedMemory) else { return nil }
    return transport.sharedMemoryRegion(id)
  }

  /// Sends `command`, header and parameters. Returns its number, which its response will carry; nil, having
  /// done nothing, while there is no room. Traps on fewer than 4 bytes or more than `messageByteCount`.
  ///
  /// The device may take commands in any order (§5.17.6.1.1): wait for the response to a command that must
  /// come first.
  public mutating func send(_ command: RawSpan) throws(DeviceFault) -> UInt32? {
    precondition(
      command.byteCount >= SCMIMessageLayout.payload && command.byteCount <= messageByteCount,
      "an impossible command")
    if let fault { throw fault }
    if free == 0 { return nil }
    let slot = free.trailingZeroBitCount
    let at = slot * 2 * messageByteCount
    memory.copyIn(from: command, at: at)
    // A device that claims more than it writes exposes nothing old.
    memory.zero(at: at + messageByteCount, byteCount: messageByteCount)
    // §5.17.6.1.2: MUST provide enough device-writable memory for any response.
    let segments: [2 of DMASegment] = [
      memory.segment(at: at, byteCount: command.byteCount),
      memory.segment(at: at + messageByteCount, byteCount: messageByteCount),
    ]
    // There are two descriptors for each command.
    let isAccepted = commands.callSubmit(segments.span, readableCount: 1, token: UInt32(slot))
    precondition(isAccepted, "more commands than descriptors")
    free &= free &- 1
    if commands.callPublish() { transport.notify(commands) }
    return UInt32(slot)
  }

  /// Copies the next response into `target`: its first bytes, as many as fit. Nil when there is none.
  public mutating func receive(
    into target: inout MutableRawSpan
  ) throws(DeviceFault) -> SCMIDriverResponse? {
    if let fault { throw fault }
    do throws(DeviceFault) {
      var used = try commands.callReclaim()
      if used == nil && commands.enableNotifications() { used = try commands.callReclaim() }
      guard let used else { return nil }
      let count = min(Int(used.byteCount), target.byteCount)
      var part = target._mutatingExtracting(0..<count)
      memory.copyOut(to: &part, from: (2 * Int(used.token) + 1) * messageByteCount)
      free |= 1 << UInt64(used.token)
      return SCMIDriverResponse(command: used.token, byteCount: Int(used.byteCount))
    } catch {
      fault = error
      throw error
    }
  }

  /// Copies the next notification or delayed response into `target`: its first bytes, as many as fit.
  ///
  /// Returns its length on the device's word, which may be anything up to `messageByteCount`; nil when there
  /// is none. Its buffer goes back to the device.
  public mutating func receiveEvent(into target: inout MutableRawSpan) throws(DeviceFault) -> Int? {
    if let fault { throw fault }
    if events == nil { return nil }
    do throws(DeviceFault) {
      var used = try events!.callReclaim()
      if used == nil && events!.enableNotifications() { used = try events!.callReclaim() }
      guard let used else { return nil }
      let count = min(Int(used.byteCount), target.byteCount)
      var part = target._mutatingExtracting(0..<count)
      let at = Int(used.token) * messageByteCount
      eventMemory.copyOut(to: &part, from: at)
      // As with commands.
      eventMemory.zero(at: at, byteCount: messageByteCount)
      post(Int(used.token))
      publishEvents()
      return Int(used.byteCount)
    } catch {
      fault = error
      throw error
    }
  }

  /// Acknowledges the device's interrupt. Throws `.needsReset` when the device has given up.
  public mutating func acknowledgeInterrupt() throws(DeviceFault) {
    if transport.takeInterrupts().configurationChange, transport.needsReset {
      fault = .needsReset
      throw .needsReset
    }
  }

  /// Resets the device, so that it forgets the agent and the memory. Throws when it does not.
  public consuming func shutDown() throws(DeviceFault) {
    var transport = transport
    try transport.reset()
  }

  /// §5.17.6.2.1: device-writable only, and as long as the longest message that can come.
  private mutating func post(_ slot: Int) {
    let segment = eventMemory.segment(at: slot * messageByteCount, byteCount: messageByteCount)
    let isAccepted = events!.callSubmit(segment, deviceWritable: true, token: UInt32(slot))
    precondition(isAccepted, "more buffers than descriptors")
  }

  private mutating func publishEvents() {
    if events != nil, events!.callPublish() { transport.notify(events!) }
  }
}
