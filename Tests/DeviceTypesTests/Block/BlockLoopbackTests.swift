// Our block driver on our block device over one RAM, in every combination of ring features.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

typealias BlockLoopDriver = BlockDriver<LoopbackRegisters<BlockDevice<ScriptedDisk>, 4>>

/// Our device on a scripted disk, and the memory of a driver for it.
struct BlockLoop {
  let memory = TestMemory(byteCount: 1 << 22)
  let script: DiskScript
  let bench: BlockRig.TestBench

  init(_ script: DiskScript = DiskScript(sectorCount: 2048), queueCount: Int = 1) {
    self.script = script
    bench = BlockRig.TestBench(BlockDevice(backend: ScriptedDisk(script), queueCount: queueCount), memory)
  }

  /// A driver with small queues, so that requests are cut often.
  func makeDriver(
    _ ringFeatures: Features, _ arena: inout DriverArena, queueSize: UInt16 = 16, queueCount: Int = 1,
    segmentLimit: Int = 16
  ) throws -> BlockLoopDriver {
    var options = BlockDriverOptions()
    options.ringFeatures = ringFeatures
    options.queueSize = queueSize
    options.queueCount = queueCount
    options.indirectCapacity = 8
    options.segmentLimit = segmentLimit
    return try BlockLoopDriver(try MMIODriverTransport(bench.registers), memory: &arena, options: options)!
  }

  /// Waits by polling the device.
  func wait() -> Bool {
    bench.transport.poll()
    return true
  }
}

/// The bytes of `buffer` from `offset`.
func bytes(_ buffer: borrowing DMABuffer, _ offset: Int, _ count: Int) -> [UInt8] {
  var list: [UInt8] = []
  for i in 0..<count { list.append(buffer.load(UInt8.self, at: offset + i)) }
  return list
}

func fill(_ buffer: borrowing DMABuffer, _ list: [UInt8], at offset: Int = 0) {
  for (i, byte) in list.enumerated() { buffer.store(byte, at: offset + i) }
}

