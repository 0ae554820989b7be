// virtio 1.4 §4.2 Virtio Over MMIO, device side: status, features, queues and interrupts of one device. The
// driver is untrusted: any sequence of accesses leads to a defined state.

/// A virtio device behind a virtio-mmio register window.
///
/// The embedder forwards register accesses to `read` and `write`, calls `poll()` when the backend has news,
/// and `run()` while `hasWork`. `queueCount` is the number of queues there is room for, at most 64.
public struct MMIODeviceTransport<
  Device: VirtioDevice & ~Copyable, Line: InterruptLine & ~Copyable, let queueCount: Int
>: ~Copyable {
  /// The device itself.
  public var device: Device
  /// Its interrupt line.
  public var line: Line
  /// The status as the driver reads it.
  public internal(set) var status = DeviceStatus.reset
  /// What the driver accepted; final once FEATURES_OK is set.
  public internal(set) var driverFeatures = Features.none
  /// The fault that led to DEVICE_NEEDS_RESET, until the next reset.
  public internal(set) var fault: DriverFault?
  /// When true a QueueNotify only marks the queue, and `run()` does the work, for embedders that serve
  /// devices on another thread.
  public var defersNotifications = false

  var queues: [queueCount of DeviceVirtqueue]
  var settings: [queueCount of QueueSettings]
  let transportFeatures: Features
  let withheldFeatures: Features
  /// One bit a queue: it is ready, or was when a fault stopped it.
  var readyQueues: UInt64 = 0
  /// One bit a queue: buffers wait that no further notification will announce.
  var pendingQueues: UInt64 = 0
  /// One bit a queue: a stop or reset waits for the backend.
  var stoppingQueues: UInt64 = 0
  var resettingQueues: UInt64 = 0
  var interruptStatus: UInt32 = 0
  var generation: UInt32 = 0
  var deviceFeaturesSelect: UInt32 = 0
  var driverFeaturesSelect: UInt32 = 0
  var queueSelect: UInt32 = 0
  var sharedMemorySelect: UInt32 = 0
  /// A bit beyond 127 was accepted: nothing we could have offered.
  var acceptedUnknownFeature = false
  var isResetting = false
  var isSuspended = false
  var owesConfigurationChange = false

  /// The device-independent features offered by default: everything this transport does in software.
  /// ACCESS_PLATFORM and ORDER_PLATFORM say something about the platform, so the board adds them.
  public static var defaultTransportFeatures: Features {
    Features.mmioTransportBits.subtracting(.accessPlatform | .orderPlatform)
  }

  /// A device in reset state. Bits of `transportFeatures` that virtio-mmio does not define are left out, and
  /// so is IN_ORDER when the device does not keep the order. Of the `withheld` features none is offered;
  /// VERSION_1 cannot be left out.
  @inline(never)
  public init(
    device: consuming Device, line: consuming Line, memory: GuestMemory,
    transportFeatures: Features = Self.defaultTransportFeatures, withheld: Features = .none
  ) {
    precondition(queueCount <= 64, "at most 64 queues")
    var offered = transportFeatures & .mmioTransportBits | .version1
    if !device.usesBuffersInOrder { offered = offered.subtracting(.inOrder) }
    self.transportFeatures = offered
    withheldFeatures = withheld.subtracting(.version1)
    queues = InlineArray { DeviceVirtqueue(maximumSize: device.queueSizeMax($0), memory: memory) }
    settings = InlineArray(repeating: QueueSettings())
    self.device = device
    self.line = line
  }

  /// All features offered (§2.2.2).
  public var offeredFeatures: Features {
    (transportFeatures | device.offeredFeatures & .deviceTypeBits).subtracting(withheldFeatures)
  }

  /// Whether buffers may be consumed and notifications sent.
  var isLive: Bool {
    status.contains(.driverOK) && !status.contains(.needsReset) && !status.contains(.failed) && !isSuspended
      && !isResetting
  }

  /// Whether SUSPEND was asked for and buffers in flight are still awaited.
  var isSuspending: Bool { status.contains(.suspend) && !isSuspended }

  /// Whether `run()` has something to do.
  ///
  /// Also while SUSPEND is asked for: a device may have stopped within a buffer at a limit of its own.
  public var hasWork: Bool { pendingQueues != 0 && isLive }

  /// Sets how many buffers one service call of queue `index` may take. Traps outside the queues.
  public mutating func setBudget(_ budget: UInt16, queue index: Int) {
    precondition(budget > 0, "a budget of nothing")
    queues[index].budget = budget
  }

  /// Serves every queue that has buffers waiting, once each, within its budget. Returns `hasWork` after it.
  public mutating func run() -> Bool {
    var todo = pendingQueues
    while todo != 0 && hasWork {
      let index = todo.trailingZeroBitCount
      todo &= todo &- 1
      process(queue: index)
    }
    return hasWork
  }

  /// Lets the device look at its backend, and completes what waits for it: resets, queue stops, suspension.
  @inline(never)
  public mutating func poll() {
    if isLive {
      var context = DeviceContext(queues: queues.mutableSpan, features: driverFeatures)
      var broken: DriverFault?
      do throws(DriverFault) { try device.poll(&context) } catch { broken = error }
      let changed = context.configurationChanged
      finishCall(broken, configurationChanged: changed)
    }
    finishResets()
  }

  /// Calls `body` with the device and its queues as `poll()` calls the device, for an embedder that brings
  /// something from outside. Returns false, without a call, unless the driver has made the device live.
  public mutating func call(
    _ body: (inout Device, inout DeviceContext) throws(DriverFault) -> Void
  ) -> Bool {
    guard isLive else { return false }
    var context = DeviceContext(queues: queues.mutableSpan, features: driverFeatures)
    var broken: DriverFault?
    do throws(DriverFault) { try body(&device, &context) } catch { broken = error }
    let changed = context.configurationChanged
    finishCall(broken, configurationChanged: changed)
    return broken == nil
  }

  /// The same as one of several calls, after which `finishCalls()` shows the driver all buffers that they
  /// used and notifies it once.
  public mutating func callOneOfMany(
    _ body: (inout Device, inout DeviceContext) throws(DriverFault) -> Void
  ) -> Bool {
    guard isLive else { return false }
    var context = DeviceContext(queues: queues.mutableSpan, features: driverFeatures)
    var broken: DriverFault?
    do throws(DriverFault) { try body(&device, &context) } catch { broken = error }
    let changed = context.configurationChanged
    if broken != nil || changed { finishCall(broken, configurationChanged: changed) }
    return broken == nil
  }

  /// The end of calls by `callOneOfMany`.
  public mutating func finishCalls() {
    if isLive { finishCall(nil, configurationChanged: false) }
  }

  /// Serves queue `index`; what a notification does.
  mutating func process(queue index: Int) {
    pendingQueues &= ~(1 << UInt64(index))
    guard isLive, queues[index].isReady else { return }
    serve(queue: index)
  }

  /// Has the device serve queue `index`, which is ready and live.
  @inline(never)
  mutating func serve(queue index: Int) {
    var context = DeviceContext(queues: queues.mutableSpan, features: driverFeatures)
    var broken: DriverFault?
    do throws(DriverFault) { try device.process(queue: index, &context) } catch { broken = error }
    let changed = context.configurationChanged
    finishCall(broken, configurationChanged: changed)
  }

  /// After any call into the device: publishes used buffers, sends notifications, reports a fault.
  mutating func finishCall(_ broken: DriverFault?, configurationChanged: Bool) {
    if let broken { return fail(broken) }
    var usedBuffer = false
    var todo = readyQueues
    while todo != 0 {
      let i = todo.trailingZeroBitCount
      todo &= todo &- 1
      if queues[i].endService() || queues[i].needsService { pendingQueues |= 1 << UInt64(i) }
      queues[i].needsService = false
      if queues[i].notificationIsDue {
        queues[i].notificationIsDue = false
        usedBuffer = true
      }
    }
    if usedBuffer { raise(MMIOInterrupt.usedBuffer) }
    if configurationChanged { announceConfigurationChange() }
    if isSuspending { finishSuspend() }
  }

  /// §2.5.2, §4.2.2.1: the generation changes with the configuration, and the driver is told.
  mutating func announceConfigurationChange() {
    generation &+= 1
    if isSuspended {
      // §3.4.2: told when the device resumes.
      owesConfigurationChange = true
    } else if status.contains(.driverOK) {
      raise(MMIOInterrupt.configurationChange)
    }
  }

  mutating func raise(_ bits: UInt32) {
    interruptStatus |= bits
    line.raise(bits)
  }

  /// §2.1.2: enters the error state that only a reset leaves.
  mutating func fail(_ broken: DriverFault) {
    // The first fault is the cause; what follows may be its consequence.
    if fault == nil { fault = broken }
    for i in 0..<queueCount { queues[i].stop() }
    let wasLive = status.contains(.driverOK)
    status = status | .needsReset
    if wasLive { raise(MMIOInterrupt.configurationChange) }
  }
}
