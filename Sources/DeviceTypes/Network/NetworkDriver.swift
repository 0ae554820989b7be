// virtio 1.4 §5.1 Network Device, driver side. The device is untrusted: what it writes is checked or only
// handed on.

public import Virtio
import Wire

/// What a network driver asks for.
public struct NetworkDriverSettings: Sendable {
  /// Features used when they are offered, together with those they require.
  public var features: Features
  /// The address when the device has none. It is marked as locally administered.
  public var address: MACAddress
  /// Receive buffers of each pair, 1 to 256.
  public var receiveBufferCount: Int
  /// Bytes of a receive buffer with MRG_RXBUF, at least 64; without it each takes a whole frame.
  public var receiveBufferByteCount: Int
  /// Frames that can be in flight on each transmitq, 1 to 256.
  public var transmitBufferCount: Int
  /// Segments of a frame behind its head that take no room in the ring, with INDIRECT_DESC; 0 for hosts that
  /// send no segments.
  public var transmitSegmentCount: Int
  /// The longest frame to be transmitted, or head of one sent in segments, in bytes; more than 1518 only
  /// makes sense for segmentation, or for a larger MTU.
  public var transmitByteCount: Int

  /// What a simple host needs: complete frames in, complete or partially checksummed frames out.
  public static var simpleFeatures: Features {
    NetworkFeature.checksum | NetworkFeature.mtu | NetworkFeature.mac | NetworkFeature.mergeableBuffers
      | NetworkFeature.status | NetworkFeature.controlQueue | NetworkFeature.controlReceive
      | NetworkFeature.controlReceiveExtra | NetworkFeature.controlMACAddress
      | NetworkFeature.multiQueue
  }

  /// Settings for a host with ordinary Ethernet frames. Traps on counts outside their bounds.
  public init(
    features: Features = Self.simpleFeatures,
    address: MACAddress = MACAddress(2, 0x56, 0x49, 0x52, 0x4f, 1), receiveBufferCount: Int = 32,
    receiveBufferByteCount: Int = 1536, transmitBufferCount: Int = 16, transmitByteCount: Int = 1518,
    transmitSegmentCount: Int = 0
  ) {
    precondition(receiveBufferCount >= 1 && receiveBufferCount <= 256, "1 to 256 receive buffers")
    precondition(receiveBufferByteCount >= 64 && receiveBufferByteCount <= 1 << 20, "an absurd buffer")
    precondition(transmitBufferCount >= 1 && transmitBufferCount <= 256, "1 to 256 transmit buffers")
    precondition(transmitSegmentCount >= 0 && transmitSegmentCount <= 64, "an absurd number of segments")
    // With segments the buffer is for the head only.
    let least = transmitSegmentCount == 0 ? 1514 : 64
    precondition(transmitByteCount >= least && transmitByteCount <= 65593, "an absurd frame")
    self.features = features
    self.address = address.locallyAdministered
    self.receiveBufferCount = receiveBufferCount
    self.receiveBufferByteCount = receiveBufferByteCount
    self.transmitBufferCount = transmitBufferCount
    self.transmitByteCount = transmitByteCount
    self.transmitSegmentCount = transmitSegmentCount
  }
}

/// A network interface: frames out with `transmit`, frames in with `receive`.
///
/// `pairLimit` is the most pairs of queues that are set up; with 1, MQ is not negotiated. After a fault every
/// call throws it again: drop the driver and start over.
public struct NetworkDriver<Registers: RegisterAccess & ~Copyable, let pairLimit: Int>: ~Copyable {
  /// The transport, for its interrupts and for display.
  public private(set) var transport: MMIODriverTransport<Registers>
  /// The address in use.
  public internal(set) var address: MACAddress
  /// The MTU in bytes: the device's, or 1500.
  public private(set) var mtu: UInt16 = 1500
  /// The longest frame that `transmit` takes, in bytes; without segmentation the MTU limits it too.
  public let transmitByteCountMax: Int
  /// Pairs of queues that are set up, from 1.
  public private(set) var pairCount = 0
  /// Pairs that frames may be transmitted on, from 1 to `pairCount`. See `usePairs(_:)`.
  public internal(set) var activePairCount = 1
  /// How often the driver looks for the answer to a command, and at the device's status, before it throws
  /// `.commandTimedOut`.
  public var commandPollLimit = 1_000_000
  /// Whether the link is up, as last read.
  public internal(set) var linkIsUp = true

