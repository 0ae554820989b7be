// Our console driver on our console device, in every combination of ring features.

import DeviceTypes
import Testing
import TestSupport
import Virtio

@Suite struct ConsoleLoopbackTests {
  typealias Driver = ConsoleDriver<LoopbackRegisters<TestConsoleDevice, 8>, 3>

  let memory = TestMemory()
  let bench: ConsoleBench

  init() { bench = ConsoleBench(TestConsoleDevice(backend: TestConsole()), memory) }

  private func makeDriver(_ features: Features, _ ringFeatures: Features) throws -> Driver {
    var arena = memory.arena()
    let driver = try Driver(
      try MMIODriverTransport(bench.registers), memory: &arena, features: features,
      ringFeatures: ringFeatures)
    return driver!
  }

  /// Lets both sides talk until neither has news.
  private func settle(_ driver: inout Driver) throws {
    repeat { bench.transport.poll() } while try driver.poll()
  }

  @Test(arguments: ringFeatureMatrix)
  func `data arrives whole and in order, both ways, however the peers stutter`(_ ring: Features) throws {
    for features in [.none, ConsoleFeature.all] as [Features] {
      var driver = try makeDriver(features, ring)
      try settle(&driver)
      bench.transport.device.backend = TestConsole()
      let sent = (0..<3000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
      bench.transport.device.backend.input[0] = sent
      var written = 0
      var received: [UInt8] = []
      var round = 0
      while received.count < sent.count || bench.transport.device.backend.output[0].count < sent.count {
        round += 1
        try #require(round < 1000, "no progress")
        bench.transport.device.backend.room[0] = UInt32(round * 37 % 400)
        written += try write(&driver, port: 0, Array(sent[written..<min(written + 700, sent.count)]))
        bench.transport.poll()
        received += try read(&driver, port: 0, 1 + round * 91 % 500)
        _ = try driver.poll()
      }
      #expect(received == sent)
      #expect(bench.transport.device.backend.output[0] == sent)
      let isDrained = try driver.isDrained(port: 0)
      #expect(isDrained)
      #expect(bench.transport.fault == nil)
    }
  }

  @Test(arguments: ringFeatureMatrix)
  func `every input raises an interrupt once the driver has found nothing`(_ ring: Features) throws {
    var driver = try makeDriver(ConsoleFeature.all, ring)
    try settle(&driver)
    for round in 0..<100 as Range<UInt8> {
      #expect(try read(&driver, port: 0).isEmpty)
      while try driver.poll() {}
      let before = bench.transport.line.eventCount
      bench.transport.device.backend.input[0] = [round]
      bench.transport.poll()
      #expect(bench.transport.line.eventCount == before + 1)
      #expect(try read(&driver, port: 0) == [round])
    }
  }

  @Test(arguments: ringFeatureMatrix)
  func `a full transmit queue raises an interrupt when it empties`(_ ring: Features) throws {
    var driver = try makeDriver(.none, ring)
    bench.transport.device.backend.room[0] = 0
    for _ in 0..<20 {
      #expect(try write(&driver, port: 0, Array(repeating: 1, count: 2000)) == 1024)
      while try driver.poll() {}
      let before = bench.transport.line.eventCount
      bench.transport.device.backend.room[0] = 1024
      bench.transport.poll()
      #expect(bench.transport.line.eventCount > before)
    }
  }

  @Test(arguments: ringFeatureMatrix)
  func `ports come and go, open and close, are named and resized`(_ ring: Features) throws {
    var driver = try makeDriver(ConsoleFeature.all, ring)
    try settle(&driver)
    var port = driver.port(0)
    #expect(port.isPresent && port.isConsole && port.isOpen && port.isDeviceOpen)
    #expect(port.size == ConsoleSize(columns: 80, rows: 25))
    let isOpen = bench.transport.device.isDriverOpen(0)
    #expect(isOpen)
    for round in 0..<20 {
      let name = ConsolePortName("port \(round)".utf8)
      bench.transport.device.addPort(1, name: name, isOpen: false)
      bench.transport.device.addPort(2, isConsole: true)
      try settle(&driver)
      port = driver.port(1)
      #expect(port.isPresent && !port.isConsole && !port.isDeviceOpen && port.name == name)
      port = driver.port(2)
      #expect(port.isPresent && port.isConsole && port.isDeviceOpen && port.name.byteCount == 0)
      bench.transport.device.setOpen(true, port: 1)
      bench.transport.device.resize(ConsoleSize(columns: 10, rows: UInt16(round)), port: 2)
      bench.transport.device.resize(ConsoleSize(columns: 11, rows: UInt16(round)), port: 0)
      let isTold = try driver.setOpen(true, port: 1)
      #expect(isTold)
      try settle(&driver)
      port = driver.port(1)
      #expect(port.isDeviceOpen)
      #expect(driver.port(2).size == ConsoleSize(columns: 10, rows: UInt16(round)))
      #expect(driver.port(0).size == ConsoleSize(columns: 11, rows: UInt16(round)))
      bench.transport.device.backend.input[1] = [UInt8(round)]
      #expect(try write(&driver, port: 1, [UInt8(round), 1]) == 2)
      try settle(&driver)
      #expect(try read(&driver, port: 1) == [UInt8(round)])
      #expect(bench.transport.device.backend.output[1].suffix(2) == [UInt8(round), 1])
      bench.transport.device.removePort(1)
      bench.transport.device.removePort(2)
      try settle(&driver)
      for index in 1...2 { #expect(driver.port(index) == ConsolePort()) }
    }
    #expect(bench.transport.device.backend.openings.count == 1 + 20 * 4)
    let refused = driver.refusedMessageCount
    #expect(refused == 0)
    #expect(bench.transport.fault == nil)
  }

  @Test func `5.3.5 an emergency write reaches the host before and after everything else`() throws {
    let transport = try MMIODriverTransport(bench.registers)
    _ = transport.writeToConsoleInEmergency(UInt8(ascii: "a"))
    let driver = try makeDriver(ConsoleFeature.all, .none)
    _ = driver.emergencyWrite(UInt8(ascii: "b"))
    // Ring corruption: more buffers than there are descriptors.
    for offset in 0..<0x4000 { memory.store(UInt8(0xff), memory.address + 0x80000 + UInt64(offset)) }
    for queue in 0..<8 as Range<UInt64> {
      bench.transport.write(queue, at: MMIORegister.queueNotify, byteCount: 4)
    }
    #expect(bench.transport.status.contains(.needsReset))
    _ = driver.emergencyWrite(UInt8(ascii: "c"))
    try driver.shutDown()
    _ = transport.writeToConsoleInEmergency(UInt8(ascii: "d"))
    #expect(bench.transport.device.backend.emergencies == [UInt8]("abcd"))
  }
}
