// virtio 1.4 §5.2.6 Device Operation: one request as it came from the driver, taken apart into checked pieces
// of guest memory. Not generic, so that it exists once, whatever the backend.

import Synchronization
import Virtio
import Wire

/// A request taken apart: header, data and status, wherever the driver cut its descriptors (§2.7.4.1).
struct BlockRequest: ~Copyable {
  /// Data segments that fit: the longest chain of our queues, for every descriptor gives at most one.
  static var segmentLimit: Int { 128 }
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
  /// Device-readable segments first; `readableCount` of them, `count` in all.
  var segments = [128 of GuestRange](repeating: .empty)
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
    get { segments.span.extracting(0..<readableCount) }
  }

  /// The device-writable data.
  var writable: Span<GuestRange> {
    @inline(__always) @_lifetime(borrow self)
    get { segments.span.extracting(readableCount..<count) }
  }

  /// What goes into the used ring: every device-writable byte is written, the status last.
  var writtenByteCount: UInt32 { writableByteCount + 1 }

  /// Walks the whole chain. Throws `.bufferTooShort` when there is no room for a status, and what the walk
  /// throws; nothing was written to guest memory then.
  @inline(never)
  mutating func take(
    _ chain: inout DescriptorChain, _ queue: borrowing DeviceVirtqueue
  ) throws(DriverFault) {
    var bytes = ByteArray<16>()
    var headerCount: UInt32 = 0
    var writable: UInt32 = 0
    readableByteCount = 0
    readableCount = 0
    count = 0
    try chain.forEachDescriptor(queue) { (descriptor) throws(DriverFault) in
      var range = descriptor.range
      if headerCount < 16 && !descriptor.isDeviceWritable {
        range = Self.takeHeader(from: range, &bytes, &headerCount)
      }
      if range.byteCount == 0 { return }
      guard count < Self.segmentLimit else { throw .chainTooLong }
      segments[count] = range
      count += 1
      // The sums cannot overflow: the walk bounds the whole chain to less than 2^32 bytes.
      if descriptor.isDeviceWritable {
        writable &+= range.byteCount
      } else {
        readableByteCount &+= range.byteCount
        readableCount = count
      }
    }
    hasHeader = headerCount == 16
    header = BlockRequestHeader(bytes)
    guard writable > 0 else { throw .bufferTooShort }
    writableByteCount = writable - 1
    workByteCount = UInt64(readableByteCount) + UInt64(writable)
    splitOffStatus()
  }

  /// Moves the next bytes of the header, as many as are there, and returns what is left of `range`.
  @inline(__always)
  private static func takeHeader(
    from range: GuestRange, _ bytes: inout ByteArray<16>, _ count: inout UInt32
  ) -> GuestRange {
    let part = min(16 - count, range.byteCount)
    var target = bytes.mutableBytes
    if part == 16 {
      range.copyOut(to: &target)
    } else {
      var piece = target._mutatingExtracting(Int(count)..<Int(count + part))
      range.prefix(part).copyOut(to: &piece)
    }
    count += part
    return range.dropFirst(part)
  }

  /// The status is the last device-writable byte.
  @inline(__always)
  private mutating func splitOffStatus() {
    let last = segments[count - 1]
    status = last.dropFirst(last.byteCount - 1)
    if last.byteCount == 1 {
      count -= 1
    } else {
      segments[count - 1] = last.prefix(last.byteCount - 1)
    }
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
    var index = 0
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
