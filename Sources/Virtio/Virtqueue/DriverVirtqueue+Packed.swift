// virtio 1.4 §2.8 Packed Virtqueues, driver side.

extension DriverVirtqueue {
  /// Whether a descriptor word carries this lap's used mark (§2.8.1).
  @inline(__always)
  func packedIsUsed(_ word: UInt64) -> Bool {
    UInt16(truncatingIfNeeded: word >> 48) & (DescriptorFlag.available | DescriptorFlag.used) == usedMark
  }

  /// The buffer ID for a buffer at the ring position. In order it is the position itself, so that the order
  /// of IDs is the order of the ring and no list is needed.
  @inline(__always)
  mutating func takePackedID() -> UInt16 {
    if isInOrder { return nextAvailable }
    let id = freeHead
    freeHead = slots[id].next
    return id
  }

  /// §2.8.21.1: writes the elements; the word of the first, which makes it available, comes last.
  @inline(__always)
  mutating func submitPacked(_ segments: Span<DMASegment>, readableCount: Int, token: UInt32) {
    // An image has no room for two loops.
    #if !SMALL
      if Int(nextAvailable) &+ segments.count < Int(size) {
        return submitPackedOnThisLap(segments, readableCount: readableCount, token: token)
      }
    #endif
    submitPackedAcrossEnd(segments, readableCount: readableCount, token: token)
  }

  /// The same where the ring does not end within the buffer.
  @inline(__always)
  private mutating func submitPackedOnThisLap(
    _ segments: Span<DMASegment>, readableCount: Int, token: UInt32
  ) {
    let id = takePackedID()
    let position = nextAvailable
    var firstWord: UInt64 = 0
    var total: UInt64 = 0
    var readable: UInt64 = 0
    let last = segments.count &- 1
    let base = packedWord(0, id, availableMark)
    for i in segments.indices {
      let segment = segments[i]
      var flags: UInt16 = i == last ? 0 : DescriptorFlag.next
      total &+= UInt64(segment.byteCount)
      if i < readableCount { readable = total } else { flags |= DescriptorFlag.write }
      let word = base | packedWord(segment.byteCount, 0, flags)
      let offset = (Int(position) &+ i) &* 16
      descriptors.store64(segment.deviceAddress, offset)
      if i == 0 { firstWord = word } else { descriptors.store64(word, offset &+ 8) }
    }
    nextAvailable &+= UInt16(segments.count)
    record(
      id, at: position, firstWord, ringCount: UInt16(segments.count),
      writable: writableByteCount(total, readable), token: token)
  }

  #if SMALL
    @inline(__always)
  #else
    @inline(never)
  #endif
  private mutating func submitPackedAcrossEnd(
    _ segments: Span<DMASegment>, readableCount: Int, token: UInt32
  ) {
    let id = takePackedID()
    let position = nextAvailable
    var firstWord: UInt64 = 0
    var total: UInt64 = 0
    var readable: UInt64 = 0
    let last = segments.count &- 1
    for i in segments.indices {
      let segment = segments[i]
      var flags = i == last ? availableMark : availableMark | DescriptorFlag.next
      total &+= UInt64(segment.byteCount)
      if i < readableCount { readable = total } else { flags |= DescriptorFlag.write }
      let word = packedWord(segment.byteCount, id, flags)
      let offset = Int(nextAvailable) * 16
      descriptors.store64(segment.deviceAddress, offset)
      if i == 0 { firstWord = word } else { descriptors.store64(word, offset + 8) }
      advance()
    }
    record(
      id, at: position, firstWord, ringCount: UInt16(segments.count),
      writable: writableByteCount(total, readable),
      token: token)
  }

  @inline(__always)
  func packedWord(_ byteCount: UInt32, _ id: UInt16, _ flags: UInt16) -> UInt64 {
    UInt64(byteCount) | UInt64(id) << 32 | UInt64(flags) << 48
  }

  @inline(__always)
  mutating func advance() {
    nextAvailable &+= 1
    if nextAvailable == size {
      nextAvailable = 0
      availableMark = DescriptorFlag.flipped(availableMark)
    }
  }