@Suite struct BlockLoopbackTests {
  @Test(arguments: ringFeatureMatrix)
  func `every kind of request`(_ features: Features) throws {
    let script = DiskScript(sectorCount: 2048)
    script.properties.hasLifetime = true
    for (i, byte) in Array("a disk of 20 letters".utf8).enumerated() {
      script.properties.identifier[i] = byte
    }
    let loop = BlockLoop(script)
    var arena = loop.memory.arena()
    var driver = try loop.makeDriver(features, &arena)
    #expect(loop.bench.transport.driverFeatures & .mmioTransportBits == features | .version1)
    let sectorCount = driver.sectorCount
    #expect(sectorCount == 2048)
    let buffer = arena.allocateShared(byteCount: 4096, alignment: 16)!
    for round in 0..<20 {
      let sector = UInt64(round * 8)
      fill(buffer, pattern(UInt8(round), sectors: 8))
      try driver.write(sector: sector, from: buffer, wait: loop.wait)
      buffer.zero()
      try driver.read(sector: sector, into: buffer, wait: loop.wait)
      #expect(bytes(buffer, 0, 4096) == pattern(UInt8(round), sectors: 8))
      try driver.discard(BlockRange(sector: sector, sectorCount: 1), wait: loop.wait)
      try driver.writeZeroes(
        BlockRange(sector: sector + 1, sectorCount: 1, flags: BlockRange.unmap), wait: loop.wait)
      #expect(script.ranges == [BlockRange(sector: sector + 1, sectorCount: 1, flags: 1)])
      try driver.secureErase(BlockRange(sector: sector + 2, sectorCount: 1), wait: loop.wait)
      try driver.flush(wait: loop.wait)
      try driver.read(sector: sector, into: buffer, wait: loop.wait)
      #expect(
        bytes(buffer, 0, 4096)
          == Array(repeating: 0, count: 1536) + pattern(UInt8(round), sectors: 8)[1536...])
    }
    let name = try driver.getID(wait: loop.wait)
    #expect(list(name) == Array("a disk of 20 letters".utf8))
    let lifetime = try driver.getLifetime(wait: loop.wait)
    #expect(lifetime == BlockLifetime(preEndOfLife: 2, estimateA: 3, estimateB: 4))
    #expect(loop.bench.transport.fault == nil)
  }

  @Test(arguments: ringFeatureMatrix, [0, 1536, 700] as [UInt32])
  func `requests above every limit are cut, never refused`(_ features: Features, sizeMax: UInt32) throws {
    let script = DiskScript(sectorCount: 2048)
    script.properties.sizeMax = sizeMax
    let loop = BlockLoop(script)
    var arena = loop.memory.arena()
    var driver = try loop.makeDriver(features, &arena, queueSize: 8)
    let buffer = arena.allocateShared(byteCount: 2048 * 512, alignment: 16)!
    for i in 0..<2048 * 128 { buffer.store(UInt32(i) &* 2_654_435_761, at: i * 4) }
    // The whole disk in one request of one segment, out and back in.
    try driver.write(sector: 0, from: buffer, wait: loop.wait)
    // Six segments of a size_max that is no multiple of a sector make few whole sectors.
    #expect(sizeMax == 0 ? loop.script.log.count == 1 : loop.script.log.count > 100)
    var isEqual = true
    for i in 0..<2048 * 128 where isEqual {
      isEqual =
        loop.bench.transport.device.backend.disk.memory.load(UInt32.self, at: i * 4)
        == UInt32(i) &* 2_654_435_761
    }
    #expect(isEqual)
    buffer.zero()
    try driver.read(sector: 0, into: buffer, wait: loop.wait)
    for i in 0..<2048 * 128 where isEqual {
      isEqual = buffer.load(UInt32.self, at: i * 4) == UInt32(i) &* 2_654_435_761
    }
    #expect(isEqual)
    #expect(loop.bench.transport.fault == nil)
  }

  @Test(arguments: ringFeatureMatrix)
  func `a list of odd pieces is read and written in order`(_ features: Features) throws {
    let loop = BlockLoop()
    var arena = loop.memory.arena()
    var driver = try loop.makeDriver(features, &arena, queueSize: 16)
    let buffer = arena.allocateShared(byteCount: 8192, alignment: 16)!
    let lengths = [1, 511, 0, 700, 324, 512, 100, 100, 312, 1024, 1, 1, 1, 509, 2048, 0]
    var segments = [16 of DMASegment](repeating: DMASegment(deviceAddress: 0, byteCount: 0))
    var offset = 0
    for (i, length) in lengths.enumerated() {
      segments[i] = buffer.segment(at: offset, byteCount: length)
      offset += length
    }
    #expect(offset == 6144)
    fill(buffer, pattern(7, sectors: 12))
    let write = try driver.submitWrite(sector: 100, from: segments.span)!
    _ = try driver.finish(write, wait: loop.wait)
    for sector in 0..<12 {
      #expect(
        loop.bench.transport.device.backend.sector(UInt64(100 + sector))
          == Array(pattern(7, sectors: 12)[(sector * 512)..<(sector * 512 + 512)]))
    }
    buffer.zero()
    let read = try driver.submitRead(sector: 100, into: segments.span)!
    _ = try driver.finish(read, wait: loop.wait)
    #expect(bytes(buffer, 0, 6144) == pattern(7, sectors: 12))
  }

  @Test(arguments: ringFeatureMatrix)
  func `many requests at once, ended in another order`(_ features: Features) throws {
    let loop = BlockLoop()
    var arena = loop.memory.arena()
    var driver = try loop.makeDriver(features, &arena, queueSize: 64)
    let buffer = arena.allocateShared(byteCount: 32 * 1024, alignment: 16)!
    loop.script.answer = .wait
    var tokens: [BlockToken] = []
    driver.defersPublication = true
    for n in 0..<32 {
      let segment: [1 of DMASegment] = [buffer.segment(at: n * 1024, byteCount: 1024)]
      tokens.append(try driver.submitRead(sector: UInt64(n * 2), into: segment.span)!)
    }
    #expect(loop.script.waiting.isEmpty)
    driver.publish()
    // No 33rd request, and no completion yet.
    let tooMany = try driver.submitFlush()
    #expect(tooMany == nil)
    var seen: [BlockToken] = []
    var seed: UInt32 = 12345
    while seen.count < 32 {
      for _ in 0..<3 where !loop.script.waiting.isEmpty {
        seed = seed &* 1_664_525 &+ 1_013_904_223
        loop.script.end(Int(seed >> 16) % loop.script.waiting.count)
      }
      loop.bench.transport.poll()
      try driver.service()
      while let completion = driver.nextCompletion() {
        #expect(completion.result == .finished)
        seen.append(completion.token)
        let n = tokens.firstIndex(of: completion.token)!
        #expect(
          bytes(buffer, n * 1024, 1024)
            == ScriptedDisk.original(UInt64(n * 2)) + ScriptedDisk.original(UInt64(n * 2 + 1)))
      }
    }
    #expect(tokens.allSatisfy { seen.contains($0) })
    #expect(loop.bench.transport.fault == nil)
    let again = driver.nextCompletion()
    #expect(again == nil)
  }

  @Test(arguments: ringFeatureMatrix)
  func `a reset with requests in flight ends them, and the driver starts again`(_ features: Features) throws {
    let loop = BlockLoop()
    var arena = loop.memory.arena()
    var driver = try loop.makeDriver(features, &arena)
    let buffer = arena.allocateShared(byteCount: 65536, alignment: 16)!
    for _ in 0..<3 {
      loop.script.answer = .wait
      // More than the queue takes at once: a part is with the device, a part is not.
      let first: [1 of DMASegment] = [buffer.segment(at: 0, byteCount: 65536)]
      let token = try driver.submitRead(sector: 0, into: first.span)!
      let second = try driver.submitFlush()!
      buffer.store(0xaaaa_aaaa as UInt32, at: 0)
      while !loop.script.waiting.isEmpty { loop.script.end() }
      try driver.reset()
      let one = driver.completion(of: token)
      let two = driver.completion(of: second)
      #expect(one?.result == .abandoned && two?.result == .abandoned)
      loop.bench.transport.poll()
      #expect(buffer.load(UInt32.self, at: 0) == 0xaaaa_aaaa)
      #expect(throws: BlockFailure.device(.needsReset)) { try driver.service() }
      loop.script.answer = .finish
      try driver.restart()
      try driver.read(sector: 9, into: buffer.segment(at: 0, byteCount: 512), wait: loop.wait)
      #expect(bytes(buffer, 0, 512) == ScriptedDisk.original(9))
    }
  }

  @Test(arguments: ringFeatureMatrix)
  func `a queue is reset alone`(_ features: Features) throws {
    let loop = BlockLoop(queueCount: 2)
    var arena = loop.memory.arena()
    var driver = try loop.makeDriver(features | .ringReset, &arena, queueCount: 2)
    let queueCount = driver.queueCount
    #expect(queueCount == 2)
    let buffer = arena.allocateShared(byteCount: 2048, alignment: 16)!
    loop.script.answer = .wait
    let parts: [2 of DMASegment] = [
      buffer.segment(at: 0, byteCount: 512), buffer.segment(at: 512, byteCount: 512),
    ]
    let doomed = try driver.submitRead(sector: 1, into: parts.span.extracting(0..<1), queue: 0)!
    let spared = try driver.submitRead(sector: 2, into: parts.span.extracting(1..<2), queue: 1)!
    // The backend lets go of the request when it is asked to.
    loop.script.end(0, fault: .inputOutput)
    try driver.resetQueue(0)
    let first = driver.completion(of: doomed)
    #expect(first?.result == .abandoned)
    loop.script.end(0)
    loop.bench.transport.poll()
    try driver.service()
    let second = driver.completion(of: spared)
    #expect(second?.result == .finished)
    #expect(bytes(buffer, 512, 512) == ScriptedDisk.original(2))
    loop.script.answer = .finish
    try driver.read(sector: 3, into: buffer.segment(at: 0, byteCount: 512), wait: loop.wait)
    #expect(bytes(buffer, 0, 1024) == ScriptedDisk.original(3) + ScriptedDisk.original(2))
  }
}
