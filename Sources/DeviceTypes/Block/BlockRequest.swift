// virtio 1.4 §5.2.6 Device Operation: one request as it came from the driver, taken apart into checked pieces
// of guest memory. Not generic, so that it exists once, whatever the backend.

import Synchronization
import Virtio
import Wire

/// A request taken apart: header, data and status, wherever the driver cut its descriptors (§2.7.4.1).
struct BlockRequest: ~Copyable {
  /// Segments that fit: the longest chain of our queues, for every descriptor gives at most one.
  static var segmentLimit: Int { BlockProperties.segmentLimit }
  /// Ranges of one discard, write zeroes or secure erase request that fit.
  static var rangeLimit: Int { 16 }

  /// Never used: as in `DeviceVirtqueue`, so that a borrowed request is not copied, segments and all.
  private let place = Atomic<UInt8>(0)
  var header = BlockRequestHeader(type: .read)
  /// Whether all of the header was there.
  var hasHeader = false
  /// Device-readable data.
  var readableByteCount: UInt32 = 0
  /// Device-writable data, without the status byte.
  var writableByteCount: UInt32 = 0
  /// The status byte.
  var status = GuestRange.empty
  /// Device-readable segments up to `readableCount`, `count` in all. The data begins at `first`.
  var segments = [256 of GuestRange](repeating: .empty)
  var first = 0
  var readableCount = 0
  var count = 0
  var ranges = [16 of BlockRange](repeating: BlockRange(sector: 0, sectorCount: 0))
  var rangeCount = 0
  /// Bytes that the request moves or changes, for the limit on the work of a service call.
  var workByteCount: UInt64 = 0

  init() {}

  // See `DeviceVirtqueue`.
  deinit {}

  /// The device-readable data.
  var readable: Span<GuestRange> {
    @inline(__always) @_lifetime(borrow self)
    get { segments.span.extracting(first..<readableCount) }
  }

  /// The device-writable data.
  var writable: Span<GuestRange> {
    @inline(__always) @_lifetime(borrow self)
    get { segments.span.extracting(readableCount..<count) }
  }

  /// What goes into the used ring: every device-writable byte is written, the status last.
  var writtenByteCount: UInt32 { writableByteCount &+ 1 }

  /// Takes the next buffer of `queue`, which has one, and walks all of it; nil if it is gone. Throws
  /// `.bufferTooShort` when there is no room for a status, and what the walk throws; nothing was written to
  /// guest memory then.
  @inline(never)
  mutating func take(from queue: inout DeviceVirtqueue) throws(DriverFault) -> ParkedChain? {
    var cursor = SplitCursor()
    guard queue.take(&cursor) else { return try takeChain(from: &queue) }
    let start = cursor
    var index = 0
    var readableIndex = 0
    var walked: UInt32 = 0
    var readable: UInt32 = 0
    let outcome = cursor.walk(queue) { element in
      segments[index] = element.range
      if element.range.byteCount != 0 { index += 1 }
      walked &+= element.range.byteCount
      if !element.isDeviceWritable {
        readableIndex = index
        readable = walked
      }
      return index < Self.segmentLimit
    }
    // From the start again, by the way that knows everything.
    guard outcome == .ended else { return try takeAgain(start, from: &queue) }
    readableCount = readableIndex
    count = index
    try divide(walked, readable: readable)
    return queue.park(cursor)
  }

  /// The same for a queue that is not split.
  @inline(never)
  private mutating func takeChain(from queue: inout DeviceVirtqueue) throws(DriverFault) -> ParkedChain? {
    guard let chain = try queue.next() else { return nil }
    return try take(chain, from: &queue)
  }

  /// The same for a buffer that is not usual.
  @inline(never)
  private mutating func takeAgain(
    _ cursor: SplitCursor, from queue: inout DeviceVirtqueue
  ) throws(DriverFault) -> ParkedChain? {
    try take(DescriptorChain(cursor), from: &queue)
  }

  @inline(never)
  private mutating func take(
    _ taken: consuming DescriptorChain, from queue: inout DeviceVirtqueue
  ) throws(DriverFault) -> ParkedChain? {
    var chain = taken
    readableCount = 0
    count = 0
    try chain.forEachDescriptor(queue) { (descriptor) throws(DriverFault) in
      if descriptor.range.byteCount == 0 { return }
      guard UInt(bitPattern: count) < UInt(Self.segmentLimit) else { throw .chainTooLong }
      segments[count] = descriptor.range
      count += 1
      if !descriptor.isDeviceWritable { readableCount = count }
    }
    let readable = chain.walkedReadableByteCount
    try divide(readable &+ chain.walkedWritableByteCount, readable: readable)
    return try queue.park(chain)
  }