  /// Remembers the buffer and makes it available, unless it is the first since `publishPacked()`: holding
  /// that one back keeps the whole batch unseen.
  #if SMALL
    @inline(never)
  #else
    @inline(__always)
  #endif
  mutating func record(
    _ id: UInt16, at position: UInt16, _ word: UInt64, ringCount: UInt16, writable: UInt32, token: UInt32
  ) {
    slots[id].token = token
    slots[id].writableByteCount = writable
    slots[id].ringCount = ringCount
    slots[id].isInFlight = 1
    freeCount &-= ringCount
    if position == publishedAvailable {
      heldWord = word
    } else {
      // Release: its elements are complete before it can be seen (§2.8.21.1.1).
      descriptors.storeReleasing64(word, Int(position) &* 16 &+ 8)
    }
  }

  @inline(__always)
  mutating func publishPacked() -> Bool {
    let old = publishedAvailable
    let awaited = awaitedEvent
    let wrap = availableMark & DescriptorFlag.available != 0
    awaitedEvent = PackedEvent.at(nextAvailable, wrap: wrap)
    guard awaitedEvent != awaited else { return false }
    publishedAvailable = nextAvailable
    releaseBarrier()
    descriptors.storeReleasing64(heldWord, Int(old) &* 16 &+ 8)
    // §2.8.21.3.1: the barrier before looking at the device's event suppression.
    fullBarrier()
    let event = deviceArea.load32(0)
    // An idle device waits for the very first of them.
    if event == awaited { return true }
    let count = nextAvailable &- old &+ (nextAvailable <= old ? size : 0)
    return PackedEvent.wanted(
      event, position: nextAvailable, wrap: wrap, count: count, size: size, eventIndex: usesEventIndex)
  }

  @inline(__always)
  mutating func reclaimPacked() throws(DeviceFault) -> UsedBuffer? {
    if isInOrder { return try reclaimPackedInOrder() }
    guard let (id, word) = try loadPackedUsed() else { return nil }
    let used = retire(id, written: try writtenByteCount(id, word))
    slots[id].next = freeHead
    freeHead = id
    skip(slots[id].ringCount)
    return used
  }

  /// The used descriptor at the ring position: its buffer, which is in flight, and the word with its length
  /// and flags.
  @inline(__always)
  private func loadPackedUsed() throws(DeviceFault) -> (id: UInt16, word: UInt64)? {
    if inFlight == 0 { return nil }
    let word = descriptors.loadAcquiring64(Int(nextUsed) &* 16 &+ 8)
    guard packedIsUsed(word) else { return nil }
    let id = UInt16(truncatingIfNeeded: word >> 32)
    guard id < size, slots[id].isInFlight != 0 else { throw .unknownBuffer }
    return (id, word)
  }

  /// The bytes that the device wrote into a buffer, by the word of its used descriptor.
  ///
  /// §2.8.4: without WRITE the length is reserved. QEMU never sets it, so a length that the buffer can hold
  /// counts all the same, and one that it cannot is no fault.
  private func writtenByteCount(_ id: UInt16, _ word: UInt64) throws(DeviceFault) -> UInt32 {
    let length = UInt32(truncatingIfNeeded: word)
    if length <= slots[id].writableByteCount { return length }
    guard word >> 48 & UInt64(DescriptorFlag.write) == 0 else { throw .usedLengthTooLong }
    return 0
  }

  @inline(__always)
  private mutating func skip(_ count: UInt16) {
    nextUsed &+= count
    if nextUsed >= size {
      nextUsed &-= size
      usedMark = DescriptorFlag.flipped(usedMark)
    }
  }

  /// §2.8.9: as in the split format; the oldest buffer is the one whose ID is the ring position.
  @inline(__always)
  private mutating func reclaimPackedInOrder() throws(DeviceFault) -> UsedBuffer? {
    let id = nextUsed
    if batchEnd == DriverVirtqueue.noBatch {
      // In flight, so the batch ends before anything that is submitted from here on.
      guard let (end, word) = try loadPackedUsed() else { return nil }
      if end == id { return takeOldest(id, written: try writtenByteCount(id, word)) }
      batchEnd = end
      batchWord = word
    }
    if id == batchEnd {
      let written = try writtenByteCount(id, batchWord)
      let used = takeOldest(try checked(id, written), written: written)
      batchEnd = DriverVirtqueue.noBatch
      return used
    }
    let written = slots[id].writableByteCount
    return takeOldest(try checked(id, written), written: written)
  }

  private mutating func takeOldest(_ id: UInt16, written: UInt32) -> UsedBuffer {
    let used = retire(id, written: written)
    skip(slots[id].ringCount)
    return used
  }
}
