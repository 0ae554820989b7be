// Our block driver on our block device where something is special: limits, faults, nothing to do, a new size.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

@Suite struct BlockLoopbackEdgeTests {
  @Test func `several queues carry requests side by side`() throws {
    let loop = BlockLoop(queueCount: 4)
    var arena = loop.memory.arena()
    var driver = try loop.makeDriver(.mmioTransportBits, &arena, queueCount: 4)
    let buffer = arena.allocateShared(byteCount: 4096, alignment: 16)!
    for queue in 0..<4 {
      let segment: [1 of DMASegment] = [buffer.segment(at: queue * 512, byteCount: 512)]
      _ = try driver.submitRead(sector: UInt64(queue), into: segment.span, queue: queue)
    }
    let notified = loop.bench.writes.filter { $0.offset == MMIORegister.queueNotify }.map {
      $0.value & 0xffff
    }
    #expect(notified == [0, 1, 2, 3])
    try driver.service()
    for _ in 0..<4 {
      let completion = driver.nextCompletion()
      #expect(completion?.result == .finished)
    }
    for queue in 0..<4 {
      #expect(bytes(buffer, queue * 512, 512) == ScriptedDisk.original(UInt64(queue)))
    }
  }

  @Test func `long ranges are cut to what the device takes`() throws {
    let script = DiskScript(sectorCount: 2048)
    script.properties.discard = BlockRangeLimits(sectorCount: 100, rangeCount: 3, sectorAlignment: 16)
    let loop = BlockLoop(script)
    var arena = loop.memory.arena()
    var driver = try loop.makeDriver(.none, &arena)
    try driver.discard(BlockRange(sector: 5, sectorCount: 2000), wait: loop.wait)
    // Up to multiples of 16: 91 sectors, then 96 each; 22 ranges, at most three a request.
    #expect(script.log.count == 7)
    #expect(script.ranges.last == BlockRange(sector: 1920, sectorCount: 85))
    for sector in [4, 2005] as [UInt64] {
      #expect(loop.bench.transport.device.backend.sector(sector) == ScriptedDisk.original(sector))
    }
    for sector in [5, 96, 1919, 2004] as [UInt64] {
      #expect(loop.bench.transport.device.backend.sector(sector) == Array(repeating: 0, count: 512))
    }
    // Several ranges in one request of the caller's, one of them empty.
    script.log = []
    let ranges: [3 of BlockRange] = [
      BlockRange(sector: 0, sectorCount: 1), BlockRange(sector: 9, sectorCount: 0),
      BlockRange(sector: 2047, sectorCount: 1),
    ]
    let token = try driver.submitDiscard(ranges.span)!
    _ = try driver.finish(token, wait: loop.wait)
    #expect(script.log == [.discard])
    #expect(script.ranges == [ranges[0], ranges[2]])
  }

