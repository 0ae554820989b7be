// Guests on shares of one disk: what they ask arrives where it belongs, as durable as they were told, and
// none keeps the others waiting.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

@Suite struct SharedDiskTests {
  @Test(arguments: ringFeatureMatrix)
  func `every kind of request reaches its share`(_ features: Features) throws {
    let rig = try SharedDiskRig(features: features)
    for guest in 0..<2 {
      var arena = rig[guest].memory.arena()
      var driver = try rig[guest].makeDriver(&arena, features)
      let wait = rig.guests.patience(100_000)
      let first = UInt64(guest) * 1024
      let sectorCount = driver.sectorCount
      #expect(sectorCount == 1024)
      let buffer = arena.allocateShared(byteCount: 4096, alignment: 16)!
      for round in 0..<10 {
        let sector = UInt64(round * 8)
        fill(buffer, pattern(UInt8(round + guest), sectors: 8))
        try driver.write(sector: sector, from: buffer, wait: wait)
        #expect(rig.script.log.last == .write(first + sector, isDurable: false))
        #expect(
          rig.sector(first + sector + 7) == Array(pattern(UInt8(round + guest), sectors: 8).suffix(512)))
        buffer.zero()
        try driver.read(sector: sector, into: buffer, wait: wait)
        #expect(bytes(buffer, 0, 4096) == pattern(UInt8(round + guest), sectors: 8))
        try driver.flush(wait: wait)
        #expect(rig.script.log.last == .flush)
        try driver.discard(BlockRange(sector: sector, sectorCount: 1), wait: wait)
        #expect(rig.script.ranges == [BlockRange(sector: first + sector, sectorCount: 1)])
        try driver.writeZeroes(BlockRange(sector: sector + 1, sectorCount: 1, flags: 1), wait: wait)
        #expect(rig.script.ranges == [BlockRange(sector: first + sector + 1, sectorCount: 1, flags: 1)])
        try driver.secureErase(BlockRange(sector: sector + 2, sectorCount: 1), wait: wait)
        #expect(rig.script.ranges == [BlockRange(sector: first + sector + 2, sectorCount: 1)])
        #expect(rig.sector(first + sector + 2) == Array(repeating: 0, count: 512))
      }
      let name = try driver.getID(wait: wait)
      #expect(name.load(UInt32.self, at: 0) == 0x6b73_6964)
    }
    // The first guest's sectors are as it left them.
    #expect(rig.sector(3) == Array(pattern(0, sectors: 8)[1536..<2048]))
    #expect(rig.guests.failureCount == 0)
  }

  @Test func `all sectors of a share, in requests of many segments`() throws {
    // A queue of 16 descriptors: every request is cut.
    let rig = try SharedDiskRig(queueSize: 16)
    var arena = rig[1].memory.arena()
    var driver = try rig[1].makeDriver(&arena)
    let buffer = arena.allocateShared(byteCount: 512 << 10, alignment: 16)!
    // Pieces that end within sectors.
    var pieces = [100 of DMASegment](repeating: buffer.segment(at: 0, byteCount: 0))
    var at = 0
    for i in 0..<100 {
      let end = i == 99 ? 512 << 10 : at + 5000 + i
      pieces[i] = buffer.segment(at: at, byteCount: end - at)
      at = end
    }
    let wait = rig.guests.patience(100_000)
    let read = try driver.submitRead(sector: 0, into: pieces.span)
    _ = try driver.finish(read!, wait: wait)
    for sector in 0..<1024 {
      #expect(bytes(buffer, sector * 512, 512) == ScriptedDisk.original(1024 + UInt64(sector)))
    }
    fill(buffer, pattern(9, sectors: 1024))
    let write = try driver.submitWrite(sector: 0, from: pieces.span)
    _ = try driver.finish(write!, wait: wait)
    for sector in [0, 1, 511, 1023] {
      #expect(
        rig.sector(1024 + UInt64(sector))
          == Array(pattern(9, sectors: 1024)[sector * 512..<sector * 512 + 512])
      )
    }
    #expect(rig.sector(1023) == ScriptedDisk.original(1023))
  }

  // MARK: Durability

  @Test func `without FLUSH every write is followed by one of the hardware`() throws {
    let rig = try SharedDiskRig()
    var arena = rig[0].memory.arena()
    var driver = try rig[0].makeDriver(&arena, less: BlockFeature.flush | BlockFeature.configurableCache)
    let buffer = arena.allocateShared(byteCount: 512, alignment: 16)!
    let wait = rig.guests.patience()
    try driver.write(sector: 5, from: buffer, wait: wait)
    #expect(rig.script.log == [.write(5, isDurable: false), .flush])
    try driver.writeZeroes(BlockRange(sector: 5, sectorCount: 1), wait: wait)
    #expect(rig.script.log.suffix(2) == [.writeZeroes(isDurable: false), .flush])
    // The write has not ended before its flush.
    rig.script.answer = .wait
    let token = try driver.startWrite(6, buffer.segment)!
    rig.guests.turn()
    rig.script.end()
    for _ in 0..<3 { rig.guests.turn() }
    try driver.service()
    let early = driver.completion(of: token)
    #expect(early?.result == nil)
    #expect(rig.script.waiting.map(\.operation) == [.flush])
    rig.script.end(0, fault: .inputOutput)
    for _ in 0..<3 { rig.guests.turn() }
    try driver.service()
    let end = driver.completion(of: token)
    #expect(end?.result == .failed(.inputOutput))
  }

  @Test func `a guest that switches its cache off has durable writes`() throws {
    let rig = try SharedDiskRig()
    var arena = rig[0].memory.arena()
    var driver = try rig[0].makeDriver(&arena)
    let isWriteback = driver.isWriteback
    #expect(isWriteback)
    try driver.setWriteback(false)
    let buffer = arena.allocateShared(byteCount: 512, alignment: 16)!
    try driver.write(sector: 5, from: buffer, wait: rig.guests.patience())
    #expect(rig.script.log == [.write(5, isDurable: false), .flush])
  }

  @Test func `on a disk without a cache nothing is flushed`() throws {
    let rig = try SharedDiskRig(less: BlockFeature.flush | BlockFeature.configurableCache)
    var arena = rig[0].memory.arena()
    var driver = try rig[0].makeDriver(&arena)
    let buffer = arena.allocateShared(byteCount: 512, alignment: 16)!
    let wait = rig.guests.patience()
    try driver.write(sector: 5, from: buffer, wait: wait)
    try driver.flush(wait: wait)
    try driver.setWriteback(false)
    try driver.write(sector: 6, from: buffer, wait: wait)
    // Our device knows that our driver did not accept FLUSH: what it writes is durable.
    #expect(rig.script.log == [.write(5, isDurable: true), .write(6, isDurable: true)])
  }

  // MARK: Taking turns

  @Test func `a share has its number of requests with the hardware, and the rest waits`() throws {
    let rig = try SharedDiskRig()
    var firstArena = rig[0].memory.arena()
    var secondArena = rig[1].memory.arena()
    var greedy = try rig[0].makeDriver(&firstArena)
    var modest = try rig[1].makeDriver(&secondArena)
    let first = firstArena.allocateShared(byteCount: 32 * 512, alignment: 16)!
    let second = secondArena.allocateShared(byteCount: 512, alignment: 16)!
    rig.script.answer = .wait
    for i in 0..<32 {
      let token = try greedy.startRead(UInt64(i), first.segment(at: i * 512, byteCount: 512))
      #expect(token != nil)
    }
    for _ in 0..<3 { rig.guests.turn() }
    #expect(rig.script.waiting.count == 16)
    let token = try modest.startRead(0, second.segment)!
    rig.guests.turn()
    #expect(rig.script.waiting.last?.operation == .read(1024))
    rig.script.end(16)
    rig.guests.turn()
    try modest.service()
    let end = modest.completion(of: token)
    #expect(end?.result == .finished)
    #expect(bytes(second, 0, 512) == ScriptedDisk.original(1024))
    // Nothing of the other was lost: it goes on as it is answered.
    var ended = 0
    for _ in 0..<100 where ended < 32 {
      if !rig.script.waiting.isEmpty { rig.script.end(rig.script.waiting.count / 2) }
      rig.guests.turn()
      #expect(rig.script.waiting.count <= 16)
      try greedy.service()
      while let completion = greedy.nextCompletion() {
        #expect(completion.result == .finished)
        ended += 1
      }
    }
    #expect(ended == 32)
    for i in 0..<32 { #expect(bytes(first, i * 512, 512) == ScriptedDisk.original(UInt64(i))) }
  }

  @Test func `buffers of large and of small requests take turns`() throws {
    // Room for one buffer of two segments at a time.
    let rig = try SharedDiskRig(queueSize: 4, features: .none)
    var firstArena = rig[0].memory.arena()
    var secondArena = rig[1].memory.arena()
    // Its driver does not know how many segments are good for the hardware.
    var large = try rig[0].makeDriver(&firstArena, less: BlockFeature.segMax)
    var small = try rig[1].makeDriver(&secondArena)
    let first = firstArena.allocateShared(byteCount: 64 * 512, alignment: 16)!
    let second = secondArena.allocateShared(byteCount: 2048, alignment: 16)!
    rig.script.answer = .wait
    var pieces = [64 of DMASegment](repeating: first.segment(at: 0, byteCount: 0))
    for i in 0..<64 { pieces[i] = first.segment(at: i * 512, byteCount: 512) }
    let long = try large.submitRead(sector: 0, into: pieces.span)!
    rig.guests.turn()
    var tokens: [BlockToken] = []
    for i in 0..<4 {
      tokens.append(try small.startRead(UInt64(i), second.segment(at: i * 512, byteCount: 512))!)
    }
    var order: [DiskScript.Operation] = []
    for _ in 0..<200 where order.count < 36 {
      rig.guests.turn()
      if rig.script.waiting.isEmpty { continue }
      order.append(rig.script.waiting[0].operation)
      rig.script.end()
    }
    for _ in 0..<3 { rig.guests.turn() }
    // The second buffer of the large request waited before the small ones came; its third comes after them.
    let small4 = (1024..<1028).map { DiskScript.Operation.read($0) }
    #expect(order.prefix(7) == [.read(0), .read(2)] + small4 + [.read(4)])
    #expect(order.count == 36)
    try small.service()
    for token in tokens {
      let end = small.completion(of: token)
      #expect(end?.result == .finished)
    }
    try large.service()
    let end = large.completion(of: long)
    #expect(end?.result == .finished)
    for i in 0..<64 { #expect(bytes(first, i * 512, 512) == ScriptedDisk.original(UInt64(i))) }
  }

  // MARK: Properties

  @Test func `a share offers what the hardware can do`() throws {
    let script = DiskScript(sectorCount: 2048)
    script.properties.blockSize = 4096
    script.properties.sizeMax = 65536
    var topology = BlockTopology()
    topology.physicalBlockExponent = 2
    script.properties.topology = topology
    script.properties.discard = BlockRangeLimits(sectorCount: 100, rangeCount: 3, sectorAlignment: 24)
    script.properties.writeZeroes = nil
    script.properties.secureErase = nil
    // A share of 1008 sectors ends on a block, but not on a physical one.
    let rig = try SharedDiskRig(script, shareSectorCount: 1008, queueSize: 64)
    let (first, second) = (rig[0].properties, rig[1].properties)
    #expect(first.blockSize == 4096 && second.blockSize == 4096)
    #expect(first.topology == topology && second.topology == nil)
    #expect(first.discard == BlockRangeLimits(sectorCount: 100, rangeCount: 3, sectorAlignment: 24))
    #expect(second.discard == first.discard)
    #expect(first.writeZeroes == nil && first.secureErase == nil)
    #expect(first.sizeMax == 65536 && first.segMax == 62)
    #expect(first.canFlush && !first.isReadOnly)
    #expect(rig[0].bench.transport.read(at: 0x100 + 12, byteCount: 4) == 62)
  }

  @Test func `a share that starts within a block has none`() throws {
    let script = DiskScript(sectorCount: 2048)
    script.properties.blockSize = 4096
    script.properties.discard = BlockRangeLimits(sectorCount: 100, rangeCount: 3, sectorAlignment: 8)
    let rig = try SharedDiskRig(script, shareSectorCount: 1001)
    #expect(rig[1].properties.blockSize == 512)
    #expect(rig[1].properties.discard?.sectorAlignment == 0)
  }

  @Test func `what can only be read is offered as such`() throws {
    let script = DiskScript(sectorCount: 64)
    script.properties.isReadOnly = true
    let hardware = try SharedDiskRig(script, guestCount: 1, shareSectorCount: nil)
    let share = try SharedDiskRig(guestCount: 1, shareSectorCount: nil, isReadOnly: true)
    for rig in [hardware, share] {
      var arena = rig[0].memory.arena()
      let driver = try rig[0].makeDriver(&arena)
      let isReadOnly = driver.isReadOnly
      #expect(isReadOnly)
      let ranges: [1 of BlockRange] = [BlockRange(sector: 0, sectorCount: 1)]
      #expect(throws: BackendFault.readOnly) {
        _ = try rig[0].bench.transport.device.backend.discard(ranges.span, tag: 0)
      }
      let segments: [1 of GuestRange] = [try rig[0].memory.guest.range(at: 0x4000_0000, byteCount: 512)]
      #expect(throws: BackendFault.readOnly) {
        _ = try rig[0].bench.transport.device.backend.write(
          at: 0, from: segments.span, isDurable: false, tag: 0)
      }
    }
  }

  private func expectSectorCount(_ count: UInt64, _ driver: inout DiskGuest<SharedDiskRig.Registers>.Driver)
    throws
  {
    let isChanged = try driver.handleInterrupt()
    #expect(isChanged)
    let told = driver.sectorCount
    #expect(told == count)
  }

  @Test func `guests are told when the hardware changes its size`() throws {
    let rig = try SharedDiskRig()
    var arena = rig[1].memory.arena()
    var driver = try rig[1].makeDriver(&arena)
    rig.script.sectorCount = 1500
    rig.guests.turn()
    try expectSectorCount(476, &driver)
    rig.script.sectorCount = 1000
    rig.guests.turn()
    try expectSectorCount(0, &driver)
    rig.script.sectorCount = 2048
    rig.guests.turn()
    try expectSectorCount(1024, &driver)
  }
}

extension DiskGuest where Registers: ~Copyable {
  var properties: BlockProperties { bench.transport.device.backend.properties }
}
