// §5.2, device side: what each request does, and what the clause demands.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

@Suite struct BlockDeviceTests {
  // MARK: Features and configuration

  @Test func `5.2.5.2 device: offers FLUSH, and CONFIG_WCE never without it`() {
    #expect(BlockRig().offered.contains(BlockFeature.flush | BlockFeature.configurableCache))
    let script = DiskScript()
    script.properties.canFlush = false
    #expect((BlockRig(script).offered & (BlockFeature.flush | BlockFeature.configurableCache)).isEmpty)
  }

  @Test(arguments: [(true, 1), (false, 0)] as [(Bool, UInt64)])
  func `5.2.5.2 device: writeback starts as 0 when CONFIG_WCE is accepted without FLUSH`(
    acceptsFlush: Bool, writeback: UInt64
  ) {
    var rig = BlockRig()
    rig.driver.negotiate(
      BlockFeature.configurableCache | (acceptsFlush ? BlockFeature.flush : .none))
    // Known before DRIVER_OK: drivers read it between the two.
    #expect(rig.configuration(32, 1) == writeback)
  }

  @Test func `5.2.5.2 device: padding is zero`() {
    let script = DiskScript()
    script.properties.writeZeroesMayUnmap = true
    let rig = BlockRig(script, queueCount: 3)
    #expect(rig.configuration(33, 1) == 0)
    #expect((57..<60).map { rig.configuration($0, 1) } == [0, 0, 0])
    #expect(rig.configuration(16, 4) == 0)
    #expect((72..<96).map { rig.configuration($0, 1) } == Array(repeating: 0, count: 24))
  }

  @Test func `5.2.5.2 device: does not offer ZONED`() {
    #expect(!BlockRig().offered.contains(.bit(17)))
  }

