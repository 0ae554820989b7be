// The fast way over the descriptors in the ring, compiled into the caller. Each descriptor is read once. What
// is rare is left to functions out of line; in a simple queue nothing is, and without a call in it a loop
// keeps its registers.

extension DescriptorWalk {
  /// Calls `body` for the remaining elements: first the device-readable, then the device-writable ones.
  @inlinable @inline(always)
  mutating func follow<Format: RingLinks>(
    _ format: Format.Type, _ queue: borrowing DeviceVirtqueue,
    _ body: (Descriptor) throws(DriverFault) -> Void
  ) throws(DriverFault) {
    if _slowPath(source != .ring || sawWritable) { return try leave(RingCursor(self), queue, body) }
    var cursor = RingCursor(self)
    var raw =
      Format.isPacked && isSimple && cursor.offset == first
      ? RawDescriptor(queue.descriptors, at: cursor.offset, packedFlags: firstFlags)
      : RawDescriptor(queue.descriptors, at: cursor.offset, isPacked: Format.isPacked)
    while raw.direction == 0 {
      try body(Descriptor(range: cursor.take(raw, queue, isSimple), isDeviceWritable: false))
      if raw.isLast {
        readableByteCount = cursor.byteCount
        return end(cursor)
      }
      try cursor.advance(after: raw, format, queue, first, isSimple)
      raw = RawDescriptor(queue.descriptors, at: cursor.offset, isPacked: Format.isPacked)
    }
    // §2.7.4.2, §2.8.17: device-writable elements come after all device-readable ones. WRITE says nothing
    // where a descriptor refers to a table (§2.7.5.3.2).
    readableByteCount = cursor.byteCount
    while raw.direction == DescriptorFlag.write {
      sawWritable = true
      try body(Descriptor(range: cursor.take(raw, queue, isSimple), isDeviceWritable: true))
      if raw.isLast { return end(cursor) }
      try cursor.advance(after: raw, format, queue, first, isSimple)
      raw = RawDescriptor(queue.descriptors, at: cursor.offset, isPacked: Format.isPacked)
    }
    // No table can be meant in a simple queue.
    if isSimple { throw raw.direction == 0 ? .readableAfterWritable : .invalidIndirectTable }
    try leave(cursor, queue, body)
  }

  /// Goes on from `cursor` by the general way.
  @inlinable @inline(always)
  mutating func leave(
    _ cursor: RingCursor, _ queue: borrowing DeviceVirtqueue,
    _ body: (Descriptor) throws(DriverFault) -> Void
  ) throws(DriverFault) {
    var copy = self
    copy.offset = cursor.offset
    copy.byteCount = cursor.byteCount
    copy.stepsLeft = UInt32(bitPattern: cursor.stepsLeft)
    if let fault = copy.followRest(queue, body) { throw fault }
    self = copy
  }

  @inlinable @inline(always)
  mutating func end(_ cursor: RingCursor) {
    source = .ended
    byteCount = cursor.byteCount
    offset = cursor.offset
    stepsLeft = UInt32(bitPattern: cursor.stepsLeft)
  }
}

/// The part of a walk that changes from one plain descriptor to the next, in the widths that compile best.
@usableFromInline
struct RingCursor {
  /// Of the next descriptor, in bytes.
  @usableFromInline var offset: Int
  @usableFromInline var stepsLeft: Int32
  @usableFromInline var byteCount: UInt32

  @inlinable @inline(always)
  init(_ walk: DescriptorWalk) {
    offset = walk.offset
    stepsLeft = Int32(bitPattern: walk.stepsLeft)
    byteCount = walk.byteCount
  }

  /// Accounts for the element `raw` and checks it: total length, memory.
  @inlinable @inline(always)
  mutating func take(
    _ raw: RawDescriptor, _ queue: borrowing DeviceVirtqueue, _ isSimple: Bool
  ) throws(DriverFault) -> GuestRange {
    // §2.7.5.2: no more than 2^32 bytes in total.
    let (sum, overflow) = raw.length.addingReportingOverflow(byteCount)
    guard _fastPath(!overflow) else { throw .chainTooLong }
    byteCount = sum
    if _fastPath(queue.memory.isInFirst(raw.address, byteCount: raw.wideLength)) {
      return queue.memory.rangeInFirst(raw.address, byteCount: raw.length)
    }
    guard !isSimple, let range = queue.rangeAnywhere(raw) else { throw .addressOutsideMemory }
    return range
  }

