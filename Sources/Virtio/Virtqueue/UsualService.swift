// virtio 1.4 §2.7 Split Virtqueues, device side: a service call of which everything is usual, for a device
// that is done with most buffers at once and parks some. Whoever finds anything else goes on by the general
// way.

/// A service call on a split ring, its positions in registers: from `beginUsual()` to `endUsual` or `leave`.
public struct UsualService: BitwiseCopyable {
  /// Of the next buffer, in both rings.
  @usableFromInline var position: UInt32
  @usableFromInline let end: UInt32

  @inlinable @inline(always)
  init(position: UInt32, end: UInt32) {
    self.position = position
    self.end = end
  }

  /// Whether all buffers of this call were served.
  @inlinable @inline(always)
  public var isAtEnd: Bool { position == end }
}

/// A descriptor that has nothing special about it: no indirect table, memory in the first region.
public struct UsualElement {
  /// The element.
  public let range: GuestRange
  @usableFromInline let flagsAndNext: UInt32

  @inlinable @inline(always)
  init(range: GuestRange, flagsAndNext: UInt32) {
    self.range = range
    self.flagsAndNext = flagsAndNext
  }

  /// True when the device may write it, false when it may read it.
  @inlinable @inline(always)
  public var isDeviceWritable: Bool { flagsAndNext & UInt32(DescriptorFlag.write) != 0 }

  /// Whether no other descriptor follows.
  @inlinable @inline(always)
  public var isLast: Bool { flagsAndNext & UInt32(DescriptorFlag.next) == 0 }

  /// The index of the next descriptor; nil outside the ring.
  @inlinable @inline(always)
  public func next(in queue: borrowing DeviceVirtqueue) -> UInt32? {
    let next = flagsAndNext >> 16
    return _fastPath(next <= queue.mask) ? next : nil
  }
}

extension DeviceVirtqueue {
  /// Begins a service call that is usual so far: a split ring with EVENT_IDX, no buffer in flight, some
  /// available and no more than its budget allows taken. Nil, and nothing was done, if anything is not.
  @inlinable @inline(always)
  public func beginUsual() -> UsualService? {
    guard _fastPath(service & ~2 == Service.split) else { return nil }
    let position = usedWord
    // As in `refillSplit()`, which finds the fault if there is one.
    let pending = (UInt32(driverArea.loadAcquiring16(SplitRing.index)) &- position) & 0xffff
    guard _fastPath(pending &- 1 < entryCount) else { return nil }
    return UsualService(position: position, end: position &+ min(pending, UInt32(budget)))
  }

  /// The index of the first descriptor of the next buffer; nil outside the ring.
  @inlinable @inline(always)
  public func head(_ service: UsualService) -> UInt32? {
    let head = UInt32(driverArea.load16(4 + 2 * Int(service.position & mask)))
    return _fastPath(head <= mask) ? head : nil
  }

  /// The most descriptors that may follow the first of a chain.
  @inlinable @inline(always)
  public var stepLimit: UInt32 { mask }

  /// The element in the descriptor at `index`, which is within the ring; nil when it is not usual. The
  /// descriptor is read once.
  @inlinable @inline(always)
  public func usualElement(_ index: UInt32) -> UsualElement? {
    let raw = RawDescriptor(descriptors, at: Int(index) * 16, isPacked: false)
    guard _fastPath(raw.flagsAndNext & UInt32(DescriptorFlag.indirect) == 0) else { return nil }
    let rest = memory.restOfFirst(raw.address)
    guard _fastPath(rest <= memory.first.byteCount), _fastPath(raw.wideLength <= rest) else { return nil }
    return UsualElement(
      range: memory.rangeInFirst(raw.address, byteCount: raw.length), flagsAndNext: raw.flagsAndNext)
  }

  /// Marks the next buffer as used, whose first descriptor is at `head`, and moves on.
  @inlinable @inline(always)
  public func use(_ head: UInt32, written: UInt32, _ service: inout UsualService) {
    let slot = Int(service.position & mask)
    deviceArea.store32(head, 4 + 8 * slot)
    deviceArea.store32(written, 8 + 8 * slot)
    service.position &+= 1
  }

  /// Ends the service call, as `endService()` does, after at least one buffer was used. Those that are left
  /// count as left for want of budget.
  @inline(__always)
  public mutating func endUsual(_ service: UsualService) {
    availableWord = service.position
    usedWord = service.position
    if _slowPath(isPolled) { return endPolled() }
    _ = publishSplit(service.position)
  }

  /// The same for a queue that is polled.
  @inline(never)
  private mutating func endPolled() {
    if endSplit(true) { needsService = true }
  }

  /// Leaves the rest of the service call to the general way: `next()`, `use` and `endService()`.
  @usableFromInline @inline(never)
  mutating func leaveUsual(_ service: UsualService) {
    availableWord = service.position
    usedWord = service.position
    remaining = UInt16(truncatingIfNeeded: service.end &- service.position)
    isRefilled = true
    self.service |= Service.begun
  }

  /// The same.
  @inlinable @inline(always)
  public mutating func leave(_ service: UsualService) { leaveUsual(service) }

  /// The same, and takes and parks the next buffer, whose first descriptor is at `head`.
  @inline(never)
  public mutating func leave(_ service: UsualService, parking head: UInt32) -> ParkedChain {
    leaveUsual(service)
    remaining &-= 1
    availableWord &+= 1
    self.service &+= Service.parked
    return ParkedChain(id: UInt16(truncatingIfNeeded: head), ringCount: 0, generation: generation)
  }
}
