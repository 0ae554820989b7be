// virtio 1.4 §5.2 Block Device, driver side. The device is untrusted: what it tells is checked, and nonsense
// is ignored where it is only a hint, and a fault where it is not.

public import Virtio
import Wire

/// Reads, writes and manages the sectors of a block device.
///
/// The `submit` functions start a request of any length and return at once; `service` takes back what the
/// device has done, and `nextCompletion` tells of requests that ended. `read`, `write` and their like do the
/// same for callers that wait. After a fault of the device every call throws it again, until `reset`, which
/// ends all requests, and `restart`.
public struct BlockDriver<Registers: RegisterAccess & ~Copyable>: ~Copyable {
  /// The transport, for display.
  public private(set) var transport: MMIODriverTransport<Registers>
  /// What was agreed on.
  public private(set) var features = Features.none
  /// The configuration: fields of features that were not accepted are zero, and nonsense is left out.
  public private(set) var configuration: BlockConfiguration
  /// Queues in use.
  public var queueCount: Int { queues.queueCount }
  /// What the device did wrong, if anything.
  public internal(set) var fault: DeviceFault?
  /// Whether `publish` is left to the caller, so that several requests go out at once.
  public var defersPublication = false

  var queues: BlockQueues

  /// Takes a device into use. Nil when `memory` runs out; the device is then marked as failed.
  ///
  /// Throws what is wrong with the device: of another type, legacy, too small a queue, MQ without queues, or
  /// limits under which not even one sector can be moved.
  public init?<Memory: DriverMemory & ~Copyable>(
    _ transport: consuming MMIODriverTransport<Registers>, memory: inout Memory,
    options: BlockDriverOptions = BlockDriverOptions()
  ) throws(DeviceFault) {
    precondition(options.queueCount >= 1 && options.queueCount <= BlockQueues.queueLimit, "1 to 4 queues")
    precondition(options.segmentLimit >= 1, "a list of nothing")
    self.init(transport, listLimit: options.segmentLimit)
    guard self.transport.deviceID == .block else {
      throw .wrongDeviceType(self.transport.deviceID.rawValue)
    }
    let wanted = options.deviceFeatures & BlockDriverOptions.knownFeatures
    features = try self.transport.negotiate(supported: options.ringFeatures | wanted)
    let isComplete: Bool
    do throws(DeviceFault) {
      isComplete = try setUp(options, &memory)
    } catch {
      self.transport.fail()
      throw error
    }
    guard isComplete else {
      self.transport.fail()
      return nil
    }
  }

  /// A driver that has no queues yet.
  private init(_ transport: consuming MMIODriverTransport<Registers>, listLimit: Int) {
    self.transport = transport
    configuration = BlockConfiguration()
    queues = BlockQueues(listLimit: listLimit)
  }

  /// Sets up the queues and lets the device go live. False when `memory` runs out.
  private mutating func setUp<Memory: DriverMemory & ~Copyable>(
    _ options: BlockDriverOptions, _ memory: inout Memory
  ) throws(DeviceFault) -> Bool {
    try takeConfiguration()
    guard queues.allocate(from: &memory) else { return false }
    queues.queueCount = min(
      options.queueCount, features.contains(BlockFeature.multiqueue) ? Int(configuration.queueCount) : 1)
    for i in 0..<queueCount {
      // Header, a segment and status.
      queues.queues[i] = try transport.makeQueue(
        i, wanted: max(options.queueSize, 4), minimum: 3, indirectCapacity: options.indirectCapacity,
        from: &memory)
      guard let size = queues.queues[i]?.size else { return false }
      // §2.7.5.3.1: a chain is never longer than the queue, indirect or not.
      queues.chainLength = min(queues.chainLength, Int(size))
    }
    try goLive()
    return true
  }

  @inline(never)
  private mutating func takeConfiguration() throws(DeviceFault) {
    configuration = try Self.readConfiguration(transport, features)
    queues.sectorCount = configuration.sectorCount
  }