  var receivers: [pairLimit of NetworkReceiveQueue?]
  var transmitters: [pairLimit of NetworkTransmitQueue?]
  var controlQueue: NetworkControlQueue?
  var fault: DeviceFault?
  /// Where `receive` looks first.
  var nextPair = 0
  /// The pair of the frame that is held.
  var heldPair: Int?
  /// In how many segments the frame that is held lies; 0 when none is.
  public internal(set) var heldSegmentCount = 0

  /// What was negotiated.
  public var features: Features { transport.features }
  /// What may be left to the device for transmitted frames.
  public var transmitOffloads: NetworkOffloads { NetworkOffloads(transmit: features) }
  /// What the device may leave to this side for received frames.
  public var receiveOffloads: NetworkOffloads { NetworkOffloads(receive: features) }

  /// Takes a device into use, with what is offered of `settings.features` and `ringFeatures`.
  ///
  /// Nil when `memory` runs out; the device is then marked as failed. Throws what is wrong with the device.
  public init?<Memory: DriverMemory & ~Copyable>(
    _ transport: consuming MMIODriverTransport<Registers>, memory: inout Memory,
    settings: NetworkDriverSettings = NetworkDriverSettings(), ringFeatures: Features = .mmioTransportBits
  ) throws(DeviceFault) {
    precondition(pairLimit >= 1, "a driver without queues")
    self.init(transport, settings)
    guard self.transport.deviceID == .network else {
      throw .wrongDeviceType(self.transport.deviceID.rawValue)
    }
    try negotiate(settings.features, ringFeatures)
    let isComplete: Bool
    do throws(DeviceFault) {
      isComplete = try setUp(settings, &memory)
    } catch {
      self.transport.fail()
      throw error
    }
    guard isComplete else {
      self.transport.fail()
      return nil
    }
    if !features.contains(NetworkFeature.mac) && canSetAddress {
      // §5.1.9.5.2.2: the device SHOULD know an address that is not its own. It may refuse; a fault is kept,
      // and the first call throws it.
      do throws(DeviceFault) { _ = try setAddress(address) } catch {}
    }
  }

  /// A driver that has no queues yet.
  private init(_ transport: consuming MMIODriverTransport<Registers>, _ settings: NetworkDriverSettings) {
    self.transport = transport
    address = settings.address
    transmitByteCountMax = settings.transmitByteCount
    receivers = InlineArray { _ in nil }
    transmitters = InlineArray { _ in nil }
  }

  /// §5.1.3.1: never accepts a feature without those that it requires, whatever is offered.
  private mutating func negotiate(_ wanted: Features, _ ringFeatures: Features) throws(DeviceFault) {
    var wanted = wanted & NetworkFeature.known
    if pairLimit == 1 { wanted = wanted.subtracting(NetworkFeature.multiQueue) }
    let features = try transport.negotiate(supported: ringFeatures | NetworkFeature.usable(wanted))
    let usable = NetworkFeature.usable(features)
    if usable != features { _ = try transport.negotiate(supported: usable) }
  }

