// virtio 1.4 §2.7 Split Virtqueues, device side.

import Synchronization

extension DeviceVirtqueue {
  /// How many buffers this service call may take.
  func refillSplit() throws(DriverFault) -> UInt16 {
    // Acquire: entries and descriptors are read after the index that exposes them (§2.7.13.3).
    let pending = driverArea.loadAcquiring16(SplitRing.index) &- nextAvailable
    // §2.7.6.1: the index never moves back, and the ring cannot hold more than its free entries.
    guard pending <= size &- (nextAvailable &- nextUsed) else { throw .availableIndexJumped }
    return min(pending, budget)
  }

  @inlinable @inline(always)
  mutating func takeSplit() throws(DriverFault) -> DescriptorChain {
    let head = driverArea.load16(SplitRing.availableEntry(nextAvailable & lastIndex))
    guard head <= lastIndex else { throw .indexOutOfRange }
    remaining &-= 1
    availableWord &+= 1
    return DescriptorChain(head: UInt32(head), stepLimit: mask, isPacked: false)
  }

  @inlinable @inline(always)
  mutating func useSplit(id: UInt16, written: UInt32) {
    // The release store of the index orders the element (§2.7.8.2).
    let slot = Int(usedWord & mask)
    deviceArea.store32(UInt32(id), 4 + 8 * slot)
    deviceArea.store32(written, 8 + 8 * slot)
    usedWord &+= 1
  }

  @inline(__always)
  mutating func endSplit(_ tookAll: Bool) -> Bool {
    let publishes = nextUsed != publishedUsed
    guard publishes || (tookAll && !isArmedSplit) else { return false }
    if publishes { deviceArea.storeReleasing16(nextUsed, SplitRing.index) }
    if tookAll && !isPolled {
      armedPosition = UInt32(awaited)
      // §2.7.10: a notification is wanted for the very next entry.
      if usesEventIndex { deviceArea.store16(awaited, SplitRing.availableEvent(size)) }
    }
    // What we published must be visible before we look at what the driver wants, or both sides could miss
    // each other's last step.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    if publishes {
      if wantsNotificationSplit() { notificationIsDue = true }
      publishedUsed = nextUsed
    }
    return tookAll && driverArea.load16(SplitRing.index) != awaited
  }

  /// Whether a notification was asked for at the entry that is awaited. The upper half of `armedPosition` has
  /// no meaning here.
  @inline(__always)
  private var isArmedSplit: Bool {
    armedPosition != .max && UInt16(truncatingIfNeeded: armedPosition) == awaited
  }

  /// §2.7.7.2 Used Buffer Notification Suppression.
  @inline(__always)
  private func wantsNotificationSplit() -> Bool {
    if usesEventIndex {
      return SplitRing.passes(
        driverArea.load16(SplitRing.usedEvent(size)), from: publishedUsed, to: nextUsed)
    }
    return driverArea.load16(SplitRing.flags) & SplitRing.noNotification == 0
  }
}
