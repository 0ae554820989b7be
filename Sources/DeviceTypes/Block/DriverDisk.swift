// virtio 1.4 §5.2 Block Device: a block backend whose storage is a hardware disk behind our own driver. Data
// goes between the hardware and guest memory without a copy.

public import Virtio

/// A share of a hardware disk: all of it, or a range of its sectors.
///
/// Every request but those that the hardware has no part in is pending until the hardware has answered. A
/// flush is one of the hardware's; where that has none, its writes are durable when they end (§5.2.6.2).
@safe
public struct DriverDisk<Registers: RegisterAccess & ~Copyable>: BlockBackend, ~Copyable {
  /// What the hardware can do, as far as it holds within the range.
  public let properties: BlockProperties
  // Copied to a local constant before each change through it: `-sanitize=thread` in Swift 6.3 makes invalid
  // code of a change through a pointer that is a member.
  private let disk: UnsafeMutablePointer<SharedDisk<Registers>>
  private let share: Int
  private let firstSector: UInt64
  private let sectorLimit: UInt64
  private let memory: GuestMemory
  private let deviceOffset: UInt64

  /// Share number `share` of `disk`: up to `sectorCount` sectors from `firstSector` on, as far as the
  /// hardware has them. Each device has a number of its own.
  ///
  /// `memory` is the memory of the device's guest. The hardware sees it `deviceOffset` bytes above where the
  /// guest does.
  ///
  /// The caller promises that `disk` stays valid as long as this is used, that all calls on it and on the
  /// devices on top are made one at a time, and that the hardware finds the guest's memory where it is told.
  @unsafe
  public init(
    _ disk: UnsafeMutablePointer<SharedDisk<Registers>>, share: Int, firstSector: UInt64 = 0,
    sectorCount: UInt64 = .max, isReadOnly: Bool = false, memory: GuestMemory, deviceOffset: UInt64 = 0
  ) {
    precondition(share >= 0 && share < SharedDisk<Registers>.shareLimit, "no such share")
    unsafe self.disk = disk
    self.share = share
    self.firstSector = firstSector
    sectorLimit = sectorCount
    self.memory = memory
    self.deviceOffset = deviceOffset
    properties = unsafe BlockProperties(disk.pointee, firstSector: firstSector, isReadOnly: isReadOnly)
  }

  /// As many sectors of its range as the hardware has now.
  public var sectorCount: UInt64 {
    // Valid, and nobody else is at it: see `init`. So in all that follows.
    let all = unsafe disk.pointee.driver.sectorCount
    return firstSector >= all ? 0 : min(sectorLimit, all - firstSector)
  }

  /// Reads from the hardware into guest memory.
  public mutating func read(
    at sector: UInt64, into segments: Span<GuestRange>, tag: UInt32
  ) throws(BackendFault) -> BlockProgress {
    try start(SharedRequest(type: .read, tag: tag), sector, segments)
  }

  /// Writes from guest memory to the hardware.
  public mutating func write(
    at sector: UInt64, from segments: Span<GuestRange>, isDurable: Bool, tag: UInt32
  ) throws(BackendFault) -> BlockProgress {
    if properties.isReadOnly { throw .readOnly }
    return try start(
      SharedRequest(type: .write, tag: tag, needsFlush: isDurable && hasCache), sector, segments)
  }

  private mutating func start(
    _ request: SharedRequest, _ sector: UInt64, _ segments: Span<GuestRange>
  ) throws(BackendFault) -> BlockProgress {
    var byteCount: UInt64 = 0
    for i in segments.indices { byteCount += UInt64(segments[i].byteCount) }
    guard byteCount % UInt64(blockSectorByteCount) == 0 else { throw .unsupported }
    try check(sector, byteCount / UInt64(blockSectorByteCount))
    if byteCount == 0 { return .finished }
    let disk = unsafe disk
    return unsafe try disk.pointee.start(
      request, share: share, sector: firstSector + sector, segments, deviceOffset: deviceOffset)
  }

  /// Makes writes durable that ended before. Without a cache they are.
  public mutating func flush(tag: UInt32) throws(BackendFault) -> BlockProgress {
    if !hasCache { return .finished }
    let disk = unsafe disk
    return unsafe try disk.pointee.startFlush(SharedRequest(type: .flush, tag: tag), share: share)
  }

  /// Discards sectors of the hardware.
  public mutating func discard(_ ranges: Span<BlockRange>, tag: UInt32) throws(BackendFault) -> BlockProgress
  {
    try start(SharedRequest(type: .discard, tag: tag), ranges)
  }