  /// Moves to the next descriptor.
  @inlinable @inline(always)
  mutating func advance<Format: RingLinks>(
    after raw: RawDescriptor, _ format: Format.Type, _ queue: borrowing DeviceVirtqueue, _ first: Int,
    _ isSimple: Bool
  ) throws(DriverFault) {
    guard let next = Format.next(after: raw, at: offset, queue) else { throw .indexOutOfRange }
    if Format.isPacked && isSimple {
      // Nothing else is in flight, so the ring ends where the chain began.
      guard _fastPath(next != first) else { throw .chainTooLong }
    } else {
      stepsLeft &-= 1
      guard _fastPath(stepsLeft >= 0) else { throw .chainTooLong }
    }
    offset = next
  }
}

/// How the descriptors of a chain follow each other in a ring.
@usableFromInline
protocol RingLinks {
  static var isPacked: Bool { get }
  /// Byte offset of the descriptor after `raw`, which is at `offset`; nil outside the ring.
  static func next(after raw: RawDescriptor, at offset: Int, _ queue: borrowing DeviceVirtqueue) -> Int?
}

/// §2.7.5: by their `next` field.
@usableFromInline
enum SplitLinks: RingLinks {
  @inlinable @inline(always)
  static var isPacked: Bool { false }

  @inlinable @inline(always)
  static func next(after raw: RawDescriptor, at offset: Int, _ queue: borrowing DeviceVirtqueue) -> Int? {
    let next = raw.flagsAndNext >> 16
    return _fastPath(next <= queue.mask) ? Int(next) * 16 : nil
  }
}

/// §2.8.6: by their place.
@usableFromInline
enum PackedLinks: RingLinks {
  @inlinable @inline(always)
  static var isPacked: Bool { true }

  @inlinable @inline(always)
  static func next(after raw: RawDescriptor, at offset: Int, _ queue: borrowing DeviceVirtqueue) -> Int? {
    offset == queue.lastOffset ? 0 : offset &+ 16
  }
}

/// Address, length and flags of a descriptor: each was read once.
@usableFromInline
struct RawDescriptor {
  @usableFromInline let address: UInt64
  /// At most 2^32 - 1; this wide because it is compared with addresses.
  @usableFromInline let wideLength: UInt64
  /// Split, in a ring: the next descriptor in the upper half.
  @usableFromInline let flagsAndNext: UInt32

  @usableFromInline @inline(__always)
  init(address: UInt64, length: UInt32, flags: UInt16) {
    self.address = address
    wideLength = UInt64(length)
    flagsAndNext = UInt32(flags)
  }

  @inlinable @inline(always)
  var flags: UInt16 { UInt16(truncatingIfNeeded: flagsAndNext) }

  @inlinable @inline(always)
  var length: UInt32 { UInt32(truncatingIfNeeded: wideLength) }

  /// The descriptor at byte `offset` of a ring.
  @inlinable @inline(always)
  init(_ ring: RingArea, at offset: Int, isPacked: Bool) {
    address = ring.load64(offset)
    wideLength = UInt64(ring.load32(offset &+ 8))
    flagsAndNext = isPacked ? UInt32(ring.load16(offset &+ 14)) : ring.load32(offset &+ 12)
  }

  /// The descriptor at byte `offset` of a packed ring, of which the flags were read before.
  @inlinable @inline(always)
  init(_ ring: RingArea, at offset: Int, packedFlags: UInt32) {
    address = ring.load64(offset)
    wideLength = UInt64(ring.load32(offset &+ 8))
    flagsAndNext = packedFlags
  }

  /// Whether no other descriptor follows this one, which is not indirect.
  @inlinable @inline(always)
  var isLast: Bool { flags & DescriptorFlag.next == 0 }

  /// 0 of a device-readable element, WRITE of a device-writable one, more of an indirect descriptor.
  @inlinable @inline(always)
  var direction: UInt16 { flags & (DescriptorFlag.write | DescriptorFlag.indirect) }

  /// The element, whose memory was found in the first region.
  @inlinable @inline(always)
  func element(_ memory: GuestMemory, isDeviceWritable: Bool) -> Descriptor {
    Descriptor(range: memory.rangeInFirst(address, byteCount: length), isDeviceWritable: isDeviceWritable)
  }
}
