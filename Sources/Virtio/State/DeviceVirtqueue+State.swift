// The state of a device-side virtqueue at a request boundary: no buffer is in flight, so that a position in
// the ring says it all. Rings and buffers are in guest memory.

/// Where a device that holds no buffer stands in a ring.
public struct RingPosition: Equatable, Sendable {
  /// Split: the index of the next available buffer. Packed: the offset of its first descriptor.
  public var index: UInt16
  /// Packed: the wrap counter (§2.8.1), true at the start. Split: true.
  public var wrapCounter: Bool

  /// A position; by default the start of a ring.
  public init(index: UInt16 = 0, wrapCounter: Bool = true) {
    self.index = index
    self.wrapCounter = wrapCounter
  }
}

extension DeviceVirtqueue {
  /// Where the next buffer is taken. Meaningful while no buffer is in flight.
  public var position: RingPosition {
    RingPosition(
      index: nextAvailable, wrapCounter: !isPacked || availableMark & DescriptorFlag.available != 0)
  }

  /// Split: the used index in the ring, from whoever served it last. Buffers from there on have not been
  /// used, as far as the driver can know. 0 in the packed format, which has no such index.
  public var usedIndexInRing: UInt16 {
    isReady && !isPacked ? deviceArea.load16(SplitRing.index) : 0
  }

  /// Continues at `position`, where another queue stopped that was ready at the same areas. Throws
  /// `.malformed` for a place that is not in the ring.
  ///
  /// The queue has just been made ready. Whatever the position says, the rings are checked as always.
  public mutating func resume(at position: RingPosition) throws(StateFault) {
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
