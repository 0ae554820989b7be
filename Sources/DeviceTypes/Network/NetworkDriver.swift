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
  public let transport: MMIODriverTransport<Registers>
  /// The address in use.
  public internal(set) var address: MACAddress
  /// The MTU in bytes: the device's, or 1500.
  public let mtu: UInt16
  /// The longest frame that `transmit` takes, in bytes; without segmentation the MTU limits it too.
  public let transmitByteCountMax: Int
  /// Pairs of queues that are set up, from 1.
  public let pairCount: Int
  /// Pairs that frames may be transmitted on, from 1 to `pairCount`. See `usePairs(_:)`.
  public internal(set) var activePairCount = 1
  /// How often the driver looks for the answer to a command, and at the device's status, before it throws
  /// `.commandTimedOut`.
  public var commandPollLimit = 1_000_000
  /// Whether the link is up, as last read.
  public internal(set) var linkIsUp: Bool

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
    var transport = transport
    guard transport.deviceID == .network else { throw .wrongDeviceType(transport.deviceID.rawValue) }
    let features = try Self.negotiate(&transport, settings.features, ringFeatures)
    var receivers: [pairLimit of NetworkReceiveQueue?] = InlineArray { _ in nil }
    var transmitters: [pairLimit of NetworkTransmitQueue?] = InlineArray { _ in nil }
    var controlQueue: NetworkControlQueue?
    let configuration: NetworkDriverConfiguration
    let pairCount: Int
    do throws(DeviceFault) {
      configuration = try NetworkDriverConfiguration(transport)
      let limits = NetworkFrameLimits(
        mtu: configuration.mtu, receiveOffloads: NetworkOffloads(receive: features))
      pairCount = min(pairLimit, Int(configuration.maximumPairCount))
      for pair in 0..<pairCount {
        receivers[pair] = try Self.receiver(transport, pair, settings, limits, &memory)
        transmitters[pair] = try Self.transmitter(transport, pair, settings, &memory)
        guard receivers[pair] != nil, transmitters[pair] != nil else {
          transport.fail()
          return nil
        }
      }
      if features.contains(NetworkFeature.controlQueue) {
        // §5.1.2: after the queues of all pairs that the device has, used or not.
        let index = NetworkQueue.control(maximumPairCount: Int(configuration.maximumPairCount))
        guard let queue = try Self.queue(transport, index, wanted: 2, minimum: 2, &memory),
          let made = NetworkControlQueue(queue, from: &memory)
        else {
          transport.fail()
          return nil
        }
        try transport.enable(made.queue)
        controlQueue = consume made
      }
      try transport.start()
      // Buffers were made available before the device could be notified (§3.1.1).
      for pair in 0..<pairCount { transport.notify(receivers[pair]!.queue) }
    } catch {
      transport.fail()
      throw error
    }
    self.transport = transport
    self.pairCount = pairCount
    mtu = configuration.mtu
    linkIsUp = configuration.linkIsUp
    // §5.1.4.2: the device's address if it has one.
    address = configuration.address ?? settings.address
    transmitByteCountMax = settings.transmitByteCount
    self.receivers = receivers
    self.transmitters = transmitters
    self.controlQueue = controlQueue
    if !features.contains(NetworkFeature.mac) && canSetAddress {
      // §5.1.9.5.2.2: the device SHOULD know an address that is not its own. It may refuse; a fault is kept,
      // and the first call throws it.
      do throws(DeviceFault) { _ = try setAddress(address) } catch {}
    }
  }

  /// §5.1.3.1: never accepts a feature without those that it requires, whatever is offered.
  private static func negotiate(
    _ transport: inout MMIODriverTransport<Registers>, _ wanted: Features, _ ringFeatures: Features
  ) throws(DeviceFault) -> Features {
    var wanted = wanted & NetworkFeature.known
    if pairLimit == 1 { wanted = wanted.subtracting(NetworkFeature.multiQueue) }
    let features = try transport.negotiate(supported: ringFeatures | NetworkFeature.usable(wanted))
    let usable = NetworkFeature.usable(features)
    return usable == features ? features : try transport.negotiate(supported: usable)
  }

  private static func queue<Memory: DriverMemory & ~Copyable>(
    _ transport: borrowing MMIODriverTransport<Registers>, _ index: Int, wanted: Int, minimum: UInt16 = 1,
    segmentCount: Int = 0, _ memory: inout Memory
  ) throws(DeviceFault) -> DriverVirtqueue? {
    // With 32768 pairs the control queue has an index that no notification can carry (§4.2.2).
    guard let index = UInt16(exactly: index) else { throw .queueUnavailable(.max) }
    let size = try transport.queueSize(index, wanted: UInt16(wanted), minimum: minimum)
    return DriverVirtqueue(
      index: index, size: size, features: transport.features,
      indirectCapacity: segmentCount == 0 ? 0 : UInt16(segmentCount + 1), from: &memory)
  }

  private static func receiver<Memory: DriverMemory & ~Copyable>(
    _ transport: borrowing MMIODriverTransport<Registers>, _ pair: Int, _ settings: NetworkDriverSettings,
    _ limits: NetworkFrameLimits, _ memory: inout Memory
  ) throws(DeviceFault) -> NetworkReceiveQueue? {
    let count = settings.receiveBufferCount
    guard let queue = try queue(transport, NetworkQueue.receive(pair), wanted: count, &memory) else {
      return nil
    }
    try transport.enable(queue)
    return NetworkReceiveQueue(
      queue, count: count, byteCount: settings.receiveBufferByteCount,
      isMergeable: transport.features.contains(NetworkFeature.mergeableBuffers), limits, from: &memory)
  }

  private static func transmitter<Memory: DriverMemory & ~Copyable>(
    _ transport: borrowing MMIODriverTransport<Registers>, _ pair: Int, _ settings: NetworkDriverSettings,
    _ memory: inout Memory
  ) throws(DeviceFault) -> NetworkTransmitQueue? {
    let count = settings.transmitBufferCount
    guard
      let queue = try queue(
        transport, NetworkQueue.transmit(pair), wanted: count, segmentCount: settings.transmitSegmentCount,
        &memory)
    else { return nil }
    try transport.enable(queue)
    return NetworkTransmitQueue(
      queue, count: count, byteCount: settings.transmitByteCount, from: &memory)
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
