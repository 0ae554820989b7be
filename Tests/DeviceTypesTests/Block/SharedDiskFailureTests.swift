// Guests on shares of one disk when things go wrong: errors, resets, hostile guests, and hardware that breaks
// the protocol or falls silent.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

@Suite struct SharedDiskFailureTests {
  // MARK: Errors

  @Test(arguments: [BackendFault.inputOutput, .unsupported])
  func `an error of the hardware is one of the guest's`(_ fault: BackendFault) throws {
    let rig = try SharedDiskRig()
    var arena = rig[0].memory.arena()
    var driver = try rig[0].makeDriver(&arena)
    let wait = rig.guests.patience()
    let buffer = arena.allocateShared(byteCount: 4096, alignment: 16)!
    fill(buffer, pattern(1, sectors: 8))
    rig.script.fault = fault
    #expect(throws: BlockFailure.request(fault)) { try driver.read(sector: 0, into: buffer, wait: wait) }
    // A read that failed brings zeros, which is what the used length promises.
    #expect(bytes(buffer, 0, 4096) == Array(repeating: 0, count: 4096))
    #expect(throws: BlockFailure.request(fault)) { try driver.write(sector: 0, from: buffer, wait: wait) }
    #expect(throws: BlockFailure.request(fault)) { try driver.flush(wait: wait) }
    #expect(throws: BlockFailure.request(fault)) {
      try driver.discard(BlockRange(sector: 0, sectorCount: 1), wait: wait)
    }
    rig.script.fault = nil
    try driver.read(sector: 0, into: buffer, wait: wait)
    #expect(bytes(buffer, 0, 512) == ScriptedDisk.original(0))
    #expect(rig.guests.failureCount == 0)
  }

  // MARK: Resets

  @Test func `a reset waits for the hardware, and the other guest does not notice`() throws {
    let rig = try SharedDiskRig()
    var firstArena = rig[0].memory.arena()
    var secondArena = rig[1].memory.arena()
    var first = try rig[0].makeDriver(&firstArena)
    var second = try rig[1].makeDriver(&secondArena)
    let buffer = firstArena.allocateShared(byteCount: 1024, alignment: 16)!
    let other = secondArena.allocateShared(byteCount: 512, alignment: 16)!
    rig.script.answer = .wait
    _ = try first.startRead(0, buffer.segment(at: 0, byteCount: 512))
    _ = try first.startRead(1, buffer.segment(at: 512, byteCount: 512))
    rig.guests.turn()
    #expect(rig.script.waiting.count == 2)
    let registers = rig[0].bench.registers
    registers.write32(0, MMIORegister.status)
    rig.guests.turn()
    #expect(registers.read32(MMIORegister.status) != 0)
    #expect(!rig[0].isQuiescent)
    let token = try second.startRead(0, other.segment)!
    rig.guests.turn()
    rig.script.end(2)
    rig.guests.turn()
    try second.service()
    let end = second.completion(of: token)
    #expect(end?.result == .finished)
    rig.script.end()
    rig.guests.turn()
    #expect(registers.read32(MMIORegister.status) != 0)
    rig.script.end()
    rig.guests.turn()
    #expect(registers.read32(MMIORegister.status) == 0)
    #expect(rig[0].isQuiescent)
    #expect(!rig.guests.hasCompletions)
    // And it can start again.
    rig.script.answer = .finish
    var arena = rig[0].memory.arena()
    var again = try rig[0].makeDriver(&arena)
    let fresh = arena.allocateShared(byteCount: 512, alignment: 16)!
    try again.read(sector: 3, into: fresh, wait: rig.guests.patience())
    #expect(bytes(fresh, 0, 512) == ScriptedDisk.original(3))
  }

  @Test func `after a reset nothing more of a request goes to the hardware`() throws {
    let rig = try SharedDiskRig(queueSize: 4, features: .none)
    var arena = rig[0].memory.arena()
    var driver = try rig[0].makeDriver(&arena, less: BlockFeature.flush | BlockFeature.configurableCache)
    let buffer = arena.allocateShared(byteCount: 64 * 512, alignment: 16)!
    rig.script.answer = .wait
    var pieces = [64 of DMASegment](repeating: buffer.segment(at: 0, byteCount: 0))
    for i in 0..<64 { pieces[i] = buffer.segment(at: i * 512, byteCount: 512) }
    _ = try driver.submitWrite(sector: 0, from: pieces.span)
    _ = try driver.startWrite(200, buffer.segment(at: 0, byteCount: 512))
    rig.guests.turn()
    rig[0].bench.registers.write32(0, MMIORegister.status)
    rig.guests.turn()
    rig.script.end()
    for _ in 0..<5 { rig.guests.turn() }
    // One buffer of two sectors was there; no other came, and no flush.
    #expect(rig.script.log == [.write(0, isDurable: false)])
    #expect(rig[0].bench.registers.read32(MMIORegister.status) == 0)
  }

  // MARK: Hostile guests

  /// Requests of a guest that does not keep to its share; (type, sector, payload).
  static let hostile: [(UInt32, UInt64, [UInt8])] = [
    (1, 1024, pattern(1)), (1, 1023, pattern(1, sectors: 2)), (1, 2047, pattern(1)),
    (1, .max, pattern(1)), (1, .max - 1023, pattern(1)), (1, UInt64(bitPattern: -1024), pattern(1)),
    (1, 0, [1, 2, 3]), (11, 0, range(1024, 1)), (11, 0, range(1000, 25)), (11, 0, range(.max, 1)),
    (11, 0, range(.max - 1, 3)), (13, 0, range(0, 1025)), (13, 0, range(1024, 1)), (14, 0, range(1024, 1)),
    (11, 0, range(0, 1) + range(1024, 1)), (13, 0, range(0, .max)),
  ]

  private static func range(_ sector: UInt64, _ count: UInt32) -> [UInt8] {
    list(BlockRange(sector: sector, sectorCount: count).bytes)
  }

  @Test(arguments: hostile.indices)
  func `a request beyond the share is refused and never sent`(_ index: Int) throws {
    let (type, sector, payload) = Self.hostile[index]
    let rig = try SharedDiskRig()
    let memory = rig[0].memory
    var driver = FakeDriver(rig[0].bench.registers, memory)
    driver.start(features: rig[0].bench.transport.offeredFeatures & .deviceTypeBits, queues: 0..<1)
    memory.write(
      list(BlockRequestHeader(type: BlockRequestType(type), sector: sector).bytes), BlockRig.header())
    memory.write(payload, BlockRig.data())
    driver.descriptor(0, 0, address: BlockRig.header(), byteCount: 16, flags: 1, next: 1)
    driver.descriptor(0, 1, address: BlockRig.data(), byteCount: UInt32(payload.count), flags: 1, next: 2)
    driver.descriptor(0, 2, address: BlockRig.status(), byteCount: 1, flags: 2)
    driver.makeAvailable(0, 0)
    for _ in 0..<3 { rig.guests.turn() }
    #expect(driver.usedIndex(0) == 1)
    #expect(memory.load(UInt8.self, BlockRig.status()) == 1)
    #expect(rig.script.log == [])
  }

  @Test func `the share itself refuses what lies beyond it`() throws {
    let rig = try SharedDiskRig()
    let segments: [1 of GuestRange] = [try rig[1].memory.guest.range(at: 0x4000_0000, byteCount: 1024)]
    for sector in [1023, 1024, .max, .max - 1] as [UInt64] {
      #expect(throws: BackendFault.outOfRange) {
        _ = try rig[1].bench.transport.device.backend.read(at: sector, into: segments.span, tag: 0)
      }
    }
    for range in [
      BlockRange(sector: 1024, sectorCount: 1), BlockRange(sector: 0, sectorCount: 1025),
      BlockRange(sector: .max, sectorCount: .max),
    ] {
      let ranges: [1 of BlockRange] = [range]
      #expect(throws: BackendFault.outOfRange) {
        _ = try rig[1].bench.transport.device.backend.discard(ranges.span, tag: 0)
      }
    }
    let odd: [1 of GuestRange] = [segments[0].prefix(100)]
    #expect(throws: BackendFault.unsupported) {
      _ = try rig[1].bench.transport.device.backend.read(at: 0, into: odd.span, tag: 0)
    }
    #expect(rig.script.log == [])
  }

  // MARK: Hardware that fails

  @Test func `hardware that falls silent is reset, and when that fails given up`() throws {
    let rig = try SharedDiskRig()
    var firstArena = rig[0].memory.arena()
    var secondArena = rig[1].memory.arena()
    var first = try rig[0].makeDriver(&firstArena)
    var second = try rig[1].makeDriver(&secondArena)
    let buffer = firstArena.allocateShared(byteCount: 512, alignment: 16)!
    let other = secondArena.allocateShared(byteCount: 512, alignment: 16)!
    rig.script.answer = .wait
    let a = try first.startRead(0, buffer.segment)!
    let b = try second.startWrite(0, other.segment)!
    rig.guests.turn()
    rig.guests.checkProgress()
    #expect(rig.guests.failureCount == 0)
    // One of them ends: that is progress.
    rig.script.end(1)
    rig.guests.turn()
    rig.guests.checkProgress()
    #expect(rig.guests.failureCount == 0)
    try second.service()
    let end = second.completion(of: b)
    #expect(end?.result == .finished)
    rig.guests.checkProgress()
    // The disk behind the hardware never answers, so the reset does not complete.
    #expect(rig.guests.failureCount == 1 && rig.guests.isBroken)
    try first.service()
    let broken = first.completion(of: a)
    #expect(broken?.result == .failed(.inputOutput))
    // From now on everything fails, at once.
    let wait = rig.guests.patience(3)
    #expect(throws: BlockFailure.request(.inputOutput)) {
      try second.read(sector: 0, into: other, wait: wait)
    }
    #expect(throws: BlockFailure.request(.inputOutput)) { try first.flush(wait: wait) }
    rig[0].bench.registers.write32(0, MMIORegister.status)
    #expect(rig[0].bench.registers.read32(MMIORegister.status) == 0)
  }

  @Test func `a disk without requests is never suspect`() throws {
    let rig = try SharedDiskRig()
    for _ in 0..<5 { rig.guests.checkProgress() }
    #expect(rig.guests.failureCount == 0)
  }

  /// Guests on a device that does what the test writes.
  private struct Liar {
    let device: FakeDevice
    let guests: DiskGuests<FakeRegisters>
    let own: TestMemory

    init() throws {
      own = TestMemory(address: 0x1000_0000)
      device = FakeDevice(.block, own, features: BlockFeature.flush)
      device.queueSizeMax = 128
      device.configuration = [0, 8] + Array(repeating: 0, count: 70)
      var arena = own.arena()
      var options = BlockDriverOptions()
      options.queueSize = 128
      options.segmentLimit = 256
      let driver = try BlockDriver(
        try MMIODriverTransport(device.registers), memory: &arena, options: options)!
      guests = DiskGuests(
        driver, [TestMemory(address: 0x4000_0000), TestMemory(address: 0x4000_0000)], shareSectorCount: 1024)
      guests.hardware = { [device] in device.interruptStatus != 0 }
    }
  }

  /// What a device can do wrong.
  enum Lie: CaseIterable { case unknownBuffer, status, length, needsReset }

  @Test(arguments: Lie.allCases)
  func `hardware that breaks the protocol is reset, and used again a few times`(_ lie: Lie) throws {
    let liar = try Liar()
    var firstArena = liar.guests.guests[0].memory.arena()
    var secondArena = liar.guests.guests[1].memory.arena()
    var first = try liar.guests.guests[0].makeDriver(&firstArena)
    var second = try liar.guests.guests[1].makeDriver(&secondArena)
    let buffer = firstArena.allocateShared(byteCount: 512, alignment: 16)!
    let other = secondArena.allocateShared(byteCount: 512, alignment: 16)!
    for round in 1...4 {
      fill(buffer, pattern(3))
      let a = try first.startRead(0, buffer.segment)!
      let b = try second.startWrite(0, other.segment)!
      liar.guests.turn()
      let request = try #require(liar.device.take(0))
      #expect(request.elements.count == 3)
      let status = request.elements[2].address
      switch lie {
      case .unknownBuffer: liar.device.use(0, id: 99, byteCount: 1)
      case .status:
        liar.own.store(UInt8(77), status)
        liar.device.use(0, id: UInt32(request.id), byteCount: 513)
      case .length:
        liar.own.store(UInt8(0), status)
        liar.device.use(0, id: UInt32(request.id), byteCount: 7)
      case .needsReset: liar.device.status = liar.device.status | .needsReset
      }
      liar.device.interruptStatus = lie == .needsReset ? 2 : 1
      for _ in 0..<2 { liar.guests.turn() }
      #expect(liar.guests.failureCount == round)
      try first.service()
      try second.service()
      let (endA, endB) = (first.completion(of: a), second.completion(of: b))
      #expect(endA?.result == .failed(.inputOutput))
      #expect(endB?.result == .failed(.inputOutput))
      #expect(bytes(buffer, 0, 512) == Array(repeating: 0, count: 512))
      #expect(liar.guests.isBroken == (round == 4))
      #expect(liar.device.status.contains(.driverOK) == (round < 4))
    }
    #expect(throws: BlockFailure.request(.inputOutput)) {
      try first.flush(wait: liar.guests.patience(3))
    }
  }

  @Test func `after a reset of the hardware it works again`() throws {
    let liar = try Liar()
    var arena = liar.guests.guests[0].memory.arena()
    var driver = try liar.guests.guests[0].makeDriver(&arena)
    liar.device.status = liar.device.status | .needsReset
    liar.device.interruptStatus = 2
    liar.guests.turn()
    #expect(liar.guests.failureCount == 1)
    let token = try driver.submitFlush()!
    liar.guests.turn()
    let request = try #require(liar.device.take(0))
    liar.own.store(UInt8(0), request.elements[1].address)
    liar.device.use(0, id: UInt32(request.id), byteCount: 1)
    liar.device.interruptStatus = 1
    liar.guests.turn()
    try driver.service()
    let end = driver.completion(of: token)
    #expect(end?.result == .finished)
  }
}

extension DiskGuest where Registers: ~Copyable {
  var isQuiescent: Bool { bench.transport.device.isQuiescent }
}
