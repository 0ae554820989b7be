// virtio 1.4 §5.1 Network Device, device side. Input: buffers and commands from an untrusted driver, frames
// from an untrusted network.

import Synchronization
public import Virtio
import Wire

/// What a network device shows to its driver.
public struct NetworkDeviceSettings: Sendable {
  /// Its address after a reset.
  public var mac: MACAddress
  /// The largest MTU of the link in bytes, at least 1280, which is then offered; nil to leave it open.
  public var mtu: UInt16?
  /// Features that are not to be offered.
  public var withheld: Features

  /// Settings with everything offered that can be done. Traps on an MTU below 1280 (§5.1.4.1: SHOULD).
  public init(mac: MACAddress, mtu: UInt16? = nil, withheld: Features = .none) {
    precondition(mtu ?? 1280 >= 1280, "an MTU that IPv6 cannot live with")
    precondition(!mac.isMulticast, "a group cannot be an address")
    self.mac = mac
    self.mtu = mtu
    self.withheld = withheld
  }
}

/// A network interface for a driver, on any `NetworkBackend`.
///
/// Frames pass between the backend and guest memory without a copy of the device's own. The transport needs
/// `2 * maximumPairCount + 1` queues. A service call takes at most each queue's budget in buffers, no further
/// one of a transmitq after `transmitByteLimit`, and receives at most `frameBudget` frames of at most 65593
/// bytes: poll again while the backend has more. Frames may stay pending in the backend, 64 at a time; with
/// IN_ORDER their buffers are used in the order in which they came.
public struct NetworkDevice<Backend: NetworkBackend & ~Copyable, let maximumPairCount: Int>:
  VirtioDevice, ~Copyable
{
  /// Frames that one call receives at most.
  public static var frameBudget: Int { 256 }
  /// Bytes after which one call takes no further frame of a transmitq.
  public static var transmitByteLimit: Int { 1 << 20 }

  /// The link.
  public var backend: Backend
  /// Whether the link is up; the driver learns of a change at the next poll. While it is down, frames of
  /// both directions are dropped.
  public var linkIsUp = true
  /// Frames from the driver that were dropped: malformed, too long, or with the link down.
  public private(set) var droppedTransmitCount: UInt64 = 0
  /// Frames for the driver that were dropped: filtered, lost by the backend, or beyond its buffers.
  public private(set) var droppedReceiveCount: UInt64 = 0

  let settings: NetworkDeviceSettings
  /// The address as the driver sees it.
  var mac: MACAddress
  /// Whether `mac` is the address that the driver uses.
  var knowsAddress = false
  /// The configuration's status field.
  var status = NetworkConfiguration.linkUp
  var wantsAnnouncement = false
  /// Receive offloads that are on.
  var receiveOffloads = NetworkOffloads.none
  var filter = NetworkFilter()
  var steering = NetworkSteering()
  /// One bit a pair: there was no room for its next frame.
  var stalledPairs: UInt32 = 0
  var transmissions = NetworkTransmissions()
  var pieces = NetworkPieces()
  var buffers = NetworkReceiveBuffers()
  /// Never used. A value that holds an atomic has a place of its own: else the device, which is large, would
  /// be copied for each call that borrows it.
  private let place = Atomic<UInt8>(0)

  /// A device on `backend`. Traps unless `maximumPairCount` is 1 to 31.
  public init(backend: consuming Backend, settings: NetworkDeviceSettings) {
    precondition(maximumPairCount >= 1 && maximumPairCount <= 31, "1 to 31 pairs of queues")
    self.settings = settings
    mac = settings.mac
    self.backend = backend
  }

  // As in `DeviceVirtqueue`: else others would have to destroy the atomic, which Embedded Swift 6.3.1 cannot.
  deinit {}

  /// See `VirtioDevice`.
  public var deviceID: DeviceID { .network }
  /// Each queue is served from its head.
  public var usesBuffersInOrder: Bool { true }
  /// 256 for each queue.
  public func queueSizeMax(_ index: Int) -> UInt16 {
    index <= NetworkQueue.control(maximumPairCount: maximumPairCount)
      ? UInt16(NetworkPieces.capacity) : 0
  }

  /// Offloads only as far as the backend does them, and nothing without what it requires (§5.1.3.1).
  public var offeredFeatures: Features {
    var offered =
      NetworkFeature.mac | NetworkFeature.status | NetworkFeature.mergeableBuffers
      | NetworkFeature.controlQueue | NetworkFeature.controlReceive | NetworkFeature.controlVLAN
      | NetworkFeature.controlReceiveExtra | NetworkFeature.guestAnnounce | NetworkFeature.controlMACAddress
    offered = offered | backend.transmitOffloads.transmitFeatures
    let receiveFeatures = backend.receiveOffloads.receiveFeatures
    if !receiveFeatures.isEmpty { offered = offered | receiveFeatures | NetworkFeature.controlGuestOffloads }
    if settings.mtu != nil { offered = offered | NetworkFeature.mtu }
    if maximumPairCount > 1 { offered = offered | NetworkFeature.multiQueue }
    return NetworkFeature.usable(offered.subtracting(settings.withheld))
  }

  /// §5.1.3.1: refuses features without those that they require.
  public func accepts(_ features: Features) -> Bool { NetworkFeature.isConsistent(features) }

  // MARK: Configuration

  /// Up to the last field that exists.
  public var configurationByteCount: Int {
    if settings.mtu != nil { return NetworkConfiguration.byteCount }
    return maximumPairCount > 1 ? NetworkConfiguration.mtu : NetworkConfiguration.maximumPairCount
  }

  /// §5.1.4, read-only for the driver.
  public func loadConfiguration(at offset: Int, byteCount: Int) -> UInt32 {
    var bytes = ByteArray<12>()
    mac.store(to: &bytes)
    bytes.store(status, at: NetworkConfiguration.status)
    if maximumPairCount > 1 {
      bytes.store(UInt16(maximumPairCount), at: NetworkConfiguration.maximumPairCount)
    }
    bytes.store(settings.mtu ?? 0, at: NetworkConfiguration.mtu)
    switch byteCount {
    case 1: return UInt32(bytes[offset])
    case 2: return UInt32(bytes.load(UInt16.self, at: offset))
    default: return bytes.load(at: offset)
    }
  }

  /// Asks the driver to announce itself to its peers, as after a migration; at the next poll, and only if
  /// GUEST_ANNOUNCE was negotiated.
  public mutating func requestAnnouncement() { wantsAnnouncement = true }

  /// Brings the status field up to date, and tells the driver of a change.
  private mutating func refresh(_ context: inout DeviceContext) {
    var now = status & ~NetworkConfiguration.linkUp | (linkIsUp ? NetworkConfiguration.linkUp : 0)
    if wantsAnnouncement {
      wantsAnnouncement = false
      if context.features.contains(NetworkFeature.guestAnnounce) { now |= NetworkConfiguration.announce }
    }
    if now == status { return }
    status = now
    if context.features.contains(NetworkFeature.status) { context.configurationChanged = true }
  }

  // MARK: Life

  /// Starts with one pair, the offloads negotiated and empty tables.
  public mutating func start(_ context: inout DeviceContext) {
    knowsAddress = context.features.contains(NetworkFeature.mac)
    filter.limitsMulticast = context.features.contains(NetworkFeature.controlReceive)
    filter.limitsVLANs = context.features.contains(NetworkFeature.controlVLAN)
    setReceiveOffloads(NetworkOffloads(receive: context.features))
    refresh(&context)
  }

  mutating func setReceiveOffloads(_ offloads: NetworkOffloads) {
    receiveOffloads = offloads
    backend.setReceiveOffloads(offloads)
  }

  /// Uses the first `count` pairs, as the command VQ_PAIRS_SET does (§5.1.9.5.6): for a transport that has
  /// the control queue itself. Traps beyond 1 to `maximumPairCount`.
  public mutating func usePairs(_ count: Int) {
    precondition(count >= 1 && count <= maximumPairCount, "pairs that there are not")
    steering.pairCount = count
  }

  /// Serves queue `index`, whose meaning depends on what was negotiated (§5.1.2).
  public mutating func process(queue index: Int, _ context: inout DeviceContext) throws(DriverFault) {
    let pairCount = context.features.contains(NetworkFeature.multiQueue) ? maximumPairCount : 1
    if index == NetworkQueue.control(maximumPairCount: pairCount) {
      if context.features.contains(NetworkFeature.controlQueue) { try control(index, &context) }
    } else if index < 2 * pairCount {
      if index & 1 == 0 {
        try receive(&context)
      } else {
        try transmit(pair: index >> 1, &context)
      }
    }
  }

  /// Looks after the link: its state, frames that were sent, that had no room, that wait.
  public mutating func poll(_ context: inout DeviceContext) throws(DriverFault) {
    refresh(&context)
    drainTransmissions()
    transmissions.retire(&context)
    var todo = stalledPairs
    while todo != 0 {
      let pair = todo.trailingZeroBitCount
      todo &= todo &- 1
      try transmit(pair: pair, &context)
    }
    try receive(&context)
  }

  /// Back to the settings; tables are empty (§5.1.9.5.2.1), one pair is in use (§5.1.9.5.6.2).
  public mutating func reset() {
    mac = settings.mac
    knowsAddress = false
    status = linkIsUp ? NetworkConfiguration.linkUp : 0
    wantsAnnouncement = false
    filter.reset()
    steering = NetworkSteering()
    stalledPairs = 0
    forgetTransmissions(queue: nil)
    setReceiveOffloads(.none)
  }

  /// Forgets the frames of a transmitq. The backend may still be at some of them: see `isQuiescent`.
  public mutating func resetQueue(_ index: Int) {
    if index & 1 != 0 && index < 2 * maximumPairCount {
      stalledPairs &= ~(1 << UInt32(index >> 1))
      forgetTransmissions(queue: index)
    }
  }

  /// Whether the backend let go of every frame that was forgotten.
  public var isQuiescent: Bool {
    mutating get {
      if !transmissions.isQuiescent { drainTransmissions() }
      return transmissions.isQuiescent
    }
  }

  mutating func dropTransmitted() { droppedTransmitCount &+= 1 }

  mutating func dropReceived() {
    backend.dropFrame()
    countLostFrame()
  }

  mutating func countLostFrame() { droppedReceiveCount &+= 1 }

  /// The longest frame of either direction that need not be segmented, in bytes.
  func frameLimit(_ prefix: ByteArray<64>, _ features: Features) -> Int {
    // §5.1.4.1: the MTU counts without the header, which is longer with a tag.
    guard features.contains(NetworkFeature.mtu), let mtu = settings.mtu else { return Int(UInt16.max) + 18 }
    return Int(mtu) + Ethernet.headerByteCount(prefix)
  }
}
