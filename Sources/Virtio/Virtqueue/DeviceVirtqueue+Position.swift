// Where a queue stands between two service calls, so that another device, or the same one in another process,
// can go on with it.

/// The positions of the device side in a ring whose buffers are all used.
///
/// Split: free-running indices, and the wrap counters mean nothing. Packed: ring offsets and the wrap counters
/// that go with them (§2.8.1).
public struct QueuePosition: Equatable, Sendable {
  /// Where the next available buffer is.
  public var available: UInt16
  /// Where the next used buffer goes.
  public var used: UInt16
  /// The device's wrap counters.
  public var availableWrap: Bool
  public var usedWrap: Bool

  /// A position; by default that of a new ring.
  public init(available: UInt16 = 0, used: UInt16 = 0, availableWrap: Bool = true, usedWrap: Bool = true) {
    self.available = available
    self.used = used
    self.availableWrap = availableWrap
    self.usedWrap = usedWrap
  }
}

extension DeviceVirtqueue {
  /// Where the queue stands. It can be resumed there only when nothing is in flight.
  public var position: QueuePosition {
    QueuePosition(
      available: nextAvailable, used: nextUsed,
      availableWrap: availableMark == DescriptorFlag.available, usedWrap: usedMark != 0)
  }

  /// Split: the used index that the ring holds, from whoever served it last. Buffers from there on have not
  /// been used, as far as their driver can know.
  public var usedIndexInRing: UInt16 {
    precondition(isReady && !isPacked, "the packed format has no used index")
    return deviceArea.load16(SplitRing.index)
  }

  /// Lets a queue that was just made ready go on at `position`, as if it had come there itself.
  ///
  /// Throws, and leaves the queue unready, when the ring has no such position or when buffers would be in
  /// flight that this side does not know.
  public mutating func resume(at position: QueuePosition) throws(DriverFault) {
    precondition(isReady && inFlight == 0, "only a new queue is resumed")
    let isConsistent =
      isPacked
      ? position.available < size && position.available == position.used
        && position.availableWrap == position.usedWrap
      : position.available == position.used
    guard isConsistent else {
      stop()
      throw .invalidPosition
    }
    nextAvailable = position.available
    nextUsed = position.used
    publishedUsed = position.used
    if isPacked {
      availableMark = position.availableWrap ? DescriptorFlag.available : DescriptorFlag.used
      usedMark = position.usedWrap ? DescriptorFlag.available | DescriptorFlag.used : 0
    }
  }
}
