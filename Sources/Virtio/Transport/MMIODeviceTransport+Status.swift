// virtio 1.4 §2.1 Device Status Field, §2.4 Device Reset, §3.1 Device Initialization, §3.4 Device Suspend.

extension MMIODeviceTransport where Device: ~Copyable, Line: ~Copyable {
  /// A write to the Status register. The driver sets bits step by step; clearing is only by reset.
  mutating func writeStatus(_ value: UInt32) {
    if value == 0 { return beginReset() }
    if isResetting { return }
    let asked = DeviceStatus(UInt8(truncatingIfNeeded: value)) & .defined
    status = status | asked & (.acknowledge | .driver | .failed)
    if asked.contains(.featuresOK) { acceptFeatures() }
    if isSuspended {
      if asked.contains(.driverOK) { resume() }
    } else if status.contains(.driverOK) {
      if asked.contains(.suspend) { beginSuspend() }
    } else if asked.contains(.driverOK) {
      goLive()
    }
  }

  /// §3.1.1 step 5: FEATURES_OK stays clear when the device cannot work with what was accepted.
  private mutating func acceptFeatures() {
    if status.contains(.featuresOK) { return }
    guard status.contains(.acknowledge | .driver), !acceptedUnknownFeature, takesDriverFeatures() else {
      return
    }
    status = status | .featuresOK
  }

  /// Whether transport and device can work with what the driver accepted.
  mutating func takesDriverFeatures() -> Bool {
    // A platform that limits or orders the device's accesses cannot be driven without saying so (§6.2).
    offeredFeatures.contains(driverFeatures) && driverFeatures.contains(.version1)
      && driverFeatures.contains(transportFeatures & .accessPlatform) && device.accepts(driverFeatures)
  }

  private mutating func goLive() {
    // §3.1.1: never without accepted features. A driver that does it anyway is broken.
    guard status.contains(.featuresOK) else { return fail(.malformedRequest) }
    if status.contains(.needsReset) { return }
    status = status | .driverOK
    var context = DeviceContext(queues: queues.mutableSpan, features: driverFeatures)
    device.start(&context)
    let changed = context.configurationChanged
    finishCall(nil, configurationChanged: changed)
    // Buffers may have been made available before, without notifications (§3.1.1).
    pendingQueues |= readyQueues
    if !defersNotifications { _ = run() }
  }

  private mutating func beginReset() {
    device.reset()
    for i in 0..<queueCount { queues[i].reset() }
    readyQueues = 0
    pendingQueues = 0
    isResetting = true
    finishResets()
  }

  /// §2.4.1: status reads 0, and everything is as new, only once nothing can touch guest memory any more.
  mutating func finishResets() {
    guard isResetting || stoppingQueues != 0, device.isQuiescent else { return }
    stoppingQueues = 0
    resettingQueues = 0
    guard isResetting else { return }
    isResetting = false
    status = .reset
    fault = nil
    driverFeatures = .none
    acceptedUnknownFeature = false
    settings = InlineArray(repeating: QueueSettings())
    deviceFeaturesSelect = 0
    driverFeaturesSelect = 0
    queueSelect = 0
    sharedMemorySelect = 0
    isSuspended = false
    owesConfigurationChange = false
    // §4.2.2.1: reset clears InterruptStatus.
    interruptStatus = 0
    line.setAsserted(false)
  }

  private mutating func beginSuspend() {
    // §3.4.2: ignored unless negotiated and initialized.
    guard driverFeatures.contains(.suspend), isLive, !isSuspending else { return }
    status = status | .suspend
    // A device that is polled meanwhile can use what it holds, and take nothing new.
    for i in 0..<queueCount { queues[i].isPaused = true }
    finishSuspend()
  }

  /// Suspended once every buffer that was being processed is used and the driver was notified of it.
  mutating func finishSuspend() {
    for i in 0..<queueCount where queues[i].inFlight != 0 { return }
    isSuspended = true
    status = status.subtracting(.driverOK)
  }

  private mutating func resume() {
    isSuspended = false
    for i in 0..<queueCount { queues[i].isPaused = false }
    status = status.subtracting(.suspend) | .driverOK
    if owesConfigurationChange {
      owesConfigurationChange = false
      raise(MMIOInterrupt.configurationChange)
    }
    pendingQueues |= readyQueues
    if !defersNotifications { _ = run() }
  }
}

extension DeviceStatus {
  static func & (a: DeviceStatus, b: DeviceStatus) -> DeviceStatus { DeviceStatus(a.rawValue & b.rawValue) }
}
