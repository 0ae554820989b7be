// A virtio device whose transport is vhost-user: queues, features and life, without the messages. The driver
// behind the front end is as little trusted as the front end.

import Virtio

/// A device with `queueCount` queues over the memory that a front end shares.
struct VhostUserDevice<Device: HostedDevice & ~Copyable, let queueCount: Int>: ~Copyable {
  var device: Device
  private(set) var features = Features.none
  /// What is not offered.
  private let withheld: Features
  var queues: [queueCount of DeviceVirtqueue]
  private var rings: [queueCount of VhostUserRing]
  /// One bit a ring that was started.
  private var startedRings: UInt64 = 0
  /// The backend has news that nobody will tell of.
  private var pollsAgain = false
  /// The device was told that its driver is ready.
  private var isRunning = false
  /// One bit a queue: buffers wait that no further notification will announce.
  var pendingQueues: UInt64 = 0
  /// One bit a queue: it is looked at instead of notified.
  var polledQueues: UInt64 = 0
  /// Where a polled queue stood when it was last served for what a look saw.
  var triedPositions = [queueCount of RingPosition?](repeating: nil)
  /// Why the device stopped, until the next reset.
  private(set) var fault: DriverFault?
  /// Where the rings stand, for the process after this one; nil when the front end keeps no record.
  private var record: RingRecord?
  /// The configuration changed, and the front end does not know yet.
  var owesConfigurationChange = false

  /// What this transport does beside the device's own features. SUSPEND, RING_RESET and the rest are between
  /// the driver and the front end.
  private static var transportFeatures: Features {
    .version1 | .ringPacked | .indirectDescriptors | .eventIndex | .inOrder
  }

  init(_ device: consuming Device, memory: GuestMemory, withheld: Features) {
    precondition(queueCount <= 64, "at most 64 queues")
    queues = InlineArray { DeviceVirtqueue(maximumSize: Self.sizeMax(device, $0), memory: memory) }
    rings = InlineArray(repeating: VhostUserRing())
    self.withheld = withheld
    self.device = device
  }

  /// The protocol has no word for the largest size of a ring, so any that there can be is taken.
  private static func sizeMax(_ device: borrowing Device, _ index: Int) -> UInt16 {
    device.queueSizeMax(index) > 0 ? maximumQueueSize : 0
  }

  var offeredFeatures: Features {
    let all = (Self.transportFeatures | device.offeredFeatures & .deviceTypeBits).subtracting(withheld)
    return device.usesBuffersInOrder ? all : all.subtracting(.inOrder)
  }

  /// The features as the device sees them. Buffers are always used in order, where the device can: what a
  /// process that took over from a killed one must do again then follows from the ring alone.
  var deviceFeatures: Features {
    let all = device.features(of: features)
    return device.usesBuffersInOrder ? all | .inOrder : all
  }
  private var format: RingFormat { features.contains(.ringPacked) ? .packed : .split }

  mutating func setFeatures(_ accepted: Features) throws(VhostUserError) {
    // A front end says it again for each pair of queues, and after a pause of which the driver knows nothing.
    if isRunning && accepted == features { return }
    guard startedRings == 0 else { throw .invalid("features change while a ring works") }
    if isRunning { forget() }
    guard offeredFeatures.contains(accepted), accepted.contains(.version1),
      device.accepts(device.features(of: accepted))
    else {
      throw .invalid("features that were not offered")
    }
    features = accepted
  }

  // MARK: Rings

  /// Changes the settings of ring `index`, which does not work then.
  mutating func configure(
    _ index: Int, _ change: (inout VhostUserRing) -> Void
  ) throws(VhostUserError) {
    try check(index)
    guard !rings[index].isStarted else { throw .invalid("settings change while the ring works") }
    change(&rings[index])
  }

  func check(_ index: Int) throws(VhostUserError) {
    guard index < queueCount, queues[index].maximumSize > 0 else { throw .noSuchRing }
  }

  mutating func setCall(_ index: Int, _ event: PeerEvent?) throws(VhostUserError) {
    try check(index)
    rings[index].call = event
    // The driver may have missed what was used before it could be told.
    if rings[index].isStarted { event?.signal() }
  }

  mutating func setError(_ index: Int, _ event: PeerEvent?) throws(VhostUserError) {
    try check(index)
    rings[index].error = event
  }

  mutating func setEnabled(_ index: Int, _ isEnabled: Bool) throws(VhostUserError) {
    try check(index)
    rings[index].isEnabled = isEnabled
    queues[index].isPaused = !isEnabled
    noteRings()
  }

