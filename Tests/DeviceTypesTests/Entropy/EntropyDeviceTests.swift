// The entropy device against a driver that writes what it likes.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

/// Counts 1, 2, 3 … and never runs past what it was given.
struct CountingEntropy: EntropyBackend {
  var remaining: UInt32 = .max
  var next: UInt8 = 1
  /// How many times it was asked.
  var calls = 0

  mutating func fill(_ range: GuestRange) -> UInt32 {
    calls += 1
    let count = min(range.byteCount, remaining)
    remaining -= count
    for i in 0..<count {
      var byte = ByteArray<1>()
      byte[0] = next
      next = next == 255 ? 1 : next + 1
      range.dropFirst(i).copyIn(from: byte.bytes)
    }
    return count
  }
}

typealias EntropyBench = Bench<EntropyDevice<CountingEntropy>, 1>

@Suite struct EntropyDeviceTests {
  let memory = TestMemory()
  let bench: EntropyBench
  var driver: FakeDriver<LoopbackRegisters<EntropyDevice<CountingEntropy>, 1>>
  var data: UInt64 { memory.address + 0x10000 }

  init() {
    bench = EntropyBench(EntropyDevice(backend: CountingEntropy()), memory)
    driver = FakeDriver(bench.registers, memory)
  }

  @Test mutating func `5.4.6.2 device: places random bytes into the buffer`() {
    driver.start(queues: 0..<1)
    driver.offer(0, 3, address: data, byteCount: 4, deviceWritable: true)
    #expect(driver.usedIndex(0) == 1)
    #expect(driver.used(0, 0) == (3, 4))
    #expect(memory.bytes(data, 5) == [1, 2, 3, 4, 0])
    #expect(bench.transport.line.eventCount == 1)
  }

  @Test mutating func `5.4.6.2 device: may use less than the entire buffer`() {
    bench.transport.device.backend.remaining = 3
    driver.start(queues: 0..<1)
    driver.offer(0, 0, address: data, byteCount: 100, deviceWritable: true)
    #expect(driver.used(0, 0) == (0, 3))
    #expect(memory.bytes(data, 4) == [1, 2, 3, 0])
  }

  @Test mutating func `5.4.6.2 device: a buffer waits until there is one byte for it`() {
    bench.transport.device.backend.remaining = 0
    driver.start(queues: 0..<1)
    driver.offer(0, 0, address: data, byteCount: 2, deviceWritable: true)
    driver.offer(0, 1, address: data + 16, byteCount: 2, deviceWritable: true)
    bench.transport.poll()
    #expect(driver.usedIndex(0) == 0)
    // Waiting is not work: an embedder that runs while there is some would never stop.
    let hasWork = bench.transport.hasWork
    #expect(!hasWork)
    bench.transport.device.backend.remaining = 3
    bench.transport.poll()
    #expect(driver.usedIndex(0) == 2)
    #expect(driver.used(0, 0) == (0, 2))
    #expect(driver.used(0, 1) == (1, 1))
    #expect(memory.bytes(data, 2) + memory.bytes(data + 16, 2) == [1, 2, 3, 0])
  }

  @Test mutating func `a buffer in several descriptors is filled through`() {
    driver.start(queues: 0..<1)
    driver.descriptor(0, 0, address: data, byteCount: 2, flags: 3, next: 1)
    driver.descriptor(0, 1, address: data + 64, byteCount: 0, flags: 3, next: 2)
    driver.descriptor(0, 2, address: data + 128, byteCount: 3, flags: 2)
    driver.makeAvailable(0, 0)
    #expect(driver.used(0, 0) == (0, 5))
    #expect(memory.bytes(data, 3) == [1, 2, 0])
    #expect(memory.bytes(data + 128, 4) == [3, 4, 5, 0])
  }

