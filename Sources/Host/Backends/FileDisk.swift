// A file or block device behind a block device, by io_uring: guest pages are handed to the kernel as they
// are.

import CLinux
public import DeviceTypes
import Glibc
public import Virtio

/// A range of a file as a disk. Requests run side by side, as many as there are slots.
@safe
public struct FileDisk: BlockBackend, HostedBackend, ~Copyable {
  private static var slotCount: Int { 128 }
  private static var vectorLimit: Int { BlockProperties.segmentLimit }
  /// Zeros are written from one page of them, so a range is at most as long as a full vector.
  private static var zeroByteCount: Int { 256 << 10 }
  /// The longest request that is done at once where that is possible: others wait as long as it takes.
  private static var momentByteCount: Int { 128 << 10 }

  /// What the file allows.
  public let properties: BlockProperties
  /// Its size in sectors, as it was when it was opened or last looked at.
  public private(set) var sectorCount: UInt64
  private let isToTheEnd: Bool
  private let file: OpenFile
  private let firstByte: UInt64
  private let event: OpenFile
  private let ring: OpaquePointer
  private let zeros: UnsafeMutableRawPointer
  // Copied to a local constant before what it points at is changed in place: `-sanitize=thread` in Swift 6.3
  // makes invalid code of a change through a pointer that is a member.
  private let vectors: UnsafeMutablePointer<iovec>
  private var slots: [Slot]
  private var freeSlots: [Int]
  private var hasQueued = false
  private let isInMemory: Bool

  /// One request.
  private struct Slot {
    enum Kind { case read, write, other }
    var kind = Kind.other
    var tag: UInt32 = 0
    var isDurable = false
    /// Reads and writes: the rest of the vector, and where in the file it goes.
    var vectors = 0..<0
    var offset: UInt64 = 0
  }

  /// The sectors of `file` from byte `firstByte` on: `byteCount` bytes, or all to its end. Throws when the
  /// file has fewer, or the system no io_uring.
  public init(
    _ file: OpenFile, isReadOnly: Bool, identifier: String = "vireo", firstByte: UInt64 = 0,
    byteCount: UInt64? = nil
  ) throws(SystemError) {
    let fileByteCount = try file.byteCount()
    guard firstByte <= fileByteCount, byteCount ?? 0 <= fileByteCount - firstByte else {
      throw SystemError(EINVAL)
    }
    var properties = BlockProperties()
    properties.isReadOnly = isReadOnly
    for (i, byte) in identifier.utf8.prefix(20).enumerated() { properties.identifier[i] = byte }
    let limit = UInt32(Self.zeroByteCount * Self.vectorLimit / 512)
    properties.discard = BlockRangeLimits(sectorCount: 1 << 22, rangeCount: 1, sectorAlignment: 8)
    properties.writeZeroes = BlockRangeLimits(sectorCount: limit, rangeCount: 1)
    properties.writeZeroesMayUnmap = true
    let event = try OpenFile.event()
    var error: Int32 = 0
    // The ring lives as long as this value.
    guard let ring = unsafe clinux_ring_create(UInt32(Self.slotCount), event.number, &error) else {
      throw SystemError(-error)
    }
    self.properties = properties
    self.sectorCount = (byteCount ?? (fileByteCount - firstByte)) / 512
    isToTheEnd = byteCount == nil
    self.firstByte = firstByte
    self.file = file
    isInMemory = clinux_is_in_memory(file.number) != 0
    self.event = event
    unsafe self.ring = ring
    unsafe zeros = UnsafeMutableRawPointer.allocate(byteCount: Self.zeroByteCount, alignment: 4096)
    unsafe zeros.initializeMemory(as: UInt8.self, repeating: 0, count: Self.zeroByteCount)
    // Those of the slots, and as many for requests that are done at once.
    let vectorCount = (Self.slotCount + 1) * Self.vectorLimit
    unsafe vectors = .allocate(capacity: vectorCount)
    unsafe vectors.initialize(repeating: iovec(), count: vectorCount)
    slots = Array(repeating: Slot(), count: Self.slotCount)
    freeSlots = Array(0..<Self.slotCount)
  }

  deinit {
    unsafe clinux_ring_destroy(ring)
    unsafe vectors.deallocate()
    unsafe zeros.deallocate()
  }

  /// The completions of the ring.
  public var events: [OpenFile] { [event] }

  /// In memory.
  public static var endsAtOnce: Bool { true }