  /// Requests are checked against the configuration, and cut to the limits: the two belong together.
  @inline(never)
  private mutating func goLive() throws(DeviceFault) {
    queues.limits = try BlockFragmentLimits(configuration, features, chainLength: queues.chainLength)
    try transport.start()
  }

  /// Sectors of 512 bytes, as last told.
  public var sectorCount: UInt64 { configuration.sectorCount }
  /// Whether writes are refused (RO).
  public var isReadOnly: Bool { features.contains(BlockFeature.readOnly) }
  /// Whether completed writes can be lost until a flush (§5.2.5.1).
  public var isWriteback: Bool {
    features.contains(BlockFeature.configurableCache)
      ? configuration.writeback != 0 : features.contains(BlockFeature.flush)
  }

  // MARK: Configuration

  /// All fields that belong to a feature agreed on, within one generation (§2.5.1).
  @inline(never)
  private static func readConfiguration(
    _ transport: borrowing MMIODriverTransport<Registers>, _ features: Features
  ) throws(DeviceFault) -> BlockConfiguration {
    for _ in 0..<16 {
      let generation = transport.configurationGeneration()
      let configuration = readFields(transport, features)
      if transport.configurationGeneration() == generation {
        guard !features.contains(BlockFeature.multiqueue) || configuration.queueCount != 0 else {
          throw .invalidConfiguration
        }
        return configuration.withoutNonsense
      }
    }
    throw .configurationUnstable
  }

  private static func readFields(
    _ transport: borrowing MMIODriverTransport<Registers>, _ features: Features
  ) -> BlockConfiguration {
    var configuration = BlockConfiguration()
    configuration.sectorCount = transport.configuration64(BlockField.capacity)
    if features.contains(BlockFeature.sizeMax) {
      configuration.sizeMax = transport.configuration32(BlockField.sizeMax)
    }
    if features.contains(BlockFeature.segMax) {
      configuration.segMax = transport.configuration32(BlockField.segMax)
    }
    if features.contains(BlockFeature.blockSize) {
      configuration.blockSize = transport.configuration32(BlockField.blockSize)
    }
    if features.contains(BlockFeature.topology) {
      configuration.topology.physicalBlockExponent = transport.configuration8(
        BlockField.physicalBlockExponent)
      configuration.topology.alignmentOffset = transport.configuration8(BlockField.alignmentOffset)
      configuration.topology.minimumBlockCount = transport.configuration16(BlockField.minimumBlockCount)
      configuration.topology.optimalBlockCount = transport.configuration32(BlockField.optimalBlockCount)
    }
    // §5.2.5.1: never before FEATURES_OK, which comes before all of this.
    if features.contains(BlockFeature.configurableCache) {
      configuration.writeback = transport.configuration8(BlockField.writeback)
    }
    if features.contains(BlockFeature.multiqueue) {
      configuration.queueCount = transport.configuration16(BlockField.queueCount)
    }
    if features.contains(BlockFeature.discard) {
      configuration.discard = readLimits(transport, BlockField.discard, hasAlignment: true)
    }
    if features.contains(BlockFeature.writeZeroes) {
      configuration.writeZeroes = readLimits(transport, BlockField.writeZeroes, hasAlignment: false)
      configuration.writeZeroesMayUnmap = transport.configuration8(BlockField.writeZeroesMayUnmap)
    }
    if features.contains(BlockFeature.secureErase) {
      configuration.secureErase = readLimits(transport, BlockField.secureErase, hasAlignment: true)
    }
    return configuration
  }

  private static func readLimits(
    _ transport: borrowing MMIODriverTransport<Registers>, _ offset: Int, hasAlignment: Bool
  ) -> BlockRangeLimits {
    BlockRangeLimits(
      sectorCount: transport.configuration32(offset), rangeCount: transport.configuration32(offset + 4),
      sectorAlignment: hasAlignment ? transport.configuration32(offset + 8) : 0)
  }

