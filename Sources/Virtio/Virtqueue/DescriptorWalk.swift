// The walk over the descriptors of one buffer, device side. The driver is untrusted: each field of a
// descriptor is read once, checked, and the walk is bounded.

/// Where a walk stands.
@usableFromInline
struct DescriptorWalk {
  /// What the next element is read from.
  @usableFromInline
  enum Source {
    case ring
    case table
    case ended
  }

  @usableFromInline var source = Source.ring
  @usableFromInline var sawWritable = false
  @usableFromInline let isPacked: Bool
  /// Split: index of the first descriptor.
  @usableFromInline let first: UInt16
  /// Next descriptor of the ring.
  @usableFromInline var index: UInt16
  /// How many descriptors of the ring may follow the next one.
  @usableFromInline var stepsLeft: UInt16
  /// Sum of the lengths read.
  @usableFromInline var byteCount: UInt32 = 0
  @usableFromInline var table: DescriptorTable? = nil

  /// A loop would go on for ever: the walk is bounded by what the ring can hold, `stepLimit` beyond the
  /// first.
  @inlinable @inline(always)
  init(first: UInt16, stepLimit: UInt16, isPacked: Bool) {
    self.isPacked = isPacked
    self.first = first
    index = first
    stepsLeft = stepLimit
  }

  /// The next element, wherever it is, for loops that should not grow.
  @usableFromInline @inline(never)
  mutating func nextOutOfLine(_ queue: borrowing DeviceVirtqueue) throws(DriverFault) -> Descriptor? {
    try next(queue)
  }

  /// The next element, wherever it is.
  @inline(__always)
  mutating func next(_ queue: borrowing DeviceVirtqueue) throws(DriverFault) -> Descriptor? {
    if source == .ended { return nil }
    if source == .ring,
      let descriptor = isPacked ? plain(PackedLinks.self, queue) : plain(SplitLinks.self, queue)
    {
      return descriptor
    }
    return try nextRare(queue)
  }

  /// The next element if its descriptor is plain: see `followRing`.
  @inline(__always)
  private mutating func plain<Format: RingLinks>(
    _ format: Format.Type, _ queue: borrowing DeviceVirtqueue
  ) -> Descriptor? {
    var cursor = RingCursor(self)
    let raw = RawDescriptor(queue.descriptors, at: cursor.offset, isPacked: Format.isPacked)
    let isWritable = raw.flags & DescriptorFlag.write != 0
    guard isWritable || !sawWritable, cursor.take(raw, format, queue) else { return nil }
    leave(cursor)
    sawWritable = isWritable
    if raw.isLast { source = .ended }
    return raw.element(queue.memory, isDeviceWritable: isWritable)
  }

  @inline(never)
  private mutating func nextRare(_ queue: borrowing DeviceVirtqueue) throws(DriverFault) -> Descriptor {
    if source == .table { return try element(nextOfTable(isPacked: isPacked), queue) }
    let raw = RawDescriptor(queue.descriptors, at: Int(index) * 16, isPacked: isPacked)
    if raw.flags & DescriptorFlag.indirect != 0 {
      table = try queue.table(raw, stepsLeft: stepsLeft)
      source = .table
      return try element(nextOfTable(isPacked: isPacked), queue)
    }
    if raw.isLast { source = .ended } else { try advance(queue) }
    return try element(raw, queue)
  }

  /// Accounts for an element and checks it: total length, memory, direction.
  mutating func element(
    _ raw: RawDescriptor, _ queue: borrowing DeviceVirtqueue
  ) throws(DriverFault) -> Descriptor {
    // §2.7.5.2: no more than 2^32 bytes in total.
    let (sum, overflow) = byteCount.addingReportingOverflow(raw.length)
    if overflow { throw .chainTooLong }
    byteCount = sum
    let range = try queue.memory.range(at: raw.address, byteCount: raw.length)
    // §2.7.4.2, §2.8.17: device-writable elements come after all device-readable ones.
    if raw.flags & DescriptorFlag.write != 0 {
      sawWritable = true
      return Descriptor(range: range, isDeviceWritable: true)
    }
    if sawWritable { throw .readableAfterWritable }
    return Descriptor(range: range, isDeviceWritable: false)
  }

  /// Moves to the descriptor after the one at `index`.
  mutating func advance(_ queue: borrowing DeviceVirtqueue) throws(DriverFault) {
    if isPacked {
      // §2.8.6: the descriptors of a chain follow each other.
      index = index == queue.lastIndex ? 0 : index &+ 1
    } else {
      index = queue.descriptors.load16(Int(index) * 16 + 14)
      guard index <= queue.lastIndex else { throw .indexOutOfRange }
    }
    guard stepsLeft != 0 else { throw .chainTooLong }
    stepsLeft &-= 1
  }
}