  /// Whether a completion waits.
  public var hasNews: Bool { unsafe clinux_ring_has_completion(ring) != 0 }

  /// A disk to the end of its file is as long as the file is now.
  public mutating func lookAgain() {
    guard isToTheEnd else { return }
    do throws(SystemError) {
      let byteCount = try file.byteCount()
      guard byteCount >= firstByte else { throw SystemError(EINVAL) }
      sectorCount = (byteCount - firstByte) / 512
      Log.note("the disk has \(sectorCount) sectors")
    } catch {
      Log.warn("the size of the disk cannot be had, and stays: \(error)")
    }
  }

  /// Hands what was queued to the kernel, in one call.
  public mutating func submit() {
    guard hasQueued else { return }
    hasQueued = unsafe clinux_ring_submit(ring) != 0
  }

  /// Whether the kernel has not taken all that was queued: it takes that with another call.
  public mutating func takeMore() -> Bool { hasQueued }

  /// Reads into guest pages.
  public mutating func read(
    at sector: UInt64, into segments: Span<GuestRange>, tag: UInt32
  ) throws(BackendFault) -> BlockProgress {
    if moves(segments, sector, isWrite: false) { return .finished }
    guard let slot = take(.read, tag) else { return .busy }
    fill(slot, segments, sector)
    return start(slot)
  }

  /// Writes from guest pages.
  public mutating func write(
    at sector: UInt64, from segments: Span<GuestRange>, isDurable: Bool, tag: UInt32
  ) throws(BackendFault) -> BlockProgress {
    if moves(segments, sector, isWrite: true) { return .finished }
    guard let slot = take(.write, tag) else { return .busy }
    slots[slot].isDurable = isDurable
    fill(slot, segments, sector)
    return start(slot)
  }

  /// fdatasync.
  public mutating func flush(tag: UInt32) throws(BackendFault) -> BlockProgress {
    if isInMemory { return .finished }
    guard let slot = take(.other, tag) else { return .busy }
    return queued(slot, unsafe clinux_ring_sync(ring, file.number, UInt64(slot)))
  }

  /// Deallocates.
  public mutating func discard(_ ranges: Span<BlockRange>, tag: UInt32) throws(BackendFault) -> BlockProgress
  {
    guard let slot = take(.other, tag) else { return .busy }
    return punch(ranges[0], slot)
  }

  /// Deallocates where that is allowed, writes zeros elsewhere.
  public mutating func writeZeroes(
    _ ranges: Span<BlockRange>, isDurable: Bool, tag: UInt32
  ) throws(BackendFault) -> BlockProgress {
    let range = ranges[0]
    if range.mayUnmap && !isDurable {
      guard let slot = take(.other, tag) else { return .busy }
      return punch(range, slot)
    }
    guard let slot = take(.write, tag) else { return .busy }
    slots[slot].isDurable = isDurable
    slots[slot].offset = firstByte + range.sector * 512
    var left = Int(range.sectorCount) * 512
    var index = slot * Self.vectorLimit
    while left > 0 {
      let count = min(left, Self.zeroByteCount)
      // Within the slot's vectors: `properties` bounds the range.
      unsafe vectors[index] = iovec(iov_base: zeros, iov_len: count)
      index += 1
      left -= count
    }
    slots[slot].vectors = slot * Self.vectorLimit..<index
    return start(slot)
  }

  /// The next request that ended.
  public mutating func nextCompletion() -> BlockBackendCompletion? {
    var number: UInt64 = 0
    var result: Int32 = 0
    while unsafe clinux_ring_complete(ring, &number, &result) != 0 {
      let slot = Int(number)
      guard let end = advance(slot, result) else { continue }
      if end.fault != nil && slots[slot].kind == .read { zeroRest(slot) }
      freeSlots.append(slot)
      return end
    }
    return nil
  }

  // MARK: Slots

  private mutating func take(_ kind: Slot.Kind, _ tag: UInt32) -> Int? {
    guard let slot = freeSlots.popLast() else { return nil }
    slots[slot] = Slot(kind: kind, tag: tag)
    return slot
  }

  private mutating func fill(_ slot: Int, _ segments: Span<GuestRange>, _ sector: UInt64) {
    _ = fill(slot * Self.vectorLimit, segments)
    slots[slot].vectors = slot * Self.vectorLimit..<slot * Self.vectorLimit + segments.count
    slots[slot].offset = firstByte + sector * 512
  }

