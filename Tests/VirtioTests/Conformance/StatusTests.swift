// virtio 1.4 §2.1 Device Status Field, §2.2 Feature Bits, §2.4 Device Reset, §2.5 Device Configuration Space:
// one test for each normative statement, named by its clause.

import TestSupport
import Testing
import Virtio

@Suite struct `Device status and features` {
  /// Bits that virtio 1.4 reserves, or that virtio-mmio or this device type does not define.
  private static let foreign: [Features] = [
    .bit(24), .bit(27), .bit(30), .bit(31), .bit(37), .bit(44), .bit(49),
  ]

  @Test func `2.1.1 the driver sets status bits step by step and clears none`() throws {
    let machine = ScratchMachine()
    let driver = try machine.negotiated()
    try driver.start()
    #expect(machine.window.writes(to: MMIORegister.status) == [0, 1, 3, 11, 15])
  }

  @Test func `2.1.1 after FAILED the driver resets before it starts again`() throws {
    let machine = ScratchMachine()
    var driver = try machine.negotiated()
    driver.fail()
    #expect(machine.status == 128 | 11)
    _ = try driver.negotiate(supported: .none)
    #expect(machine.window.writes(to: MMIORegister.status).suffix(5) == [128 | 11, 0, 1, 3, 11])
  }

  @Test func `2.1.1 the driver gives up operations when the device needs a reset`() throws {
    let machine = ScratchMachine()
    let ring = RingView(machine.ram, size: 16)
    let driver = try machine.negotiated()
    machine.enable(ring)
    ring[available: 0] = 99
    ring.availableIndex = 1
    #expect(throws: DeviceFault.needsReset) { try driver.start() }
    let needsReset = driver.needsReset
    #expect(needsReset)
  }

  @Test func `2.1.2 nothing is consumed or notified before DRIVER_OK`() {
    let machine = ScratchMachine()
    let ring = RingView(machine.ram, size: 16)
    let buffer = testBase + 0x8000
    ring[split: 0] = RingDescriptor(buffer, 16, RingDescriptor.write)
    ring.offer(0)
    machine.write(1, MMIORegister.status)
    machine.write(3, MMIORegister.status)
    machine.write(1, MMIORegister.driverFeaturesSelect)
    machine.write(Features.version1.word(1), MMIORegister.driverFeatures)
    machine.write(11, MMIORegister.status)
    machine.enable(ring)
    machine.write(0, MMIORegister.queueNotify)
    machine.transport.poll()
    _ = machine.transport.run()
    #expect(ring.usedIndex == 0 && machine.state.processed.isEmpty)
    #expect(machine.read(MMIORegister.interruptStatus) == 0 && machine.transport.line.eventCount == 0)
    machine.write(15, MMIORegister.status)
    #expect(ring.usedIndex == 1)
    #expect(machine.read(MMIORegister.interruptStatus) == MMIOInterrupt.usedBuffer)
  }

  @Test func `2.1.2 a broken ring sets DEVICE_NEEDS_RESET and notifies`() {
    let machine = ScratchMachine()
    let ring = RingView(machine.ram, size: 16)
    machine.bringUp(rings: [ring])
    ring.offer(99)
    machine.write(0, MMIORegister.queueNotify)
    #expect(machine.status == 15 | 64)
    #expect(machine.read(MMIORegister.interruptStatus) & MMIOInterrupt.configurationChange != 0)
    #expect(machine.transport.line.isAsserted)
  }

  @Test func `2.1.2 before DRIVER_OK an error sets DEVICE_NEEDS_RESET without a notification`() {
    let machine = ScratchMachine()
    machine.write(1, MMIORegister.status)
    machine.write(3, MMIORegister.status)
    machine.write(1, MMIORegister.driverFeaturesSelect)
    machine.write(Features.version1.word(1), MMIORegister.driverFeatures)
    machine.write(11, MMIORegister.status)
    machine.enable(RingView(machine.ram, at: testBase + 8, size: 16))
    #expect(machine.status == 11 | 64)
    #expect(machine.read(MMIORegister.interruptStatus) == 0)
  }

