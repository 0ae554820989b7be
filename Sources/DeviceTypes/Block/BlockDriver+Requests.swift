// virtio 1.4 §5.2.6.1, driver side: starting requests. Each is checked against what the device told before it
// is submitted, and cut to what the device takes.

public import Virtio

extension BlockDriver where Registers: ~Copyable {
  /// Starts to read from `sector` into `segments`, one after the other.
  ///
  /// Until the request ended the memory belongs to the device. Nil when there are too many requests: take
  /// completions first. Throws `.outOfRange` beyond the capacity, `.unsupported` for more than `segmentLimit`
  /// segments or a length that is no whole number of sectors. Traps on a queue that is not in use.
  public mutating func submitRead(
    sector: UInt64, into segments: Span<DMASegment>, queue: Int = 0
  ) throws(BlockFailure) -> BlockToken? {
    try submitData(.read, sector, segments, queue)
  }

  /// Starts to write `segments` from `sector` on. As `submitRead`; throws `.readOnly` where that is so.
  public mutating func submitWrite(
    sector: UInt64, from segments: Span<DMASegment>, queue: Int = 0
  ) throws(BlockFailure) -> BlockToken? {
    try submitData(.write, sector, segments, queue)
  }

  private mutating func submitData(
    _ type: BlockRequestType, _ sector: UInt64, _ segments: Span<DMASegment>, _ queue: Int
  ) throws(BlockFailure) -> BlockToken? {
    var byteCount: UInt64 = 0
    for i in segments.indices { byteCount += UInt64(segments[i].byteCount) }
    // §5.2.6.1: MUST be whole sectors.
    guard byteCount % UInt64(blockSectorByteCount) == 0 else { throw .request(.unsupported) }
    try checkBounds(sector, byteCount / UInt64(blockSectorByteCount))
    let itemCount = byteCount == 0 ? 0 : segments.count
    guard let index = try open(type, sector: sector, queue: queue, itemCount: itemCount) else { return nil }
    for i in 0..<itemCount {
      setItem(i, of: index, base: segments[i].deviceAddress, length: segments[i].byteCount)
    }
    return submit(index)
  }

  /// Starts to make all writes stable that ended before. Throws `.unsupported` without FLUSH.
  public mutating func submitFlush(queue: Int = 0) throws(BlockFailure) -> BlockToken? {
    try submitPlain(.flush, queue)
  }

  /// Asks for the name of the device: the response of the completion, padded with NUL.
  public mutating func submitGetID(queue: Int = 0) throws(BlockFailure) -> BlockToken? {
    try submitPlain(.getID, queue)
  }

  /// Asks for the wear of the storage. Throws `.unsupported` without LIFETIME.
  public mutating func submitGetLifetime(queue: Int = 0) throws(BlockFailure) -> BlockToken? {
    try submitPlain(.getLifetime, queue)
  }

  private mutating func submitPlain(_ type: BlockRequestType, _ queue: Int) throws(BlockFailure)
    -> BlockToken?
  {
    guard let index = try open(type, queue: queue, itemCount: 0) else { return nil }
    return submit(index)
  }

  /// Starts to discard sectors: their contents are no longer needed, and undefined afterwards.
  ///
  /// Flags of the ranges are ignored. Nil when there are too many requests. Throws `.unsupported` without
  /// DISCARD or for more than `segmentLimit` ranges, `.outOfRange` beyond the capacity, `.readOnly`.
  public mutating func submitDiscard(
    _ ranges: Span<BlockRange>, queue: Int = 0
  ) throws(BlockFailure) -> BlockToken? {
    // §5.2.6.1: `unmap` MUST be zero.
    try submitRanges(.discard, ranges, flags: 0, queue)
  }

  /// Starts to zero sectors, with `unmap` where a range says so. As `submitDiscard`, with WRITE_ZEROES.
  public mutating func submitWriteZeroes(
    _ ranges: Span<BlockRange>, queue: Int = 0
  ) throws(BlockFailure) -> BlockToken? {
    try submitRanges(.writeZeroes, ranges, flags: BlockRange.unmap, queue)
  }

  /// Starts to erase sectors beyond recovery. As `submitDiscard`, with SECURE_ERASE.
  public mutating func submitSecureErase(
    _ ranges: Span<BlockRange>, queue: Int = 0
  ) throws(BlockFailure) -> BlockToken? {
    try submitRanges(.secureErase, ranges, flags: 0, queue)
  }

  /// Sends `ranges`, of their flags only those in `flags`.
  private mutating func submitRanges(
    _ type: BlockRequestType, _ ranges: Span<BlockRange>, flags: UInt32, _ queue: Int
  ) throws(BlockFailure) -> BlockToken? {
    for i in ranges.indices { try checkBounds(ranges[i].sector, UInt64(ranges[i].sectorCount)) }
    guard let index = try open(type, queue: queue, itemCount: ranges.count) else { return nil }
    for i in ranges.indices {
      setItem(
        i, of: index, base: ranges[i].sector, length: ranges[i].sectorCount, flags: ranges[i].flags & flags)
    }
    return submit(index)
  }
}
