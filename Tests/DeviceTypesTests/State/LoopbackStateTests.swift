// Devices that are saved in the middle of work and go on elsewhere, under our own drivers, in every
// combination of ring features: nothing is lost, nothing comes twice.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

@Suite struct LoopbackStateTests {
  let memory = TestMemory()

  @Test(arguments: ringFeatureMatrix)
  func `entropy: a request that waits is answered by the next device`(_ features: Features) throws {
    let bench = EntropyBench(EntropyDevice(backend: CountingEntropy()), memory)
    var arena = memory.arena()
    var driver = try EntropyDriver(
      try MMIODriverTransport(bench.registers), memory: &arena, bufferByteCount: 64, ringFeatures: features)!
    for round in 1...70 {
      bench.transport.device.backend.remaining = round % 2 == 0 ? 0 : 1000
      let isStarted = try driver.request(byteCount: 7)
      #expect(isStarted)
      try bench.migrate(
        to: EntropyDevice(backend: CountingEntropy(remaining: 7, next: UInt8(round))), memory)
      bench.transport.poll()
      var bytes = ByteArray<64>()
      var target = bytes.mutableBytes
      let count = try driver.receive(into: &target)
      #expect(count == 7)
      if round % 2 == 0 { #expect(bytes[0] == UInt8(round)) }
      try driver.acknowledgeInterrupt()
    }
    #expect(bench.transport.fault == nil)
  }

  @Test(arguments: ringFeatureMatrix)
  func `console: data arrives whole and in order`(_ ring: Features) throws {
    for features in [.none, ConsoleFeature.all] as [Features] {
      let bench = ConsoleBench(TestConsoleDevice(backend: TestConsole()), memory)
      var arena = memory.arena()
      var driver = try ConsoleDriver<LoopbackRegisters<TestConsoleDevice, 8>, 3>(
        try MMIODriverTransport(bench.registers), memory: &arena, features: features, ringFeatures: ring)!
      repeat { bench.transport.poll() } while try driver.poll()
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
        bench.transport.device.backend.room[0] = 0
        try bench.migrate(to: TestConsoleDevice(backend: bench.transport.device.backend), memory)
        bench.transport.device.backend.room[0] = UInt32(round * 37 % 400)
        bench.transport.poll()
        received += try read(&driver, port: 0, 1 + round * 91 % 500)
        _ = try driver.poll()
      }
      #expect(received == sent)
      #expect(bench.transport.device.backend.output[0] == sent)
      #expect(bench.transport.fault == nil)
      try driver.shutDown()
    }
  }

  @Test(arguments: ringFeatureMatrix)
  func `network: filter, offloads and address go along, and frames in both directions`(
    _ ring: Features
  ) throws {
    let link = TestLink()
    let bench = NetworkBench(makeNetworkDevice(link, receive: .all), memory)
    var arena = memory.arena()
    var driver = try LoopbackNetworkDriver<1>(
      try MMIODriverTransport(bench.registers), memory: &arena,
      settings: NetworkDriverSettings(features: Features(low: 0xff_ffaf)), ringFeatures: ring)!
    let other = MACAddress(2, 7, 7, 7, 7, 7)
    let group = MACAddress(0x33, 0x33, 0, 0, 0, 1)
    let unicast: [1 of MACAddress] = [other]
    let multicast: [1 of MACAddress] = [group]
    var done = [try driver.setTable(unicast: unicast.span, multicast: multicast.span)]
    done.append(try driver.set(vlan: 7, true))
    done.append(try driver.setAddress(MACAddress(2, 5, 5, 5, 5, 5)))
    #expect(done == [true, true, true])
    let allowed = link.receiveOffloads
    for round in 0..<40 {
      link.receiveOffloads = .none
      try bench.migrate(to: makeNetworkDevice(link, receive: .all), memory)
      #expect(link.receiveOffloads == allowed)
      let submission = try driver.transmit(frame(byteCount: 60 + round))
      #expect(submission == .accepted)
      #expect(link.sent.last?.bytes == frame(byteCount: 60 + round))
      let isIdle = try driver.transmissionIsComplete()
      #expect(isIdle)
      for bytes in [frame(to: other, vlan: 8), frame(), frame(to: group, vlan: 7), frame(to: other)] {
        link.offer(bytes)
      }
      bench.transport.poll()
      for bytes in [frame(to: group, vlan: 7), frame(to: other)] {
        let received = try driver.receive()
        #expect(received?.bytes == bytes)
      }
      let none = try driver.receive()
      #expect(none == nil)
    }
    #expect(bench.transport.read(at: MMIORegister.configuration, byteCount: 4) == 0x0505_0502)
    #expect(bench.transport.fault == nil)
  }

  @Test(arguments: ringFeatureMatrix)
  func `block: every write is there once`(_ ring: Features) throws {
    let loop = BlockLoop()
    var arena = loop.memory.arena()
    var driver = try loop.makeDriver(ring, &arena)
    let buffer = arena.allocateShared(byteCount: 4096, alignment: 16)!
    for round in 0..<40 {
      fill(buffer, pattern(UInt8(round), sectors: 8))
      loop.script.answer = round % 2 == 0 ? .busy : .wait
      var polls = 0
      try driver.write(
        sector: UInt64(round * 8), from: buffer,
        wait: {
          polls += 1
          if polls > 4 { return false }
          do {
            if loop.script.answer == .wait {
              #expect(throws: StateFault.busy) { try loop.bench.transport.savedState() }
              while !loop.script.waiting.isEmpty { loop.script.end() }
            }
            loop.script.answer = .finish
            let bytes = try loop.bench.transport.savedState()
            // The disk stays, and with it its script.
            try loop.bench.transport.restore(bytes)
            while loop.bench.transport.run() {}
          } catch {
            Issue.record(error)
          }
          return true
        })
      loop.script.answer = .finish
      buffer.zero()
      try driver.read(sector: UInt64(round * 8), into: buffer, wait: loop.wait)
      #expect(bytes(buffer, 0, 4096) == pattern(UInt8(round), sectors: 8))
    }
    let writes = loop.script.log.filter { if case .write = $0 { true } else { false } }
    #expect(loop.bench.transport.fault == nil)
    // The driver cuts a write at its segment limit; none came twice.
    for (i, write) in writes.enumerated() { #expect(!writes[..<i].contains(write)) }
  }
}
