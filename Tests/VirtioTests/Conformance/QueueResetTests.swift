// virtio 1.4 §2.6.1 Virtqueue Reset and §3.3 Device Cleanup: one test for each normative statement.

import TestSupport
import Testing
import Virtio

@Suite struct `Virtqueue reset` {
  private let buffer = testBase + 0x8000

  /// A live device with RING_RESET whose queue 0 is `ring`, one buffer offered and served.
  private func live(_ machine: ScratchMachine, _ ring: RingView) {
    ring[split: 0] = RingDescriptor(buffer, 16, RingDescriptor.write)
    machine.bringUp(.ringReset, rings: [ring])
    ring.offer(0)
    machine.write(0, MMIORegister.queueNotify)
  }

  private func resetQueue(_ machine: ScratchMachine) {
    machine.write(0, MMIORegister.queueSelect)
    machine.write(1, MMIORegister.queueReset)
  }

  @Test func `2.6.1.1.1 a queue that was reset executes nothing and notifies nothing`() {
    let machine = ScratchMachine()
    machine.state.behaviour = .park
    let ring = RingView(machine.ram, size: 16)
    live(machine, ring)
    resetQueue(machine)
    machine.write(3, MMIORegister.interruptAcknowledge)
    let before = machine.ram.bytes(testBase, 1 << 16)
    let events = machine.transport.line.eventCount
    ring.offer(0)
    let offered = machine.ram.bytes(testBase, 1 << 16)
    #expect(offered != before)
    machine.state.usesParked = true
    machine.write(0, MMIORegister.queueNotify)
    machine.transport.poll()
    _ = machine.transport.run()
    #expect(machine.ram.bytes(testBase, 1 << 16) == offered)
    #expect(machine.transport.line.eventCount == events)
    #expect(machine.status == 15)
  }

  @Test func `2.6.1.1.1 a queue that was reset starts again from its default state`() {
    let machine = ScratchMachine()
    let ring = RingView(machine.ram, size: 16)
    live(machine, ring)
    #expect(ring.usedIndex == 1)
    resetQueue(machine)
    let again = RingView(machine.ram, size: 16)
    again[split: 3] = RingDescriptor(buffer, 8, RingDescriptor.write)
    again.offer(3)
    machine.enable(again)
    machine.write(0, MMIORegister.queueNotify)
    #expect(again.usedIndex == 1)
    #expect(again[used: 0] == (3, 8))
    #expect(machine.status == 15)
  }

