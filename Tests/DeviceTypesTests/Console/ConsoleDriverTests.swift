// The console driver against a device that says what it likes.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

typealias TestConsoleDriver = ConsoleDriver<FakeRegisters, 3>

/// Up to `count` bytes of input, as the driver gives them.
func read<Registers: RegisterAccess, let limit: Int>(
  _ driver: inout ConsoleDriver<Registers, limit>, port: Int, _ count: Int = 4096
) throws(DeviceFault) -> [UInt8] {
  var bytes = ByteArray<4096>()
  var whole = bytes.mutableBytes
  var target = whole._mutatingExtracting(first: count)
  let received = try driver.read(port: port, into: &target)
  return (0..<received).map { bytes[$0] }
}

/// Writes `bytes`, and returns how many were taken.
func write<Registers: RegisterAccess, let limit: Int>(
  _ driver: inout ConsoleDriver<Registers, limit>, port: Int, _ bytes: [UInt8]
) throws(DeviceFault) -> Int {
  var source = ByteArray<4096>()
  for (i, byte) in bytes.enumerated() { source[i] = byte }
  return try driver.write(port: port, source.bytes.extracting(first: bytes.count))
}

@Suite struct ConsoleDriverTests {
  let memory = TestMemory()
  let device: FakeDevice

  init() {
    device = FakeDevice(.console, memory, features: ConsoleFeature.all)
    device.configuration = [80, 0, 25, 0, 5, 0, 0, 0, 0, 0, 0, 0]
  }

  private func makeDriver(
    _ features: Features = ConsoleFeature.all, buffers: ConsoleBuffers = ConsoleBuffers()
  ) throws -> TestConsoleDriver {
    var arena = memory.arena()
    let driver = try TestConsoleDriver(
      try MMIODriverTransport(device.registers), memory: &arena, features: features, buffers: buffers)
    return driver!
  }

  /// A driver to which the device has added `ports`, with its answers taken off the queue.
  private func makeDriver(ports: [UInt8]) throws -> TestConsoleDriver {
    var driver = try makeDriver()
    _ = device.consume(3)
    for port in ports { device.answer(2, message(port, 1)) }
    _ = try driver.poll()
    for _ in ports { _ = device.consume(3) }
    return driver
  }

  @Test func `5.3.6.1 driver: only device-writable buffers in a receiveq`() throws {
    let driver = try makeDriver()
    for queue in [0, 2, 4, 6] {
      var count = 0
      while let buffer = device.take(queue) {
        #expect(buffer.elements.allSatisfy { $0.isDeviceWritable && $0.byteCount > 0 })
        count += 1
      }
      #expect(count == (queue == 2 ? 32 : 4))
    }
    let count = driver.portCountMax
    #expect(count == 5)
  }

  @Test func `5.3.6.1 driver: only device-readable buffers in a transmitq`() throws {
    var driver = try makeDriver(ports: [0, 1])
    for port in [0, 1] { _ = try write(&driver, port: port, [1, 2, 3]) }
    for queue in [1, 5] {
      let buffer = try #require(device.take(queue))
      #expect(buffer.elements.map { $0.isDeviceWritable } == [false])
      #expect(memory.bytes(buffer.elements[0].address, Int(buffer.elements[0].byteCount)) == [1, 2, 3])
    }
    _ = try driver.setOpen(true, port: 0)
    let buffer = try #require(device.take(3))
    #expect(buffer.elements.map { $0.isDeviceWritable } == [false])
  }

  @Test func `5.3.6.2.2 driver: sends DEVICE_READY once it is ready`() throws {
    let driver = try makeDriver()
    #expect(device.status.contains(.driverOK))
    #expect(device.consume(3) == message(0, 0, 1))
    #expect(device.consume(3) == nil)
    #expect(device.notifications.contains(3))
    let present = driver.port(0).isPresent
    #expect(!present)
  }