  /// After a ring was started, stopped, enabled or disabled.
  private mutating func noteRings() {
    startedRings = 0
    var working: UInt64 = 0
    for i in 0..<queueCount where rings[i].isStarted {
      startedRings |= 1 << UInt64(i)
      if rings[i].isEnabled { working |= 1 << UInt64(i) }
    }
    device.ringsChanged(working: working)
    // What a device takes from one ring may depend on which others work.
    pendingQueues |= working
  }

  /// Starts ring `index`. Throws what keeps it from that; it then stays stopped.
  mutating func start(_ index: Int, kick: OpenFile?, _ memory: SharedMemory) throws(VhostUserError) {
    try check(index)
    guard !rings[index].isStarted else { throw .invalid("the ring works already") }
    rings[index].kick = kick
    try latch(index, memory)
    rings[index].isStarted = true
    // A process before us may have used buffers, and died before it told.
    rings[index].call?.signal()
    if !isRunning {
      isRunning = true
      let features = deviceFeatures
      var context = DeviceContext(queues: queues.mutableSpan, features: features)
      device.start(&context)
      let changed = context.configurationChanged
      finishCall(nil, configurationChanged: changed)
    }
    noteRings()
  }

  /// Makes the queue of ring `index` ready where the ring stands.
  private mutating func latch(_ index: Int, _ memory: SharedMemory) throws(VhostUserError) {
    let ring = rings[index]
    guard let areas = ring.addresses, let descriptors = memory.guestAddress(ofFrontEnd: areas.descriptorArea),
      let driver = memory.guestAddress(ofFrontEnd: areas.driverArea),
      let device = memory.guestAddress(ofFrontEnd: areas.deviceArea)
    else { throw .invalid("a ring outside of memory") }
    var addresses = QueueAddresses()
    addresses.descriptorArea = descriptors
    addresses.driverArea = driver
    addresses.deviceArea = device
    do throws(DriverFault) {
      try queues[index].makeReady(size: ring.size, at: addresses, features: features)
    } catch {
      throw .invalid("a ring that cannot be: \(error)")
    }
    queues[index].isPaused = !ring.isEnabled
    do throws(StateFault) {
      var place = try position(of: ring, queues[index])
      if format == .packed, let recorded = try record?.position(index, size: ring.size, queues[index]) {
        place = recorded
      }
      try queues[index].resume(at: place)
    } catch {
      queues[index].reset()
      throw .invalid("a ring base that cannot be")
    }
    if format == .packed { record?.begin(index, &queues[index]) }
  }

  /// The front end keeps `record` from now on; nil: none.
  mutating func keep(_ record: RingRecord?) throws(VhostUserError) {
    guard startedRings == 0 else { throw .invalid("another record of the rings while a ring works") }
    self.record = record
  }

  /// Where `ring` goes on. A process before us may have taken buffers from a split ring that it did not live
  /// to use; as it used all in order, they are those from the used index on, and are taken again.
  private func position(
    of ring: VhostUserRing, _ queue: borrowing DeviceVirtqueue
  ) throws(StateFault) -> RingPosition {
    guard let base = ring.base else { return RingPosition() }
    guard let position = VhostUserRing.decode(base, format) else { throw .malformed }
    if format == .packed { return position }
    let used = queue.usedIndexInRing
    return position.index &- used <= ring.size ? RingPosition(index: used) : position
  }

  /// Stops ring `index` once all its buffers are used, and returns where it stands.
  mutating func stop(_ index: Int) throws(VhostUserError) -> UInt32 {
    try check(index)
    guard rings[index].isStarted else { return rings[index].base ?? 0 }
    settle()
    let base = VhostUserRing.encode(queues[index].position, format)
    queues[index].reset()
    record?.end(index)
    rings[index].isStarted = false
    rings[index].kick = nil
    rings[index].base = base
    noteRings()
    pendingQueues &= ~(1 << UInt64(index))
    return base
  }

  /// Waits until no buffer is in flight. What the device has taken and cannot finish goes back to its ring.
  private mutating func settle() {
    guard fault == nil, isRunning else { return }
    while true {
      device.submit()
      let features = deviceFeatures
      var context = DeviceContext(queues: queues.mutableSpan, features: features)
      var broken: DriverFault?
      var readiness = SaveReadiness.ready
      do throws(DriverFault) { readiness = try device.prepareToSave(&context) } catch { broken = error }
      let changed = context.configurationChanged
      finishCall(broken, configurationChanged: changed)
      if broken != nil || readiness != .busy { return }
      EventLoop.waitForAny(device.events)
    }
  }

