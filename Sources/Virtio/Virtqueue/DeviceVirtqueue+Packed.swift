// virtio 1.4 §2.8 Packed Virtqueues, device side.

import Synchronization

extension DeviceVirtqueue {
  /// Whether the descriptor at the ring position is available on this lap (§2.8.1).
  @inlinable @inline(always)
  var packedIsAvailable: Bool { packedIsAvailable(nextAvailable, availableMark) }

  /// Whether the descriptor at `position` carries the marks `mark`.
  @inlinable @inline(always)
  func packedIsAvailable(_ position: UInt16, _ mark: UInt16) -> Bool {
    let flags = descriptors.loadAcquiring16(Int(position) * 16 + 14)
    return flags & (DescriptorFlag.available | DescriptorFlag.used) == mark
  }

  @inlinable @inline(always)
  mutating func takePacked() -> DescriptorChain? {
    guard packedIsAvailable else {
      remaining = 0
      noteEnd()
      return nil
    }
    remaining &-= 1
    chainsInFlight &+= 1
    // Descriptors in flight cannot be taken again, whatever their flags say by now.
    return DescriptorChain(
      head: UInt32(nextAvailable), stepLimit: UInt32(lastIndex &- inFlightDescriptors), isPacked: true)
  }

  /// Walks to the end of a chain and moves past it. Returns its buffer ID and its number of descriptors.
  @inlinable @inline(always)
  mutating func finishWalk(
    _ chain: consuming DescriptorChain
  ) throws(DriverFault) -> (id: UInt16, count: UInt16) {
    var stepsLeft = chain.walk.stepsLeft
    if chain.walk.source != .ended { stepsLeft = try stepsLeftAtEnd(chain.walk) }
    let count = lastIndex &- inFlightDescriptors &- UInt16(truncatingIfNeeded: stepsLeft) &+ 1
    var end = nextAvailable &+ count
    if end >= size {
      end &-= size
      availableMark = DescriptorFlag.flipped(availableMark)
    }
    nextAvailable = end
    // §2.8.6: the buffer ID is in the last descriptor.
    return (descriptors.load16(Int(end == 0 ? lastIndex : end &- 1) * 16 + 12), count)
  }

  @usableFromInline @inline(never)
  func stepsLeftAtEnd(_ walk: DescriptorWalk) throws(DriverFault) -> UInt32 {
    var walk = walk
    while try walk.nextOutOfLine(self) != nil {}
    return walk.stepsLeft
  }

  /// A chain of `count` descriptors stays in flight.
  @inline(__always)
  mutating func parkPacked(_ count: UInt16) {
    inFlightDescriptors &+= count
    if inFlightDescriptors == size { remaining = 0 }
  }

  /// §2.8.6: one used descriptor for the whole chain, then skip its length.
  @inlinable @inline(always)
  mutating func usePacked(id: UInt16, ringCount: UInt16, written: UInt32) {
    #if !SMALL
      if _slowPath(isTracked) { return useTracked(id: id, ringCount: ringCount, written: written) }
    #endif
    let offset = Int(nextUsed) * 16
    let flags = written == 0 ? usedMark : usedMark | DescriptorFlag.write
    descriptors.store32(written, offset + 8)
    descriptors.store16(id, offset + 12)
    // The flags of the first of a batch are held back, so that the driver sees the batch as a whole.
    if holdsFirst {
      descriptors.store16(flags, offset + 14)
    } else {
      holdsFirst = true
      service |= Service.begun
      heldFlags = flags
      heldPosition = nextUsed
    }
    advanceUsed(ringCount)
  }

  /// Moves past a buffer that was used.
  @inlinable @inline(always)
  mutating func advanceUsed(_ ringCount: UInt16) {
    chainsInFlight &-= 1
    nextUsed &+= ringCount
    if nextUsed >= size {
      nextUsed &-= size
      usedMark = DescriptorFlag.flipped(usedMark)
    }
  }

  @inline(__always)
  mutating func endPacked(_ tookAll: Bool) -> Bool {
    let event = PackedEvent.at(awaited, wrap: awaitedMark & DescriptorFlag.available != 0)
    guard holdsFirst || (tookAll && event != armedPosition) else { return false }
    // What is tracked was published already, and may be the driver's again.
    if holdsFirst && !isTracked { descriptors.storeReleasing16(heldFlags, Int(heldPosition) * 16 + 14) }
    if tookAll && !isPolled {
      armedPosition = event
      // §2.8.10: asks for the descriptor that is awaited.
      if usesEventIndex { deviceArea.store32(event, 0) }
    }
    // As in the split format.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    if holdsFirst {
      holdsFirst = false
      if isWanted(driverArea.load32(0)) { notificationIsDue = true }
    }
    return tookAll && inFlightDescriptors != size && packedIsAvailable(awaited, awaitedMark)
  }

  /// §2.8.10: whether the driver wants to hear of what this service call used.
  @usableFromInline
  func isWanted(_ event: UInt32) -> Bool {
    let onSameLap = (heldFlags ^ usedMark) & DescriptorFlag.used == 0
    return PackedEvent.wanted(
      event, position: nextUsed, wrap: usedMark & DescriptorFlag.used != 0,
      count: onSameLap ? nextUsed &- heldPosition : nextUsed &+ size &- heldPosition, size: size,
      eventIndex: usesEventIndex)
  }
}