  /// Zeroes sectors of the hardware.
  public mutating func writeZeroes(
    _ ranges: Span<BlockRange>, isDurable: Bool, tag: UInt32
  ) throws(BackendFault) -> BlockProgress {
    try start(SharedRequest(type: .writeZeroes, tag: tag, needsFlush: isDurable && hasCache), ranges)
  }

  /// Erases sectors of the hardware.
  public mutating func secureErase(
    _ ranges: Span<BlockRange>, tag: UInt32
  ) throws(BackendFault) -> BlockProgress {
    try start(SharedRequest(type: .secureErase, tag: tag), ranges)
  }

  private mutating func start(
    _ request: SharedRequest, _ ranges: Span<BlockRange>
  ) throws(BackendFault) -> BlockProgress {
    if properties.isReadOnly { throw .readOnly }
    for i in ranges.indices { try check(ranges[i].sector, UInt64(ranges[i].sectorCount)) }
    let disk = unsafe disk
    return unsafe try disk.pointee.start(request, share: share, ranges, firstSector: firstSector)
  }

  /// The next request that the hardware is done with.
  public mutating func nextCompletion() -> BlockBackendCompletion? {
    let disk = unsafe disk
    guard let end = unsafe disk.pointee.nextEnd(share: share) else { return nil }
    if end.fault != nil, end.request.type == .read, !end.request.isCancelled { zero(end.request) }
    return BlockBackendCompletion(tag: end.request.tag, fault: end.fault)
  }

  /// What a read did not bring is zeros: nobody knows how far the hardware got.
  private func zero(_ request: SharedRequest) {
    guard let token = request.token else { return }
    for i in 0..<(unsafe disk.pointee.driver.segmentCount(of: token)) {
      let segment = unsafe disk.pointee.driver.segment(i, of: token)
      // It came from this memory, so it lies within.
      let range = try? memory.range(
        at: segment.deviceAddress &- deviceOffset, byteCount: segment.byteCount)
      range?.zero()
    }
  }

  /// The hardware lets go of a request when it is done with what it was given of it.
  public mutating func cancel(tag: UInt32) {
    let disk = unsafe disk
    unsafe disk.pointee.cancel(tag, share: share)
  }

  /// Whether writes of the hardware that ended can be lost until a flush.
  private var hasCache: Bool { unsafe disk.pointee.driver.isWriteback }

  /// Whether sectors lie within the share: the one thing that keeps the shares apart.
  private func check(_ sector: UInt64, _ count: UInt64) throws(BackendFault) {
    let all = sectorCount
    guard sector <= all, count <= all - sector else { throw .outOfRange }
  }
}

extension BlockProperties {
  /// What a share of `disk` that starts at `firstSector` can do. Hints about alignment hold only where the
  /// share starts on a boundary of theirs.
  init<Registers: RegisterAccess & ~Copyable>(
    _ disk: borrowing SharedDisk<Registers>, firstSector: UInt64, isReadOnly: Bool
  ) {
    self.init()
    let configuration = disk.driver.configuration
    identifier = disk.identifier
    self.isReadOnly = isReadOnly || disk.driver.isReadOnly
    sizeMax = configuration.sizeMax
    segMax = UInt32(disk.driver.bufferSegmentCount)
    let blockSectorCount = UInt64(max(configuration.blockSize, 512) / blockSectorByteCount)
    if firstSector % blockSectorCount == 0 {
      blockSize = max(configuration.blockSize, 512)
      let isAligned =
        firstSector % (blockSectorCount << UInt64(configuration.topology.physicalBlockExponent)) == 0
      if disk.driver.features.contains(BlockFeature.topology), isAligned { topology = configuration.topology }
    }
    let features = disk.driver.features
    if features.contains(BlockFeature.discard) {
      discard = configuration.discard.within(firstSector)
    }
    if features.contains(BlockFeature.writeZeroes) {
      writeZeroes = configuration.writeZeroes.within(firstSector)
      writeZeroesMayUnmap = configuration.writeZeroesMayUnmap != 0
    }
    if features.contains(BlockFeature.secureErase) {
      secureErase = configuration.secureErase.within(firstSector)
    }
  }
}

extension BlockRangeLimits {
  /// The same for sectors counted from `firstSector`; nil when nothing is possible within them.
  fileprivate func within(_ firstSector: UInt64) -> BlockRangeLimits? {
    if isNothing { return nil }
    var limits = self
    if sectorAlignment == 0 || firstSector % UInt64(sectorAlignment) != 0 { limits.sectorAlignment = 0 }
    return limits
  }
}
