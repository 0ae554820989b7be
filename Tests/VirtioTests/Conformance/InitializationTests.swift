// virtio 1.4 §3.1 Device Initialization and §3.4 Device Suspend: one test for each normative statement.

import TestSupport
import Testing
import Virtio

@Suite struct Initialization {
  @Test func `3.1.1 the driver initializes in the sequence of the clause`() throws {
    let machine = ScratchMachine()
    let driver = try machine.negotiated(.eventIndex)
    var arena = machine.ram.arena()
    let queue = DriverVirtqueue(index: 0, size: 8, features: .version1, from: &arena)!
    try driver.enable(queue)
    try driver.start()
    let events = machine.window.events
    func position(_ event: RegisterEvent) throws -> Int { try #require(events.firstIndex(of: event)) }
    let reset = try position(.write(0, MMIORegister.status))
    let acknowledge = try position(.write(1, MMIORegister.status))
    let isDriver = try position(.write(3, MMIORegister.status))
    let offer = try #require(events.firstIndex { !$0.isWrite && $0.offset == MMIORegister.deviceFeatures })
    let accept = try #require(events.lastIndex { $0.isWrite && $0.offset == MMIORegister.driverFeatures })
    let featuresOK = try position(.write(11, MMIORegister.status))
    let check = try #require(
      events[featuresOK...].firstIndex { !$0.isWrite && $0.offset == MMIORegister.status && $0.value == 11 })
    let ready = try position(.write(1, MMIORegister.queueReady))
    let live = try position(.write(15, MMIORegister.status))
    let order = [reset, acknowledge, isDriver, offer, accept, featuresOK, check, ready, live]
    #expect(order == order.sorted())
  }

  @Test func `3.1.1 configuration can be read but is not written before FEATURES_OK`() throws {
    let machine = ScratchMachine()
    var driver = try machine.driver()
    let field = driver.configuration32(4)
    #expect(field == 0x0706_0504)
    _ = try driver.negotiate(supported: .none)
    #expect(!machine.window.events.contains { $0.isWrite && $0.offset >= MMIORegister.configuration })
  }

  @Test func `3.1.1 the device takes no configuration write before FEATURES_OK`() {
    let machine = ScratchMachine()
    machine.window.registers.write8(99, MMIORegister.configuration)
    machine.write(1, MMIORegister.status)
    machine.write(3, MMIORegister.status)
    machine.window.registers.write8(99, MMIORegister.configuration)
    #expect(machine.state.configuration[0] == 0)
    machine.write(0, MMIORegister.status)
    machine.bringUp(rings: [])
    machine.window.registers.write8(99, MMIORegister.configuration)
    #expect(machine.state.configuration[0] == 99)
  }

  @Test func `3.1.1 no feature is accepted after FEATURES_OK, by either side`() throws {
    let machine = ScratchMachine()
    machine.state.features = .bit(0)
    let driver = try machine.negotiated()
    let end = machine.window.events.count
    try driver.start()
    #expect(
      !machine.window.events[end...].contains { $0.isWrite && $0.offset == MMIORegister.driverFeatures })
    machine.write(0, MMIORegister.driverFeaturesSelect)
    machine.write(1, MMIORegister.driverFeatures)
    #expect(machine.transport.driverFeatures == .version1)
  }

  @Test func `3.1.1 when FEATURES_OK does not stay the driver sets FAILED and stops`() throws {
    let window = RegisterWindow()
    let stub = StubRegisters(window, offering: .version1)
    stub.refusedStatus = 8
    var driver = try MMIODriverTransport(window.registers)
    #expect(throws: DeviceFault.featuresRefused) { _ = try driver.negotiate(supported: .none) }
    #expect(stub.status & 128 != 0)
    let last = try #require(window.events.last { $0.isWrite })
    #expect(last == .write(128 | 3, MMIORegister.status))
  }

  @Test func `3.1.1 when a feature is missing the driver sets FAILED and stops`() throws {
    let window = RegisterWindow()
    let stub = StubRegisters(window, offering: .bit(0))
    var driver = try MMIODriverTransport(window.registers)
    #expect(throws: DeviceFault.featureMissing(.version1)) { _ = try driver.negotiate(supported: .bit(0)) }
    #expect(stub.status == 128 | 3)
    #expect(window.writes(to: MMIORegister.driverFeatures).isEmpty)
    #expect(window.events.last { $0.isWrite } == .write(128 | 3, MMIORegister.status))
  }

  @Test func `3.1.1 buffers made available before DRIVER_OK are announced to nobody and served after it`()
    throws
  {
    let machine = ScratchMachine()
    let driver = try machine.negotiated()
    var arena = machine.ram.arena()
    var queue = DriverVirtqueue(index: 0, size: 8, features: .version1, from: &arena)!
    try driver.enable(queue)
    let data = arena.allocateShared(byteCount: 16, alignment: 16)!
    _ = queue.submit(data.segment, deviceWritable: true, token: 1)
    _ = queue.publish()
    #expect(machine.window.writes(to: MMIORegister.queueNotify).isEmpty)
    try driver.start()
    #expect(machine.window.writes(to: MMIORegister.queueNotify).isEmpty)
    let used = try queue.reclaim()
    #expect(used?.token == 1 && used?.byteCount == 16)
  }
}

