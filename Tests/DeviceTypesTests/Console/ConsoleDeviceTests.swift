// The data of a console device, its configuration space and emergency write, against a fake driver.

import DeviceTypes
import Testing
import TestSupport
import Virtio

@Suite struct ConsoleDeviceTests {
  @Test(arguments: [1, 2, 4])
  func `5.3.5.1 device: allows a write to emerg_wr on an unconfigured device`(byteCount: Int) {
    let fixture = ConsoleFixture()
    fixture.bench.transport.write(UInt64(UInt8(ascii: "!")), at: 0x108, byteCount: byteCount)
    #expect(fixture.bench.transport.device.backend.emergencies == [UInt8]("!"))
    #expect(fixture.bench.transport.status == .reset)
  }

  @Test func `5.3.5.1 device: transmits the lower byte written to emerg_wr`() {
    var fixture = ConsoleFixture()
    fixture.bench.transport.write(0x1234_5641, at: 0x108, byteCount: 4)
    fixture.bench.transport.write(0xffff_ff42_0000_0043, at: 0x108, byteCount: 8)
    fixture.startPlain()
    fixture.bench.transport.write(0x44, at: 0x108, byteCount: 4)
    // A driver that has failed, and a device that has: a catastrophe is what this is for.
    fixture.driver.registers.write32(128, MMIORegister.status)
    fixture.bench.transport.write(0x45, at: 0x108, byteCount: 4)
    #expect(fixture.bench.transport.device.backend.emergencies == [UInt8]("ACDE"))
  }

  @Test func `no other configuration field can be written, and none before FEATURES_OK`() {
    let fixture = ConsoleFixture()
    for offset in [0x100, 0x102, 0x104, 0x109, 0x10a, 0x10b, 0x10c] {
      fixture.bench.transport.write(0x41, at: offset, byteCount: 1)
    }
    #expect(fixture.bench.transport.device.backend.emergencies.isEmpty)
    #expect(fixture.bench.transport.read(at: 0x100, byteCount: 4) == 80 | 25 << 16)
  }

  @Test func `emerg_wr is ignored when it is not offered`() {
    let fixture = ConsoleFixture(features: ConsoleFeature.size)
    fixture.bench.transport.write(0x41, at: 0x108, byteCount: 4)
    #expect(fixture.bench.transport.device.backend.emergencies.isEmpty)
  }

  @Test func `the configuration space holds cols, rows, max_nr_ports`() {
    let fixture = ConsoleFixture()
    let bytes = (0..<16).map { UInt8(fixture.bench.transport.read(at: 0x100 + $0, byteCount: 1)) }
    #expect(bytes == [80, 0, 25, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    #expect(fixture.bench.transport.read(at: 0x102, byteCount: 2) == 25)
    #expect(fixture.bench.transport.read(at: 0x100, byteCount: 8) == 80 | 25 << 16 | 3 << 32)
    let plain = ConsoleFixture(features: .none)
    #expect(plain.bench.transport.read(at: 0x100, byteCount: 8) == 0)
  }

  @Test func `queues beyond port 0 exist only with MULTIPORT`() {
    let fixture = ConsoleFixture(features: .none)
    let sizes = (0..<8).map { index -> UInt64 in
      fixture.bench.transport.write(UInt64(index), at: MMIORegister.queueSelect, byteCount: 4)
      return fixture.bench.transport.read(at: MMIORegister.queueSizeMax, byteCount: 4)
    }
    #expect(sizes == [64, 64, 0, 0, 0, 0, 0, 0])
  }

  @Test func `output goes to the backend, input to the driver`() {
    var fixture = ConsoleFixture()
    fixture.startPlain()
    fixture.write("hello", port: 0)
    #expect(fixture.bench.transport.device.backend.output[0] == [UInt8]("hello"))
    #expect(fixture.driver.used(1, 0) == (0, 0))
    fixture.bench.transport.device.backend.input[0] = [UInt8]("abcdef")
    fixture.offerInput(port: 0, slot: 2, byteCount: 4)
    fixture.offerInput(port: 0, slot: 3, byteCount: 4)
    #expect(fixture.driver.usedIndex(0) == 2)
    #expect(fixture.input(port: 0, 0) == [UInt8]("abcd"))
    #expect(fixture.input(port: 0, 1) == [UInt8]("ef"))
    fixture.offerInput(port: 0, slot: 4)
    #expect(fixture.driver.usedIndex(0) == 2)
    fixture.bench.transport.device.backend.input[0] = [UInt8]("g")
    fixture.bench.transport.poll()
    #expect(fixture.input(port: 0, 2) == [UInt8]("g"))
  }

  @Test func `free receive buffers are not work`() {
    var fixture = ConsoleFixture()
    fixture.startPlain()
    fixture.offerInput(port: 0)
    fixture.bench.transport.poll()
    let hasWork = fixture.bench.transport.hasWork
    #expect(!hasWork)
  }

  @Test func `input that is not there after all leaves the buffer in the ring`() {
    var fixture = ConsoleFixture()
    fixture.startPlain()
    fixture.bench.transport.device.backend.pretends = true
    fixture.offerInput(port: 0)
    fixture.bench.transport.poll()
    let hasWork = fixture.bench.transport.hasWork
    #expect(!hasWork)
    #expect(fixture.driver.usedIndex(0) == 0)
    fixture.bench.transport.device.backend.input[0] = [UInt8]("x")
    fixture.bench.transport.poll()
    #expect(fixture.input(port: 0, 0) == [UInt8]("x"))
  }

