// A block device under a driver that breaks the rules: nothing but an answer or a fault may come of it.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

@Suite struct BlockDeviceHostileTests {
  private func ranges(_ list: [BlockRange]) -> [UInt8] { list.flatMap { DeviceTypesTests.list($0.bytes) } }

  @Test(arguments: [.read, .write, .flush, .getID, .discard] as [BlockRequestType])
  func `a request with no room for a status is the driver's fault`(type: BlockRequestType) {
    var rig = BlockRig()
    rig.start()
    rig.memory.write(list(BlockRequestHeader(type: type).bytes), BlockRig.header())
    rig.submit([
      Piece(BlockRig.header(), 16), Piece(BlockRig.data(), 512), Piece(BlockRig.status(), 0, writable: true),
    ])
    #expect(rig.bench.transport.fault == .bufferTooShort)
    #expect(rig.driver.status.contains(.needsReset))
    #expect(rig.driver.usedIndex(0) == 0)
    #expect(rig.script.log == [])
  }

  @Test(arguments: [0, 1, 15] as [UInt32])
  func `a header cut short is an error in the status`(byteCount: UInt32) {
    var rig = BlockRig()
    rig.start()
    rig.memory.write(list(BlockRequestHeader(type: .write).bytes), BlockRig.header())
    rig.memory.write([0xaa, 0xaa, 0xaa], BlockRig.status())
    rig.submit([Piece(BlockRig.header(), byteCount), Piece(BlockRig.status(), 2, writable: true)])
    #expect(rig.memory.bytes(BlockRig.status(), 3) == [0, 1, 0xaa])
    #expect(rig.driver.used(0, 0).byteCount == 2)
    #expect(rig.script.log == [])
    #expect(rig.bench.transport.fault == nil)
  }

  @Test(
    arguments: [
      (64, 512), (63, 1024), (0, 65 * 512), (.max, 512), (.max - 1, 1024), (1 << 55, 512),
      (1 << 63, 512), (65, 0),
    ] as [(UInt64, Int)])
  func `reads and writes beyond the end touch nothing`(sector: UInt64, byteCount: Int) {
    var rig = BlockRig()
    rig.start()
    let data = Array(repeating: UInt8(0x77), count: byteCount)
    // Data and status of request 0 lie further apart than the longest here only in requests of their own.
    rig.memory.write(list(BlockRequestHeader(type: .write, sector: sector).bytes), BlockRig.header(0))
    let at = BlockRig.header(8)
    rig.memory.write(data, at)
    rig.submit([
      Piece(BlockRig.header(0), 16), Piece(at, UInt32(byteCount)),
      Piece(BlockRig.status(), 1, writable: true),
    ])
    #expect(rig.status() == 1)
    rig.memory.write(list(BlockRequestHeader(type: .read, sector: sector).bytes), BlockRig.header(0))
    rig.submit([
      Piece(BlockRig.header(0), 16), Piece(at, UInt32(byteCount), writable: true),
      Piece(BlockRig.status(), 1, writable: true),
    ])
    #expect(rig.status() == 1)
    #expect(rig.driver.used(0, 1).byteCount == UInt32(byteCount) + 1)
    #expect(rig.memory.bytes(at, byteCount) == Array(repeating: 0, count: byteCount))
    #expect(rig.script.log == [])
    #expect(rig.bench.transport.fault == nil)
  }

  @Test(arguments: [1, 511, 513, 1025] as [Int])
  func `lengths that are no whole sectors are an error`(byteCount: Int) {
    var rig = BlockRig()
    rig.start()
    #expect(rig.ask(.write, readable: Array(repeating: 1, count: byteCount)) == (1, 1))
    #expect(rig.ask(.read, writable: UInt32(byteCount)) == (1, UInt32(byteCount) + 1))
    #expect(rig.script.log == [])
  }

