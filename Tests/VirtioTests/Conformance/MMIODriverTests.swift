// virtio 1.4 §4.2.2.2 Driver Requirements: MMIO Device Register Layout, §4.2.3 MMIO-specific Initialization
// And Device Operation, and §6 Reserved Feature Bits, driver side: one test for each normative statement.

import TestSupport
import Testing
import Virtio

@Suite struct `MMIO driver registers` {
  /// A window after everything that the transport can do was done to a device that agrees to all of it.
  private func exercised() throws -> RegisterWindow {
    let machine = ScratchMachine()
    machine.state.sharedMemory = SharedMemoryRegion(address: 0x1000, byteCount: 0x1000)
    let features: Features = .ringReset | .suspend | .notificationData | .eventIndex
    let driver = try machine.negotiated(features)
    var arena = machine.ram.arena()
    let size = try driver.queueSize(0, wanted: 64)
    var queue = DriverVirtqueue(index: 0, size: size, features: features | .version1, from: &arena)!
    try driver.enable(queue)
    try driver.start()
    let data = arena.allocateShared(byteCount: 8, alignment: 16)!
    _ = queue.submit(data.segment, deviceWritable: true, token: 1)
    _ = queue.publish()
    driver.notify(queue)
    _ = driver.takeInterrupts()
    _ = driver.takeInterrupts()
    _ = driver.sharedMemoryRegion(0)
    _ = driver.configuration8(0)
    _ = driver.configuration16(2)
    _ = driver.configuration32(4)
    _ = driver.configuration64(8)
    driver.setConfiguration8(1, 0)
    driver.setConfiguration32(2, 4)
    _ = driver.configurationGeneration()
    try driver.resetQueue(0)
    try driver.enable(queue)
    _ = try driver.suspend()
    try driver.resume()
    driver.fail()
    return machine.window
  }

  private let fields = [(offset: 0, byteCount: 1), (2, 2), (4, 4), (8, 8)]

  @Test func `4.2.2.2 only registers of the table are touched, in their direction and width`() throws {
    let window = try exercised()
    #expect(window.violations(configurationFields: fields) == [])
    #expect(window.events.count > 60)
  }

  @Test func `4.2.2.2 the check of register accesses finds violations`() {
    let window = RegisterWindow()
    _ = window.registers.read32(MMIORegister.queueNotify)
    _ = window.registers.read16(MMIORegister.status)
    window.registers.write32(0, MMIORegister.magicValue)
    window.registers.write32(0, 0x1c)
    _ = window.registers.read32(MMIORegister.configuration)
    #expect(window.violations(configurationFields: [(0, 1)]).count == 5)
  }

  @Test func `4.2.2.2 configuration fields are read in their own width, 64 bits in two halves`() throws {
    let window = try exercised()
    let reads = window.events.filter { !$0.isWrite && $0.offset >= 0x100 }
    #expect(reads.map(\.offset) == [0x100, 0x102, 0x104, 0x108, 0x10c])
    #expect(reads.map(\.byteCount) == [1, 2, 4, 4, 4])
  }

  @Test func `4.2.2.2 a wrong MagicValue is reported and nothing else touched`() {
    let window = RegisterWindow()
    let stub = StubRegisters(window, offering: .version1)
    stub.magic = 0x7472_6977
    #expect(throws: DeviceFault.notVirtio) { _ = try MMIODriverTransport(window.registers) }
    #expect(window.events.map(\.offset) == [MMIORegister.magicValue])
  }

  @Test(
    arguments: [(0, .unknownVersion(0)), (1, .legacyDevice), (3, .unknownVersion(3))]
      as [(UInt32, DeviceFault)])
  func `4.2.2.2 a wrong Version is reported and nothing else touched`(_ version: UInt32, _ fault: DeviceFault)
  {
    let window = RegisterWindow()
    let stub = StubRegisters(window, offering: .version1)
    stub.version = version
    #expect(throws: fault) { _ = try MMIODriverTransport(window.registers) }
    #expect(window.events.map(\.offset) == [MMIORegister.magicValue, MMIORegister.version])
  }

  @Test func `4.2.2.2 DeviceID 0 is an empty slot and no error of the device`() {
    let window = RegisterWindow()
    let stub = StubRegisters(window, offering: .version1)
    stub.deviceID = 0
    #expect(throws: DeviceFault.noDevice) { _ = try MMIODriverTransport(window.registers) }
    #expect(!window.events.contains { $0.isWrite })
  }

