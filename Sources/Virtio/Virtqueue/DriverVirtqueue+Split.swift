// virtio 1.4 §2.7 Split Virtqueues, driver side.

extension DriverVirtqueue {
  @inline(__always)
  private var mask: UInt16 { size &- 1 }

  /// §2.7.13.1: places the elements, then the head in the available ring.
  @inline(__always)
  mutating func submitSplit(_ segments: Span<DMASegment>, readableCount: Int, token: UInt32) {
    let head = freeHead
    var descriptor = head
    var tail = head
    var total: UInt64 = 0
    var readable: UInt64 = 0
    let last = segments.count &- 1
    for i in segments.indices {
      let segment = segments[i]
      var flags: UInt16 = i == last ? 0 : DescriptorFlag.next
      total &+= UInt64(segment.byteCount)
      if i < readableCount { readable = total } else { flags |= DescriptorFlag.write }
      // In order the free list is the ring itself for good, so `next` is x + 1 as §2.7.9 asks.
      let next = slots[descriptor].next
      writeDescriptor(descriptor, segment, flags: flags, next: next)
      tail = descriptor
      descriptor = next
    }
    freeHead = descriptor
    record(
      head, tail: tail, ringCount: UInt16(segments.count), writable: writableByteCount(total, readable),
      token: token)
  }

  @inline(__always)
  func writeDescriptor(_ index: UInt16, _ segment: DMASegment, flags: UInt16, next: UInt16) {
    let offset = Int(index) * 16
    descriptors.store64(segment.deviceAddress, offset)
    descriptors.store64(
      UInt64(segment.byteCount) | UInt64(flags) << 32 | UInt64(next) << 48, offset + 8)
  }

  #if SMALL
    @inline(never)
  #else
    @inline(__always)
  #endif
  mutating func record(_ head: UInt16, tail: UInt16, ringCount: UInt16, writable: UInt32, token: UInt32) {
    slots[head].token = token
    slots[head].writableByteCount = writable
    slots[head].tail = tail
    slots[head].ringCount = ringCount
    slots[head].isInFlight = 1
    freeCount &-= ringCount
    driverArea.store16(head, SplitRing.availableEntry(nextAvailable & mask))
    nextAvailable &+= 1
  }

  /// §2.7.13.3, §2.7.13.4: the index, a barrier, then whether the device wants to be notified.
  @inline(__always)
  mutating func publishSplit() -> Bool {
    guard nextAvailable != publishedAvailable else { return false }
    releaseBarrier()
    driverArea.storeReleasing16(nextAvailable, SplitRing.index)
    fullBarrier()
    let old = publishedAvailable
    publishedAvailable = nextAvailable
    if usesEventIndex {
      return SplitRing.passes(
        deviceArea.load16(SplitRing.availableEvent(size)), from: old, to: nextAvailable)
    }
    return deviceArea.load16(SplitRing.flags) & SplitRing.noNotification == 0
  }

  @inline(__always)
  mutating func reclaimSplit() throws(DeviceFault) -> UsedBuffer? {
    if nextUsed == knownUsed {
      let used = deviceArea.loadAcquiring16(SplitRing.index)
      if used == nextUsed { return nil }
      guard used &- nextUsed <= inFlight else { throw .usedIndexJumped }
      knownUsed = used
    }
    if isInOrder { return try reclaimSplitInOrder() }
    let (id, written) = try loadUsed()
    let used = retire(try checked(id, written), written: written)
    slots[slots[id].tail].next = freeHead
    freeHead = id
    nextUsed &+= 1
    return used
  }

  @inline(__always)
  private func loadUsed() throws(DeviceFault) -> (UInt16, UInt32) {
    let element = deviceArea.loadUnaligned64(SplitRing.usedEntry(nextUsed & mask))
    let id = UInt32(truncatingIfNeeded: element)
    guard id < UInt32(size) else { throw .unknownBuffer }
    return (UInt16(truncatingIfNeeded: id), UInt32(truncatingIfNeeded: element >> 32))
  }

  /// §2.7.9: one used entry may stand for a batch and then names its last buffer; the others count as used
  /// completely. Batches of one come out the same way.
  @inline(__always)
  private mutating func reclaimSplitInOrder() throws(DeviceFault) -> UsedBuffer? {
    let head = oldest
    if batchEnd == DriverVirtqueue.noBatch {
      let (end, written) = try loadUsed()
      if end == head { return try takeOldest(head, written: written) }
      (batchEnd, batchWord) = (end, UInt64(written))
    }
    if head == batchEnd {
      let used = try takeOldest(head, written: UInt32(truncatingIfNeeded: batchWord))
      batchEnd = DriverVirtqueue.noBatch
      return used
    }
    // Else the named buffer lies beyond what the index says was used.
    guard nextUsed &+ 1 != knownUsed else { throw .unknownBuffer }
    return try takeOldest(head, written: slots[head].writableByteCount)
  }

  private mutating func takeOldest(_ head: UInt16, written: UInt32) throws(DeviceFault) -> UsedBuffer {
    let used = retire(try checked(head, written), written: written)
    oldest = slots[slots[head].tail].next
    nextUsed &+= 1
    return used
  }
}
