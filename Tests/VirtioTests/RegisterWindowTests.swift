// What a driver sees through the windows of the register map: configuration bytes in every width, feature
// words by selector, the interrupt line. And what a device does that stops at limits of its own.

import TestSupport
import Testing
import Virtio

/// Uses one buffer in each call, and leaves the rest for the next.
private struct OneByOneDevice: VirtioDevice, ~Copyable {
  var deviceID: DeviceID { DeviceID(0x7778) }
  func queueSizeMax(_ index: Int) -> UInt16 { index == 0 ? 16 : 0 }

  mutating func process(queue index: Int, _ context: inout DeviceContext) throws(DriverFault) {
    guard let chain = try context.queues[0].next() else { return }
    try context.queues[0].use(chain, written: 0)
    context.queues[0].needsService = true
  }
}

/// Has news whenever it is looked at.
private struct NewsDevice: VirtioDevice, ~Copyable {
  var deviceID: DeviceID { DeviceID(0x7778) }
  func queueSizeMax(_ index: Int) -> UInt16 { index == 0 ? 16 : 0 }
  mutating func process(queue index: Int, _ context: inout DeviceContext) throws(DriverFault) {}
  mutating func poll(_ context: inout DeviceContext) throws(DriverFault) {
    context.configurationChanged = true
  }
}

/// A line that keeps InterruptStatus.
private struct KeepingLine: InterruptLine {
  final class Word { var bits: UInt32 = 0 }
  let word = Word()
  mutating func setAsserted(_ isAsserted: Bool) {
    if !isAsserted { word.bits = 0 }
  }
  mutating func raise(_ bits: UInt32) { word.bits |= bits }
}

@Suite struct RegisterWindowTests {
  /// The bytes at `offset` as the window must show them: whole fields only, zeros beyond the end.
  private func expected(_ bytes: [UInt8], _ offset: Int, _ byteCount: Int) -> UInt64 {
    guard offset % byteCount == 0 else { return 0 }
    return (0..<byteCount).reduce(0) { sum, i in
      sum | (offset + i < bytes.count ? UInt64(bytes[offset + i]) << UInt64(8 * i) : 0)
    }
  }