  @Test func `2.2.1 the driver accepts only what the device offers`() throws {
    let machine = ScratchMachine()
    machine.state.features = .bit(3)
    var driver = try machine.driver()
    let accepted = try driver.negotiate(supported: .bit(3) | .bit(4) | .eventIndex | .accessPlatform)
    #expect(accepted == .bit(3) | .eventIndex | .version1)
    #expect(machine.transport.driverFeatures == accepted)
  }

  @Test func `2.2.1 the driver checks the features offered`() throws {
    let machine = ScratchMachine()
    machine.state.features = .bit(3)
    var driver = try machine.driver()
    #expect(throws: DeviceFault.featureMissing(.bit(4))) {
      _ = try driver.negotiate(supported: .none, required: .bit(3) | .bit(4))
    }
    #expect(machine.status & 128 != 0)
  }

  @Test(arguments: foreign)
  func `2.2.1 the driver ignores bits that are reserved or not for this transport`(_ bit: Features) throws {
    let window = RegisterWindow()
    let fake = StubRegisters(window, offering: bit | .version1)
    var driver = try MMIODriverTransport(window.registers)
    let accepted = try driver.negotiate(supported: Features(low: .max, high: .max).subtracting(.version1))
    #expect(accepted == .version1)
    #expect(fake.driverFeatures == .version1)
  }

  @Test func `2.2.1 without an understood feature the driver works without it or sets FAILED`() throws {
    let machine = ScratchMachine()
    var driver = try machine.driver()
    #expect(try driver.negotiate(supported: .bit(3)) == .version1)
    #expect(throws: DeviceFault.featureMissing(.bit(3))) {
      _ = try driver.negotiate(supported: .bit(3), required: .bit(3))
    }
    #expect(machine.status == 1 | 2 | 128)
    #expect(machine.window.writes(to: MMIORegister.status).suffix(1) == [1 | 2 | 128])
  }

  @Test func `2.2.1 a feature that the driver does not know does not make it fail`() throws {
    let window = RegisterWindow()
    let fake = StubRegisters(window, offering: Features(low: .max, high: .max))
    var driver = try MMIODriverTransport(window.registers)
    #expect(try driver.negotiate(supported: .bit(0)) == .bit(0) | .version1)
    #expect(fake.status == 11)
  }

  @Test func `2.2.2 any valid subset of the offer is accepted`() {
    let machine = ScratchMachine()
    machine.state.features = .bit(0) | .bit(23) | .bit(50) | .bit(127)
    let offered = machine.transport.offeredFeatures
    for bit in 0..<128 where bit != 32 && offered.contains(.bit(bit)) {
      machine.write(0, MMIORegister.status)
      machine.bringUp(.bit(bit), rings: [])
      #expect(machine.status == 15, "bit \(bit)")
    }
    machine.write(0, MMIORegister.status)
    machine.bringUp(offered, rings: [])
    #expect(machine.status == 15)
  }

  @Test(arguments: [0, 22, 33, 37, 44, 63, 64, 127])
  func `2.2.2 FEATURES_OK stays clear for a bit that was not offered`(_ bit: Int) {
    let machine = ScratchMachine()
    machine.bringUp(.bit(bit), rings: [])
    #expect(machine.status & 8 == 0)
  }

  @Test func `2.2.2 FEATURES_OK stays clear for a bit above 127 and for a set the device refuses`() {
    let machine = ScratchMachine()
    machine.write(4, MMIORegister.driverFeaturesSelect)
    machine.write(1, MMIORegister.driverFeatures)
    machine.bringUp(rings: [])
    #expect(machine.status & 8 == 0)
    machine.write(0, MMIORegister.status)
    machine.state.features = .bit(1)
    machine.state.refusedFeatures = .bit(1)
    machine.bringUp(.bit(1), rings: [])
    #expect(machine.status & 8 == 0)
  }

  @Test func `2.2.2 no bit is offered that the transport does not support`() {
    let machine = ScratchMachine(transportFeatures: Features(low: .max, high: .max))
    machine.state.features = Features(low: .max, high: .max)
    let transport = machine.transport.offeredFeatures.subtracting(.deviceTypeBits)
    #expect(transport == .mmioTransportBits)
    for bit in Self.foreign { #expect(!machine.transport.offeredFeatures.contains(bit)) }
  }

  @Test func `2.2.2 the same features are accepted again after a reset`() {
    let machine = ScratchMachine()
    for _ in 0..<3 {
      machine.bringUp(.eventIndex | .ringPacked, rings: [])
      #expect(machine.status == 15)
      machine.write(0, MMIORegister.status)
      #expect(machine.status == 0)
    }
  }

  @Test func `2.4.1 a reset makes the status 0, late completions included`() {
    let machine = ScratchMachine()
    machine.state.behaviour = .park
    let ring = RingView(machine.ram, size: 16)
    ring[split: 0] = RingDescriptor(testBase + 0x8000, 16, RingDescriptor.write)
    machine.bringUp(rings: [ring])
    ring.offer(0)
    machine.write(0, MMIORegister.queueNotify)
    #expect(machine.state.processed.contains(0))
    machine.state.isQuiescent = false
    machine.write(0, MMIORegister.status)
    #expect(machine.status != 0)
    machine.state.isQuiescent = true
    #expect(machine.status == 0)
  }

  @Test func `2.4.1 after a reset nothing is notified and no queue is touched`() {
    let machine = ScratchMachine()
    machine.state.behaviour = .park
    let ring = RingView(machine.ram, size: 16)
    ring[split: 0] = RingDescriptor(testBase + 0x8000, 16, RingDescriptor.write)
    machine.bringUp(rings: [ring])
    ring.offer(0)
    machine.write(0, MMIORegister.queueNotify)
    machine.write(0, MMIORegister.status)
    let before = machine.ram.bytes(testBase, 1 << 16)
    let assertions = machine.transport.line.eventCount
    machine.state.usesParked = true
    machine.state.changesConfiguration = true
    machine.write(0, MMIORegister.queueNotify)
    machine.transport.poll()
    _ = machine.transport.run()
    #expect(machine.ram.bytes(testBase, 1 << 16) == before)
    #expect(machine.transport.line.eventCount == assertions && !machine.transport.line.isAsserted)
    #expect(machine.read(MMIORegister.interruptStatus) == 0)
  }

  @Test func `2.4.2 the driver waits until the status reads 0`() throws {
    let window = RegisterWindow()
    let fake = StubRegisters(window, offering: .version1)
    fake.readsUntilReset = 5
    var driver = try MMIODriverTransport(window.registers)
    try driver.reset()
    #expect(window.reads(of: MMIORegister.status) == [1, 1, 1, 1, 1, 0])
  }

  @Test func `2.4.2 a reset that never ends is reported`() throws {
    let window = RegisterWindow()
    let fake = StubRegisters(window, offering: .version1)
    fake.readsUntilReset = .max
    var driver = try MMIODriverTransport(window.registers)
    #expect(throws: DeviceFault.resetTimedOut) { try driver.reset() }
  }

  @Test func `2.5.2 configuration fields can be read before FEATURES_OK`() {
    let machine = ScratchMachine()
    for offset in 0..<16 {
      #expect(machine.window.registers.read8(0x100 + offset) == UInt8(offset))
    }
    machine.write(1, MMIORegister.status)
    machine.write(3, MMIORegister.status)
    #expect(machine.window.registers.read32(0x104) == 0x0706_0504)
  }
}