  /// Tells header, data and status apart in a buffer of `byteCount` bytes, `readable` of them
  /// device-readable.
  @inline(__always)
  private mutating func divide(_ byteCount: UInt32, readable: UInt32) throws(DriverFault) {
    guard _fastPath(byteCount > readable) else { throw .bufferTooShort }
    writableByteCount = byteCount &- readable &- 1
    splitOffHeader(readable)
    splitOffStatus()
    workByteCount = UInt64(readableByteCount) &+ UInt64(byteCount &- readable)
  }

  /// The header is the first 16 device-readable bytes.
  @inline(__always)
  private mutating func splitOffHeader(_ readable: UInt32) {
    hasHeader = readable >= 16
    guard _fastPath(hasHeader) else {
      readableByteCount = 0
      first = readableCount
      return
    }
    readableByteCount = readable &- 16
    let head = segments[0]
    guard _fastPath(head.byteCount >= 16) else { return gatherHeader() }
    header = BlockRequestHeader(head.firstWords())
    first = head.byteCount == 16 ? 1 : 0
    if _slowPath(first == 0) { segments[0] = head.dropFirst(16) }
  }

  /// A header in several segments.
  @inline(never)
  private mutating func gatherHeader() {
    var index = 0
    var offset: UInt32 = 0
    header = BlockRequestHeader(nextBytes(&index, &offset))
    if offset != 0 { segments[index] = segments[index].dropFirst(offset) }
    first = index
  }

  /// The status is the last device-writable byte.
  @inline(__always)
  private mutating func splitOffStatus() {
    let index = count &- 1
    let last = segments[index]
    // No segment is empty.
    let rest = last.byteCount &- 1
    status = last.dropFirst(rest)
    if rest == 0 { count = index } else { segments[index] = last.prefix(rest) }
  }

  /// Fills the device-writable data with `bytes` and then zeros. Returns false, and writes only zeros, when
  /// `bytes` do not fit.
  func answer(_ bytes: RawSpan) -> Bool {
    guard bytes.byteCount <= Int(writableByteCount) else {
      zeroWritable()
      return false
    }
    var done = 0
    for i in readableCount..<count {
      let segment = segments[i]
      let part = min(Int(segment.byteCount), bytes.byteCount - done)
      if part > 0 { segment.copyIn(from: bytes.extracting(done..<(done + part))) }
      segment.dropFirst(UInt32(part)).zero()
      done += part
    }
    return true
  }

  /// Zeros in place of data that there is none for: the length in the used ring must be true (§2.7.8.2).
  func zeroWritable() {
    for i in readableCount..<count { segments[i].zero() }
  }

  /// Whether `byteCount` bytes from the header's sector are whole sectors within `sectorCount`.
  func fits(_ byteCount: UInt32, _ sectorCount: UInt64) -> Bool {
    guard byteCount % blockSectorByteCount == 0 else { return false }
    return isWithin(header.sector, UInt64(byteCount / blockSectorByteCount), sectorCount)
  }

  private func isWithin(_ sector: UInt64, _ length: UInt64, _ sectorCount: UInt64) -> Bool {
    sector <= sectorCount && length <= sectorCount - sector
  }

  /// Reads the data as ranges and checks all of them, before anything is done.
  @inline(never)
  mutating func takeRanges(_ limits: BlockRangeLimits, _ sectorCount: UInt64) -> BlockStatus {
    rangeCount = 0
    let total = Int(readableByteCount) / BlockRange.byteCount
    guard total > 0, Int(readableByteCount) % BlockRange.byteCount == 0, total <= Self.rangeLimit,
      total <= Int(limits.rangeCount)
    else { return .inputOutputError }
    let known = header.type == .writeZeroes ? BlockRange.unmap : 0
    var index = first
    var offset: UInt32 = 0
    for i in 0..<total {
      let range = BlockRange(nextBytes(&index, &offset))
      // §5.2.6.2: MUST be UNSUPP for an unknown flag, and for `unmap` in a discard.
      guard range.flags & ~known == 0 else { return .unsupported }
      guard range.sectorCount <= limits.sectorCount,
        isWithin(range.sector, UInt64(range.sectorCount), sectorCount)
      else { return .inputOutputError }
      ranges[i] = range
      workByteCount += UInt64(range.sectorCount) * UInt64(blockSectorByteCount)
    }
    rangeCount = total
    return .ok
  }

  /// The next 16 device-readable bytes, of which there are enough, wherever the segments are cut.
  private func nextBytes(_ index: inout Int, _ offset: inout UInt32) -> ByteArray<16> {
    var bytes = ByteArray<16>()
    var target = bytes.mutableBytes
    var done = 0
    while done < 16 {
      let rest = segments[index].dropFirst(offset)
      let part = min(16 - done, Int(rest.byteCount))
      var piece = target._mutatingExtracting(done..<(done + part))
      rest.prefix(UInt32(part)).copyOut(to: &piece)
      done += part
      offset += UInt32(part)
      if offset == segments[index].byteCount {
        index += 1
        offset = 0
      }
    }
    return bytes
  }
}