  @Test(arguments: [0, 1, 3, 8, 13, 16])
  func `configuration bytes are read in every width, aligned and within the space`(_ count: Int) {
    let machine = ScratchMachine()
    machine.state.configuration = (0..<count).map { UInt8($0 + 0x11) }
    for byteCount in [1, 2, 4, 8] {
      for offset in 0..<24 {
        let value = machine.transport.read(at: 0x100 + offset, byteCount: byteCount)
        #expect(
          value == expected(machine.state.configuration, offset, byteCount), "\(byteCount) at \(offset)")
      }
    }
    for byteCount in [-1, 0, 3, 5, 16, 1 << 20] {
      #expect(machine.transport.read(at: 0x100, byteCount: byteCount) == 0)
    }
    #expect(machine.transport.read(at: .max, byteCount: 1) == 0)
    #expect(machine.transport.read(at: .max & ~7, byteCount: 8) == 0)
  }

  @Test func `configuration bytes are written in every width, aligned and within the space`() {
    let machine = ScratchMachine()
    machine.bringUp(rings: [])
    machine.state.configuration = Array(repeating: 0, count: 13)
    machine.transport.write(0x1122_3344_5566_7788, at: 0x100, byteCount: 8)
    #expect(machine.state.configuration == [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0, 0, 0, 0, 0])
    machine.transport.write(0xffff_ffff_ffff_aabb, at: 0x102, byteCount: 2)
    machine.transport.write(0xcc, at: 0x10c, byteCount: 1)
    #expect(
      machine.state.configuration == [0x88, 0x77, 0xbb, 0xaa, 0x44, 0x33, 0x22, 0x11, 0, 0, 0, 0, 0xcc])
    let before = machine.state.configuration
    for (offset, byteCount) in [
      (1, 2), (2, 4), (4, 8), (12, 2), (12, 4), (13, 1), (16, 8), (0, 3), (0, 0), (Int.max - 0x100, 1),
    ] {
      machine.transport.write(.max, at: 0x100 + offset, byteCount: byteCount)
    }
    #expect(machine.state.configuration == before)
  }

  @Test func `feature words are selected, and there are four`() {
    let machine = ScratchMachine(transportFeatures: .none)
    machine.state.features = Features(low: 0xabcd, high: 0x8000_0001_4000_0002)
    for (selector, word) in [
      (0, 0xabcd), (1, 1), (2, 0x4000_0002), (3, 0x8000_0001), (4, 0), (32, 0), (0x1_0000, 0), (.max, 0),
      (0, 0xabcd),
    ] as [(UInt32, UInt32)] {
      machine.write(selector, MMIORegister.deviceFeaturesSelect)
      #expect(machine.read(MMIORegister.deviceFeatures) == word)
    }
    machine.bringUp(machine.state.features, rings: [])
    #expect(machine.status == 15)
    #expect(machine.transport.driverFeatures == machine.state.features | .version1)
  }

  @Test(arguments: [4, 5, 0x8000_0000, .max] as [UInt32])
  func `a feature word beyond the fourth can only be empty`(_ selector: UInt32) {
    let machine = ScratchMachine()
    for (value, status) in [(0, 11), (1, 3)] as [(UInt32, UInt32)] {
      machine.write(0, MMIORegister.status)
      for bits in [1, 3] as [UInt32] { machine.write(bits, MMIORegister.status) }
      machine.write(1, MMIORegister.driverFeaturesSelect)
      machine.write(1, MMIORegister.driverFeatures)
      machine.write(selector, MMIORegister.driverFeaturesSelect)
      machine.write(value, MMIORegister.driverFeatures)
      machine.write(11, MMIORegister.status)
      #expect(machine.status == status)
    }
  }

  @Test func `a line that keeps InterruptStatus gets every bit, again after each acknowledgement of its own`()
  {
    let line = KeepingLine()
    let word = line.word
    var transport = MMIODeviceTransport<NewsDevice, KeepingLine, 1>(
      device: NewsDevice(), line: line, memory: TestMemory().guest)
    for status in [1, 3] as [UInt64] { transport.write(status, at: MMIORegister.status, byteCount: 4) }
    transport.write(1, at: MMIORegister.driverFeaturesSelect, byteCount: 4)
    transport.write(1, at: MMIORegister.driverFeatures, byteCount: 4)
    for status in [11, 15] as [UInt64] { transport.write(status, at: MMIORegister.status, byteCount: 4) }
    for _ in 0..<3 {
      #expect(word.bits == 0)
      transport.poll()
      #expect(word.bits == 2)
      word.bits = 0
    }
    transport.poll()
    transport.write(0, at: MMIORegister.status, byteCount: 4)
    #expect(word.bits == 0)
  }

  @Test func `the line is asserted at every event and released with the last acknowledgement`() {
    let machine = ScratchMachine()
    let ring = RingView(machine.ram, size: 16)
    machine.bringUp(rings: [ring])
    let before = machine.transport.line.eventCount
    for round in 1...3 as ClosedRange<UInt16> {
      ring[split: 0] = RingDescriptor(testBase + 0x8000, 16, RingDescriptor.write)
      ring.offer(0)
      machine.write(0, MMIORegister.queueNotify)
      // An edge for each, although the level has been there since the first.
      #expect(machine.transport.line.eventCount == before + Int(round) && machine.transport.line.isAsserted)
    }
    machine.state.changesConfiguration = true
    machine.transport.poll()
    // The driver read 1 before the configuration changed: what it did not see stays.
    machine.write(1, MMIORegister.interruptAcknowledge)
    #expect(machine.read(MMIORegister.interruptStatus) == 2 && machine.transport.line.isAsserted)
    machine.write(0, MMIORegister.interruptAcknowledge)
    #expect(machine.transport.line.isAsserted)
    machine.write(2, MMIORegister.interruptAcknowledge)
    #expect(!machine.transport.line.isAsserted)
  }

  @Test func `a device that stops at a limit of its own is called again until it has none`() {
    let memory = TestMemory()
    let bench = Bench<OneByOneDevice, 1>(OneByOneDevice(), memory)
    var driver = FakeDriver(bench.registers, memory)
    bench.transport.defersNotifications = true
    driver.start(queues: 0..<1)
    for slot in 0..<3 as Range<UInt16> {
      driver.offer(0, slot, address: memory.address + 0x10000, byteCount: 4, deviceWritable: true)
    }
    var runs = 0
    while bench.transport.run() { runs += 1 }
    #expect(runs == 3)
    #expect(driver.usedIndex(0) == 3)
    // A reset takes the wish back.
    driver.offer(0, 0, address: memory.address + 0x10000, byteCount: 4, deviceWritable: true)
    _ = bench.transport.run()
    driver.registers.write32(0, MMIORegister.status)
    driver.start(queues: 0..<1)
    let hasMore = bench.transport.run()
    #expect(!hasMore)
  }
}