  /// Switches the device's cache (§5.2.6.1). Writes that completed before are not made stable by it: flush.
  ///
  /// Fails as unsupported without CONFIG_WCE.
  public mutating func setWriteback(_ isWriteback: Bool) throws(BlockFailure) {
    try check()
    guard features.contains(BlockFeature.configurableCache) else { throw .request(.unsupported) }
    transport.setConfiguration8(isWriteback ? 1 : 0, BlockField.writeback)
    configuration.writeback = transport.configuration8(BlockField.writeback) == 0 ? 0 : 1
  }

  // MARK: Interrupts

  /// Acknowledges an interrupt and looks what it was about. Returns whether the configuration was read again.
  public mutating func handleInterrupt() throws(BlockFailure) -> Bool {
    guard transport.takeInterrupts().configurationChange else { return false }
    try configurationChanged()
    return true
  }

  /// What a configuration change notification asks for, where somebody else acknowledged the interrupt:
  /// DEVICE_NEEDS_RESET is thrown, and the size read again (§5.2.6.1).
  public mutating func configurationChanged() throws(BlockFailure) {
    try check()
    do throws(DeviceFault) {
      if transport.needsReset { throw .needsReset }
      // What was decided at the start stays: the features have not changed, and so neither have limits.
      let fresh = try Self.readConfiguration(transport, features)
      configuration.sectorCount = fresh.sectorCount
      configuration.writeZeroesMayUnmap = fresh.writeZeroesMayUnmap
      queues.sectorCount = fresh.sectorCount
    } catch {
      fault = error
      throw .device(error)
    }
  }

  // MARK: Work

  /// Takes back what the device has used, and goes on with requests of which parts are left.
  public mutating func service() throws(BlockFailure) {
    try check()
    do throws(DeviceFault) {
      try queues.reclaim()
    } catch {
      fault = error
      throw .device(error)
    }
    publish()
  }

  /// Makes requests visible to the device that were submitted while `defersPublication`.
  public mutating func publish() {
    var wanted = queues.publish()
    while wanted != 0 {
      let i = wanted.trailingZeroBitCount
      wanted &= wanted &- 1
      transport.notify(queues.queues[i]!)
    }
  }

  /// A request that ended, in no particular order, or nil. Call `service` before.
  public mutating func nextCompletion() -> BlockCompletion? { queues.takeAny() }

  /// The end of one request, or nil while it goes on. Call `service` before.
  public mutating func completion(of token: BlockToken) -> BlockCompletion? { queues.take(token) }

  /// Asks for an interrupt at the next used buffer. Returns false when there is one already: `service` again
  /// instead of waiting.
  public mutating func prepareToWait() -> Bool { !queues.enableNotifications() }

  // MARK: Reset

  /// Resets the device. All requests end as abandoned, and their memory is the caller's again.
  public mutating func reset() throws(DeviceFault) {
    try transport.reset()
    queues.abandon(queue: nil)
    fault = .needsReset
  }

  /// Takes a device into use again after `reset`, with the same features.
  public mutating func restart() throws(DeviceFault) {
    do throws(DeviceFault) {
      _ = try transport.negotiate(supported: features, required: features)
      try takeConfiguration()
      for i in 0..<queueCount {
        guard transport.queueSizeMax(UInt16(i)) != 0 else { throw .queueUnavailable(UInt16(i)) }
        try transport.enable(queues.queues[i]!)
      }
      try goLive()
      fault = nil
    } catch {
      transport.fail()
      fault = error
      throw error
    }
  }

  /// Resets one queue (§2.6.1): its requests end as abandoned, those of other queues go on.
  ///
  /// Throws `.featureMissing` without RING_RESET. Traps outside the queues.
  public mutating func resetQueue(_ index: Int) throws(DeviceFault) {
    precondition(index >= 0 && index < queueCount, "no such queue")
    if let fault { throw fault }
    guard features.contains(.ringReset) else { throw .featureMissing(.ringReset) }
    do throws(DeviceFault) {
      try transport.resetQueue(UInt16(index))
      queues.abandon(queue: index)
      try transport.enable(queues.queues[index]!)
    } catch {
      fault = error
      throw error
    }
  }