  @Test func `2.6.1.1.2 the driver reads back that the queue was reset`() throws {
    let machine = ScratchMachine()
    let driver = try machine.negotiated(.ringReset)
    machine.enable(RingView(machine.ram, size: 16))
    try driver.start()
    let start = machine.window.events.count
    try driver.resetQueue(0)
    let events = machine.window.events[start...]
    let write = try #require(events.firstIndex(of: .write(1, MMIORegister.queueReset)))
    #expect(
      events[write...].contains { !$0.isWrite && $0.offset == MMIORegister.queueReset && $0.value == 0 })
  }

  @Test func `2.6.1.1.2 the driver does not believe a reset that did not happen`() throws {
    let window = RegisterWindow()
    let stub = StubRegisters(window, offering: .version1 | .ringReset)
    stub.queueResetWorks = false
    var driver = try MMIODriverTransport(window.registers)
    _ = try driver.negotiate(supported: .ringReset)
    window.registers.write32(0, MMIORegister.queueSelect)
    window.registers.write32(1, MMIORegister.queueReady)
    #expect(throws: DeviceFault.resetTimedOut) { try driver.resetQueue(0) }
  }

  @Test func `2.6.1.1.2 after the reset the driver has its buffers back`() throws {
    let machine = ScratchMachine()
    machine.state.behaviour = .park
    let driver = try machine.negotiated(.ringReset)
    var arena = machine.ram.arena()
    var queue = DriverVirtqueue(index: 0, size: 8, features: .version1, from: &arena)!
    try driver.enable(queue)
    try driver.start()
    let data = arena.allocateShared(byteCount: 64, alignment: 16)!
    for token in 0..<3 as Range<UInt32> {
      let isAccepted = queue.submit(data.segment, deviceWritable: true, token: token)
      #expect(isAccepted)
    }
    if queue.publish() { driver.notify(queue) }
    try driver.resetQueue(0)
    var tokens: Set<UInt32> = []
    while let token = queue.reclaimAbandoned() { tokens.insert(token) }
    #expect(tokens == [0, 1, 2])
  }

  @Test func `2.6.1.2.1 a re-enabled queue has the size and the areas that were set since`() {
    let machine = ScratchMachine()
    let ring = RingView(machine.ram, size: 16)
    live(machine, ring)
    resetQueue(machine)
    let moved = RingView(machine.ram, at: testBase + 0x4000, size: 4)
    moved[split: 1] = RingDescriptor(buffer, 8, RingDescriptor.write)
    for _ in 0..<4 { moved.offer(1) }
    machine.enable(moved)
    for _ in 0..<2 {
      machine.write(0, MMIORegister.queueNotify)
      _ = machine.transport.run()
    }
    #expect(moved.usedIndex == 4)
    // A ring of 4 has wrapped to its first entry; one of 16 would have gone on.
    moved.offer(1)
    machine.write(0, MMIORegister.queueNotify)
    #expect(moved.usedIndex == 5 && moved[used: 0] == (1, 8))
    #expect(ring.usedIndex == 1)
  }

  @Test func `2.6.1.2.2 the driver configures a queue again as it did at first`() throws {
    let machine = ScratchMachine()
    let driver = try machine.negotiated(.ringReset)
    var arena = machine.ram.arena()
    var queue = DriverVirtqueue(index: 0, size: 8, features: .version1, from: &arena)!
    let first = machine.window.events.count
    try driver.enable(queue)
    let initial = machine.window.events[first...].filter(\.isWrite)
    try driver.start()
    try driver.resetQueue(0)
    queue.reset()
    let second = machine.window.events.count
    try driver.enable(queue)
    #expect(machine.window.events[second...].filter(\.isWrite) == initial)
    #expect(initial.map(\.offset).contains(MMIORegister.queueSize))
    #expect(initial.last == .write(1, MMIORegister.queueReady))
    let isAccepted = queue.submit(
      arena.allocateShared(byteCount: 16, alignment: 16)!.segment, deviceWritable: true, token: 7)
    #expect(isAccepted)
    if queue.publish() { driver.notify(queue) }
    let token = try queue.reclaim()?.token
    #expect(token == 7)
  }

  @Test func `3.3.1 the driver leaves the entries of exposed buffers alone`() throws {
    let memory = TestMemory()
    var arena = memory.arena()
    var queue = DriverVirtqueue(index: 0, size: 8, features: .version1, from: &arena)!
    let ring = RingView(memory, queue.addresses, size: 8)
    let data = arena.allocateShared(byteCount: 64, alignment: 16)!
    for token in 0..<4 as Range<UInt32> {
      let isAccepted = queue.submit(data.segment, deviceWritable: true, token: token)
      #expect(isAccepted)
    }
    _ = queue.publish()
    let exposed = (0..<4).map { ring[split: Int(ring[available: $0])] }
    let heads = (0..<4).map { ring[available: $0] }
    ring.finish(heads[2], length: 64)
    _ = try queue.reclaim()
    for token in 4..<8 as Range<UInt32> {
      _ = queue.submit(data.segment(at: 0, byteCount: 8), deviceWritable: false, token: token)
    }
    _ = queue.publish()
    for index in [0, 1, 3] {
      #expect(ring[split: Int(heads[index])] == exposed[index])
      #expect(ring[available: index] == heads[index])
    }
  }
}