  @Test func `an answer that does not fit is not given in part`() {
    let script = DiskScript()
    script.properties.hasLifetime = true
    for i in 0..<20 { script.properties.identifier[i] = 0x41 }
    var rig = BlockRig(script)
    rig.start()
    for (type, room) in [(.getID, 19), (.getID, 1), (.getLifetime, 5)] as [(BlockRequestType, UInt32)] {
      rig.memory.write(Array(repeating: 0xaa, count: 32), BlockRig.data())
      #expect(rig.ask(type, writable: room) == (1, room + 1))
      #expect(
        rig.data(32)
          == Array(repeating: 0, count: Int(room)) + Array(repeating: 0xaa, count: 32 - Int(room)))
    }
    // Only the status byte.
    #expect(rig.ask(.getID) == (1, 1))
  }

  @Test func `ranges that are malformed or out of bounds are an error as a whole`() {
    let script = DiskScript()
    script.properties.discard = BlockRangeLimits(sectorCount: 10, rangeCount: 3)
    var rig = BlockRig(script)
    rig.start()
    let good = BlockRange(sector: 0, sectorCount: 1)
    let whole = ranges([good, good, good])
    #expect(rig.ask(.discard, readable: whole) == (0, 1))
    script.log = []
    #expect(rig.ask(.discard, readable: ranges([good, good, good, good])) == (1, 1))
    #expect(rig.ask(.discard, readable: Array(whole.dropLast())) == (1, 1))
    #expect(rig.ask(.discard, readable: Array(whole[..<8])) == (1, 1))
    #expect(rig.ask(.discard) == (1, 1))
    for bad in [
      BlockRange(sector: 0, sectorCount: 11), BlockRange(sector: 60, sectorCount: 5),
      BlockRange(sector: .max, sectorCount: 1), BlockRange(sector: .max - 5, sectorCount: 10),
      BlockRange(sector: 65, sectorCount: 0), BlockRange(sector: 0, sectorCount: .max),
    ] {
      #expect(rig.ask(.discard, readable: ranges([good, bad])) == (1, 1))
    }
    // More than there is room for, whatever the backend allows.
    #expect(
      rig.ask(.secureErase, readable: ranges(Array(repeating: good, count: 17))) == (1, 1))
    #expect(script.log == [])
    #expect(rig.ask(.secureErase, readable: ranges(Array(repeating: good, count: 16))) == (0, 1))
    // Nothing to do is done.
    #expect(rig.ask(.discard, readable: ranges([BlockRange(sector: 64, sectorCount: 0)])) == (0, 1))
  }

  @Test func `ranges may be cut anywhere`() {
    var rig = BlockRig()
    rig.start()
    let wanted = [BlockRange(sector: 3, sectorCount: 2), BlockRange(sector: 9, sectorCount: 1)]
    rig.memory.write(
      list(BlockRequestHeader(type: .discard).bytes) + ranges(wanted), BlockRig.header())
    rig.submit([
      Piece(BlockRig.header(), 17), Piece(BlockRig.header() + 17, 30), Piece(BlockRig.header() + 47, 1),
      Piece(BlockRig.status(), 1, writable: true),
    ])
    #expect(rig.status() == 0)
    #expect(rig.script.ranges == wanted)
  }

  @Test(
    arguments: [
      (testBase + (1 << 20) - 8, 16, false, .addressOutsideMemory),
      (UInt64.max - 7, 16, false, .addressOutsideMemory), (0, 16, true, .addressOutsideMemory),
    ] as [(UInt64, UInt32, Bool, DriverFault)])
  func `a bad descriptor at the end undoes the whole request`(
    address: UInt64, byteCount: UInt32, writable: Bool, fault: DriverFault
  ) {
    var rig = BlockRig()
    rig.start()
    rig.memory.write(list(BlockRequestHeader(type: .write).bytes), BlockRig.header())
    rig.memory.store(UInt8(0xee), BlockRig.status())
    let bad = Piece(address, byteCount, writable: writable)
    let status = Piece(BlockRig.status(), 1, writable: true)
    rig.submit(
      [Piece(BlockRig.header(), 16), Piece(BlockRig.data(), 512)]
        + (writable ? [status, bad] : [bad, status]))
    #expect(rig.bench.transport.fault == fault)
    #expect(rig.status() == 0xee)
    #expect(rig.script.log == [])
  }

  @Test func `a header behind the status is the driver's fault`() {
    var rig = BlockRig()
    rig.start()
    rig.submit([Piece(BlockRig.status(), 1, writable: true), Piece(BlockRig.header(), 16)])
    #expect(rig.bench.transport.fault == .readableAfterWritable)
    #expect(rig.script.log == [])
  }

  @Test(arguments: [254, 255] as [Int])
  func `seg_max segments fit, and a chain longer than the queue can be is refused`(segments: Int) {
    var rig = BlockRig(DiskScript(sectorCount: 128))
    rig.start(more: .indirectDescriptors)
    let table = testBase + 0x8_0000
    var pieces = [Piece(BlockRig.header(), 16)]
    // Overlapping, which is as good as any memory for a read of 127 sectors.
    for _ in 0..<segments { pieces.append(Piece(BlockRig.data(), 256, writable: true)) }
    pieces.append(Piece(BlockRig.status(), 1, writable: true))
    rig.memory.write(list(BlockRequestHeader(type: .read, sector: 1).bytes), BlockRig.header())
    for (i, piece) in pieces.enumerated() {
      let flags: UInt16 = (piece.isDeviceWritable ? 2 : 0) | (i == pieces.count - 1 ? 0 : 1)
      rig.memory.store(piece.address, table + UInt64(i) * 16)
      rig.memory.store(piece.byteCount, table + UInt64(i) * 16 + 8)
      rig.memory.store(flags, table + UInt64(i) * 16 + 12)
      rig.memory.store(UInt16(i + 1), table + UInt64(i) * 16 + 14)
    }
    rig.driver.descriptor(0, 0, address: table, byteCount: UInt32(pieces.count) * 16, flags: 4)
    rig.driver.makeAvailable(0, 0)
    if segments == 254 {
      #expect(rig.driver.used(0, 0).byteCount == 254 * 256 + 1)
      #expect(rig.data(256) == Array(ScriptedDisk.original(127)[256...]))
    } else {
      #expect(rig.bench.transport.fault == .chainTooLong)
    }
  }

  @Test func `a service call stops after its limit of bytes, and goes on later`() {
    var rig = BlockRig()
    rig.bench.transport.device.byteLimit = 1024
    rig.bench.transport.defersNotifications = true
    rig.start()
    for n in 0..<5 { rig.send(0, sector: UInt64(n), writable: 512, n: n) }
    var served: [UInt16] = []
    while rig.bench.transport.run() { served.append(rig.driver.usedIndex(0)) }
    #expect(served == [2, 4])
    #expect(rig.driver.usedIndex(0) == 5)
  }

  @Test func `large ranges count as work`() {
    var rig = BlockRig()
    rig.bench.transport.device.byteLimit = 16384
    rig.bench.transport.defersNotifications = true
    rig.start()
    let all = ranges([BlockRange(sector: 0, sectorCount: 64)])
    for n in 0..<2 { rig.send(BlockRequestType.writeZeroes.rawValue, readable: all, n: n) }
    let isMore = rig.bench.transport.run()
    #expect(isMore)
    #expect(rig.driver.usedIndex(0) == 1)
  }
}
