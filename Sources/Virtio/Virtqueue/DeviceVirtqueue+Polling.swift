// virtio 1.4 §2.7.10 Available Buffer Notification Suppression, and the same of packed rings in §2.8.10: a
// device that looks at the ring by itself for a while spares the driver its notifications.

#if !SMALL
  import Synchronization

  extension DeviceVirtqueue {
    /// Wants no available buffer notifications from here on: the embedder looks at the ring itself, with
    /// `seesAvailable`. The driver may send some all the same. Ends with `startNotifications()` or a reset.
    public mutating func stopNotifications() {
      guard isReady, usesEventIndex, !isPolled else { return }
      isPolled = true
      // Asked for again at the end.
      armedPosition = .max
      if isPacked {
        deviceArea.store32(PackedEvent.disable << 16, 0)
      } else {
        // One that lies behind is not passed before the index has gone all the way round.
        deviceArea.store16(nextAvailable &- 1, SplitRing.availableEvent(size))
      }
    }

    /// Wants a notification for the next buffer. True when there is one already, of which none will tell.
    public mutating func startNotifications() -> Bool {
      guard isReady, isPolled else { return false }
      isPolled = false
      if isPacked {
        let event = PackedEvent.at(nextAvailable, wrap: availableMark & DescriptorFlag.available != 0)
        armedPosition = event
        deviceArea.store32(event, 0)
      } else {
        armedPosition = UInt32(nextAvailable)
        deviceArea.store16(nextAvailable, SplitRing.availableEvent(size))
      }
      // As at the end of a service call.
      atomicMemoryFence(ordering: .sequentiallyConsistent)
      return seesAvailable
    }

    /// Whether there seems to be a buffer to take. No more than a look: the next service call reads anew.
    public var seesAvailable: Bool {
      guard isReady, !isPaused else { return false }
      if isPacked { return inFlightDescriptors != size && packedIsAvailable }
      return driverArea.load16(SplitRing.index) != nextAvailable
    }
  }
#endif
