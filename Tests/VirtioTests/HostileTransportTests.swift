// Malicious devices against the driver side of virtio-mmio: registers that lie. The driver says what is wrong
// after a bounded number of accesses, and works with the same device once it tells the truth.

import TestSupport
import Testing
import Virtio

/// A real device whose register at `offset` reads `value` instead.
struct LyingRegister: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let offset: Int
  let value: UInt32
  let fault: DeviceFault

  init(_ name: String, _ offset: Int, _ value: UInt32, _ fault: DeviceFault) {
    testDescription = name
    self.offset = offset
    self.value = value
    self.fault = fault
  }
}

private let lies: [LyingRegister] = [
  LyingRegister("no magic value", MMIORegister.magicValue, 0, .notVirtio),
  LyingRegister("a bus of ones", MMIORegister.magicValue, .max, .notVirtio),
  LyingRegister("the magic value the wrong way round", MMIORegister.magicValue, 0x7669_7274, .notVirtio),
  LyingRegister("a legacy device", MMIORegister.version, 1, .legacyDevice),
  LyingRegister("version 0", MMIORegister.version, 0, .unknownVersion(0)),
  LyingRegister("version 3", MMIORegister.version, 3, .unknownVersion(3)),
  LyingRegister("an empty slot", MMIORegister.deviceID, 0, .noDevice),
  LyingRegister("a status that never resets", MMIORegister.status, 1, .resetTimedOut),
  LyingRegister("a status with bits above the eighth", MMIORegister.status, 0x100, .resetTimedOut),
  LyingRegister("a status of nothing", MMIORegister.status, 0, .featuresRefused),
  LyingRegister("no features", MMIORegister.deviceFeatures, 0, .featureMissing(.version1)),
  LyingRegister("no queue", MMIORegister.queueSizeMax, 0, .queueUnavailable(0)),
  LyingRegister("a queue that is ready before", MMIORegister.queueReady, 1, .queueBusy(0)),
  LyingRegister("a queue that never gets ready", MMIORegister.queueReady, 0, .queueBusy(0)),
  LyingRegister("a queue that is neither", MMIORegister.queueReady, 2, .queueBusy(0)),
]

@Suite struct HostileTransportTests {
  /// Everything a driver does until its device is live, and one request. Returns the used length.
  private func start(_ machine: ScratchMachine) throws(DeviceFault) -> UInt32? {
    var arena = machine.ram.arena()
    var transport = try MMIODriverTransport(machine.window.registers)
    let features = try transport.negotiate(supported: .eventIndex | .ringReset | .suspend)
    let size = try transport.queueSize(0, wanted: 16)
    var queue = DriverVirtqueue(index: 0, size: size, features: features, from: &arena)!
    try transport.enable(queue)
    try transport.start()
    let data = arena.allocateShared(byteCount: 16, alignment: 16)!
    _ = queue.submit(data.segment, deviceWritable: true, token: 1)
    if queue.publish() { transport.notify(queue) }
    return try queue.reclaim()?.byteCount
  }

  @Test(arguments: lies)
  func lie(_ lie: LyingRegister) throws {
    let machine = ScratchMachine()
    let truth = machine.window.onRead
    machine.window.onRead = { $0 == lie.offset ? UInt64(lie.value) : truth($0, $1) }
    #expect(throws: lie.fault) { try start(machine) }
    #expect(machine.window.events.count <= 1_000_100)
    machine.window.onRead = truth
    #expect(try start(machine) == 16)
  }

  @Test(
    "A queue size that no queue has is cut to one that was wanted",
    arguments: [UInt32.max, 0x1_0000, 40000, 33])
  func hugeQueue(_ maximum: UInt32) throws {
    let machine = ScratchMachine()
    let truth = machine.window.onRead
    machine.window.onRead = { $0 == MMIORegister.queueSizeMax ? UInt64(maximum) : truth($0, $1) }
    let transport = try machine.negotiated()
    let (all, some) = (try transport.queueSize(0, wanted: .max), try transport.queueSize(0, wanted: 16))
    #expect(all == (maximum == 33 ? 32 : 32768) && some == 16)
  }

  @Test("A device that needs a reset at DRIVER_OK")
  func brokenAtStart() throws {
    let machine = ScratchMachine()
    let truth = machine.window.onRead
    machine.window.onRead = {
      $0 == MMIORegister.status ? truth($0, $1) | 64 * (truth($0, $1) >> 2 & 1) : truth($0, $1)
    }
    #expect(throws: DeviceFault.needsReset) { try start(machine) }
    machine.window.onRead = truth
    #expect(try start(machine) == 16)
  }

  @Test("Queue resets that never end, or end with the queue still ready")
  func queueReset() throws {
    let machine = ScratchMachine()
    let truth = machine.window.onRead
    for (offset, value) in [(MMIORegister.queueReset, 1), (MMIORegister.queueReady, 1)] as [(Int, UInt64)] {
      machine.window.onRead = truth
      let transport = try machine.negotiated(.ringReset)
      try transport.start()
      machine.window.onRead = { $0 == offset ? value : truth($0, $1) }
      #expect(throws: DeviceFault.resetTimedOut) { try transport.resetQueue(0) }
    }
    machine.window.onRead = truth
    #expect(try start(machine) == 16)
  }

  @Test("Suspension and resumption that never happen")
  func suspension() throws {
    let machine = ScratchMachine()
    let truth = machine.window.onRead
    let transport = try machine.negotiated(.suspend)
    try transport.start()
    machine.window.onRead = { $0 == MMIORegister.status ? 15 : truth($0, $1) }
    let isSuspended = try transport.suspend()
    #expect(!isSuspended)
    machine.window.onRead = { $0 == MMIORegister.status ? 27 : truth($0, $1) }
    #expect(throws: DeviceFault.resetTimedOut) { try transport.resume() }
    machine.window.onRead = truth
    #expect(try start(machine) == 16)
  }

  @Test("Interrupt bits that nobody defined are neither believed nor acknowledged")
  func undefinedInterrupts() throws {
    let machine = ScratchMachine()
    let transport = try machine.negotiated()
    let truth = machine.window.onRead
    machine.window.onRead = { $0 == MMIORegister.interruptStatus ? 0xffff_fffc : truth($0, $1) }
    let none = transport.takeInterrupts()
    #expect(!none.usedBuffer && !none.configurationChange)
    #expect(machine.window.writes(to: MMIORegister.interruptAcknowledge).isEmpty)
  }

  @Test("A buffer used while the queue is drained interrupts again")
  func acknowledgedBeforeTheDrain() throws {
    let machine = ScratchMachine()
    var arena = machine.ram.arena()
    let transport = try machine.negotiated()
    var queue = DriverVirtqueue(index: 0, size: 16, features: .version1, from: &arena)!
    try transport.enable(queue)
    try transport.start()
    let data = arena.allocateShared(byteCount: 16, alignment: 16)!
    func request() {
      _ = queue.submit(data.segment, deviceWritable: true, token: 1)
      if queue.publish() { transport.notify(queue) }
    }
    request()
    let first = transport.takeInterrupts()
    #expect(first.usedBuffer && !machine.transport.line.isAsserted)
    var drained = 0
    while try queue.reclaim() != nil {
      drained += 1
      // The device goes on while the driver is at work.
      if drained == 1 { request() }
    }
    #expect(drained == 2)
    #expect(machine.transport.line.isAsserted)
    let second = transport.takeInterrupts()
    #expect(second.usedBuffer)
    let third = transport.takeInterrupts()
    #expect(!third.usedBuffer)
  }
}