  @Test func `a busy backend holds output back, in order, and loses none`() {
    var fixture = ConsoleFixture()
    fixture.startPlain()
    fixture.bench.transport.device.backend.room[0] = 3
    fixture.write("hello", port: 0, slot: 0)
    fixture.write(" world", port: 0, slot: 1)
    #expect(fixture.driver.usedIndex(1) == 0)
    let hasWork = fixture.bench.transport.hasWork
    #expect(!hasWork)
    fixture.bench.transport.device.backend.room[0] = 4
    fixture.bench.transport.poll()
    #expect(fixture.driver.usedIndex(1) == 1)
    fixture.bench.transport.device.backend.room[0] = 100
    fixture.bench.transport.poll()
    #expect(fixture.driver.usedIndex(1) == 2)
    #expect(fixture.bench.transport.device.backend.output[0] == [UInt8]("hello world"))
  }

  @Test func `output held back is gone after a reset of the device or of the queue`() {
    var fixture = ConsoleFixture()
    for usesQueueReset in [false, true] {
      fixture.startPlain(.ringReset)
      fixture.bench.transport.device.backend.room[0] = 0
      fixture.write("old", port: 0)
      if usesQueueReset {
        fixture.driver.registers.write32(1, MMIORegister.queueSelect)
        fixture.driver.registers.write32(1, MMIORegister.queueReset)
        fixture.driver.setUpQueue(1)
      } else {
        fixture.startPlain(.ringReset)
      }
      fixture.bench.transport.device.backend.room[0] = 100
      fixture.bench.transport.poll()
      fixture.write("new", port: 0)
      #expect(fixture.driver.usedIndex(1) == 1)
    }
    #expect(fixture.bench.transport.device.backend.output[0] == [UInt8]("newnew"))
  }

  @Test func `overlapping descriptors do not inflate the work of one call`() {
    var fixture = ConsoleFixture()
    fixture.startPlain()
    fixture.bench.transport.device.backend.countsOnly = true
    fixture.bench.transport.defersNotifications = true
    for slot in 0..<8 as Range<UInt16> {
      fixture.driver.descriptor(
        1, slot, address: fixture.data(1), byteCount: 50_000, flags: slot == 7 ? 0 : 1, next: slot + 1)
    }
    fixture.driver.makeAvailable(1, 0)
    var calls = 0
    while fixture.bench.transport.hasWork {
      let before = fixture.bench.transport.device.backend.writtenByteCount
      _ = fixture.bench.transport.run()
      #expect(fixture.bench.transport.device.backend.writtenByteCount - before <= 65536)
      calls += 1
    }
    #expect(calls == 7)
    #expect(fixture.bench.transport.device.backend.writtenByteCount == 400_000)
    #expect(fixture.driver.usedIndex(1) == 1)
  }

  @Test func `endless input fills buffers in bounded steps`() {
    var fixture = ConsoleFixture()
    fixture.startPlain()
    fixture.bench.transport.defersNotifications = true
    fixture.bench.transport.device.backend.input[0] = Array(repeating: 7, count: 100_000)
    for slot in 0..<2 as Range<UInt16> {
      fixture.driver.offer(
        0, slot, address: fixture.memory.address + 0x20000, byteCount: 60_000, deviceWritable: true)
    }
    _ = fixture.bench.transport.run()
    #expect(fixture.bench.transport.device.backend.input[0].count == 100_000 - 65536)
    while fixture.bench.transport.run() {}
    #expect(fixture.bench.transport.device.backend.input[0].count == 100_000 - 65536)
    #expect(fixture.driver.used(0, 0).byteCount == 60_000)
    #expect(fixture.driver.used(0, 1).byteCount == 5536)
  }

  @Test(arguments: [0, 1])
  func `5.3.6.1 device: a buffer of the wrong direction is the driver's fault`(queue: Int) {
    var fixture = ConsoleFixture()
    fixture.startPlain()
    fixture.bench.transport.device.backend.input[0] = [1]
    fixture.driver.offer(
      queue, 0, address: fixture.data(queue), byteCount: 4, deviceWritable: queue == 1)
    #expect(fixture.bench.transport.fault == .malformedRequest)
    #expect(fixture.driver.status.contains(.needsReset))
  }

  @Test func `without SIZE negotiated a new size is not announced`() {
    var fixture = ConsoleFixture()
    fixture.startPlain()
    fixture.bench.transport.device.resize(ConsoleSize(columns: 132, rows: 50), port: 0)
    fixture.bench.transport.poll()
    #expect(fixture.bench.transport.read(at: MMIORegister.interruptStatus, byteCount: 4) == 0)
  }

  @Test func `a new size changes the generation together with the fields`() {
    var fixture = ConsoleFixture()
    fixture.startPlain(ConsoleFeature.size)
    let registers = fixture.driver.registers
    let generation = registers.read32(MMIORegister.configurationGeneration)
    fixture.bench.transport.device.resize(ConsoleSize(columns: 132, rows: 50), port: 0)
    // Nothing moves before the poll: a read in between would be torn without a sign of it.
    #expect(registers.read32(0x100) == 80 | 25 << 16)
    fixture.bench.transport.poll()
    #expect(registers.read32(0x100) == 132 | 50 << 16)
    #expect(registers.read32(MMIORegister.configurationGeneration) == generation + 1)
    #expect(registers.read32(MMIORegister.interruptStatus) == 2)
  }

  @Test func `queues of other ports are left alone without MULTIPORT`() {
    var fixture = ConsoleFixture()
    fixture.driver.start(queues: 0..<8)
    fixture.bench.transport.device.addPort(1)
    fixture.write("x", port: 1)
    fixture.send(0, 0, 1)
    #expect(fixture.messages().isEmpty)
    fixture.bench.transport.poll()
    #expect(fixture.driver.usedIndex(5) == 0)
    #expect(fixture.driver.usedIndex(3) == 0)
    #expect(fixture.bench.transport.device.backend.output[1].isEmpty)
  }
}