  @Test mutating func `overlapping descriptors do not inflate the work`() {
    driver.start(queues: 0..<1)
    for slot in 0..<8 as Range<UInt16> {
      driver.descriptor(
        0, slot, address: data, byteCount: 40_000, flags: slot == 7 ? 2 : 3, next: slot + 1)
    }
    driver.makeAvailable(0, 0)
    #expect(driver.used(0, 0) == (0, 65536))
    #expect(bench.transport.device.backend.calls == 2)
  }

  @Test(
    arguments: [
      (4, false, DriverFault.malformedRequest), (0, true, .bufferTooShort), (0, false, .malformedRequest),
    ] as [(UInt32, Bool, DriverFault)])
  mutating func `5.4.6.1 device: a buffer it cannot write is the driver's fault`(
    byteCount: UInt32, deviceWritable: Bool, fault: DriverFault
  ) {
    driver.start(queues: 0..<1)
    driver.offer(0, 0, address: data, byteCount: byteCount, deviceWritable: deviceWritable)
    #expect(bench.transport.fault == fault)
    #expect(driver.status.contains(.needsReset))
    #expect(driver.usedIndex(0) == 0)
  }

  @Test mutating func `a reset forgets the buffer that waits`() {
    bench.transport.device.backend.remaining = 0
    driver.start(queues: 0..<1)
    driver.offer(0, 0, address: data, byteCount: 2, deviceWritable: true)
    driver.start(queues: 0..<1)
    bench.transport.device.backend.remaining = 8
    bench.transport.poll()
    #expect(driver.usedIndex(0) == 0)
    #expect(memory.bytes(data, 2) == [0, 0])
    driver.offer(0, 1, address: data, byteCount: 2, deviceWritable: true)
    #expect(driver.used(0, 0) == (1, 2))
  }

  @Test mutating func `a queue reset forgets the buffer that waits`() {
    bench.transport.device.backend.remaining = 0
    driver.start(features: .ringReset, queues: 0..<1)
    driver.offer(0, 0, address: data, byteCount: 2, deviceWritable: true)
    driver.registers.write32(1, MMIORegister.queueReset)
    driver.setUpQueue(0)
    bench.transport.device.backend.remaining = 8
    bench.transport.poll()
    #expect(memory.bytes(data, 2) == [0, 0])
    driver.offer(0, 1, address: data, byteCount: 2, deviceWritable: true)
    #expect(driver.used(0, 0) == (1, 2))
  }

  @Test mutating func `a buffer that waits is used before the device is suspended`() {
    bench.transport.device.backend.remaining = 0
    driver.start(features: .suspend, queues: 0..<1)
    driver.offer(0, 0, address: data, byteCount: 2, deviceWritable: true)
    driver.offer(0, 1, address: data, byteCount: 2, deviceWritable: true)
    driver.registers.write32(31, MMIORegister.status)
    #expect(driver.status.contains(.driverOK | .suspend))
    bench.transport.device.backend.remaining = 8
    bench.transport.poll()
    // The one in the ring is not consumed any more (§3.4.2).
    #expect(driver.usedIndex(0) == 1)
    #expect(!driver.status.contains(.driverOK))
    driver.registers.write32(15, MMIORegister.status)
    #expect(driver.usedIndex(0) == 2)
  }

  @Test func `one queue, no features of its own, no configuration space`() {
    #expect(bench.transport.read(at: MMIORegister.deviceID, byteCount: 4) == 4)
    #expect(bench.transport.read(at: MMIORegister.queueSizeMax, byteCount: 4) == 64)
    #expect(bench.transport.read(at: MMIORegister.deviceFeatures, byteCount: 4) & 0xff_ffff == 0)
    #expect(bench.transport.read(at: MMIORegister.configuration, byteCount: 4) == 0)
    bench.transport.write(1, at: MMIORegister.queueSelect, byteCount: 4)
    #expect(bench.transport.read(at: MMIORegister.queueSizeMax, byteCount: 4) == 0)
  }
}
