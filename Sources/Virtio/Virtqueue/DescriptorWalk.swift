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
  /// Whether the queue has no indirect tables and memory is one region: see `follow`.
  @usableFromInline let isSimple: Bool
  /// Where the first descriptor is in the ring, in bytes.
  @usableFromInline let first: Int
  /// Where the next one is; at the end the last one.
  @usableFromInline var offset: Int
  /// How many descriptors of the ring may follow the next one.
  @usableFromInline var stepsLeft: UInt32
  /// Sum of the lengths read, and how much of it was device-readable.
  @usableFromInline var byteCount: UInt32 = 0
  @usableFromInline var readableByteCount: UInt32 = 0
  @usableFromInline var table: DescriptorTable? = nil
  /// In a simple packed queue: the flags of the first descriptor, read when it was found available.
  @usableFromInline var firstFlags: UInt32 = 0

  /// A loop would go on for ever: the walk is bounded by what the ring can hold, `stepLimit` descriptors
  /// beyond the first.
  @inlinable @inline(always)
  init(offset: Int, stepLimit: UInt32, isPacked: Bool, isSimple: Bool) {
    self.isPacked = isPacked
    self.isSimple = isSimple
    first = offset
    self.offset = offset
    stepsLeft = stepLimit
  }

  /// The next element, wherever it is, for loops that should not grow.
  @usableFromInline @inline(never)
  mutating func nextOutOfLine(_ queue: borrowing DeviceVirtqueue) throws(DriverFault) -> Descriptor? {
    try next(queue)
  }

  /// Calls `body` for all remaining elements, wherever they are. Returns the fault that ended it: a function
  /// that throws would take a register from the loops that call it.
  @usableFromInline @inline(never)
  mutating func followRest(
    _ queue: borrowing DeviceVirtqueue, _ body: (Descriptor) throws(DriverFault) -> Void
  ) -> DriverFault? {
    do throws(DriverFault) {
      while let descriptor = try next(queue) { try body(descriptor) }
    } catch {
      return error
    }
    return nil
  }

  /// The next element, wherever it is. Images, which have to be small, have one way for all of them.
  #if SMALL
    @inline(never)
    mutating func next(_ queue: borrowing DeviceVirtqueue) throws(DriverFault) -> Descriptor? {
      if source == .ended { return nil }
      return try nextRare(queue)
    }
  #else
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
  #endif

  /// The next element if its descriptor has nothing special about it.
  @inline(__always)
  private mutating func plain<Format: RingLinks>(
    _ format: Format.Type, _ queue: borrowing DeviceVirtqueue
  ) -> Descriptor? {
    let raw = RawDescriptor(queue.descriptors, at: offset, isPacked: Format.isPacked)
    let (sum, overflow) = byteCount.addingReportingOverflow(raw.length)
    let isWritable = raw.flags & DescriptorFlag.write != 0
    guard isWritable || !sawWritable, !overflow, raw.flags & DescriptorFlag.indirect == 0,
      queue.memory.isInFirst(raw.address, byteCount: raw.wideLength)
    else { return nil }
    if raw.isLast {
      source = .ended
    } else {
      guard stepsLeft != 0, let next = Format.next(after: raw, at: offset, queue) else { return nil }
      offset = next
      stepsLeft &-= 1
    }
    byteCount = sum
    sawWritable = isWritable
    if !isWritable { readableByteCount = sum }
    return raw.element(queue.memory, isDeviceWritable: isWritable)
  }

  #if !SMALL
    @inline(never)
  #endif
  private mutating func nextRare(_ queue: borrowing DeviceVirtqueue) throws(DriverFault) -> Descriptor {
    if source == .table { return try element(nextOfTable(isPacked: isPacked), queue) }
    let raw = RawDescriptor(queue.descriptors, at: offset, isPacked: isPacked)
    if raw.flags & DescriptorFlag.indirect != 0 {
      table = try queue.table(raw, stepsLeft: stepsLeft)
      source = .table
      return try element(nextOfTable(isPacked: isPacked), queue)
    }
    if raw.isLast { source = .ended } else { try advance(after: raw, queue) }
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
    readableByteCount = byteCount
    return Descriptor(range: range, isDeviceWritable: false)
  }

  /// Moves to the descriptor after `raw`.
  mutating func advance(after raw: RawDescriptor, _ queue: borrowing DeviceVirtqueue) throws(DriverFault) {
    let next =
      isPacked
      ? PackedLinks.next(after: raw, at: offset, queue) : SplitLinks.next(after: raw, at: offset, queue)
    guard let next else { throw .indexOutOfRange }
    offset = next
    guard stepsLeft != 0 else { throw .chainTooLong }
    stepsLeft &-= 1
  }
}