  @Test func `5.3.6.2.2 driver: treats a CONSOLE_PORT as a console`() throws {
    var driver = try makeDriver(ports: [0, 1])
    device.answer(2, message(1, 4, 1))
    let isNews = try driver.poll()
    #expect(isNews)
    let ports = (driver.port(0), driver.port(1))
    #expect(!ports.0.isConsole && !ports.0.isOpen)
    #expect(ports.1.isConsole && ports.1.isOpen)
  }

  @Test func `5.3.6.2.2 driver: responds to CONSOLE_PORT with PORT_OPEN of value 1`() throws {
    var driver = try makeDriver(ports: [0, 1])
    device.answer(2, message(1, 4, 1))
    device.answer(2, message(1, 4, 0))
    _ = try driver.poll()
    #expect(device.consume(3) == message(1, 6, 1))
    #expect(device.consume(3) == message(1, 6, 1))
    #expect(device.consume(3) == nil)
  }

  @Test func `5.3.6.2 driver: answers DEVICE_ADD with PORT_READY, of value 0 without room for the port`()
    throws
  {
    var driver = try makeDriver()
    _ = device.consume(3)
    device.answer(2, message(0, 1))
    device.answer(2, message(4, 1))
    _ = try driver.poll()
    #expect(device.consume(3) == message(0, 3, 1))
    #expect(device.consume(3) == message(4, 3, 0))
    let isPresent = driver.port(0).isPresent
    #expect(isPresent)
    #expect(driver.port(4) == ConsolePort())
  }

  @Test func `5.3.6.2 driver: takes name, size, opening and removal`() throws {
    var driver = try makeDriver(ports: [2])
    device.answer(2, message(2, 7, 0, [UInt8]("tty")))
    device.answer(2, message(2, 5, 0, [132, 0, 43, 0]))
    device.answer(2, message(2, 6, 1))
    _ = try driver.poll()
    var port = driver.port(2)
    #expect(port.name == ConsolePortName("tty".utf8))
    #expect(port.size == ConsoleSize(columns: 132, rows: 43))
    #expect(port.isDeviceOpen)
    device.answer(2, message(2, 6, 0))
    _ = try driver.poll()
    port = driver.port(2)
    #expect(!port.isDeviceOpen)
    device.answer(2, message(2, 2))
    _ = try driver.poll()
    #expect(driver.port(2) == ConsolePort())
    #expect(device.consume(3) == nil)
  }

