// How a service call of a queue ends, and how the queue itself does.

extension DeviceVirtqueue {
  /// Ends a service call: publishes what was used, asks for the next available buffer notification and
  /// decides whether the driver is owed one (`notificationIsDue`). Costs nothing when nothing was
  /// taken or used.
  ///
  /// Returns true when more buffers are available already: the budget ran out, or they arrived meanwhile
  /// and no notification will come for them. Buffers that the device chose to leave, because it has nothing
  /// to put into them or its backend is busy, do not count: it takes them when its backend has news.
  #if SMALL
    @inline(never)
  #else
    @inline(__always)
  #endif
  public mutating func endService() -> Bool {
    guard isReady else { return false }
    let tookAll = isRefilled && (remaining == 0 || ranOut)
    if !ranOut {
      awaited = nextAvailable
      awaitedMark = availableMark
    }
    remaining = 0
    isRefilled = false
    ranOut = false
    service &= ~Service.begun
    return isPacked ? endPacked(tookAll) : endSplit(tookAll)
  }

  /// Takes no more buffers in this service call, as if its budget were spent: `next()` returns nil, and
  /// `endService()` tells whether any are left.
  public mutating func spendBudget() {
    remaining = 0
    isRefilled = true
    service |= Service.begun
    // The end of the service looks at the ring even if nothing was taken.
    armedPosition = .max
  }

  /// Stops the queue after a fault: nothing more is taken from it or published until a reset.
  public mutating func stop() {
    isReady = false
    remaining = 0
    isRefilled = true
    notificationIsDue = false
    generation &+= 8
  }
}
