// virtio 1.4 §5.1.9.2 Packet Transmission, driver side: a transmitq and its buffers. The device is untrusted:
// what it says of a buffer is checked against what this side knows of it.

import Virtio
import Wire

/// A transmitq and the buffers that frames, or their heads, are copied to behind a header.
struct NetworkTransmitQueue: ~Copyable {
  var queue: DriverVirtqueue
  private let memory: DMABuffer
  private let slotByteCount: Int
  private let slotCount: Int
  private var records: TransmitRecords
  /// Frames in flight that are to be reported.
  private var reportCount = 0
  /// Whether a notification was asked for.
  private var isWatched = false

  /// Up to 256 buffers, each for a header and `byteCount` bytes. Nil when `source` runs out of memory.
  init?<Registers: RegisterAccess & ~Copyable, Memory: DriverMemory & ~Copyable>(
    _ index: Int, count: Int, byteCount: Int, segmentCount: Int,
    on transport: borrowing MMIODriverTransport<Registers>, from source: inout Memory
  ) throws(DeviceFault) {
    guard
      let queue = try transport.makeQueue(
        index, wanted: UInt16(count), indirectCapacity: segmentCount == 0 ? 0 : UInt16(segmentCount + 1),
        from: &source)
    else { return nil }
    let slotCount = min(min(count, Int(queue.size)), 256)
    let slotByteCount = (NetworkHeader.byteCount + byteCount + 15) & ~15
    guard let memory = source.allocateShared(byteCount: slotCount * slotByteCount, alignment: 64),
      let records = source.allocatePrivate(byteCount: slotCount * TransmitRecords.byteCount)
    else { return nil }
    self.slotCount = slotCount
    self.slotByteCount = slotByteCount
    self.queue = queue
    self.memory = memory
    self.records = TransmitRecords(records, count: slotCount)
    self.queue.disableNotifications()
  }

  /// Longest head of a frame, in bytes.
  var headByteCountMax: Int { slotByteCount - NetworkHeader.byteCount }

  // MARK: Room

  private mutating func reclaim() throws(DeviceFault) {
    // At most as many as are in flight.
    while let used = try queue.callReclaim() {
      if records.end(Int(used.token)) { reportCount -= 1 }
    }
  }

  /// Whether the device is done with every frame.
  mutating func isIdle() throws(DeviceFault) -> Bool {
    try reclaim()
    return queue.inFlight == 0
  }

  /// Whether `frameCount` more frames with `segmentCount` segments in all have room, or nothing is under way.
  /// When not, a used buffer notification will come.
  mutating func hasRoom(frameCount: Int, segmentCount: Int) throws(DeviceFault) -> Bool {
    try reclaim()
    if isFit(frameCount, segmentCount) { return true }
    try watch()
    return isFit(frameCount, segmentCount)
  }

  private func isFit(_ frameCount: Int, _ segmentCount: Int) -> Bool {
    queue.inFlight == 0 && records.freeCount != 0
      || frameCount <= records.freeCount && queue.hasRoom(for: frameCount + segmentCount)
  }

  /// Whether another frame has room. When not, a used buffer notification will come.
  mutating func hasRoom() throws(DeviceFault) -> Bool {
    guard try hasRoom(frameCount: 1, segmentCount: 0) else { return false }
    if isWatched && reportCount == 0 {
      isWatched = false
      queue.disableNotifications()
    }
    return true
  }

  /// Asks for a notification when a frame was used that is in flight now.
  private mutating func watch() throws(DeviceFault) {
    isWatched = true
    // One may have been used in this moment.
    if queue.enableNotifications() { try reclaim() }
  }

  /// What is to be reported of the next frame that was used; when nil, a notification comes for the next.
  mutating func nextReport() throws(DeviceFault) -> UInt32? {
    if let report = records.nextReport() { return report }
    try reclaim()
    if reportCount != 0 && !records.hasReport { try watch() }
    return records.nextReport()
  }

  // MARK: Frames

  /// Adds a frame: its head, which is copied, and behind it `segments`, whose first element becomes that of
  /// the copy. `report` comes out of `nextReport` once it was used. False, and nothing is done, when there is
  /// no room.
  mutating func submit(
    _ header: NetworkHeader, _ head: RawSpan, _ segments: inout MutableSpan<DMASegment>, report: UInt32?
  ) -> Bool {
    guard queue.hasRoom(for: segments.count), let slot = records.begin(report: report) else { return false }
    let start = slot * slotByteCount
    let bytes = header.bytes
    memory.copyIn(from: bytes.bytes, at: start)
    memory.copyIn(from: head, at: start + NetworkHeader.byteCount)
    if report != nil { reportCount += 1 }
    segments[0] = memory.segment(at: start, byteCount: NetworkHeader.byteCount + head.byteCount)
    let isAccepted = queue.callSubmit(
      segments.span, readableCount: segments.count, token: UInt32(slot))
    precondition(isAccepted, "a ring smaller than its buffers")
    return true
  }

  /// Makes what was added visible. Whether the device must be notified.
  mutating func publish() -> Bool { queue.callPublish() }
}

/// Which of the buffers of a transmitq are free, and what is to be reported of the others.
private struct TransmitRecords: ~Copyable {
  /// Length of the record of a buffer: the report, whether there is one, the next buffer of the same list.
  static var byteCount: Int { 12 }
  private static var none: UInt32 { .max }

  private var memory: PrivateMemory
  /// Heads of the lists of the free and of those to be reported.
  private var free = Self.none
  private var reported = Self.none
  private(set) var freeCount: Int

  init(_ memory: consuming PrivateMemory, count: Int) {
    freeCount = count
    self.memory = memory
    for slot in (0..<count).reversed() { free = link(slot, before: free) }
  }

  var hasReport: Bool { reported != Self.none }

  private mutating func link(_ slot: Int, before next: UInt32) -> UInt32 {
    memory.store(next, at: slot * Self.byteCount + 8)
    return UInt32(slot)
  }

  /// Takes a free buffer; nil when there is none.
  mutating func begin(report: UInt32?) -> Int? {
    if free == Self.none { return nil }
    let slot = Int(free)
    free = memory.load(at: slot * Self.byteCount + 8)
    freeCount -= 1
    memory.store(report ?? 0, at: slot * Self.byteCount)
    memory.store(UInt32(report == nil ? 0 : 1), at: slot * Self.byteCount + 4)
    return slot
  }

  /// The device is done with a buffer. Whether that is to be reported.
  mutating func end(_ slot: Int) -> Bool {
    let isReported = memory.load(UInt32.self, at: slot * Self.byteCount + 4) != 0
    if isReported { reported = link(slot, before: reported) } else { release(slot) }
    return isReported
  }

  private mutating func release(_ slot: Int) {
    free = link(slot, before: free)
    freeCount += 1
  }

  /// What is to be reported next, or nil.
  mutating func nextReport() -> UInt32? {
    if reported == Self.none { return nil }
    let slot = Int(reported)
    reported = memory.load(at: slot * Self.byteCount + 8)
    release(slot)
    return memory.load(UInt32.self, at: slot * Self.byteCount)
  }
}