// The fast way over the descriptors in the ring, compiled into the caller. It has no rare steps: at the
// first descriptor that is not plain (indirect, malformed, outside the first region of memory) it stops
// before it, and `next` takes over. That one reads the descriptor again; what was read here is not used
// then.
extension DescriptorWalk {
  /// Calls `body` for the plain elements of the ring: first the device-readable, then the device-writable
  /// ones.
  @inlinable @inline(always)
  mutating func followRing<Format: RingLinks>(
    _ format: Format.Type, _ queue: borrowing DeviceVirtqueue,
    _ body: (Descriptor) throws(DriverFault) -> Void
  ) throws(DriverFault) {
    if source != .ring || sawWritable { return }
    var cursor = RingCursor(self)
    var raw = RawDescriptor(queue.descriptors, at: cursor.offset, isPacked: Format.isPacked)
    while raw.flags & DescriptorFlag.write == 0 {
      guard cursor.take(raw, format, queue) else { return leave(cursor) }
      try body(raw.element(queue.memory, isDeviceWritable: false))
      if raw.isLast { return end(cursor) }
      raw = RawDescriptor(queue.descriptors, at: cursor.offset, isPacked: Format.isPacked)
    }
    // §2.7.4.2, §2.8.17: device-writable elements come after all device-readable ones.
    let stepsBefore = cursor.stepsLeft
    while raw.flags & DescriptorFlag.write != 0, cursor.take(raw, format, queue) {
      try body(raw.element(queue.memory, isDeviceWritable: true))
      if raw.isLast { return end(cursor) }
      raw = RawDescriptor(queue.descriptors, at: cursor.offset, isPacked: Format.isPacked)
    }
    // Only what was taken counts: WRITE says nothing where a descriptor refers to a table (§2.7.5.3.2).
    sawWritable = cursor.stepsLeft != stepsBefore
    leave(cursor)
  }

  @inlinable @inline(always)
  mutating func leave(_ cursor: RingCursor) {
    index = UInt16(truncatingIfNeeded: cursor.offset >> 4)
    byteCount = cursor.byteCount
    stepsLeft = UInt16(truncatingIfNeeded: cursor.stepsLeft)
  }

  @inlinable @inline(always)
  mutating func end(_ cursor: RingCursor) {
    source = .ended
    stepsLeft = UInt16(truncatingIfNeeded: cursor.stepsLeft)
  }
}

/// The part of a walk that changes from one plain descriptor to the next, in the widths that compile best.
@usableFromInline
struct RingCursor {
  /// Of the next descriptor, in bytes.
  @usableFromInline var offset: Int
  @usableFromInline var stepsLeft: UInt32
  @usableFromInline var byteCount: UInt32

  @inlinable @inline(always)
  init(_ walk: DescriptorWalk) {
    offset = Int(walk.index) * 16
    stepsLeft = UInt32(walk.stepsLeft)
    byteCount = walk.byteCount
  }

  /// Moves past `raw`, or returns false and stays where it is when that is not a plain descriptor.
  @inlinable @inline(always)
  mutating func take<Format: RingLinks>(
    _ raw: RawDescriptor, _ format: Format.Type, _ queue: borrowing DeviceVirtqueue
  ) -> Bool {
    // §2.7.5.2: no more than 2^32 bytes in total. Added in place and taken off again if need be: one
    // register.
    let (sum, overflow) = byteCount.addingReportingOverflow(raw.length)
    byteCount = sum
    if overflow || !queue.memory.isInFirst(raw.address, byteCount: raw.length) {
      byteCount &-= raw.length
      return false
    }
    if raw.isLast { return true }
    if stepsLeft == 0 || raw.flags & DescriptorFlag.indirect != 0 {
      byteCount &-= raw.length
      return false
    }
    let next = Format.next(after: offset, queue)
    // What follows by place lies in the ring.
    if !Format.isPacked && next > queue.lastIndex {
      byteCount &-= raw.length
      return false
    }
    offset = Int(next) * 16
    stepsLeft &-= 1
    return true
  }
}

/// How the descriptors of a chain follow each other in a ring.
@usableFromInline
protocol RingLinks {
  static var isPacked: Bool { get }
  /// Where the descriptor after the one at `offset` is; not checked yet.
  static func next(after offset: Int, _ queue: borrowing DeviceVirtqueue) -> UInt16
}

/// §2.7.5: by their `next` field.
@usableFromInline
enum SplitLinks: RingLinks {
  @inlinable @inline(always)
  static var isPacked: Bool { false }

  @inlinable @inline(always)
  static func next(after offset: Int, _ queue: borrowing DeviceVirtqueue) -> UInt16 {
    queue.descriptors.load16(offset + 14)
  }
}

/// §2.8.6: by their place.
@usableFromInline
enum PackedLinks: RingLinks {
  @inlinable @inline(always)
  static var isPacked: Bool { true }

  @inlinable @inline(always)
  static func next(after offset: Int, _ queue: borrowing DeviceVirtqueue) -> UInt16 {
    let index = UInt16(truncatingIfNeeded: offset >> 4)
    return index == queue.lastIndex ? 0 : index &+ 1
  }
}

/// Address, length and flags of a descriptor: each was read once.
@usableFromInline
struct RawDescriptor {
  @usableFromInline let address: UInt64
  @usableFromInline let length: UInt32
  @usableFromInline let flags: UInt16

  @usableFromInline @inline(__always)
  init(address: UInt64, length: UInt32, flags: UInt16) {
    self.address = address
    self.length = length
    self.flags = flags
  }

  /// The descriptor at byte `offset` of a ring.
  @inlinable @inline(always)
  init(_ ring: RingArea, at offset: Int, isPacked: Bool) {
    self.init(
      address: ring.load64(offset), length: ring.load32(offset + 8),
      flags: ring.load16(offset + (isPacked ? 14 : 12)))
  }

  /// Whether no other descriptor follows, here or in a table.
  @inlinable @inline(always)
  var isLast: Bool { flags & (DescriptorFlag.next | DescriptorFlag.indirect) == 0 }

  /// The element, whose memory was found in the first region.
  @inlinable @inline(always)
  func element(_ memory: GuestMemory, isDeviceWritable: Bool) -> Descriptor {
    Descriptor(range: memory.rangeInFirst(address, byteCount: length), isDeviceWritable: isDeviceWritable)
  }
}