  @Test func `4.2.2.2 a selector is written before each use of its feature window`() throws {
    let events = try exercised().events
    for (window, selector) in [
      (MMIORegister.deviceFeatures, MMIORegister.deviceFeaturesSelect),
      (MMIORegister.driverFeatures, MMIORegister.driverFeaturesSelect),
    ] {
      let uses = events.indices.filter { events[$0].offset == window }
      #expect(uses.count >= 2)
      for use in uses { #expect(events[use - 1].isWrite && events[use - 1].offset == selector) }
    }
  }

  @Test(arguments: [1, 3, 16, 1024] as [UInt32])
  func `4.2.2.2 QueueSize is at most QueueSizeMax`(_ maximum: UInt32) throws {
    let window = RegisterWindow()
    let stub = StubRegisters(window, offering: .version1)
    stub.queueSizeMax = maximum
    var driver = try MMIODriverTransport(window.registers)
    _ = try driver.negotiate(supported: .none)
    let size = try driver.queueSize(0, wanted: 256)
    #expect(size <= maximum && size <= 256)
    let memory = TestMemory()
    defer { withExtendedLifetime(memory) {} }
    var arena = memory.arena()
    let queue = DriverVirtqueue(index: 0, size: size, features: .version1, from: &arena)!
    try driver.enable(queue)
    #expect(window.writes(to: MMIORegister.queueSize) == [UInt64(size)])
    let larger = DriverVirtqueue(index: 1, size: 2048, features: .version1, from: &arena)!
    #expect(throws: DeviceFault.queueUnavailable(1)) { try driver.enable(larger) }
    #expect(window.writes(to: MMIORegister.queueSize).count == 1)
  }

  @Test func `4.2.2.2 the settings of a ready queue are not touched`() throws {
    let window = RegisterWindow()
    _ = StubRegisters(window, offering: .version1)
    var driver = try MMIODriverTransport(window.registers)
    _ = try driver.negotiate(supported: .none)
    window.registers.write32(0, MMIORegister.queueSelect)
    window.registers.write32(1, MMIORegister.queueReady)
    let start = window.events.count
    let memory = TestMemory()
    defer { withExtendedLifetime(memory) {} }
    var arena = memory.arena()
    let queue = DriverVirtqueue(index: 0, size: 8, features: .version1, from: &arena)!
    #expect(throws: DeviceFault.queueBusy(0)) { try driver.enable(queue) }
    let settings =
      [MMIORegister.queueSize] + Array(MMIORegister.queueDescriptorLow...MMIORegister.queueDeviceHigh)
    #expect(!window.events[start...].contains { settings.contains($0.offset) })
  }

  @Test func `4.2.2.2 InterruptACK gets exactly the defined events that were pending`() throws {
    let window = RegisterWindow()
    let stub = StubRegisters(window, offering: .version1)
    let driver = try MMIODriverTransport(window.registers)
    for pending in [1, 2, 3] as [UInt32] {
      stub.interruptStatus = pending | 0xffff_fff0
      let taken = driver.takeInterrupts()
      #expect(taken.usedBuffer == (pending & 1 != 0) && taken.configurationChange == (pending & 2 != 0))
      #expect(window.writes(to: MMIORegister.interruptAcknowledge).last == UInt64(pending))
    }
    let count = window.writes(to: MMIORegister.interruptAcknowledge).count
    stub.interruptStatus = 0xffff_fff0
    let nothing = driver.takeInterrupts()
    #expect(!nothing.usedBuffer && !nothing.configurationChange)
    #expect(window.writes(to: MMIORegister.interruptAcknowledge).count == count)
  }

  @Test func `4.2.2.2 a queue reset is complete only when QueueReset reads 0`() throws {
    let window = RegisterWindow()
    let stub = StubRegisters(window, offering: .version1 | .ringReset)
    stub.queueResetReads = [1, 1, 1]
    var driver = try MMIODriverTransport(window.registers)
    _ = try driver.negotiate(supported: .ringReset)
    try driver.resetQueue(0)
    #expect(window.reads(of: MMIORegister.queueReset) == [1, 1, 1, 0])
  }

  @Test func `4.2.2.2 after a queue reset the queue can be enabled with other settings`() throws {
    let machine = ScratchMachine()
    let driver = try machine.negotiated(.ringReset)
    var arena = machine.ram.arena()
    let first = DriverVirtqueue(index: 0, size: 16, features: .version1, from: &arena)!
    try driver.enable(first)
    try driver.start()
    try driver.resetQueue(0)
    var second = DriverVirtqueue(index: 0, size: 4, features: .version1, from: &arena)!
    try driver.enable(second)
    let data = arena.allocateShared(byteCount: 8, alignment: 16)!
    for token in 0..<10 as Range<UInt32> {
      _ = second.submit(data.segment, deviceWritable: true, token: token)
      if second.publish() { driver.notify(second) }
      let used = try second.reclaim()
      #expect(used?.token == token)
    }
  }

  @Test func `4.2.3.1.1 discovery reads MagicValue, Version and DeviceID, and stops at an empty slot`() throws
  {
    let window = RegisterWindow()
    let stub = StubRegisters(window, offering: .version1)
    _ = try MMIODriverTransport(window.registers)
    let start = [MMIORegister.magicValue, MMIORegister.version, MMIORegister.deviceID]
    #expect(Array(window.events.map(\.offset).prefix(3)) == start)
    window.events = []
    stub.deviceID = 0
    #expect(throws: DeviceFault.noDevice) { _ = try MMIODriverTransport(window.registers) }
    #expect(window.events.map(\.offset) == start)
  }

  @Test func `4.2.3.1.1 initialization goes on as for every transport`() throws {
    let machine = ScratchMachine()
    let driver = try machine.negotiated()
    // Nothing but discovery comes before the reset that starts it.
    let writes = machine.window.events.filter(\.isWrite)
    #expect(writes.first == .write(0, MMIORegister.status))
    try driver.start()
    #expect(machine.window.writes(to: MMIORegister.status) == [0, 1, 3, 11, 15])
  }

  @Test func `4.2.3.1.1 the shared memory registers are left alone by a driver that expects none`() throws {
    let machine = ScratchMachine()
    let driver = try machine.negotiated()
    try driver.start()
    let registers = [MMIORegister.sharedMemorySelect] + Array(0x0b0...0x0bc)
    #expect(!machine.window.events.contains { registers.contains($0.offset) })
  }

  @Test func `4.2.3.4.1 after an interrupt InterruptStatus is read, then acknowledged`() throws {
    let machine = ScratchMachine()
    let ring = RingView(machine.ram, size: 16)
    ring[split: 0] = RingDescriptor(testBase + 0x8000, 8, RingDescriptor.write)
    let driver = try machine.negotiated()
    machine.enable(ring)
    try driver.start()
    ring.offer(0)
    machine.write(0, MMIORegister.queueNotify)
    #expect(machine.transport.line.isAsserted)
    let start = machine.window.events.count
    let taken = driver.takeInterrupts()
    // The used buffer bit stands for every queue: it names none.
    #expect(taken.usedBuffer && !taken.configurationChange)
    #expect(
      machine.window.events[start...].map(\.offset) == [
        MMIORegister.interruptStatus, MMIORegister.interruptAcknowledge,
      ])
    #expect(!machine.transport.line.isAsserted)
  }

