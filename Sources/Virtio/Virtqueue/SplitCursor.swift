// virtio 1.4 §2.7 Split Virtqueues, device side, for an embedder that makes one call for each operation: what
// has to be kept of a buffer between two calls, in few words.

/// Where the walk over one buffer of a split ring stands, as long as nothing about the buffer is special.
///
/// `take` and `walk` do what is usual: descriptors in the ring, memory in the first region, no broken rule.
/// Before anything else they stop; `DeviceVirtqueue.next()` and the `DescriptorChain` made of the cursor then
/// go the long way, or find the fault.
public struct SplitCursor: BitwiseCopyable {
  /// Index of the next descriptor.
  @usableFromInline var index: UInt32 = 0
  /// How many may follow it: the walk is bounded by what the ring can hold.
  @usableFromInline var stepsLeft: UInt32 = 0
  /// Sum of the lengths read.
  @usableFromInline var byteCount: UInt32 = 0
  /// 0 or WRITE: the direction of the element before. It can only rise.
  @usableFromInline var direction: UInt32 = 0
  /// Index of the first descriptor.
  @usableFromInline var head: UInt32 = 0

  /// A cursor of no buffer.
  @inlinable @inline(always)
  public init() {}

  /// Calls `take` with the next elements, as long as they are usual, until it returns false or the last one
  /// was taken.
  @inlinable @inline(always)
  public mutating func walk(
    _ queue: borrowing DeviceVirtqueue, _ take: (Descriptor) -> Bool
  ) -> WalkOutcome {
    while true {
      let raw = RawDescriptor(queue.descriptors, at: Int(index) * 16, isPacked: false)
      guard _fastPath(raw.flagsAndNext & UInt32(DescriptorFlag.indirect) == 0) else { return .special }
      // §2.7.4.2: device-writable elements come after all device-readable ones.
      let newDirection = raw.flagsAndNext & UInt32(DescriptorFlag.write)
      guard _fastPath(newDirection >= direction) else { return .special }
      let rest = queue.memory.restOfFirst(raw.address)
      guard _fastPath(rest <= queue.memory.first.byteCount) else { return .special }
      guard _fastPath(raw.wideLength <= rest) else { return .special }
      // §2.7.5.2: no more than 2^32 bytes in total.
      // Stored before it is looked at: one instruction where memory can be added to.
      let (sum, overflow) = byteCount.addingReportingOverflow(raw.length)
      byteCount = sum
      guard _fastPath(!overflow) else {
        byteCount = .max
        return .special
      }
      let element = queue.memory.element(raw, rest: rest, isDeviceWritable: newDirection != 0)
      // Written twice, so that neither way looks at NEXT again.
      if raw.isLast {
        _ = take(element)
        return .ended
      }
      let next = raw.flagsAndNext >> 16
      // The long way throws then. That it counts the length once more is no matter.
      guard _fastPath(next <= queue.mask) else { return .special }
      let (left, borrow) = stepsLeft.subtractingReportingOverflow(1)
      stepsLeft = left
      guard _fastPath(!borrow) else {
        stepsLeft = 0
        return .special
      }
      direction = newDirection
      index = next
      if !take(element) { return .stopped }
    }
  }

  /// How a walk ended.
  @frozen
  public enum WalkOutcome {
    /// With the last element.
    case ended
    /// As the caller wanted.
    case stopped
    /// Before an element that is not usual.
    case special
  }
}

extension DeviceVirtqueue {
  /// Takes the next available buffer into `cursor`, in a service call that has begun on a split ring. Never
  /// in an image: there every buffer goes the long way, which is needed anyway.
  @inlinable @inline(always)
  public mutating func take(_ cursor: inout SplitCursor) -> Bool {
    #if SMALL
      return false
    #else
      guard _fastPath(remaining != 0), _fastPath(!isPacked) else { return false }
      let head = driverArea.load16(4 + 2 * Int(availableWord & mask))
      guard _fastPath(UInt32(head) <= mask) else { return false }
      remaining &-= 1
      availableWord &+= 1
      cursor.index = UInt32(head)
      cursor.stepsLeft = mask
      cursor.byteCount = 0
      cursor.direction = 0
      cursor.head = UInt32(head)
      return true
    #endif
  }

  /// Marks the buffer of `cursor` as used, as `use(_:written:)` does of a chain.
  @inlinable @inline(always)
  public mutating func use(_ cursor: SplitCursor, written: UInt32) {
    let slot = Int(usedWord & mask)
    deviceArea.store32(cursor.head, 4 + 8 * slot)
    deviceArea.store32(written, 8 + 8 * slot)
    usedWord &+= 1
  }

  /// Sets the buffer of `cursor` aside, as `park(_:)` does with a chain.
  @inlinable @inline(always)
  public mutating func park(_ cursor: SplitCursor) -> ParkedChain {
    service &+= Service.parked
    return ParkedChain(id: UInt16(truncatingIfNeeded: cursor.head), ringCount: 0, generation: generation)
  }
}

extension DescriptorChain {
  /// The rest of the buffer of `cursor`. How much of what was walked is device-writable is not known.
  public init(_ cursor: SplitCursor) {
    self.init(head: cursor.head, stepLimit: cursor.stepsLeft, isPacked: false)
    walk.offset = Int(cursor.index) * 16
    walk.byteCount = cursor.byteCount
    walk.sawWritable = cursor.direction != 0
  }
}
