// virtio 1.4 §5.2 Block Device, device side. Input: requests from an untrusted driver.

public import Virtio
import Wire

/// A disk for a driver, on any `BlockBackend`.
///
/// Requests may stay pending in the backend and end in any order; with IN_ORDER they are used in the order in
/// which they came. A service call takes at most the queue's budget of requests, and none after `byteLimit`.
public struct BlockDevice<Backend: BlockBackend & ~Copyable>: VirtioDevice, ~Copyable {
  /// See `VirtioDevice`.
  public var deviceID: DeviceID { .block }
  /// Always: what ends early is held back when IN_ORDER was negotiated.
  public var usesBuffersInOrder: Bool { true }
  /// The storage.
  public var backend: Backend
  /// Bytes after which a service call takes no further request. One request has less than 2^32.
  public var byteLimit: UInt64 = 16 << 20

  let properties: BlockProperties
  let queueCount: Int
  /// What the driver reads; changes only in `refresh`, `accepts` and by the driver's own writes.
  var configuration: BlockConfiguration
  /// Whether the features agreed on say that completed writes are stable without a flush (§5.2.6.2).
  var isWriteThroughByFeatures = true
  var request = BlockRequest()
  var slots = BlockSlots()
  /// Bytes that `processUsual` moved in the service call that `process` goes on with.
  var usualByteCount: UInt64 = 0
  /// One bit a queue: buffers were left because there was no room for them.
  var heldQueues: UInt64 = 0

  /// A device with `queueCount` request queues; the transport must have room for as many.
  ///
  /// Traps on properties that contradict themselves: a block size that is no power of two or below 512, or a
  /// number of queues outside 1 to 64.
  public init(backend: consuming Backend, queueCount: Int = 1) {
    precondition(queueCount >= 1 && queueCount <= 64, "1 to 64 queues")
    let properties = backend.properties
    precondition(
      properties.blockSize >= 512 && properties.blockSize & (properties.blockSize - 1) == 0,
      "an impossible block size")
    self.properties = properties
    self.queueCount = queueCount
    configuration = BlockConfiguration(properties, queueCount: queueCount, sectorCount: backend.sectorCount)
    self.backend = backend
  }

  // Requests and slots have places of their own, which Embedded code of Swift 6.3.1 in another module cannot
  // destroy as parts of this.
  deinit {}

  /// What the backend can do, and what the device does by itself.
  public var offeredFeatures: Features { properties.features(queueCount: queueCount) }

  /// 256 for each request queue.
  public func queueSizeMax(_ index: Int) -> UInt16 {
    index < queueCount ? UInt16(BlockRequest.segmentLimit) : 0
  }

  /// Any subset. §5.2.5.2: without FLUSH the cache starts as write-through.
  public mutating func accepts(_ features: Features) -> Bool {
    let hasFlush = features.contains(BlockFeature.flush)
    isWriteThroughByFeatures = !hasFlush
    configuration.writeback = hasFlush ? 1 : 0
    return true
  }

  // MARK: Configuration

  /// Up to the fields of zoned devices.
  public var configurationByteCount: Int { BlockConfiguration.byteCount }

  /// §5.2.4, whatever was negotiated: fields of features that are not offered read as zero.
  public func loadConfiguration(at offset: Int, byteCount: Int) -> UInt32 {
    let bytes = configuration.encoded()
    switch byteCount {
    case 1: return UInt32(bytes[offset])
    case 2: return UInt32(bytes.load(UInt16.self, at: offset))
    default: return bytes.load(at: offset)
    }
  }

  /// §5.2.5: `writeback` switches the cache when CONFIG_WCE was negotiated; all else is read-only.
  public mutating func storeConfiguration(
    _ value: UInt32, at offset: Int, byteCount: Int, _ context: inout DeviceContext
  ) {
    guard offset == BlockField.writeback, byteCount == 1,
      context.features.contains(BlockFeature.configurableCache)
    else { return }
    configuration.writeback = value == 0 ? 0 : 1
  }

  /// §5.2.6.2: whether a write must be on persistent storage before it is reported as complete.
  func isWriteThrough(_ features: Features) -> Bool {
    features.contains(BlockFeature.configurableCache)
      ? configuration.writeback == 0 : isWriteThroughByFeatures
  }

  /// §5.2.6.2: a new size SHOULD be announced.
  private mutating func refresh(_ context: inout DeviceContext) {
    let sectorCount = backend.sectorCount
    if sectorCount == configuration.sectorCount { return }
    configuration.sectorCount = sectorCount
    context.configurationChanged = true
  }

  // MARK: Life

  /// Tells of a size that changed before the driver was ready.
  public mutating func start(_ context: inout DeviceContext) { refresh(&context) }