  /// Writes the vectors from number `first` on, and returns how many bytes they have.
  private mutating func fill(_ first: Int, _ segments: Span<GuestRange>) -> Int {
    precondition(segments.count <= Self.vectorLimit, "more segments than a request can have")
    let vectors = unsafe vectors
    var byteCount = 0
    for i in segments.indices {
      // Checked guest memory, valid until the request ends.
      unsafe vectors[first + i] = iovec(iov_base: segments[i].host, iov_len: Int(segments[i].byteCount))
      byteCount += Int(segments[i].byteCount)
    }
    return byteCount
  }

  /// Reads or writes and waits for the end, where that is shorter than to hand it over: a file in
  /// memory is copied at once, and io_uring would give it to another thread. False when it was not done, or
  /// only in part; the ring then tells why. In memory every write is as durable as it gets.
  private mutating func moves(_ segments: Span<GuestRange>, _ sector: UInt64, isWrite: Bool) -> Bool {
    guard isInMemory else { return false }
    let first = Self.slotCount * Self.vectorLimit
    let byteCount = fill(first, segments)
    guard byteCount <= Self.momentByteCount else { return false }
    let count = UInt32(segments.count)
    let offset = firstByte + sector * 512
    // The last vectors, which belong to no slot.
    return byteCount
      == (isWrite
        ? unsafe clinux_write_at(file.number, vectors + first, count, offset)
        : unsafe clinux_read_at(file.number, vectors + first, count, offset))
  }

  /// Queues the rest of a read or write.
  private mutating func start(_ slot: Int) -> BlockProgress {
    let rest = slots[slot].vectors
    // The slot's own vectors, which stay as they are until the operation ends.
    let first = unsafe vectors + rest.lowerBound
    let result: Int32
    if slots[slot].kind == .read {
      result = unsafe clinux_ring_read(
        ring, file.number, first, UInt32(rest.count), slots[slot].offset, UInt64(slot))
    } else {
      result = unsafe clinux_ring_write(
        ring, file.number, first, UInt32(rest.count), slots[slot].offset, slots[slot].isDurable ? 1 : 0,
        UInt64(slot))
    }
    return queued(slot, result)
  }

  private mutating func punch(_ range: BlockRange, _ slot: Int) -> BlockProgress {
    queued(
      slot,
      unsafe clinux_ring_punch(
        ring, file.number, firstByte + range.sector * 512, UInt64(range.sectorCount) * 512, UInt64(slot)))
  }

  /// After an attempt to queue the operation of `slot`.
  private mutating func queued(_ slot: Int, _ result: Int32) -> BlockProgress {
    if result == 0 {
      hasQueued = true
      return .pending
    }
    freeSlots.append(slot)
    return .busy
  }

  /// Takes the result of an operation. Returns how the request ended, or nil when only a part of it was done
  /// and the rest is under way now.
  private mutating func advance(_ slot: Int, _ result: Int32) -> BlockBackendCompletion? {
    let tag = slots[slot].tag
    if result < 0 {
      return BlockBackendCompletion(tag: tag, fault: -result == EOPNOTSUPP ? .unsupported : .inputOutput)
    }
    if slots[slot].kind == .other { return BlockBackendCompletion(tag: tag) }
    dropFirst(slot, Int(result))
    if slots[slot].vectors.isEmpty { return BlockBackendCompletion(tag: tag) }
    // Nothing at all: the file became shorter, or its file system is full.
    if result == 0 { return BlockBackendCompletion(tag: tag, fault: .inputOutput) }
    // A completion was just taken, so the ring has room for the rest.
    let progress = start(slot)
    precondition(progress == .pending, "a ring with no room for what it gave up")
    submit()
    return nil
  }

  /// Takes `byteCount` bytes off the front of the slot's vectors.
  private mutating func dropFirst(_ slot: Int, _ byteCount: Int) {
    slots[slot].offset += UInt64(byteCount)
    var left = byteCount
    let vectors = unsafe vectors
    while let first = slots[slot].vectors.first {
      // The slot's own vectors.
      let length = unsafe vectors[first].iov_len
      if left < length {
        unsafe vectors[first].iov_base += left
        unsafe vectors[first].iov_len -= left
        return
      }
      left -= length
      slots[slot].vectors = first + 1..<slots[slot].vectors.upperBound
    }
  }

  private mutating func zeroRest(_ slot: Int) {
    for i in slots[slot].vectors {
      // Checked guest memory of a request that has not ended yet.
      unsafe memset(vectors[i].iov_base, 0, vectors[i].iov_len)
    }
  }
}