  /// Throws the fault that stopped the driver.
  private func check() throws(BlockFailure) {
    if let fault { throw .device(fault) }
  }

  // MARK: Submission

  /// Sets up a request; nil when there are as many as can be. `setItem` follows for each item, then `submit`.
  mutating func open(
    _ type: BlockRequestType, sector: UInt64 = 0, queue: Int = 0, itemCount: Int
  ) throws(BlockFailure) -> Int? {
    precondition(queue >= 0 && queue < queueCount, "no such queue")
    try check()
    try check(type)
    guard itemCount <= queues.listLimit else { throw .request(.unsupported) }
    return queues.open(type, sector: sector, queue: queue, itemCount: itemCount)
  }

  /// Whether the device takes requests of a type.
  private func check(_ type: BlockRequestType) throws(BlockFailure) {
    let isOffered =
      switch type {
      case .flush: features.contains(BlockFeature.flush)
      case .getLifetime: features.contains(BlockFeature.lifetime)
      case .discard, .writeZeroes, .secureErase: !queues.limits.ranges(of: type).isNothing
      default: true
      }
    guard isOffered else { throw .request(.unsupported) }
    // §5.2.5: such requests fail at a device that is read-only, so they are not sent.
    if isReadOnly && type.changesData { throw .request(.readOnly) }
  }

  mutating func setItem(_ item: Int, of index: Int, base: UInt64, length: UInt32, flags: UInt32 = 0) {
    queues.setItem(item, of: index, base: base, length: length, flags: flags)
  }

  /// Sends off what fits of request `index`.
  mutating func submit(_ index: Int) -> BlockToken {
    queues.submitWaiting()
    if !defersPublication { publish() }
    return queues.token(index)
  }

  /// Whether sectors lie within the device (§5.2.6.1: MUST NOT reach beyond it).
  func checkBounds(_ sector: UInt64, _ count: UInt64) throws(BlockFailure) {
    guard queues.isWithin(sector, count) else { throw .request(.outOfRange) }
  }

  /// Most segments or ranges in the list of a request.
  public var segmentLimit: Int { queues.listLimit }
}

extension BlockConfiguration {
  /// Hints that cannot be true are zero, as if there were none.
  var withoutNonsense: BlockConfiguration {
    var result = self
    let isPlausible = blockSize >= 512 && blockSize <= 1 << 24 && blockSize & (blockSize - 1) == 0
    if !isPlausible { result.blockSize = 0 }
    if topology.physicalBlockExponent > 31 - 9 { result.topology = BlockTopology() }
    if result.writeback > 1 { result.writeback = 1 }
    return result
  }
}

extension BlockFragmentLimits {
  /// What one buffer may ask for, with chains of up to `chainLength` descriptors.
  ///
  /// A `size_max` or `seg_max` of 0 would leave no request possible: they count as no limit, and as 1. Throws
  /// when not even a sector fits.
  init(_ configuration: BlockConfiguration, _ features: Features, chainLength: Int) throws(DeviceFault) {
    segmentCount = min(chainLength - 2, BlockQueues.segmentLimit)
    if features.contains(BlockFeature.segMax) {
      segmentCount = Int(min(max(configuration.segMax, 1), UInt32(segmentCount)))
    }
    if configuration.sizeMax != 0 { segmentByteCount = configuration.sizeMax }
    guard UInt64(segmentByteCount) * UInt64(segmentCount) >= UInt64(blockSectorByteCount) else {
      throw .invalidConfiguration
    }
    discard = configuration.discard
    writeZeroes = configuration.writeZeroes
    secureErase = configuration.secureErase
  }
}