  @Test func `6.1 VERSION_1 is accepted, and a device without it refused`() throws {
    let machine = ScratchMachine()
    _ = try machine.negotiated()
    #expect(machine.transport.driverFeatures == .version1)
    let window = RegisterWindow()
    _ = StubRegisters(window, offering: .none)
    var driver = try MMIODriverTransport(window.registers)
    #expect(throws: DeviceFault.featureMissing(.version1)) { _ = try driver.negotiate(supported: .none) }
  }

  @Test(arguments: [Features.accessPlatform, .ringPacked, .orderPlatform])
  func `6.1 platform features and the packed format are accepted when offered`(_ feature: Features) throws {
    let window = RegisterWindow()
    let stub = StubRegisters(window, offering: feature | .version1)
    var driver = try MMIODriverTransport(window.registers)
    let accepted = try driver.negotiate(supported: .mmioTransportBits)
    #expect(accepted == feature | .version1 && stub.driverFeatures == accepted)
  }

  @Test(arguments: [Features.none, .accessPlatform])
  func `6.1 the device gets the addresses that the platform gave for it`(_ features: Features) throws {
    let memory = TestMemory()
    var arena = memory.arena()
    var queue = DriverVirtqueue(index: 0, size: 8, features: features | .version1, from: &arena)!
    let ring = RingView(memory, queue.addresses, size: 8)
    let data = arena.allocateShared(byteCount: 8, alignment: 16)!
    _ = queue.submit(data.segment, deviceWritable: true, token: 1)
    #expect(ring[split: 0].address == data.deviceAddress)
    #expect(queue.addresses.descriptorArea >= memory.address)
    #expect(queue.addresses.deviceArea < memory.address + UInt64(memory.byteCount))
  }

  @Test func `6.1 SR_IOV is never accepted`() throws {
    let window = RegisterWindow()
    let stub = StubRegisters(window, offering: .bit(37) | .version1)
    var driver = try MMIODriverTransport(window.registers)
    _ = try driver.negotiate(supported: Features(low: .max, high: .max))
    #expect(stub.driverFeatures == .version1)
  }
}