  @Test(arguments: [
    message(5, 1), message(0xff, 1), [0, 0, 0, 0x80, 1, 0, 0, 0], [0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0],
    message(0, 1), message(1, 2), message(1, 4, 1), message(1, 5, 0, [1, 0, 1, 0]), message(1, 6, 1),
    message(1, 7, 0, [0x61]), message(3, 6, 1), message(0, 0, 1), message(0, 3, 1), message(0, 8), [],
    [0, 0, 0, 0, 6, 0, 1], message(0, 5, 0, [1, 0, 1]), [0xff, 0xff, 0xff, 0xff, 6, 0, 1, 0],
  ])
  func `a message that makes no sense changes nothing`(_ bytes: [UInt8]) throws {
    var driver = try makeDriver(ports: [0])
    let before = driver.port(0)
    device.answer(2, bytes)
    _ = try driver.poll()
    let count = driver.refusedMessageCount
    #expect(count == 1)
    #expect(driver.port(0) == before)
    for port in 1..<3 { #expect(driver.port(port) == ConsolePort()) }
    #expect(device.consume(3) == nil)
  }

  @Test func `a name has a bound, and a terminator is not part of it`() throws {
    var driver = try makeDriver(ports: [0, 1])
    device.answer(2, message(0, 7, 0, Array(repeating: 0x6e, count: 64)))
    device.answer(2, message(1, 7, 0, [0x61, 0, 0x62, 0, 0]))
    _ = try driver.poll()
    #expect(driver.port(0).name == ConsolePortName(Array(repeating: UInt8(0x6e), count: 64)))
    #expect(driver.port(1).name == ConsolePortName([0x61, 0, 0x62]))
    device.answer(2, message(0, 7))
    _ = try driver.poll()
    #expect(driver.port(0).name == ConsolePortName())
  }

  @Test(arguments: [0, 2] as [Int])
  func `CVE-2021-38160: a used length above the buffer stops the driver`(queue: Int) throws {
    var driver = try makeDriver(ports: [0])
    let buffer = try #require(device.take(queue))
    device.use(queue, id: UInt32(buffer.id), byteCount: buffer.elements[0].byteCount + 1)
    for _ in 0..<2 {
      do {
        if queue == 0 {
          _ = try read(&driver, port: 0)
        } else {
          _ = try driver.poll()
        }
        Issue.record("no fault")
      } catch {
        #expect(error == .usedLengthTooLong)
      }
    }
    do {
      _ = try write(&driver, port: 0, [1])
      Issue.record("no fault")
    } catch {
      #expect(error == .usedLengthTooLong)
    }
  }

  @Test func `a written length on a transmit buffer stops the driver`() throws {
    var driver = try makeDriver(ports: [0])
    _ = try write(&driver, port: 0, [1])
    let buffer = try #require(device.take(1))
    device.use(1, id: UInt32(buffer.id), byteCount: 1)
    do {
      _ = try write(&driver, port: 0, [1])
      Issue.record("no fault")
    } catch {
      #expect(error == .usedLengthTooLong)
    }
  }

  @Test func `input is read in any pieces, and its buffers go back`() throws {
    var driver = try makeDriver(ports: [0])
    device.answer(0, [1, 2, 3, 4, 5])
    device.answer(0, [])
    device.answer(0, [6])
    #expect(try read(&driver, port: 0, 2) == [1, 2])
    #expect(try read(&driver, port: 0, 5) == [3, 4, 5, 6])
    #expect(try read(&driver, port: 0).isEmpty)
    var free = 0
    while device.take(0) != nil { free += 1 }
    #expect(free == 4)
  }

  @Test func `input of a port that was removed is not that of the next`() throws {
    var driver = try makeDriver(ports: [1])
    device.answer(4, [UInt8]("old"))
    #expect(try read(&driver, port: 1, 1) == [UInt8]("o"))
    device.answer(4, [UInt8]("older"))
    device.answer(2, message(1, 2))
    _ = try driver.poll()
    #expect(try read(&driver, port: 1).isEmpty)
    #expect(try write(&driver, port: 1, [1]) == 0)
    device.answer(2, message(1, 1))
    _ = try driver.poll()
    #expect(try read(&driver, port: 1).isEmpty)
    device.answer(4, [UInt8]("new"))
    #expect(try read(&driver, port: 1) == [UInt8]("new"))
  }

  @Test func `a device that claims what it did not write exposes nothing old`() throws {
    var driver = try makeDriver(ports: [0])
    for _ in 0..<4 { device.answer(0, [UInt8]("secret")) }
    #expect(try read(&driver, port: 0) == [UInt8]("secretsecretsecretsecret"))
    for _ in 0..<4 { device.answer(0, [1], byteCount: 6) }
    #expect(try read(&driver, port: 0, 12) == [1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0])
  }

  @Test func `a device that is behind holds output back, and none is lost`() throws {
    var buffers = ConsoleBuffers()
    buffers.transmitByteCount = 4
    buffers.transmitCount = 2
    var driver = try makeDriver(.none, buffers: buffers)
    #expect(try write(&driver, port: 0, [1, 2, 3, 4, 5, 6, 7, 8, 9]) == 8)
    #expect(try write(&driver, port: 0, [9]) == 0)
    let early = try driver.isDrained(port: 0)
    #expect(!early)
    #expect(device.consume(1) == [1, 2, 3, 4])
    #expect(try write(&driver, port: 0, [9]) == 1)
    #expect(device.consume(1) == [5, 6, 7, 8])
    #expect(device.consume(1) == [9])
    let late = try driver.isDrained(port: 0)
    #expect(late)
  }

  @Test func `a flood of messages is taken as far as it can be answered`() throws {
    var driver = try makeDriver(ports: [0])
    for _ in 0..<3 {
      while device.answer(2, message(0, 4, 1)) {}
      _ = try driver.poll()
    }
    // Eight answers fit; the device takes none of them.
    var answers = 0
    while device.consume(3) != nil { answers += 1 }
    #expect(answers == 8)
    let again = try driver.poll()
    #expect(again)
    #expect(device.consume(3) == message(0, 6, 1))
  }

  @Test func `a message's buffer is back with the device before its answer`() throws {
    var driver = try makeDriver(ports: [0])
    while device.answer(2, message(0, 4, 1)) {}
    let before = device.notifications.count
    _ = try driver.poll()
    #expect(device.notifications[before...].prefix(4) == [2, 3, 2, 3])
  }

  @Test func `without MULTIPORT there is port 0 alone, and its size`() throws {
    var driver = try makeDriver(ConsoleFeature.size)
    #expect(!device.isReady(2) && !device.isReady(3) && !device.isReady(4))
    var port = driver.port(0)
    #expect(port.isPresent && port.isConsole && port.isOpen && port.isDeviceOpen)
    #expect(port.size == ConsoleSize(columns: 80, rows: 25))
    device.configuration = [100, 0, 50, 0]
    device.interruptStatus = 2
    let isNews = try driver.poll()
    #expect(isNews)
    port = driver.port(0)
    #expect(port.size == ConsoleSize(columns: 100, rows: 50))
    let later = try driver.poll()
    #expect(!later)
  }

  @Test func `a configuration that is never the same twice is a fault`() throws {
    device.generationStep = 1
    #expect(throws: DeviceFault.configurationUnstable) { _ = try makeDriver(ConsoleFeature.size) }
    #expect(device.status.contains(.failed))
  }

  @Test func `5.3.5 driver: an emergency write needs no driver, only the device's offer`() throws {
    let transport = try MMIODriverTransport(device.registers)
    let isWritten = transport.writeToConsoleInEmergency(0x21)
    #expect(isWritten)
    #expect(device.configurationWrites.map { $0.offset } == [8])
    #expect(device.configurationWrites.map { $0.value } == [0x21])
    #expect(device.status == .reset)
    let driver = try makeDriver(.none)
    let isWrittenToo = driver.emergencyWrite(0x22)
    #expect(isWrittenToo)
    device.features = .version1
    let isRefused = driver.emergencyWrite(0x23)
    #expect(!isRefused)
    #expect(device.configurationWrites.map { $0.value } == [0x21, 0x22])
  }

  @Test func `a device that needs a reset stops the driver`() throws {
    var driver = try makeDriver(.none)
    device.interruptStatus = 2
    device.status = device.status | .needsReset
    do {
      _ = try driver.poll()
      Issue.record("no fault")
    } catch {
      #expect(error == .needsReset)
    }
  }

  @Test func `a device that is unfit is marked as failed`() throws {
    device.configuration[4] = 0
    #expect(throws: DeviceFault.invalidConfiguration) { _ = try makeDriver() }
    #expect(device.status.contains(.failed))
    device.configuration[4] = 1
    device.queueSizeMax = 0
    #expect(throws: DeviceFault.queueUnavailable(0)) { _ = try makeDriver() }
    #expect(device.status.contains(.failed))
    device.deviceID = .block
    #expect(throws: DeviceFault.wrongDeviceType(2)) { _ = try makeDriver() }
  }

  @Test func `too little memory is no driver`() throws {
    for byteCount in [1024, 4096, 8192, 12288] {
      let small = TestMemory(byteCount: byteCount)
      var arena = small.arena()
      let driver = try TestConsoleDriver(try MMIODriverTransport(device.registers), memory: &arena)
      let exists = driver != nil
      #expect(!exists)
      #expect(device.status.contains(.failed))
    }
  }
}
