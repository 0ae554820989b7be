// virtio 1.4 §2.8 Packed Virtqueues, device side.

import Synchronization

extension DeviceVirtqueue {
  /// The AVAIL and USED marks of the other lap around the ring.
  @inline(__always)
  func flipped(_ mark: UInt16) -> UInt16 { mark ^ (DescriptorFlag.available | DescriptorFlag.used) }

  /// Whether the descriptor at the ring position is available on this lap (§2.8.1).
  @inline(__always)
  var packedIsAvailable: Bool { packedIsAvailable(nextAvailable, availableMark) }

  /// Whether the descriptor at `position` carries the marks `mark`.
  @inline(__always)
  func packedIsAvailable(_ position: UInt16, _ mark: UInt16) -> Bool {
    let flags = UInt16(truncatingIfNeeded: descriptors.loadAcquiring64(Int(position) * 16 + 8) >> 48)
    return flags & (DescriptorFlag.available | DescriptorFlag.used) == mark
  }

  @inline(__always)
  mutating func takePacked() -> DescriptorChain? {
    guard packedIsAvailable else {
      remaining = 0
      noteEnd()
      return nil
    }
    remaining &-= 1
    inFlight &+= 1
    // Descriptors in flight cannot be taken again, whatever their flags say by now.
    return DescriptorChain(first: nextAvailable, stepLimit: size &- inFlightDescriptors)
  }

  /// Walks to the end of a chain, where its buffer ID is, and moves past it.
  @inline(__always)
  mutating func finishWalk(_ chain: inout DescriptorChain) throws(DriverFault) {
    while chain.hasMore { _ = try chain.nextDescriptor(self) }
    inFlightDescriptors &+= chain.ringCount
    nextAvailable &+= chain.ringCount
    if nextAvailable >= size {
      nextAvailable &-= size
      availableMark = flipped(availableMark)
    }
    if remaining != 0 && inFlightDescriptors == size { remaining = 0 }
  }

  /// §2.8.6: one used descriptor for the whole chain, then skip its length.
  @inline(__always)
  mutating func usePacked(id: UInt16, ringCount: UInt16, written: UInt32) {
    let flags = written == 0 ? usedMark : usedMark | DescriptorFlag.write
    let word = UInt64(written) | UInt64(id) << 32 | UInt64(flags) << 48
    let offset = Int(nextUsed) * 16 + 8
    // The first of a batch is held back, so that the driver sees the batch as a whole.
    if holdsFirst {
      descriptors.store64(word, offset)
    } else {
      holdsFirst = true
      heldOffset = offset
      heldWord = word
    }
    usedSincePublication &+= ringCount
    inFlightDescriptors &-= ringCount
    inFlight &-= 1
    nextUsed &+= ringCount
    if nextUsed >= size {
      nextUsed &-= size
      usedMark = flipped(usedMark)
    }
  }

  @inline(__always)
  mutating func endPacked(_ tookAll: Bool) -> Bool {
    let event = PackedEvent.at(awaited, wrap: awaitedMark & DescriptorFlag.available != 0)
    guard holdsFirst || (tookAll && event != armedPosition) else { return false }
    if holdsFirst { descriptors.storeReleasing64(heldWord, heldOffset) }
    if tookAll {
      armedPosition = event
      // §2.8.10: asks for the descriptor that is awaited.
      if usesEventIndex { deviceArea.store32(event, 0) }
    }
    // As in the split format.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    if holdsFirst {
      holdsFirst = false
      let wanted = PackedEvent.wanted(
        driverArea.load32(0), position: nextUsed, wrap: usedMark & DescriptorFlag.used != 0,
        count: usedSincePublication, size: size, eventIndex: usesEventIndex)
      if wanted { notificationIsDue = true }
      usedSincePublication = 0
    }
    return tookAll && inFlightDescriptors != size && packedIsAvailable(awaited, awaitedMark)
  }
}
