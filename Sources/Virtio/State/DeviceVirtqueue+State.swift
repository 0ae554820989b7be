// The state of a device-side virtqueue at a request boundary: no buffer is in flight, so that a position in
// the ring says it all. Rings and buffers are in guest memory.

/// Where a device that holds no buffer stands in a ring.
struct RingPosition: Equatable {
  /// Split: the index of the next available buffer. Packed: the offset of its first descriptor.
  var index: UInt16 = 0
  /// Packed: the wrap counter (§2.8.1), true at the start. Split: true.
  var wrapCounter = true
}

extension DeviceVirtqueue {
  /// Where the next buffer is taken. Meaningful while no buffer is in flight.
  var position: RingPosition {
    RingPosition(
      index: nextAvailable, wrapCounter: !isPacked || availableMark & DescriptorFlag.available != 0)
  }

  /// Continues at `position`, where another queue stopped that was ready at the same areas. Throws
  /// `.malformed` for a place that is not in the ring.
  ///
  /// The queue has just been made ready. Whatever the position says, the rings are checked as always.
  mutating func resume(at position: RingPosition) throws(StateFault) {
    guard isPacked ? position.index < size : position.wrapCounter else { throw .malformed }
    nextAvailable = position.index
    nextUsed = position.index
    publishedUsed = position.index
    if !position.wrapCounter {
      availableMark = DescriptorFlag.flipped(availableMark)
      usedMark = DescriptorFlag.flipped(usedMark)
    }
  }
}
