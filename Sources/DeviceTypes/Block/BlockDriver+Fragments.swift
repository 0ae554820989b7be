// Cutting requests into buffers: no segment above `size_max`, no more of them than `seg_max`, no chain longer
// than the queue, no more ranges or sectors than the device said. Nothing is refused for its length.

import Virtio
import Wire

extension BlockQueues {
  /// Submits the next buffer of request `index`. False when there is no room for it now.
  @inline(never)
  mutating func submitFragment(_ index: Int) -> Bool {
    if freeFragments == 0 { return false }
    let fragment = freeFragments.trailingZeroBitCount
    switch requests[index].type {
    case .read, .write: return submitData(index, fragment)
    case .flush, .getID, .getLifetime: return submitPlain(index, fragment)
    default: return submitRanges(index, fragment)
    }
  }

  // MARK: Data

  private mutating func submitData(_ index: Int, _ fragment: Int) -> Bool {
    let (count, byteCount, isAll) = gather(index)
    let sectors = UInt64(byteCount / blockSectorByteCount)
    guard byteCount != 0 else {
      // Nothing to do; or pieces so small that not even a sector fits into one buffer.
      if requests[index].itemCount == 0 { endSubmission(index) }
      settle(index, requests[index].itemCount == 0 ? .finished : .failed(.unsupported))
      return true
    }
    // §5.2.6.1: MUST NOT reach beyond the capacity, which may have shrunk since the request was checked.
    guard isWithin(requests[index].sector, sectors) else {
      settle(index, .failed(.outOfRange))
      return true
    }
    let isRead = requests[index].type == .read
    let sector = requests[index].sector
    guard
      submit(
        index, fragment, sector: sector, count: count, readableCount: isRead ? 0 : count,
        writableByteCount: isRead ? byteCount : 0)
    else { return false }
    if isAll {
      endSubmission(index)
    } else {
      requests[index].sector += sectors
      consume(index, byteCount)
    }
    return true
  }

  /// Whether `count` sectors from `sector` are within the device.
  func isWithin(_ sector: UInt64, _ count: UInt64) -> Bool {
    sector <= sectorCount && count <= sectorCount - sector
  }

  /// Puts the next data segments of a request into `segments`, from index 1 on: whole sectors in all, and
  /// perhaps all that is left.
  private mutating func gather(_ index: Int) -> (count: Int, byteCount: UInt32, isAll: Bool) {
    var item = requests[index].item
    var offset = requests[index].offset
    var count = 0
    var total: UInt32 = 0
    let itemCount = requests[index].itemCount
    while item < itemCount, count < limits.segmentCount, total < Self.fragmentByteLimit {
      let segment = segment(item, of: index)
      let length = segment.byteCount
      let part = min(length - offset, min(limits.segmentByteCount, Self.fragmentByteLimit - total))
      if part != 0 {
        count += 1
        segments[count] = DMASegment(
          deviceAddress: segment.deviceAddress &+ UInt64(offset), byteCount: part)
        total += part
        offset += part
      }
      if offset == length {
        item += 1
        offset = 0
      }
    }
    var excess = total % blockSectorByteCount
    let isAll = item == itemCount && excess == 0
    total -= excess
    while excess != 0 {
      let last = segments[count].byteCount
      let cut = min(last, excess)
      segments[count].byteCount = last - cut
      excess -= cut
      if last == cut { count -= 1 }
    }
    return (count, total, isAll)
  }

  /// Moves past `byteCount` bytes of the list.
  private mutating func consume(_ index: Int, _ byteCount: UInt32) {
    var left = byteCount
    while requests[index].item < requests[index].itemCount {
      let length = segment(requests[index].item, of: index).byteCount
      let part = min(length - requests[index].offset, left)
      left -= part
      requests[index].offset += part
      if requests[index].offset < length { return }
      requests[index].item += 1
      requests[index].offset = 0
    }
    endSubmission(index)
  }

  private mutating func endSubmission(_ index: Int) {
    requests[index].hasMore = false
    unsubmitted &= ~(1 << UInt32(index))
  }

  // MARK: Ranges, and requests without data

