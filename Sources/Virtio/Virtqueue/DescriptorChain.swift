// One buffer of a virtqueue as the device sees it: a walk over its descriptors. The driver is untrusted: each
// descriptor is read once, checked, and the walk is bounded.

/// One element of a buffer: checked guest memory and its direction.
public struct Descriptor {
  /// The memory.
  public let range: GuestRange
  /// True when the device may write it, false when it may read it.
  public let isDeviceWritable: Bool

  @inline(__always)
  init(range: GuestRange, isDeviceWritable: Bool) {
    self.range = range
    self.isDeviceWritable = isDeviceWritable
  }
}

/// A buffer taken from a `DeviceVirtqueue`, not yet used.
///
/// It is a cursor: `nextDescriptor(_:)`, `read(_:_:)` and `write(_:_:)` move forward and never back. It ends
/// its life in `DeviceVirtqueue.use`, `park` or `giveBack`; it cannot be copied, so it cannot be used twice.
public struct DescriptorChain: ~Copyable {
  /// Split: index of the first descriptor. Packed: buffer ID, known once the last descriptor was read.
  var id: UInt16
  /// Next descriptor to read: table index, ring offset, or index within the indirect table.
  var index: UInt16
  /// How many more descriptors the walk may read.
  var stepsLeft: UInt16
  /// Descriptors of the ring itself that were read.
  var ringCount: UInt16 = 0
  var hasMore = true
  var isIndirect = false
  var sawWritable = false
  /// Sum of the lengths read.
  var byteCount: UInt32 = 0
  var table = RingArea.none
  var tableCount: UInt32 = 0
  /// What `read` or `write` left of the last descriptor.
  var rest = GuestRange.empty
  var restIsWritable = false

  @inline(__always)
  init(first: UInt16, stepLimit: UInt16) {
    id = first
    index = first
    stepsLeft = stepLimit
  }

  /// The next element, or nil after the last. What `read` or `write` left of a descriptor comes first.
  ///
  /// Throws when the driver broke a rule of §2.7 or §2.8; the queue must then be given up.
  @inline(__always)
  public mutating func nextDescriptor(
    _ queue: borrowing DeviceVirtqueue
  ) throws(DriverFault) -> Descriptor? {
    if rest.byteCount != 0 {
      let descriptor = Descriptor(range: rest, isDeviceWritable: restIsWritable)
      rest = .empty
      return descriptor
    }
    guard hasMore else { return nil }
    if isIndirect { return try nextIndirect(queue) }
    return queue.isPacked ? try nextPacked(queue) : try nextSplit(queue)
  }

  /// Accounts for an element and checks it: direction, total length, memory.
  @inline(__always)
  mutating func element(
    _ raw: RawDescriptor, isDeviceWritable: Bool, _ memory: borrowing GuestMemory
  ) throws(DriverFault) -> Descriptor {
    // §2.7.4.2, §2.8.17: device-writable elements come after all device-readable ones.
    if isDeviceWritable {
      sawWritable = true
    } else if sawWritable {
      throw .readableAfterWritable
    }
    // §2.7.5.2: no more than 2^32 bytes in total.
    let (sum, overflow) = byteCount.addingReportingOverflow(raw.length)
    if overflow { throw .chainTooLong }
    byteCount = sum
    return Descriptor(
      range: try memory.range(at: raw.address, byteCount: raw.length), isDeviceWritable: isDeviceWritable)
  }

  @inline(__always)
  private mutating func nextSplit(_ queue: borrowing DeviceVirtqueue) throws(DriverFault) -> Descriptor? {
    // A loop would go on for ever: the walk is bounded by the queue size.
    guard stepsLeft != 0 else { throw .chainTooLong }
    stepsLeft &-= 1
    let raw = queue.loadDescriptor(index)
    let flags = raw.splitFlags
    if flags & (DescriptorFlag.next | DescriptorFlag.indirect) != 0 {
      if flags & DescriptorFlag.indirect != 0 {
        return try enterIndirect(raw, hasNext: flags & DescriptorFlag.next != 0, queue)
      }
      index = raw.splitNext
      guard index < queue.size else { throw .indexOutOfRange }
    } else {
      hasMore = false
    }
    return try element(raw, isDeviceWritable: flags & DescriptorFlag.write != 0, queue.memory)
  }

  @inline(__always)
  private mutating func nextPacked(_ queue: borrowing DeviceVirtqueue) throws(DriverFault) -> Descriptor? {
    guard stepsLeft != 0 else { throw .chainTooLong }
    stepsLeft &-= 1
    let raw = queue.loadDescriptor(index)
    let flags = raw.packedFlags
    ringCount &+= 1
    index &+= 1
    if index == queue.size { index = 0 }
    if flags & (DescriptorFlag.next | DescriptorFlag.indirect) != 0 {
      if flags & DescriptorFlag.indirect != 0 {
        // §2.8.19: an indirect descriptor stands alone. The buffer ID is in it.
        id = raw.packedID
        guard ringCount == 1 else { throw .invalidIndirectTable }
        return try enterIndirect(raw, hasNext: flags & DescriptorFlag.next != 0, queue)
      }
    } else {
      // §2.8.6: the buffer ID is in the last descriptor.
      hasMore = false
      id = raw.packedID
    }
    return try element(raw, isDeviceWritable: flags & DescriptorFlag.write != 0, queue.memory)
  }

  /// §2.7.5.3, §2.8.7: goes on in the table that `raw` refers to.
  @inline(never)
  private mutating func enterIndirect(
    _ raw: RawDescriptor, hasNext: Bool, _ queue: borrowing DeviceVirtqueue
  ) throws(DriverFault) -> Descriptor? {
    guard queue.allowsIndirect, !hasNext, raw.length > 0, raw.length & 15 == 0 else {
      throw .invalidIndirectTable
    }
    table = RingArea(try queue.memory.range(at: raw.address, byteCount: raw.length))
    tableCount = raw.length >> 4
    isIndirect = true
    index = 0
    // What was walked already counts; the table may use what the device allows in total.
    stepsLeft = queue.chainLimit &- ringCountSplit(queue)
    return try nextIndirect(queue)
  }

  /// Direct descriptors that came before an indirect table (split format).
  private func ringCountSplit(_ queue: borrowing DeviceVirtqueue) -> UInt16 {
    queue.isPacked ? 0 : queue.size &- stepsLeft &- 1
  }

  @inline(never)
  private mutating func nextIndirect(_ queue: borrowing DeviceVirtqueue) throws(DriverFault) -> Descriptor? {
    guard stepsLeft != 0 else { throw .chainTooLong }
    stepsLeft &-= 1
    let offset = Int(index) * 16
    // A table has no alignment rule, so these are plain loads, each done once.
    let raw = RawDescriptor(
      address: table.loadUnaligned64(offset), word: table.loadUnaligned64(offset + 8))
    if queue.isPacked {
      // §2.8.7: entries follow each other; only the WRITE flag has a meaning.
      index &+= 1
      if UInt32(index) == tableCount { hasMore = false }
      return try element(
        raw, isDeviceWritable: raw.packedFlags & DescriptorFlag.write != 0, queue.memory)
    }
    let flags = raw.splitFlags
    // §2.7.5.3.1: one table per chain.
    guard flags & DescriptorFlag.indirect == 0 else { throw .invalidIndirectTable }
    if flags & DescriptorFlag.next != 0 {
      index = raw.splitNext
      guard UInt32(index) < tableCount else { throw .indexOutOfRange }
    } else {
      hasMore = false
    }
    return try element(raw, isDeviceWritable: flags & DescriptorFlag.write != 0, queue.memory)
  }
}
