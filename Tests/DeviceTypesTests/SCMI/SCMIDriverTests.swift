// The SCMI driver against a device that answers what it likes.

import DeviceTypes
import TestSupport
import Testing
import Virtio
import Wire

@Suite struct SCMIDriverTests {
  let memory = TestMemory()
  let device: FakeDevice

  init() { device = FakeDevice(.scmi, memory, features: SCMIFeature.all) }

  private func makeDriver(
    _ settings: SCMIDriverSettings = SCMIDriverSettings()
  ) throws -> SCMIDriver<FakeRegisters> {
    var arena = memory.arena()
    return try SCMIDriver(try MMIODriverTransport(device.registers), memory: &arena, settings: settings)!
  }

  private func send(_ driver: inout SCMIDriver<FakeRegisters>, _ bytes: [UInt8]) throws -> UInt32? {
    try unsafe driver.send(bytes.span.bytes)  // bytes have no padding
  }

  private func receive(
    _ driver: inout SCMIDriver<FakeRegisters>
  ) throws -> (response: SCMIDriverResponse, bytes: [UInt8])? {
    var target = ByteArray<256>()
    var span = target.mutableBytes
    guard let response = try driver.receive(into: &span) else { return nil }
    return (response, (0..<response.byteCount).map { target[$0] })
  }

  private func receiveEvent(_ driver: inout SCMIDriver<FakeRegisters>) throws -> [UInt8]? {
    var target = ByteArray<256>()
    var span = target.mutableBytes
    guard let count = try driver.receiveEvent(into: &span) else { return nil }
    return (0..<count).map { target[$0] }
  }

  /// Takes the next command and answers it with `bytes`.
  private func answer(_ bytes: [UInt8], byteCount: UInt32? = nil) throws -> [UInt8] {
    let buffer = try #require(device.take(0))
    let command = memory.bytes(buffer.elements[0].address, Int(buffer.elements[0].byteCount))
    memory.write(bytes, buffer.elements[1].address)
    device.use(0, id: UInt32(buffer.id), byteCount: byteCount ?? UInt32(bytes.count))
    return command
  }

  @Test func `5.17.6.1.2 driver: every command has memory for the longest response`() throws {
    var settings = SCMIDriverSettings()
    settings.messageByteCount = 100
    var driver = try makeDriver(settings)
    _ = try send(&driver, scmiMessage([1, 2]))
    let buffer = try #require(device.take(0))
    #expect(buffer.elements.count == 2)
    #expect(buffer.elements[0].byteCount == 6 && !buffer.elements[0].isDeviceWritable)
    #expect(buffer.elements[1].byteCount == 100 && buffer.elements[1].isDeviceWritable)
    #expect(device.notifications.contains(0))
  }

  @Test func `5.17.6.2.1 driver: populates eventq with device-writable buffers of full length`() throws {
    let driver = try makeDriver()
    let receivesEvents = driver.receivesEvents
    #expect(receivesEvents)
    for _ in 0..<8 {
      let buffer = try #require(device.take(1))
      #expect(buffer.elements.count == 1)
      #expect(buffer.elements[0].isDeviceWritable && buffer.elements[0].byteCount == 136)
    }
    #expect(device.take(1) == nil)
    #expect(device.notifications == [1])
  }

  @Test func `without P2A_CHANNELS there is no eventq`() throws {
    device.features = .version1
    var driver = try makeDriver()
    let receivesEvents = driver.receivesEvents
    #expect(!receivesEvents)
    #expect(!device.isReady(1) && device.isReady(0))
    #expect(try receiveEvent(&driver) == nil)
  }

  @Test func `responses come in any order and name their commands`() throws {
    var driver = try makeDriver()
    let first = try send(&driver, scmiMessage([1]))
    let second = try send(&driver, scmiMessage([2]))
    #expect(first != nil && second != nil && first != second)
    let a = try #require(device.take(0))
    let b = try #require(device.take(0))
    for (buffer, value) in [(b, 22), (a, 11)] as [(FakeDevice.Buffer, UInt8)] {
      memory.write(scmiMessage([0, 0, 0, 0, value]), buffer.elements[1].address)
      device.use(0, id: UInt32(buffer.id), byteCount: 9)
    }
    let one = try #require(try receive(&driver))
    #expect(one.response.command == second)
    #expect(one.bytes == scmiMessage([0, 0, 0, 0, 22]))
    let other = try #require(try receive(&driver))
    #expect(other.response.command == first && other.bytes == scmiMessage([0, 0, 0, 0, 11]))
    #expect(try receive(&driver) == nil)
  }