@Suite struct Suspension {
  private let buffer = testBase + 0x8000

  @Test func `3.4.1 the driver does not set SUSPEND unless it is negotiated and the device live`() throws {
    let machine = ScratchMachine()
    var driver = try machine.negotiated()
    try driver.start()
    #expect(throws: DeviceFault.featureMissing(.suspend)) { _ = try driver.suspend() }
    _ = try driver.negotiate(supported: .suspend)
    _ = try? driver.suspend()
    #expect(!machine.window.writes(to: MMIORegister.status).contains { $0 & 16 != 0 })
  }

  @Test func `3.4.1 the driver reads back that the device is suspended`() throws {
    let window = RegisterWindow()
    let stub = StubRegisters(window, offering: .version1 | .suspend)
    var driver = try MMIODriverTransport(window.registers)
    _ = try driver.negotiate(supported: .suspend)
    try driver.start()
    // The stub keeps DRIVER_OK: it has not finished.
    let isSuspended = try driver.suspend()
    #expect(!isSuspended && stub.status == 31)
    let machine = ScratchMachine()
    let other = try machine.negotiated(.suspend)
    try other.start()
    let isOtherSuspended = try other.suspend()
    #expect(isOtherSuspended && machine.status == 27)
    let write = try #require(machine.window.events.firstIndex(of: .write(31, MMIORegister.status)))
    #expect(
      machine.window.events[(write + 1)...].contains { !$0.isWrite && $0.offset == MMIORegister.status })
  }

  @Test func `3.4.1 the driver waits until a resumed device runs`() throws {
    let window = RegisterWindow()
    let stub = StubRegisters(window, offering: .version1 | .suspend)
    var driver = try MMIODriverTransport(window.registers)
    _ = try driver.negotiate(supported: .suspend)
    try driver.start()
    var polls = 0
    var isResuming = false
    let answer = window.onRead
    window.onRead = { offset, byteCount in
      guard offset == MMIORegister.status, isResuming else { return answer(offset, byteCount) }
      polls += 1
      return polls < 5 ? 27 : 15
    }
    isResuming = true
    try driver.resume()
    #expect(polls >= 5 && stub.status & 4 != 0)
  }

  @Test func `3.4.1 from SUSPEND until it runs again the driver touches nothing but the status`() throws {
    let machine = ScratchMachine()
    machine.state.behaviour = .park
    let driver = try machine.negotiated(.suspend)
    var arena = machine.ram.arena()
    var queue = DriverVirtqueue(index: 0, size: 8, features: .version1, from: &arena)!
    try driver.enable(queue)
    try driver.start()
    let data = arena.allocateShared(byteCount: 16, alignment: 16)!
    _ = queue.submit(data.segment, deviceWritable: true, token: 1)
    if queue.publish() { driver.notify(queue) }
    let start = machine.window.events.count
    // The device still has a buffer: the driver asks again, and takes back what comes.
    var isSuspended = try driver.suspend()
    #expect(!isSuspended)
    let rings = machine.ram.bytes(queue.addresses.descriptorArea, 16 * 8 + 6 + 2 * 8)
    machine.state.usesParked = true
    machine.transport.poll()
    let used = try queue.reclaim()
    #expect(used?.token == 1)
    isSuspended = try driver.suspend()
    #expect(isSuspended)
    let nothing = try queue.reclaim()
    #expect(nothing == nil)
    #expect(machine.ram.bytes(queue.addresses.descriptorArea, 16 * 8 + 6 + 2 * 8) == rings)
    try driver.resume()
    #expect(machine.window.events[start...].allSatisfy { $0.offset == MMIORegister.status })
    #expect(machine.status == 15)
  }

  @Test func `3.4.2 SUSPEND is ignored before initialization and without the feature`() {
    let machine = ScratchMachine()
    machine.write(1, MMIORegister.status)
    machine.write(1 | 16, MMIORegister.status)
    #expect(machine.status == 1)
    machine.write(0, MMIORegister.status)
    machine.bringUp(rings: [])
    machine.write(15 | 16, MMIORegister.status)
    #expect(machine.status == 15)
  }

  /// A device suspended after one served buffer.
  private func suspended(_ machine: ScratchMachine, _ ring: RingView) {
    ring[split: 0] = RingDescriptor(buffer, 16, RingDescriptor.write)
    machine.bringUp(.suspend, rings: [ring])
    ring.offer(0)
    machine.write(0, MMIORegister.queueNotify)
    machine.write(3, MMIORegister.interruptAcknowledge)
    machine.write(15 | 16, MMIORegister.status)
    #expect(machine.status == 27)
  }

  @Test func `3.4.2 a suspended device ignores writes to its configuration`() {
    let machine = ScratchMachine()
    suspended(machine, RingView(machine.ram, size: 16))
    machine.window.registers.write8(99, MMIORegister.configuration)
    #expect(machine.state.configuration[0] == 0)
    machine.write(27 | 4, MMIORegister.status)
    machine.window.registers.write8(99, MMIORegister.configuration)
    #expect(machine.state.configuration[0] == 99)
  }

  @Test func `3.4.2 a suspended device touches no queue and sends no notification`() {
    let machine = ScratchMachine()
    let ring = RingView(machine.ram, size: 16)
    suspended(machine, ring)
    ring.offer(0)
    let before = machine.ram.bytes(testBase, 1 << 16)
    let configuration = machine.state.configuration
    let events = machine.transport.line.eventCount
    machine.state.changesConfiguration = true
    machine.write(0, MMIORegister.queueNotify)
    machine.transport.poll()
    _ = machine.transport.run()
    #expect(machine.ram.bytes(testBase, 1 << 16) == before)
    #expect(machine.transport.line.eventCount == events)
    #expect(machine.read(MMIORegister.interruptStatus) == 0)
    #expect(machine.state.configuration == configuration)
  }

  @Test func `3.4.2 a configuration change is notified after the device resumes`() {
    let machine = ScratchMachine()
    suspended(machine, RingView(machine.ram, size: 16))
    machine.state.changesConfiguration = true
    machine.transport.poll()
    #expect(machine.read(MMIORegister.interruptStatus) == 0)
    machine.write(27 | 4, MMIORegister.status)
    machine.transport.poll()
    #expect(machine.status == 15)
    #expect(machine.read(MMIORegister.interruptStatus) & MMIOInterrupt.configurationChange != 0)
  }

  @Test func `3.4.2 a resumed device serves what came meanwhile`() {
    let machine = ScratchMachine()
    let ring = RingView(machine.ram, size: 16)
    suspended(machine, ring)
    ring.offer(0)
    machine.write(27 | 4, MMIORegister.status)
    #expect(machine.status == 15 && ring.usedIndex == 2)
  }

  @Test func `3.4.2 a device suspends, or needs a reset`() {
    let machine = ScratchMachine()
    suspended(machine, RingView(machine.ram, size: 16))
    machine.write(27 | 4, MMIORegister.status)
    #expect(machine.status == 15)
    // Both outcomes are final: one that broke stays broken and does not claim to be suspended.
    let broken = ScratchMachine()
    let ring = RingView(broken.ram, size: 16)
    broken.bringUp(.suspend, rings: [ring])
    ring.offer(99)
    broken.write(0, MMIORegister.queueNotify)
    broken.write(15 | 16, MMIORegister.status)
    #expect(broken.status & 64 != 0)
  }

  @Test func `3.4.2 before it shows SUSPEND alone the device has used and notified what it was processing`() {
    let machine = ScratchMachine()
    machine.state.behaviour = .park
    let ring = RingView(machine.ram, size: 16)
    ring[split: 0] = RingDescriptor(buffer, 16, RingDescriptor.write)
    machine.bringUp(.suspend, rings: [ring])
    ring.offer(0)
    machine.write(0, MMIORegister.queueNotify)
    machine.write(15 | 16, MMIORegister.status)
    #expect(machine.status == 31)
    // No more is consumed while it waits.
    ring.offer(0)
    machine.write(0, MMIORegister.queueNotify)
    machine.transport.poll()
    #expect(machine.status == 31 && ring.usedIndex == 0)
    machine.state.usesParked = true
    machine.transport.poll()
    #expect(machine.status == 27 && ring.usedIndex == 1)
    #expect(machine.read(MMIORegister.interruptStatus) & MMIOInterrupt.usedBuffer != 0)
  }
}