  private mutating func submitRanges(_ index: Int, _ fragment: Int) -> Bool {
    let limit = limits.ranges(of: requests[index].type)
    let at = fragment * Self.areaByteCount + Self.rangesOffset
    var item = requests[index].item
    var offset = requests[index].offset
    var count = 0
    let itemCount = requests[index].itemCount
    while item < itemCount, count < min(Int(limit.rangeCount), Self.rangeLimit) {
      let list = (index * listLimit + item) * 16
      let sector = lists.load(UInt64.self, at: list) + UInt64(offset)
      let length: UInt32 = lists.load(at: list + 8)
      let part = Self.cut(length - offset, at: sector, limit)
      if part != 0 {
        guard isWithin(sector, UInt64(part)) else {
          settle(index, .failed(.outOfRange))
          return true
        }
        let range = BlockRange(sector: sector, sectorCount: part, flags: lists.load(at: list + 12))
        area.copyIn(from: range.bytes.bytes, at: at + count * BlockRange.byteCount)
        count += 1
        offset += part
      }
      if offset == length {
        item += 1
        offset = 0
      }
    }
    if count != 0 {
      segments[1] = area.segment(at: at, byteCount: count * BlockRange.byteCount)
      guard submit(index, fragment, count: 1, readableCount: 1, writableByteCount: 0) else { return false }
    }
    requests[index].item = item
    requests[index].offset = offset
    if item == requests[index].itemCount {
      endSubmission(index)
      if count == 0 { settle(index, .finished) }
    }
    return true
  }

  /// Sectors to take at once: as many as allowed, and where the rest goes into another range, up to a
  /// boundary that the device likes.
  static func cut(_ count: UInt32, at sector: UInt64, _ limit: BlockRangeLimits) -> UInt32 {
    if count <= limit.sectorCount { return count }
    if limit.sectorAlignment > 1 {
      let excess = (sector &+ UInt64(limit.sectorCount)) % UInt64(limit.sectorAlignment)
      if excess < UInt64(limit.sectorCount) { return limit.sectorCount - UInt32(excess) }
    }
    return limit.sectorCount
  }

  private mutating func submitPlain(_ index: Int, _ fragment: Int) -> Bool {
    let response = Self.responseByteCount(requests[index].type)
    if response != 0 {
      segments[1] = area.segment(
        at: fragment * Self.areaByteCount + Self.responseOffset, byteCount: response)
    }
    guard
      submit(
        index, fragment, count: response == 0 ? 0 : 1, readableCount: 0,
        writableByteCount: UInt32(response))
    else { return false }
    endSubmission(index)
    return true
  }

  // MARK: Submission

  /// Adds header and status to the `count` data segments that begin at index 1, and submits them.
  ///
  /// Each has a descriptor of its own: more devices understand that than the clause asks of.
  private mutating func submit(
    _ index: Int, _ fragment: Int, sector: UInt64 = 0, count: Int, readableCount: Int,
    writableByteCount: UInt32
  ) -> Bool {
    let queue = Int(requests[index].queue)
    guard queues[queue]!.hasRoom(for: count + 2) else { return false }
    let base = fragment * Self.areaByteCount
    let header = BlockRequestHeader(type: requests[index].type, sector: sector)
    area.copyIn(from: header.bytes.bytes, at: base)
    // No status has this value: a device that says it is done must have written another.
    area.store(UInt8.max, at: base + Self.statusOffset)
    segments[0] = area.segment(at: base, byteCount: BlockRequestHeader.byteCount)
    segments[count + 1] = area.segment(at: base + Self.statusOffset, byteCount: 1)
    let isAccepted = queues[queue]!.submit(
      segments.span.extracting(0..<(count + 2)), readableCount: readableCount + 1, token: UInt32(fragment))
    precondition(isAccepted, "a queue without the room it had")
    freeFragments &= ~(1 << UInt64(fragment))
    fragments[fragment] = BlockFragment(
      request: UInt8(index), queue: UInt8(queue), writableByteCount: writableByteCount + 1)
    requests[index].inFlight += 1
    return true
  }
}