  @Test func `features follow what the backend can do`() {
    let script = DiskScript()
    let common = BlockFeature.segMax | BlockFeature.blockSize
    let writing = BlockFeature.discard | BlockFeature.writeZeroes | BlockFeature.secureErase
    let caching = BlockFeature.flush | BlockFeature.configurableCache
    #expect(BlockRig(script).offered & .deviceTypeBits == common | caching | writing)
    script.properties.isReadOnly = true
    #expect(BlockRig(script).offered & .deviceTypeBits == common | caching | BlockFeature.readOnly)
    script.properties = BlockProperties()
    #expect(BlockRig(script).offered & .deviceTypeBits == common | caching)
    script.properties.canFlush = false
    script.properties.topology = BlockTopology()
    script.properties.sizeMax = 4096
    script.properties.hasLifetime = true
    #expect(
      BlockRig(script, queueCount: 2).offered & .deviceTypeBits
        == common | BlockFeature.topology | BlockFeature.sizeMax | BlockFeature.lifetime
        | BlockFeature.multiqueue)
  }

  @Test func `the configuration tells the properties`() {
    let script = DiskScript(sectorCount: 48)
    script.properties.blockSize = 4096
    script.properties.sizeMax = 65536
    script.properties.topology = BlockTopology()
    script.properties.topology!.physicalBlockExponent = 3
    script.properties.topology!.optimalBlockCount = 9
    script.properties.discard = BlockRangeLimits(sectorCount: 100, rangeCount: 1000, sectorAlignment: 8)
    let rig = BlockRig(script, queueCount: 4)
    #expect(rig.configuration(0, 8) == 48)
    #expect(rig.configuration(8, 4) == 65536)
    #expect(rig.configuration(12, 4) == 254)
    #expect(rig.configuration(20, 4) == 4096)
    #expect(rig.configuration(24, 1) == 3)
    #expect(rig.configuration(28, 4) == 9)
    #expect(rig.configuration(34, 2) == 4)
    // Fewer ranges than the backend takes: as many as a request can hold here.
    #expect(rig.configuration(36, 4) == 100)
    #expect(rig.configuration(40, 4) == 16)
    #expect(rig.configuration(44, 4) == 8)
  }

  // MARK: Requests

  @Test func `reads and writes whole sectors in place`() {
    var rig = BlockRig()
    rig.start()
    let write = rig.ask(.write, sector: 62, readable: pattern(1, sectors: 2))
    #expect(write == (0, 1))
    #expect(rig.bench.transport.device.backend.sector(62) == Array(pattern(1, sectors: 2)[..<512]))
    #expect(rig.bench.transport.device.backend.sector(61) == ScriptedDisk.original(61))
    let read = rig.ask(.read, sector: 61, writable: 1536)
    #expect(read == (0, 1537))
    #expect(rig.data(1536) == ScriptedDisk.original(61) + pattern(1, sectors: 2))
    #expect(rig.bench.transport.fault == nil)
  }

  @Test func `a read or write of nothing succeeds`() {
    var rig = BlockRig()
    rig.start()
    #expect(rig.ask(.read, sector: 64) == (0, 1))
    #expect(rig.ask(.write, sector: 0) == (0, 1))
    #expect(rig.script.log == [])
  }

  @Test func `the header, data and status may be cut anywhere`() {
    var rig = BlockRig()
    rig.start()
    let at = BlockRig.header()
    rig.memory.write(list(BlockRequestHeader(type: .write, sector: 5).bytes) + pattern(9), at)
    rig.memory.store(UInt8(0xee), BlockRig.status())
    // 3 + 1 + 13 bytes: the header ends within the third descriptor, which starts the data.
    rig.submit([
      Piece(at, 3), Piece(at + 3, 1), Piece(at + 4, 13), Piece(at + 17, 0), Piece(at + 17, 510),
      Piece(at + 527, 1), Piece(BlockRig.status(), 1, writable: true),
    ])
    #expect(rig.status() == 0)
    #expect(rig.bench.transport.device.backend.sector(5) == pattern(9))
    // A read whose status is the last byte of the data's descriptor.
    rig.memory.write(list(BlockRequestHeader(type: .read, sector: 5).bytes), at)
    rig.submit([
      Piece(at, 16), Piece(BlockRig.data(), 100, writable: true),
      Piece(BlockRig.data() + 100, 413, writable: true),
    ])
    #expect(rig.data(514) == pattern(9) + [0, 0])
    #expect(rig.driver.used(0, 1).byteCount == 513)
  }

  @Test func `flush reaches the backend`() {
    var rig = BlockRig()
    rig.start()
    #expect(rig.ask(.flush) == (0, 1))
    #expect(rig.script.log == [.flush])
    // Not negotiated, not supported.
    rig.start(less: BlockFeature.flush)
    #expect(rig.ask(.flush) == (2, 1))
    #expect(rig.script.log == [.flush])
  }

  @Test func `the device ID is padded with NUL`() {
    let script = DiskScript()
    for (i, byte) in Array("disk-7".utf8).enumerated() { script.properties.identifier[i] = byte }
    var rig = BlockRig(script)
    rig.start()
    #expect(rig.ask(.getID, writable: 20) == (0, 21))
    #expect(rig.data(20) == Array("disk-7".utf8) + Array(repeating: 0, count: 14))
    // More room than needed is zeroed, so that the used length is true.
    rig.memory.write(Array(repeating: 0xaa, count: 32), BlockRig.data())
    #expect(rig.ask(.getID, writable: 30) == (0, 31))
    #expect(rig.data(32) == Array("disk-7".utf8) + Array(repeating: 0, count: 24) + [0xaa, 0xaa])
  }

  @Test func `5.2.6.2 device: LIFETIME is offered where there is one`() {
    let script = DiskScript()
    #expect(!BlockRig(script).offered.contains(BlockFeature.lifetime))
    var without = BlockRig(script)
    without.start()
    #expect(without.ask(.getLifetime, writable: 6) == (2, 7))
    script.properties.hasLifetime = true
    var rig = BlockRig(script)
    #expect(rig.offered.contains(BlockFeature.lifetime))
    rig.start()
    #expect(rig.ask(.getLifetime, writable: 6) == (0, 7))
    #expect(rig.data(6) == [2, 0, 3, 0, 4, 0])
    script.fault = .inputOutput
    #expect(rig.ask(.getLifetime, writable: 6) == (1, 7))
  }

  @Test func `5.2.6.2 device: sends no reserved lifetime values`() {
    let script = DiskScript()
    script.properties.hasLifetime = true
    script.lifetime = BlockLifetime(preEndOfLife: 4, estimateA: 12, estimateB: 11)
    var rig = BlockRig(script)
    rig.start()
    #expect(rig.ask(.getLifetime, writable: 6) == (0, 7))
    #expect(rig.data(6) == [0, 0, 0, 0, 11, 0])
  }

  // MARK: Ranges

  private func ranges(_ list: [BlockRange]) -> [UInt8] { list.flatMap { DeviceTypesTests.list($0.bytes) } }

  @Test func `5.2.6.2 device: discarded sectors are forgotten`() {
    var rig = BlockRig()
    rig.start()
    let wanted = [BlockRange(sector: 3, sectorCount: 2), BlockRange(sector: 63, sectorCount: 1)]
    #expect(rig.ask(.discard, readable: ranges(wanted)) == (0, 1))
    #expect(rig.script.ranges == wanted)
    #expect(rig.bench.transport.device.backend.sector(4) == Array(repeating: 0, count: 512))
    #expect(rig.bench.transport.device.backend.sector(5) == ScriptedDisk.original(5))
  }

  @Test(arguments: [0, 1] as [UInt32])
  func `5.2.6.2 device: zeroed sectors read as zeros, with and without unmap`(flags: UInt32) {
    var rig = BlockRig()
    rig.start()
    let wanted = [BlockRange(sector: 8, sectorCount: 2, flags: flags)]
    #expect(rig.ask(.writeZeroes, readable: ranges(wanted)) == (0, 1))
    #expect(rig.script.ranges == wanted)
    #expect(rig.ask(.read, sector: 7, writable: 2048) == (0, 2049))
    #expect(
      rig.data(2048) == ScriptedDisk.original(7) + Array(repeating: 0, count: 1024)
        + ScriptedDisk.original(10))
  }

  @Test func `secure erase reaches the backend`() {
    var rig = BlockRig()
    rig.start()
    #expect(rig.ask(.secureErase, readable: ranges([BlockRange(sector: 0, sectorCount: 64)])) == (0, 1))
    #expect(rig.script.log == [.secureErase])
    #expect(rig.bench.transport.device.backend.sector(63) == Array(repeating: 0, count: 512))
  }

  @Test(arguments: [.discard, .writeZeroes, .secureErase] as [BlockRequestType])
  func `5.2.6.2 device: unknown flags are not supported`(type: BlockRequestType) {
    var rig = BlockRig()
    rig.start()
    for flags in [2, 0x8000_0000, 3] as [UInt32] {
      let good = BlockRange(sector: 0, sectorCount: 1)
      let bad = BlockRange(sector: 1, sectorCount: 1, flags: flags)
      #expect(rig.ask(type, readable: ranges([good, bad])) == (2, 1))
    }
    // Nothing was done, not even the good half.
    #expect(rig.script.log == [])
  }

  @Test(arguments: [.discard, .secureErase] as [BlockRequestType])
  func `5.2.6.2 device: unmap in a discard is not supported`(type: BlockRequestType) {
    var rig = BlockRig()
    rig.start()
    #expect(rig.ask(type, readable: ranges([BlockRange(sector: 0, sectorCount: 1, flags: 1)])) == (2, 1))
    #expect(rig.script.log == [])
  }

  @Test(arguments: [false, true])
  func `5.2.6.2 device: write_zeroes_may_unmap tells whether zeroing can deallocate`(mayUnmap: Bool) {
    let script = DiskScript()
    script.properties.writeZeroesMayUnmap = mayUnmap
    #expect(BlockRig(script).configuration(56, 1) == (mayUnmap ? 1 : 0))
  }

  // MARK: Read-only, unknown

  @Test(arguments: [false, true])
  func `5.2.6.2 device: a read-only device refuses writes, accepted or not`(accepts: Bool) {
    let script = DiskScript()
    script.properties.isReadOnly = true
    var rig = BlockRig(script)
    rig.start(less: accepts ? .none : BlockFeature.readOnly)
    #expect(rig.ask(.write, sector: 1, readable: pattern(1)) == (1, 1))
    for type in [.discard, .writeZeroes, .secureErase] as [BlockRequestType] {
      #expect(rig.ask(type, readable: ranges([BlockRange(sector: 0, sectorCount: 1)])) == (1, 1))
    }
    #expect(script.log == [])
    #expect(rig.ask(.read, sector: 1, writable: 512) == (0, 513))
    #expect(rig.data(512) == ScriptedDisk.original(1))
  }

  @Test(arguments: [2, 3, 5, 9, 12, 15, 16, 18, 20, 22, 24, 26, 0x8000_0000, .max] as [UInt32])
  func `5.2.6.2 device: requests of zoned devices, and unknown ones, are not supported`(type: UInt32) {
    var rig = BlockRig()
    rig.start()
    #expect(rig.ask(BlockRequestType(type), readable: pattern(1), writable: 16) == (2, 17))
    #expect(rig.script.log == [])
  }

  @Test func `what was not negotiated is not supported`() {
    var rig = BlockRig()
    rig.start(less: BlockFeature.discard | BlockFeature.writeZeroes | BlockFeature.secureErase)
    for type in [.discard, .writeZeroes, .secureErase] as [BlockRequestType] {
      #expect(rig.ask(type, readable: ranges([BlockRange(sector: 0, sectorCount: 1)])) == (2, 1))
    }
    #expect(rig.script.log == [])
  }

  @Test(
    arguments: [(.unsupported, 2), (.inputOutput, 1), (.outOfRange, 1), (.readOnly, 1)]
      as [(BackendFault, UInt8)])
  func `faults of the backend become a status`(fault: BackendFault, status: UInt8) {
    var rig = BlockRig()
    rig.start()
    rig.script.fault = fault
    #expect(rig.ask(.write, readable: pattern(1)) == (status, 1))
    #expect(rig.ask(.flush) == (status, 1))
    rig.memory.write(pattern(3), BlockRig.data())
    // The status lies within the used length only if the data before it was written, too.
    #expect(rig.ask(.read, writable: 512) == (status, 513))
    #expect(rig.data(512) == Array(repeating: 0, count: 512))
  }

  // MARK: Stable writes

  @Test func `5.2.6.2 device: without FLUSH and CONFIG_WCE a write is durable`() {
    var rig = BlockRig()
    rig.start(less: BlockFeature.flush | BlockFeature.configurableCache)
    _ = rig.ask(.write, sector: 1, readable: pattern(1))
    let zero = BlockRange(sector: 1, sectorCount: 1)
    _ = rig.ask(.writeZeroes, readable: ranges([zero]))
    #expect(rig.script.log == [.write(1, isDurable: true), .writeZeroes(isDurable: true)])
  }

  @Test func `5.2.6.2 device: with FLUSH alone a write may stay volatile until a flush`() {
    var rig = BlockRig()
    rig.start(less: BlockFeature.configurableCache)
    _ = rig.ask(.write, sector: 1, readable: pattern(1))
    _ = rig.ask(.flush)
    #expect(rig.script.log == [.write(1, isDurable: false), .flush])
  }

  @Test func `5.2.6.2 device: with CONFIG_WCE a write is durable while writeback is 0`() {
    var rig = BlockRig()
    rig.start()
    let field = MMIORegister.configuration + 32
    for (value, isDurable) in [(1, false), (0, true), (2, false), (0, true)] as [(UInt8, Bool)] {
      rig.driver.registers.write8(value, field)
      #expect(rig.configuration(32, 1) == (isDurable ? 0 : 1))
      rig.script.log = []
      _ = rig.ask(.write, sector: 1, readable: pattern(1))
      #expect(rig.script.log == [.write(1, isDurable: isDurable)])
    }
  }

  @Test func `5.2.6.2 device: without FLUSH on offer nothing is promised`() {
    let script = DiskScript()
    script.properties.canFlush = false
    var rig = BlockRig(script)
    rig.start()
    _ = rig.ask(.write, sector: 1, readable: pattern(1))
    #expect(rig.script.log == [.write(1, isDurable: false)])
  }

  @Test func `the driver writes nothing but writeback`() {
    var rig = BlockRig()
    rig.start(less: BlockFeature.configurableCache)
    let before = (0..<18).map { rig.configuration($0 * 4, 4) }
    for offset in 0..<18 {
      rig.driver.registers.write32(0xffff_ffff, MMIORegister.configuration + offset * 4)
    }
    rig.driver.registers.write8(0, MMIORegister.configuration + 32)
    #expect((0..<18).map { rig.configuration($0 * 4, 4) } == before)
  }

  // MARK: Size

  @Test func `5.2.6.2 device: a new size is announced`() {
    var rig = BlockRig()
    rig.start()
    let generation = rig.bench.transport.read(at: MMIORegister.configurationGeneration, byteCount: 4)
    rig.bench.transport.poll()
    #expect(rig.bench.transport.read(at: MMIORegister.interruptStatus, byteCount: 4) == 0)
    rig.script.sectorCount = 32
    rig.bench.transport.poll()
    #expect(rig.bench.transport.read(at: MMIORegister.interruptStatus, byteCount: 4) == 2)
    #expect(
      rig.bench.transport.read(at: MMIORegister.configurationGeneration, byteCount: 4) != generation)
    #expect(rig.configuration(0, 8) == 32)
    #expect(rig.ask(.read, sector: 31, writable: 512) == (0, 513))
    #expect(rig.ask(.read, sector: 32, writable: 512) == (1, 513))
  }

  @Test func `the new size counts at once`() {
    var rig = BlockRig()
    rig.start()
    rig.script.sectorCount = 8
    // The backend shrank a moment ago, and nobody has polled since.
    #expect(rig.ask(.write, sector: 8, readable: pattern(1)) == (1, 1))
    #expect(rig.script.log == [])
  }

  // MARK: Queues

  @Test func `5.2.2 device: with MQ every queue works`() {
    var rig = BlockRig(queueCount: 3)
    rig.start(queues: 0..<3)
    for queue in 0..<3 {
      rig.send(0, sector: UInt64(queue), writable: 512, n: queue, queue: queue)
      #expect(rig.driver.usedIndex(queue) == 1)
      #expect(rig.data(512, queue) == ScriptedDisk.original(UInt64(queue)))
    }
    rig.driver.registers.write32(3, MMIORegister.queueSelect)
    #expect(rig.driver.registers.read32(MMIORegister.queueSizeMax) == 0)
  }

  @Test func `5.2.2 device: without MQ there is one queue`() {
    var rig = BlockRig(queueCount: 3)
    rig.start(less: BlockFeature.multiqueue, queues: 0..<3)
    #expect(rig.bench.transport.fault == nil)
    rig.send(0, writable: 512, n: 0, queue: 0)
    #expect(rig.driver.usedIndex(0) == 1)
    rig.send(0, writable: 512, n: 1, queue: 1)
    #expect(rig.bench.transport.fault == .malformedRequest)
  }
}