  /// Sets up the queues of all pairs and the control queue (§5.1.2), and lets the device go live. False when
  /// `memory` runs out.
  private mutating func setUp<Memory: DriverMemory & ~Copyable>(
    _ settings: NetworkDriverSettings, _ memory: inout Memory
  ) throws(DeviceFault) -> Bool {
    let configuration = try NetworkDriverConfiguration(transport)
    mtu = configuration.mtu
    linkIsUp = configuration.linkIsUp
    // §5.1.4.2: the device's address if it has one.
    if let own = configuration.address { address = own }
    pairCount = min(pairLimit, Int(configuration.maximumPairCount))
    let limits = NetworkFrameLimits(mtu: mtu, receiveOffloads: receiveOffloads)
    for pair in 0..<pairCount {
      receivers[pair] = try NetworkReceiveQueue(
        NetworkQueue.receive(pair), count: settings.receiveBufferCount,
        byteCount: settings.receiveBufferByteCount, limits, on: transport, from: &memory)
      transmitters[pair] = try NetworkTransmitQueue(
        NetworkQueue.transmit(pair), count: settings.transmitBufferCount,
        byteCount: settings.transmitByteCount, segmentCount: settings.transmitSegmentCount, on: transport,
        from: &memory)
      if receivers[pair] == nil || transmitters[pair] == nil { return false }
    }
    if features.contains(NetworkFeature.controlQueue) {
      // After the queues of all pairs that the device has, used or not.
      let index = NetworkQueue.control(maximumPairCount: Int(configuration.maximumPairCount))
      controlQueue = try NetworkControlQueue(index, on: transport, from: &memory)
      if controlQueue == nil { return false }
    }
    try transport.start()
    // Buffers were made available before the device could be notified (§3.1.1).
    for pair in 0..<pairCount { transport.notify(receivers[pair]!.queue) }
    return true
  }

  /// Resets the device, so that it forgets the memory. Throws when it does not.
  public consuming func shutDown() throws(DeviceFault) {
    var transport = transport
    try transport.reset()
  }
}

/// The device's configuration, checked.
struct NetworkDriverConfiguration {
  /// nil when the device has none.
  var address: MACAddress?
  var linkIsUp = true
  var mustAnnounce = false
  var maximumPairCount: UInt16 = 1
  var mtu: UInt16 = 1500

  /// How often the space is read again while it changes.
  private static var attemptLimit: Int { 64 }

  /// Reads the fields that exist, in one version of the space (§2.5.1).
  init<Registers: RegisterAccess & ~Copyable>(
    _ transport: borrowing MMIODriverTransport<Registers>
  ) throws(DeviceFault) {
    for _ in 0..<Self.attemptLimit {
      let generation = transport.configurationGeneration()
      read(transport)
      if transport.configurationGeneration() == generation {
        try check(transport.features)
        return
      }
    }
    throw .configurationUnstable
  }

  private mutating func read<Registers: RegisterAccess & ~Copyable>(
    _ transport: borrowing MMIODriverTransport<Registers>
  ) {
    let features = transport.features
    if features.contains(NetworkFeature.mac) {
      var bytes = ByteArray<6>()
      for index in 0..<6 { bytes[index] = transport.configuration8(NetworkConfiguration.mac + index) }
      address = MACAddress(bytes)
    }
    if features.contains(NetworkFeature.status) {
      let status = transport.configuration16(NetworkConfiguration.status)
      linkIsUp = status & NetworkConfiguration.linkUp != 0
      mustAnnounce =
        status & NetworkConfiguration.announce != 0 && features.contains(NetworkFeature.guestAnnounce)
    }
    if features.contains(NetworkFeature.multiQueue) {
      maximumPairCount = transport.configuration16(NetworkConfiguration.maximumPairCount)
    }
    if features.contains(NetworkFeature.mtu) {
      mtu = transport.configuration16(NetworkConfiguration.mtu)
    }
  }

  /// §5.1.4.1: bounds that the device has to keep.
  private func check(_ features: Features) throws(DeviceFault) {
    guard maximumPairCount >= 1, maximumPairCount <= NetworkConfiguration.pairCountLimit,
      mtu >= NetworkConfiguration.mtuLimit, address.map({ !$0.isMulticast }) ?? true
    else { throw .invalidConfiguration }
  }
}