  @Test func `no more commands than there is room for`() throws {
    var settings = SCMIDriverSettings()
    settings.commandCount = 2
    var driver = try makeDriver(settings)
    for _ in 0..<2 { #expect(try send(&driver, scmiMessage([])) != nil) }
    #expect(try send(&driver, scmiMessage([])) == nil)
    let hasRoom = driver.hasRoom
    #expect(!hasRoom)
    #expect(try answer(scmiMessage([0, 0, 0, 0])) == scmiMessage([]))
    _ = try receive(&driver)
    #expect(try send(&driver, scmiMessage([3])) != nil)
  }

  @Test func `a device that claims what it did not write exposes nothing old`() throws {
    var settings = SCMIDriverSettings()
    settings.commandCount = 1
    var driver = try makeDriver(settings)
    _ = try send(&driver, scmiMessage([]))
    _ = try answer([UInt8](repeating: 7, count: 20))
    _ = try receive(&driver)
    _ = try send(&driver, scmiMessage([]))
    _ = try answer([1], byteCount: 20)
    let response = try #require(try receive(&driver))
    #expect(response.bytes == [1] + [UInt8](repeating: 0, count: 19))
  }

  @Test func `events come in order, their buffers go back`() throws {
    var driver = try makeDriver()
    for round in 0..<40 as Range<UInt8> {
      #expect(device.answer(1, scmiMessage(type: 3, [round])))
      #expect(device.answer(1, scmiMessage(type: 2, [0, 0, 0, 0, round])))
      #expect(try receiveEvent(&driver) == scmiMessage(type: 3, [round]))
      #expect(try receiveEvent(&driver) == scmiMessage(type: 2, [0, 0, 0, 0, round]))
      #expect(try receiveEvent(&driver) == nil)
    }
  }

  @Test func `an event of no bytes, or longer than the target, is reported as it is`() throws {
    var driver = try makeDriver()
    device.answer(1, [])
    #expect(try receiveEvent(&driver) == [])
    device.answer(1, [9, 8, 7, 6, 5], byteCount: 136)
    var target = ByteArray<4>()
    var span = target.mutableBytes
    #expect(try driver.receiveEvent(into: &span) == 136)
    #expect((0..<4).map { target[$0] } == [9, 8, 7, 6])
    device.answer(0, [])
  }

  @Test(
    arguments: [
      (0, 0, 137, DeviceFault.usedLengthTooLong), (0, 0, .max, .usedLengthTooLong), (0, 9, 8, .unknownBuffer),
      (0, .max, 8, .unknownBuffer), (1, 0, 137, .usedLengthTooLong), (1, 64, 8, .unknownBuffer),
    ] as [(Int, UInt32, UInt32, DeviceFault)])
  func `a used entry that cannot be true stops the driver`(
    queue: Int, id: UInt32, byteCount: UInt32, fault: DeviceFault
  ) throws {
    var driver = try makeDriver()
    _ = try send(&driver, scmiMessage([]))
    device.use(queue, id: id, byteCount: byteCount)
    for _ in 0..<2 {
      #expect(throws: fault) {
        if queue == 0 { _ = try receive(&driver) } else { _ = try receiveEvent(&driver) }
      }
    }
    #expect(throws: fault) { _ = try send(&driver, scmiMessage([])) }
  }

  @Test func `a device that needs a reset stops the driver`() throws {
    var driver = try makeDriver()
    device.interruptStatus = MMIOInterrupt.configurationChange
    device.status = device.status | .needsReset
    do {
      try driver.acknowledgeInterrupt()
      Issue.record("no fault")
    } catch { #expect(error == .needsReset) }
    #expect(throws: DeviceFault.needsReset) { _ = try receive(&driver) }
  }

  @Test func `a device that is unfit is marked as failed`() throws {
    device.queueSizeMax = 1
    #expect(throws: DeviceFault.queueUnavailable(0)) { _ = try makeDriver() }
    #expect(device.status.contains(.failed))
    device.deviceID = .console
    #expect(throws: DeviceFault.wrongDeviceType(3)) { _ = try makeDriver() }
  }

  @Test func `too little memory is no driver`() throws {
    let small = TestMemory(byteCount: 4096)
    var arena = small.arena()
    let driver = try SCMIDriver(try MMIODriverTransport(device.registers), memory: &arena)
    let exists = driver != nil
    #expect(!exists)
    #expect(device.status.contains(.failed))
  }
}
