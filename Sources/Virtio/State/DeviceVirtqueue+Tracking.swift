// A packed ring whose position outlives the process that serves it. A split ring has its used index in shared
// memory; a packed one (§2.8) has nothing that says where the device stands.

#if !SMALL
  extension DeviceVirtqueue {
    /// Bytes that a tracked queue keeps in memory of another process.
    public static var trackByteCount: UInt32 { 4 }

    /// From here on keeps in `range`, of `trackByteCount` bytes, where the queue stands, so that whoever
    /// comes after a process that was killed goes on behind the last buffer that the driver saw used.
    ///
    /// For a device that uses buffers in the order in which it took them, and may carry them out again. The
    /// queue is ready, in the packed format, and no buffer is in flight. Ends with a reset. Traps when the
    /// range is too short or misaligned.
    public mutating func startTracking(in range: GuestRange) {
      precondition(isReady && isPacked && chainsInFlight == 0, "a queue that cannot be tracked")
      precondition(
        range.byteCount >= Self.trackByteCount && range.address % 2 == 0, "no place for a position")
      track = RingArea(range)
      track.store16(usedHalf, Track.next)
      track.store16(usedHalf, Track.certain)
      isTracked = true
    }

    /// Where a queue stood that was tracked in `range` by a process that is gone. Throws `.malformed` for
    /// what no queue of this size leaves there. The queue is ready at the same areas, in the packed format.
    public func trackedPosition(in range: GuestRange) throws(StateFault) -> RingPosition {
      let track = RingArea(range)
      let certain = RingPosition(half: track.load16(Track.certain))
      let next = RingPosition(half: track.load16(Track.next))
      guard certain.index < size, next.index < size else { throw .malformed }
      // The end came between the two notes, and the ring tells on which side of its own store: a descriptor
      // that is available on this lap was not used, and one that was may be anything else by now.
      let mark = certain.wrapCounter ? DescriptorFlag.available : DescriptorFlag.used
      return packedIsAvailable(certain.index, mark) ? certain : next
    }

    /// As `usePacked`, in steps between which the process may end.
    @usableFromInline @inline(never)
    mutating func useTracked(id: UInt16, ringCount: UInt16, written: UInt32) {
      let flags = written == 0 ? usedMark : usedMark | DescriptorFlag.write
      let offset = Int(nextUsed) * 16
      if !holdsFirst {
        // For the decision on a notification.
        holdsFirst = true
        service |= Service.begun
        heldFlags = flags
        heldPosition = nextUsed
      }
      advanceUsed(ringCount)
      track.store16(usedHalf, Track.next)
      // One store, so that the descriptor is as the driver wrote it or used, and nothing between.
      descriptors.storeReleasing64(
        UInt64(written) | UInt64(id) << 32 | UInt64(flags) << 48, offset + 8)
      track.storeReleasing16(usedHalf, Track.certain)
    }

    /// The position of the next used descriptor, in 16 bits.
    private var usedHalf: UInt16 {
      nextUsed | (usedMark & DescriptorFlag.available != 0 ? RingPosition.wrapBit : 0)
    }
  }

  /// Offsets of what is kept: positions of the next used descriptor.
  private enum Track {
    /// Everything before it was used.
    static var certain: Int { 0 }
    /// The same, or where that will be once the used descriptor is written.
    static var next: Int { 2 }
  }

  extension RingPosition {
    /// In 16 bits: the wrap counter above the offset. Sizes end at 2^15.
    fileprivate static var wrapBit: UInt16 { 1 << 15 }

    fileprivate init(half: UInt16) {
      self.init(index: half & ~Self.wrapBit, wrapCounter: half & Self.wrapBit != 0)
    }
  }
#endif
