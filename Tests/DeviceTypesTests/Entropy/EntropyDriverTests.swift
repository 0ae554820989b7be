// The entropy driver against a device that answers what it likes.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

@Suite struct EntropyDriverTests {
  let memory = TestMemory()
  let device: FakeDevice

  init() { device = FakeDevice(.entropy, memory) }

  private func makeDriver(byteCount: Int = 16) throws -> EntropyDriver<FakeRegisters> {
    var arena = memory.arena()
    let driver = try EntropyDriver(
      try MMIODriverTransport(device.registers), memory: &arena, bufferByteCount: byteCount)
    return driver!
  }

  @Test func `5.4.6.1 driver: places device-writable buffers only`() throws {
    var driver = try makeDriver()
    let isStarted = try driver.request(byteCount: 10)
    #expect(isStarted)
    #expect(device.notifications == [0])
    let buffer = try #require(device.take(0))
    #expect(buffer.elements.count == 1)
    #expect(buffer.elements[0].byteCount == 10)
    #expect(buffer.elements[0].isDeviceWritable)
  }

  @Test func `5.4.6.1 driver: the length written tells how many bytes were received`() throws {
    var driver = try makeDriver()
    _ = try driver.request(byteCount: 10)
    var bytes = ByteArray<10>()
    var target = bytes.mutableBytes
    let early = try driver.receive(into: &target)
    #expect(early == nil)
    device.answer(0, [9, 8, 7])
    let count = try driver.receive(into: &target)
    #expect(count == 3)
    #expect((0..<4).map { bytes[$0] } == [9, 8, 7, 0])
  }

  @Test func `one request at a time`() throws {
    var driver = try makeDriver()
    _ = try driver.request(byteCount: 4)
    let second = try driver.request(byteCount: 4)
    #expect(!second)
    #expect(device.notifications == [0])
  }

  @Test func `a result longer than the target is cut`() throws {
    var driver = try makeDriver()
    _ = try driver.request(byteCount: 4)
    device.answer(0, [1, 2, 3, 4])
    var bytes = ByteArray<2>()
    var target = bytes.mutableBytes
    let count = try driver.receive(into: &target)
    #expect(count == 2)
    #expect([bytes[0], bytes[1]] == [1, 2])
    let again = try driver.request(byteCount: 4)
    #expect(again)
  }

  @Test func `a device that claims what it did not write exposes nothing old`() throws {
    var driver = try makeDriver()
    _ = try driver.request(byteCount: 4)
    device.answer(0, [1, 2, 3, 4])
    var bytes = ByteArray<4>()
    var target = bytes.mutableBytes
    _ = try driver.receive(into: &target)
    _ = try driver.request(byteCount: 4)
    device.answer(0, [5], byteCount: 4)
    var others = ByteArray<4>()
    var otherTarget = others.mutableBytes
    let count = try driver.receive(into: &otherTarget)
    #expect(count == 4)
    #expect((0..<4).map { others[$0] } == [5, 0, 0, 0])
  }

  @Test(
    arguments: [
      (0, 11, DeviceFault.usedLengthTooLong), (0, .max, .usedLengthTooLong), (0, 0, .invalidResponse),
      (1, 4, .unknownBuffer), (0x1_0000, 4, .unknownBuffer), (.max, 4, .unknownBuffer),
    ] as [(UInt32, UInt32, DeviceFault)])
  func `a used entry that cannot be true stops the driver`(
    id: UInt32, byteCount: UInt32, fault: DeviceFault
  ) throws {
    var driver = try makeDriver()
    _ = try driver.request(byteCount: 10)
    device.use(0, id: id, byteCount: byteCount)
    var bytes = ByteArray<10>()
    // Once for the entry, once because a fault stays.
    for _ in 0..<2 {
      do {
        var target = bytes.mutableBytes
        _ = try driver.receive(into: &target)
        Issue.record("no fault")
      } catch {
        #expect(error == fault)
      }
    }
    do {
      _ = try driver.request(byteCount: 10)
      Issue.record("no fault")
    } catch {
      #expect(error == fault)
    }
  }

  @Test func `a device that needs a reset stops the driver`() throws {
    var driver = try makeDriver()
    device.interruptStatus = MMIOInterrupt.configurationChange
    try driver.acknowledgeInterrupt()
    #expect(device.interruptStatus == 0)
    device.interruptStatus = MMIOInterrupt.configurationChange
    device.status = device.status | .needsReset
    do {
      try driver.acknowledgeInterrupt()
      Issue.record("no fault")
    } catch {
      #expect(error == .needsReset)
    }
  }

  @Test func `a device that is unfit is marked as failed`() throws {
    device.queueSizeMax = 0
    #expect(throws: DeviceFault.queueUnavailable(0)) { _ = try makeDriver() }
    #expect(device.status.contains(.failed))
    device.deviceID = .console
    #expect(throws: DeviceFault.wrongDeviceType(3)) { _ = try makeDriver() }
  }

  @Test func `too little memory is no driver`() throws {
    let small = TestMemory(byteCount: 4096)
    var arena = small.arena()
    let driver = try EntropyDriver(
      try MMIODriverTransport(device.registers), memory: &arena, bufferByteCount: 4096)
    let exists = driver != nil
    #expect(!exists)
    #expect(device.status.contains(.failed))
  }

  @Test func `shutting down resets the device`() throws {
    let driver = try makeDriver()
    #expect(device.isReady(0))
    try driver.shutDown()
    #expect(device.status == .reset)
  }
}