  /// Lets go of all memory, calls `change`, and goes on with the memory that it returns.
  mutating func changeMemory(
    _ memory: SharedMemory, _ change: () throws(VhostUserError) -> Void
  ) throws(VhostUserError) {
    settle()
    if fault != nil { quiesce() }
    for i in 0..<queueCount where rings[i].isStarted {
      rings[i].base = VhostUserRing.encode(queues[i].position, format)
    }
    var failure: VhostUserError?
    do throws(VhostUserError) { try change() } catch { failure = error }
    guard let guestMemory = memory.guestMemory() else {
      // Nothing to work on.
      for i in 0..<queueCount {
        queues[i].reset()
        rings[i].isStarted = false
      }
      noteRings()
      if let failure { throw failure }
      return
    }
    for i in 0..<queueCount {
      queues[i] = DeviceVirtqueue(maximumSize: Self.sizeMax(device, i), memory: guestMemory)
      guard rings[i].isStarted else { continue }
      do throws(VhostUserError) {
        try latch(i, memory)
      } catch {
        rings[i].isStarted = false
        failure = failure ?? error
      }
    }
    noteRings()
    if let failure { throw failure }
  }

  /// The front end is gone. What it has recorded stays as it is, for the next connection.
  mutating func abandon() {
    record = nil
    reset()
  }

  /// Back to the beginning: no ring works, nothing is in flight, nothing was negotiated.
  mutating func reset() {
    forget()
    for i in 0..<queueCount {
      queues[i].reset()
      record?.end(i)
      rings[i] = VhostUserRing()
    }
    pendingQueues = 0
    features = .none
    noteRings()
  }

  /// The device is as before its driver was ready.
  private mutating func forget() {
    quiesce()
    isRunning = false
    fault = nil
    owesConfigurationChange = false
  }

  /// Lets the device forget everything, and waits until nothing accesses guest memory any more.
  private mutating func quiesce() {
    device.reset()
    device.submit()
    while !device.isQuiescent { EventLoop.waitForAny(device.events) }
  }

  // MARK: Work

  /// Whether ring `index` may be served.
  func works(_ index: Int) -> Bool {
    rings[index].isStarted && rings[index].isEnabled && fault == nil
  }

  /// Buffers were announced on ring `index`.
  mutating func notify(_ index: Int) { pendingQueues |= 1 << UInt64(index) }

  /// Whether `run()` has something to do.
  var hasWork: Bool { pendingQueues != 0 || pollsAgain }

  /// Serves every ring that has buffers waiting, once. Returns whether any has more.
  mutating func run() -> Bool {
    var todo = pendingQueues
    pendingQueues = 0
    while todo != 0 {
      let index = todo.trailingZeroBitCount
      todo &= todo &- 1
      guard works(index) else { continue }
      let features = deviceFeatures
      if device.processUsual(queue: index, &queues[index], features) {
        finishQueue(index, hasMore: false)
        continue
      }
      var context = DeviceContext(queues: queues.mutableSpan, features: features)
      var broken: DriverFault?
      do throws(DriverFault) { try device.process(queue: index, &context) } catch { broken = error }
      let changed = context.configurationChanged
      finishCall(broken, configurationChanged: changed)
    }
    if pollsAgain { poll() }
    device.submit()
    // What the system did at once.
    if device.hasNews { poll() }
    if device.takeMore() { pollsAgain = true }
    return pendingQueues != 0 || pollsAgain
  }

  /// The backend has news.
  mutating func poll() {
    pollsAgain = false
    device.gather()
    guard isRunning, fault == nil else { return }
    let features = deviceFeatures
    var context = DeviceContext(queues: queues.mutableSpan, features: features)
    var broken: DriverFault?
    do throws(DriverFault) { try device.poll(&context) } catch { broken = error }
    let changed = context.configurationChanged
    finishCall(broken, configurationChanged: changed)
    device.submit()
  }

  /// The user says that something behind the device has changed.
  mutating func lookAgain() {
    device.lookAgain()
    poll()
  }

  /// After any call into the device: publishes used buffers, sends notifications, reports a fault.
  mutating func finishCall(_ broken: DriverFault?, configurationChanged: Bool) {
    if let broken { return fail(broken) }
    var todo = startedRings
    while todo != 0 {
      let i = todo.trailingZeroBitCount
      todo &= todo &- 1
      finishQueue(i, hasMore: queues[i].endService())
    }
    if configurationChanged { owesConfigurationChange = true }
  }

  /// After a service call of queue `index`.
  @inline(__always)
  private mutating func finishQueue(_ index: Int, hasMore: Bool) {
    if hasMore || queues[index].needsService { pendingQueues |= 1 << UInt64(index) }
    queues[index].needsService = false
    if queues[index].notificationIsDue {
      queues[index].notificationIsDue = false
      rings[index].call?.signal()
    }
  }

  /// The driver broke the rules: nothing more is taken from it. The front end is told on every ring that it
  /// can be told on; what it makes of it is its affair.
  private mutating func fail(_ broken: DriverFault) {
    fault = broken
    for i in 0..<queueCount {
      queues[i].stop()
      rings[i].error?.signal()
    }
  }
}
