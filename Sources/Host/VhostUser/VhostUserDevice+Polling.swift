// Looking at the rings without notifications, and the configuration space.

import Virtio

extension VhostUserDevice where Device: ~Copyable {
  // MARK: Polling

  /// Looks at the rings from here on, instead of being notified; but not at those whose buffers wait for the
  /// backend, as what a network interface may receive into.
  mutating func stopNotifications() {
    polledQueues = 0
    for i in 0..<queueCount where works(i) && !queues[i].seesAvailable {
      queues[i].stopNotifications()
      polledQueues |= 1 << UInt64(i)
      triedPositions[i] = nil
    }
  }

  /// Waits for notifications again. True when there are buffers of which none will tell.
  mutating func startNotifications() -> Bool {
    for i in 0..<queueCount where isPolled(i) && queues[i].startNotifications() { notify(i) }
    polledQueues = 0
    return pendingQueues != 0
  }

  /// Looks at the rings once. Whether there are buffers that `run()` will take.
  mutating func look() -> Bool {
    for i in 0..<queueCount where isPolled(i) && queues[i].seesAvailable {
      let position = queues[i].position
      if triedPositions[i] == position {
        // The last call took none: these wait for the backend too. One more call, for what may have come
        // while nothing was notified.
        _ = queues[i].startNotifications()
        polledQueues &= ~(1 << UInt64(i))
      }
      triedPositions[i] = position
      notify(i)
    }
    return pendingQueues != 0
  }

  private func isPolled(_ index: Int) -> Bool { polledQueues & (1 << UInt64(index)) != 0 && works(index) }

  // MARK: Configuration

  /// The configuration space from `offset` on. Beyond its end it reads as zeros.
  func configuration(at offset: Int, byteCount: Int) -> [UInt8] {
    (offset..<offset + byteCount).map { at in
      guard at < device.configurationByteCount else { return 0 }
      return UInt8(truncatingIfNeeded: device.loadConfiguration(at: at, byteCount: 1))
    }
  }

  /// A driver's write to the configuration space: whole fields of 1, 2 or 4 bytes.
  mutating func setConfiguration(_ bytes: [UInt8], at offset: Int) throws(VhostUserError) {
    guard [1, 2, 4].contains(bytes.count), offset % bytes.count == 0,
      offset + bytes.count <= device.configurationByteCount
    else { throw .invalid("a configuration write that is no field") }
    var value: UInt32 = 0
    for byte in bytes.reversed() { value = value << 8 | UInt32(byte) }
    let features = deviceFeatures
    var context = DeviceContext(queues: queues.mutableSpan, features: features)
    device.storeConfiguration(value, at: offset, byteCount: bytes.count, &context)
    let changed = context.configurationChanged
    finishCall(nil, configurationChanged: changed)
  }
}
