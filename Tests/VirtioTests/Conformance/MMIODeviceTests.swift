// virtio 1.4 §4.2.2.1 Device Requirements: MMIO Device Register Layout, and §6 Reserved Feature Bits, device
// side: one test for each normative statement.

import TestSupport
import Testing
import Virtio

@Suite struct `MMIO device registers` {
  private let buffer = testBase + 0x8000

  private func ring(_ machine: ScratchMachine) -> RingView {
    let ring = RingView(machine.ram, size: 16)
    ring[split: 0] = RingDescriptor(buffer, 16, RingDescriptor.write)
    return ring
  }

  @Test func `4.2.2.1 MagicValue and Version`() {
    let machine = ScratchMachine()
    #expect(machine.read(MMIORegister.magicValue) == 0x7472_6976)
    #expect(machine.read(MMIORegister.version) == 2)
    #expect(machine.read(MMIORegister.deviceID) == 0x7777)
  }

  @Test func `4.2.2.1 an event stays in InterruptStatus until it is acknowledged`() {
    let machine = ScratchMachine()
    let ring = ring(machine)
    machine.bringUp(rings: [ring])
    ring.offer(0)
    machine.write(0, MMIORegister.queueNotify)
    for _ in 0..<3 { #expect(machine.read(MMIORegister.interruptStatus) == 1) }
    machine.state.changesConfiguration = true
    machine.transport.poll()
    #expect(machine.read(MMIORegister.interruptStatus) == 3)
    machine.write(1, MMIORegister.interruptAcknowledge)
    #expect(machine.read(MMIORegister.interruptStatus) == 2 && machine.transport.line.isAsserted)
    machine.write(2, MMIORegister.interruptAcknowledge)
    #expect(machine.read(MMIORegister.interruptStatus) == 0 && !machine.transport.line.isAsserted)
  }

  @Test func `4.2.2.1 bits of events that did not take place are zero`() {
    let machine = ScratchMachine()
    let ring = ring(machine)
    machine.bringUp(rings: [ring])
    #expect(machine.read(MMIORegister.interruptStatus) == 0)
    ring.offer(0)
    machine.write(0, MMIORegister.queueNotify)
    #expect(machine.read(MMIORegister.interruptStatus) == MMIOInterrupt.usedBuffer)
    machine.write(.max, MMIORegister.interruptAcknowledge)
    machine.state.changesConfiguration = true
    machine.transport.poll()
    #expect(machine.read(MMIORegister.interruptStatus) == MMIOInterrupt.configurationChange)
  }

  @Test func `4.2.2.1 a reset clears InterruptStatus and QueueReady of all queues`() {
    let machine = ScratchMachine()
    let first = ring(machine)
    machine.bringUp(rings: [first, RingView(machine.ram, at: testBase + 0x4000, size: 8)])
    first.offer(0)
    machine.write(0, MMIORegister.queueNotify)
    machine.write(0, MMIORegister.status)
    #expect(machine.read(MMIORegister.interruptStatus) == 0)
    for index in 0..<4 as Range<UInt32> {
      machine.write(index, MMIORegister.queueSelect)
      #expect(machine.read(MMIORegister.queueReady) == 0)
    }
  }

  @Test func `4.2.2.1 ConfigGeneration changes with the configuration`() {
    let machine = ScratchMachine()
    machine.bringUp(rings: [])
    let before = machine.read(MMIORegister.configurationGeneration)
    #expect(machine.read(MMIORegister.configurationGeneration) == before)
    machine.state.changesConfiguration = true
    machine.transport.poll()
    #expect(machine.read(MMIORegister.configurationGeneration) != before)
  }

  @Test func `4.2.2.1 a queue that is not ready is not touched`() {
    let machine = ScratchMachine()
    let ring = ring(machine)
    machine.bringUp(rings: [])
    ring.offer(0)
    machine.write(0, MMIORegister.queueNotify)
    machine.enable(ring)
    machine.write(0, MMIORegister.queueReady)
    #expect(machine.read(MMIORegister.queueReady) == 0)
    let before = machine.ram.bytes(testBase, 1 << 16)
    machine.write(0, MMIORegister.queueNotify)
    machine.transport.poll()
    _ = machine.transport.run()
    #expect(machine.ram.bytes(testBase, 1 << 16) == before && machine.state.processed.isEmpty)
  }

  @Test func `4.2.2.1 QueueReset reads 0 after a reset and after the queue was enabled`() {
    let machine = ScratchMachine()
    let ring = ring(machine)
    machine.bringUp(.ringReset, rings: [ring])
    #expect(machine.read(MMIORegister.queueReset) == 0)
    machine.state.isQuiescent = false
    machine.write(1, MMIORegister.queueReset)
    #expect(machine.read(MMIORegister.queueReset) == 1)
    machine.state.isQuiescent = true
    machine.write(0, MMIORegister.status)
    machine.bringUp(.ringReset, rings: [ring])
    #expect(machine.read(MMIORegister.queueReset) == 0)
    machine.write(1, MMIORegister.queueReset)
    machine.enable(ring)
    #expect(machine.read(MMIORegister.queueReset) == 0 && machine.read(MMIORegister.queueReady) == 1)
  }

  @Test func `4.2.2.1 QueueReset resets the queue, reads 1 meanwhile, and both registers 0 afterwards`() {
    let machine = ScratchMachine()
    let ring = ring(machine)
    machine.bringUp(.ringReset, rings: [ring])
    machine.write(0, MMIORegister.queueSelect)
    machine.state.isQuiescent = false
    machine.write(1, MMIORegister.queueReset)
    for _ in 0..<3 { #expect(machine.read(MMIORegister.queueReset) == 1) }
    ring.offer(0)
    machine.write(0, MMIORegister.queueNotify)
    #expect(ring.usedIndex == 0)
    machine.state.isQuiescent = true
    #expect(machine.read(MMIORegister.queueReset) == 0 && machine.read(MMIORegister.queueReady) == 0)
    #expect(machine.status == 15)
  }

  @Test func `4.2.2 registers of undefined offsets, wrong direction or width do nothing`() {
    let machine = ScratchMachine()
    let ring = ring(machine)
    machine.bringUp(rings: [ring])
    let events = machine.transport.line.eventCount
    for offset in [0x01c, 0x018, 0x03c, 0x040, 0x048, 0x0a8, 0x0c4, 0x0f8, 0x1000] {
      #expect(machine.read(offset) == 0, "\(offset)")
      machine.write(.max, offset)
    }
    for offset in [0x014, 0x020, 0x024, 0x030, 0x038, 0x050, 0x064, 0x080, 0x0ac] {
      #expect(machine.read(offset) == 0, "\(offset)")
    }
    for offset in [0x000, 0x004, 0x008, 0x010, 0x034, 0x060, 0x0fc] { machine.write(.max, offset) }
    #expect(machine.window.registers.read8(MMIORegister.magicValue) == 0)
    #expect(machine.window.registers.read16(MMIORegister.magicValue) == 0)
    machine.window.registers.write8(0, MMIORegister.status)
    #expect(
      machine.transport.read(at: 2, byteCount: 4) == 0 && machine.transport.read(at: -4, byteCount: 4) == 0)
    #expect(machine.status == 15 && machine.transport.line.eventCount == events)
  }

  @Test func `4.2.2 a queue that does not exist has size 0 and cannot be made ready`() {
    let machine = ScratchMachine()
    machine.bringUp(rings: [])
    for index in [2, 3, 4, 63, 0x1_0000, .max] as [UInt32] {
      machine.write(index, MMIORegister.queueSelect)
      #expect(machine.read(MMIORegister.queueSizeMax) == 0)
      machine.write(1, MMIORegister.queueReady)
      #expect(machine.read(MMIORegister.queueReady) == 0)
    }
    for index in [2, 63, 64, 0xffff] as [UInt32] { machine.write(index, MMIORegister.queueNotify) }
    #expect(machine.status == 15)
  }

  @Test func `4.2.2 a size above QueueSizeMax is refused`() {
    let machine = ScratchMachine()
    machine.bringUp(rings: [RingView(machine.ram, size: 32)])
    machine.write(0, MMIORegister.queueSelect)
    #expect(machine.read(MMIORegister.queueReady) == 0 && machine.status & 64 != 0)
  }

  @Test func `4.2.2 shared memory regions are told, and all ones where there is none`() {
    let machine = ScratchMachine()
    machine.state.sharedMemory = SharedMemoryRegion(address: 0x1_2345_6000, byteCount: 0x2_0000_1000)
    machine.write(0, MMIORegister.sharedMemorySelect)
    let words = [0x0b0, 0x0b4, 0x0b8, 0x0bc].map { machine.read($0) }
    #expect(words == [0x0000_1000, 2, 0x2345_6000, 1])
    machine.write(1, MMIORegister.sharedMemorySelect)
    #expect([0x0b0, 0x0b4, 0x0b8, 0x0bc].map { machine.read($0) } == [.max, .max, .max, .max])
  }

  @Test func `6.2 VERSION_1 is offered, and needed`() {
    let machine = ScratchMachine(transportFeatures: .none)
    #expect(machine.transport.offeredFeatures == .version1)
    machine.write(1, MMIORegister.status)
    machine.write(3, MMIORegister.status)
    machine.write(11, MMIORegister.status)
    #expect(machine.status == 3)
  }

  @Test func `6.2 ACCESS_PLATFORM is offered where the board says so, and then needed`() {
    let features = MMIODeviceTransport<ScratchDevice, CountingLine, 4>.defaultTransportFeatures
    #expect(!ScratchMachine().transport.offeredFeatures.contains(.accessPlatform))
    let machine = ScratchMachine(transportFeatures: features | .accessPlatform)
    #expect(machine.transport.offeredFeatures.contains(.accessPlatform))
    machine.bringUp(rings: [])
    #expect(machine.status & 8 == 0)
    machine.write(0, MMIORegister.status)
    machine.bringUp(.accessPlatform, rings: [])
    #expect(machine.status == 15)
  }

  @Test func `6.2 IN_ORDER is offered only by a device that keeps the order`() {
    let machine = ScratchMachine()
    #expect(machine.transport.offeredFeatures.contains(.inOrder))
    machine.state.usesBuffersInOrder = false
    let other = ScratchMachine(machine.state)
    #expect(!other.transport.offeredFeatures.contains(.inOrder))
  }

  @Test(arguments: [Features.inOrder, .inOrder | .ringPacked])
  func `6.2 with IN_ORDER buffers are used in the order in which they were available`(
    _ features: Features
  ) throws {
    let machine = ScratchMachine()
    let driver = try machine.negotiated(features)
    var arena = machine.ram.arena()
    var queue = DriverVirtqueue(
      index: 0, size: 8, features: features | .version1, from: &arena)!
    let ring = RingView(machine.ram, queue.addresses, size: 8)
    try driver.enable(queue)
    try driver.start()
    let data = arena.allocateShared(byteCount: 8, alignment: 16)!
    for token in 0..<5 as Range<UInt32> {
      _ = queue.submit(data.segment, deviceWritable: true, token: token)
    }
    let isWanted = queue.publish()
    #expect(isWanted)
    driver.notify(queue)
    let ids =
      features.contains(.ringPacked)
      ? (0..<5).map { UInt32(ring[packed: $0].link) } : (0..<5).map { ring[used: $0].id }
    #expect(ids == [0, 1, 2, 3, 4])
    if !features.contains(.ringPacked) { #expect((0..<5).map { ring[available: $0] } == [0, 1, 2, 3, 4]) }
  }

  @Test func `6.2 SR_IOV is never offered`() {
    let machine = ScratchMachine(transportFeatures: Features(low: .max, high: .max))
    machine.state.features = Features(low: .max, high: .max)
    #expect(!machine.transport.offeredFeatures.contains(.bit(37)))
  }
}
