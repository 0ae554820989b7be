// One buffer of a virtqueue as the device sees it.

/// One element of a buffer: checked guest memory and its direction.
public struct Descriptor {
  /// The memory.
  public let range: GuestRange
  /// True when the device may write it, false when it may read it.
  public let isDeviceWritable: Bool

  @usableFromInline @inline(__always)
  init(range: GuestRange, isDeviceWritable: Bool) {
    self.range = range
    self.isDeviceWritable = isDeviceWritable
  }
}

/// A buffer taken from a `DeviceVirtqueue`, not yet used.
///
/// It is a cursor: `nextDescriptor(_:)`, `read` and `write` move forward and never back. It ends its life in
/// `DeviceVirtqueue.use`, `park` or `giveBack`; it cannot be copied, so it cannot be used twice.
public struct DescriptorChain: ~Copyable {
  @usableFromInline var walk: DescriptorWalk
  /// Split: index of the first descriptor.
  @usableFromInline let head: UInt32
  /// What `read` or `write` left of the last descriptor.
  @usableFromInline var rest: RestOfDescriptor? = nil

  @inlinable @inline(always)
  init(head: UInt32, stepLimit: UInt32, isPacked: Bool, isSimple: Bool = false) {
    walk = DescriptorWalk(
      offset: Int(head) * 16, stepLimit: stepLimit, isPacked: isPacked, isSimple: isSimple)
    self.head = head
  }

  /// In a simple packed queue, at byte `offset` of the ring, where `flags` were read.
  @inlinable @inline(always)
  init(simplePacked offset: Int, flags: UInt32, stepLimit: UInt32) {
    walk = DescriptorWalk(offset: offset, stepLimit: stepLimit, isPacked: true, isSimple: true)
    walk.firstFlags = flags
    head = 0
  }

  /// Whether the last element was walked, as far as the driver has said: a table or a fault may follow.
  public var isAtEnd: Bool {
    if case .ended = walk.source { return rest == nil }
    return false
  }

  /// How many device-writable bytes the elements have that were walked so far.
  @inline(always)
  public var walkedWritableByteCount: UInt32 { walk.byteCount &- walk.readableByteCount }

  /// How many device-readable bytes the elements have that were walked so far.
  @inline(always)
  public var walkedReadableByteCount: UInt32 { walk.readableByteCount }

  /// The next element, or nil after the last. What `read` or `write` left of a descriptor comes first.
  ///
  /// Throws when the driver broke a rule of §2.7 or §2.8; the queue must then be given up.
  @inline(never)
  public mutating func nextDescriptor(
    _ queue: borrowing DeviceVirtqueue
  ) throws(DriverFault) -> Descriptor? {
    if let kept = rest {
      rest = nil
      return Descriptor(range: kept.range, isDeviceWritable: kept.isDeviceWritable)
    }
    return try walk.next(queue)
  }

  /// Calls `body` with each of the remaining elements. Throws as `nextDescriptor(_:)` does.
  ///
  /// This is the fast way to look at a whole buffer: the loop is compiled into the caller. Images have one
  /// for all callers.
  #if SMALL
    @inline(never)
  #else
    @inline(always)
  #endif
  public mutating func forEachDescriptor(
    _ queue: borrowing DeviceVirtqueue, _ body: (Descriptor) throws(DriverFault) -> Void
  ) throws(DriverFault) {
    if let kept = rest {
      rest = nil
      try body(Descriptor(range: kept.range, isDeviceWritable: kept.isDeviceWritable))
    }
    #if SMALL
      while let descriptor = try walk.next(queue) { try body(descriptor) }
    #else
      if walk.isPacked {
        try walk.follow(PackedLinks.self, queue, body)
      } else {
        try walk.follow(SplitLinks.self, queue, body)
      }
    #endif
  }
}

/// What `read` or `write` left of a descriptor.
@usableFromInline
struct RestOfDescriptor {
  @usableFromInline let range: GuestRange
  @usableFromInline let isDeviceWritable: Bool
}