  /// Uses what the backend has finished, then takes what was left, then looks for a new size.
  public mutating func poll(_ context: inout DeviceContext) throws(DriverFault) {
    drain()
    slots.retire(&context, inOrder: context.features.contains(.inOrder))
    var todo = heldQueues
    while todo != 0 {
      let index = todo.trailingZeroBitCount
      todo &= todo &- 1
      try process(queue: index, &context)
    }
    refresh(&context)
  }

  /// Takes over what the backend has finished: at most as much as can be pending.
  private mutating func drain() {
    for _ in 0..<BlockSlots.capacity {
      guard let completion = backend.nextCompletion() else { return }
      slots.complete(completion.tag, BlockStatus(completion.fault))
    }
  }

  /// Forgets all requests. The backend may still be at some of them: see `isQuiescent`.
  public mutating func reset() {
    abandon(queue: nil)
    heldQueues = 0
    isWriteThroughByFeatures = true
  }

  /// Forgets the requests of one queue.
  public mutating func resetQueue(_ index: Int) {
    abandon(queue: index)
    heldQueues &= ~(1 << UInt64(index))
  }

  private mutating func abandon(queue: Int?) {
    var left = slots.abandon(queue: queue)
    while left != 0 {
      backend.cancel(tag: slots.tag(left.trailingZeroBitCount))
      left &= left &- 1
    }
  }

  // MARK: State

  /// Uses what the backend has finished. What is left of the requests it is at keeps the state from being
  /// saved.
  public mutating func prepareToSave(_ context: inout DeviceContext) throws(DriverFault) -> SaveReadiness {
    drain()
    slots.retire(&context, inOrder: context.features.contains(.inOrder))
    return slots.isEmpty ? .ready : .busy
  }

  /// The size that the driver reads, and its cache mode.
  public func save(into state: inout StateWriter) {
    state.append(configuration.sectorCount)
    state.append(configuration.writeback)
  }

  /// A size that is another now is announced at the next poll.
  public mutating func restore(from state: inout StateReader, features: Features) throws(StateFault) {
    configuration.sectorCount = try state.next()
    configuration.writeback = try state.nextFlag() ? 1 : 0
  }

  /// Whether the backend let go of all that was forgotten.
  public var isQuiescent: Bool {
    mutating get {
      if slots.isQuiescent { return true }
      drain()
      return slots.isQuiescent
    }
  }
}

extension BlockProperties {
  /// The device-type features that follow. SEG_MAX is always offered, and FLUSH with the switch that
  /// presupposes it (§5.2.5.2).
  func features(queueCount: Int) -> Features {
    var features = BlockFeature.segMax | BlockFeature.blockSize
    if sizeMax != 0 { features = features | BlockFeature.sizeMax }
    if canFlush { features = features | BlockFeature.flush | BlockFeature.configurableCache }
    if topology != nil { features = features | BlockFeature.topology }
    if queueCount > 1 { features = features | BlockFeature.multiqueue }
    if hasLifetime { features = features | BlockFeature.lifetime }
    if isReadOnly { return features | BlockFeature.readOnly }
    if discard != nil { features = features | BlockFeature.discard }
    if writeZeroes != nil { features = features | BlockFeature.writeZeroes }
    if secureErase != nil { features = features | BlockFeature.secureErase }
    return features
  }
}

extension BlockConfiguration {
  /// What a driver of a device with `properties` reads.
  init(_ properties: BlockProperties, queueCount: Int, sectorCount: UInt64) {
    self.init()
    self.sectorCount = sectorCount
    sizeMax = properties.sizeMax
    // Header and status take a descriptor each.
    segMax = min(UInt32(BlockRequest.segmentLimit) - 2, max(properties.segMax, 1))
    blockSize = properties.blockSize
    topology = properties.topology ?? BlockTopology()
    if queueCount > 1 { self.queueCount = UInt16(queueCount) }
    if properties.isReadOnly { return }
    discard = properties.discard?.bounded ?? BlockRangeLimits()
    writeZeroes = properties.writeZeroes?.bounded ?? BlockRangeLimits()
    writeZeroesMayUnmap = properties.writeZeroes != nil && properties.writeZeroesMayUnmap ? 1 : 0
    secureErase = properties.secureErase?.bounded ?? BlockRangeLimits()
  }
}

extension BlockRangeLimits {
  /// With no more ranges than the device has room for.
  var bounded: BlockRangeLimits {
    BlockRangeLimits(
      sectorCount: sectorCount, rangeCount: min(rangeCount, UInt32(BlockRequest.rangeLimit)),
      sectorAlignment: sectorAlignment)
  }
}

extension BlockStatus {
  /// The status that tells of `fault`; ok for none.
  init(_ fault: BackendFault?) {
    switch fault {
    case nil: self = .ok
    case .unsupported: self = .unsupported
    case .inputOutput, .outOfRange, .readOnly: self = .inputOutputError
    }
  }
}