  @Test(
    arguments: [(.unsupported, .unsupported), (.outOfRange, .inputOutput)] as [(BackendFault, BackendFault)])
  func `a fault of the backend reaches the caller`(fault: BackendFault, told: BackendFault) throws {
    let loop = BlockLoop()
    var arena = loop.memory.arena()
    var driver = try loop.makeDriver(.none, &arena)
    let buffer = arena.allocateShared(byteCount: 512, alignment: 16)!
    loop.script.fault = fault
    #expect(throws: BlockFailure.request(told)) {
      try driver.read(sector: 0, into: buffer, wait: loop.wait)
    }
    loop.script.fault = nil
    try driver.read(sector: 0, into: buffer, wait: loop.wait)
  }

  @Test func `no request at all is one that succeeds`() throws {
    let loop = BlockLoop()
    var arena = loop.memory.arena()
    var driver = try loop.makeDriver(.none, &arena)
    let empty: [2 of DMASegment] = [
      DMASegment(deviceAddress: 0, byteCount: 0), DMASegment(deviceAddress: 0, byteCount: 0),
    ]
    for count in 0...2 {
      let token = try driver.submitWrite(sector: 2048, from: empty.span.extracting(0..<count))!
      let completion = driver.completion(of: token)
      #expect(completion?.result == .finished)
    }
    let none = try driver.submitDiscard(Span<BlockRange>())!
    let completion = driver.completion(of: none)
    #expect(completion?.result == .finished)
    #expect(loop.script.log == [])
  }

  @Test func `a caller that stops waiting gets the request back by a reset`() throws {
    let loop = BlockLoop()
    var arena = loop.memory.arena()
    var driver = try loop.makeDriver(.none, &arena)
    let buffer = arena.allocateShared(byteCount: 512, alignment: 16)!
    loop.script.answer = .wait
    #expect(throws: BlockFailure.timedOut) {
      try driver.read(sector: 0, into: buffer, wait: { false })
    }
    loop.script.end()
    try driver.reset()
    let completion = driver.nextCompletion()
    #expect(completion?.result == .abandoned)
  }

  @Test func `a driver that waits is interrupted`() throws {
    for features in ringFeatureMatrix {
      let loop = BlockLoop()
      var arena = loop.memory.arena()
      var driver = try loop.makeDriver(features, &arena)
      let buffer = arena.allocateShared(byteCount: 512, alignment: 16)!
      loop.script.answer = .wait
      for round in 1...40 {
        // The board sleeps until the line is raised: were it not, this would be the end.
        try driver.read(sector: 0, into: buffer) {
          loop.script.end()
          loop.bench.transport.poll()
          return loop.bench.transport.line.isAsserted
        }
        let events = loop.bench.transport.line.eventCount
        #expect(events == round)
      }
    }
  }

  @Test func `5.2.6.1 driver: looks for a new size when it is told of a change`() throws {
    let loop = BlockLoop()
    var arena = loop.memory.arena()
    var driver = try loop.makeDriver(.none, &arena)
    let buffer = arena.allocateShared(byteCount: 512, alignment: 16)!
    loop.script.sectorCount = 1024
    loop.bench.transport.poll()
    let isNew = try driver.handleInterrupt()
    let sectorCount = driver.sectorCount
    #expect(isNew && sectorCount == 1024)
    #expect(throws: BlockFailure.request(.outOfRange)) {
      try driver.read(sector: 1024, into: buffer, wait: loop.wait)
    }
    let isOld = try driver.handleInterrupt()
    #expect(!isOld)
  }

  @Test func `a disk that shrinks under a long request fails it`() throws {
    let loop = BlockLoop()
    var arena = loop.memory.arena()
    var driver = try loop.makeDriver(.none, &arena, queueSize: 4)
    let buffer = arena.allocateShared(byteCount: 65536, alignment: 16)!
    loop.script.answer = .wait
    let parts: [2 of DMASegment] = [
      buffer.segment(at: 0, byteCount: 512), buffer.segment(at: 1024, byteCount: 512),
    ]
    let segments: [4 of DMASegment] = [parts[0], parts[1], parts[0], parts[1]]
    let token = try driver.submitRead(sector: 1000, into: segments.span)!
    #expect(loop.script.waiting.count == 1)
    loop.script.sectorCount = 1002
    loop.bench.transport.poll()
    _ = try driver.handleInterrupt()
    loop.script.end()
    loop.bench.transport.poll()
    try driver.service()
    let completion = driver.completion(of: token)
    #expect(completion?.result == .failed(.outOfRange))
    #expect(loop.script.waiting.isEmpty)
  }

  @Test func `the disk in memory works as a backend`() throws {
    let memory = TestMemory()
    let disk = TestMemory(byteCount: 4096, ownByteCount: 64 * 512 + 112)
    var store = disk.arena()
    let bench = Bench<BlockDevice<MemoryDisk>, 1>(
      BlockDevice(backend: MemoryDisk(store.allocatePrivate(byteCount: 64 * 512 + 100)!)), memory)
    var arena = memory.arena()
    var driver = try BlockDriver<LoopbackRegisters<BlockDevice<MemoryDisk>, 1>>(
      try MMIODriverTransport(bench.registers), memory: &arena)!
    let sectorCount = driver.sectorCount
    #expect(sectorCount == 64)
    let buffer = arena.allocateShared(byteCount: 1024, alignment: 16)!
    fill(buffer, pattern(3, sectors: 2))
    try driver.write(sector: 62, from: buffer) { true }
    try driver.writeZeroes(BlockRange(sector: 62, sectorCount: 1)) { true }
    try driver.flush { true }
    try driver.read(sector: 62, into: buffer) { true }
    #expect(bytes(buffer, 0, 1024) == Array(repeating: 0, count: 512) + pattern(3, sectors: 2)[512...])
    try driver.discard(BlockRange(sector: 0, sectorCount: 64)) { true }
    try driver.secureErase(BlockRange(sector: 0, sectorCount: 64)) { true }
    try driver.read(sector: 62, into: buffer) { true }
    #expect(bytes(buffer, 0, 1024) == Array(repeating: 0, count: 1024))
  }
}
