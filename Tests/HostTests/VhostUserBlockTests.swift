// Our block device in this process, behind QEMU's vhost-user front end, driven by our block driver: the file
// is the judge, and QEMU understands every message in between.

import DeviceTypes
import Host
import QTestSupport
import TestSupport
import Testing
import Virtio
import Wire

@Suite(.serialized) struct `Block over vhost-user` {
  private typealias Driver = BlockDriver<QTestRegisters>

  private static let sectorCount = 1024
  private static let content = (0..<sectorCount * 512).map {
    UInt8(truncatingIfNeeded: ($0 >> 9) &* 29 &+ $0)
  }

  private static func serve(_ file: HostFile, isReadOnly: Bool = false) throws -> ServedDevice {
    let path = file.path
    return try ServedDevice {
      BlockDevice(
        backend: try FileDisk(
          OpenFile.open(path, isWritable: !isReadOnly), isReadOnly: isReadOnly, identifier: "vireo-disk-7"))
    }
  }

  private static func machine(_ served: ServedDevice) throws -> QEMU {
    try QEMU(
      Machine.vhostUser(
        "vhost-user-blk", path: served.path, options: "num-queues=1," + Machine.allRingFeatures))
  }

  private static func makeDriver(
    _ qemu: QEMU, _ arena: inout DriverArena, _ features: Features
  ) throws -> Driver {
    var options = BlockDriverOptions()
    options.ringFeatures = features
    return try unwrap(
      try Driver(MMIODriverTransport(QTestRegisters(qemu)), memory: &arena, options: options))
  }

  @Test(arguments: ringFeatureMatrix, [false, true])
  func `what is written is in the file, and what is in the file is read`(
    _ features: Features, isOnDisk: Bool
  ) throws {
    let file = try HostFile(Self.content, isOnDisk: isOnDisk)
    let served = try Self.serve(file)
    try Self.machine(served).run { qemu in
      var arena = qemu.ram.arena()
      var driver = try Self.makeDriver(qemu, &arena, features)
      #expect(driver.features.contains(features | BlockFeature.flush | BlockFeature.discard))
      let sectorCount = driver.sectorCount
      #expect(sectorCount == UInt64(Self.sectorCount))
      let buffer = arena.allocateShared(byteCount: 128 * 512, alignment: 512)!
      for sector in stride(from: 0, to: Self.sectorCount, by: 128) {
        try driver.read(sector: UInt64(sector), into: buffer, wait: qemu.patience())
        #expect(Self.bytes(buffer) == Array(Self.content[sector * 512..<(sector + 128) * 512]))
      }
      let written = Self.fill(buffer, seed: 3)
      try driver.write(sector: 300, from: buffer, wait: qemu.patience())
      try driver.flush(wait: qemu.patience())
      #expect(try file.read(128 * 512, at: 300 * 512) == written)
      let id = try driver.getID(wait: qemu.patience())
      #expect((0..<12).map { id[$0] } == Array("vireo-disk-7".utf8))
      try driver.reset()
      // The front end stops the rings and starts them anew.
      try driver.restart()
      try driver.read(sector: 300, into: buffer, wait: qemu.patience())
      #expect(Self.bytes(buffer) == written)
    }
    served.join()
    #expect(file.byteCount == Self.content.count)
  }

  @Test func `write zeroes and discard leave the neighbours alone`() throws {
    let file = try HostFile(Self.content, isOnDisk: true)
    let served = try Self.serve(file)
    try Self.machine(served).run { qemu in
      var arena = qemu.ram.arena()
      var driver = try Self.makeDriver(qemu, &arena, .eventIndex)
      for (sector, flags) in [(16, UInt32(0)), (64, BlockRange.unmap)] {
        try driver.writeZeroes(
          BlockRange(sector: UInt64(sector), sectorCount: 8, flags: flags), wait: qemu.patience())
        #expect(try file.read(8 * 512, at: sector * 512) == [UInt8](repeating: 0, count: 8 * 512))
      }
      try driver.discard(BlockRange(sector: 128, sectorCount: 64), wait: qemu.patience())
      #expect(try file.read(64 * 512, at: 128 * 512) == [UInt8](repeating: 0, count: 64 * 512))
      for sector in [15, 24, 63, 72, 127, 192] {
        #expect(
          try file.read(512, at: sector * 512) == Array(Self.content[sector * 512..<(sector + 1) * 512]))
      }
    }
    served.join()
  }

  @Test(arguments: [false, true])
  func `a file that became shorter is an error of the request, and no more`(isOnDisk: Bool) throws {
    let file = try HostFile(Self.content, isOnDisk: isOnDisk)
    let served = try Self.serve(file)
    try Self.machine(served).run { qemu in
      var arena = qemu.ram.arena()
      var driver = try Self.makeDriver(qemu, &arena, .none)
      let buffer = arena.allocateShared(byteCount: 8 * 512, alignment: 512)!
      try file.truncate(to: 512 * 512 + 100)
      #expect(throws: BlockFailure.request(.inputOutput)) {
        try driver.read(sector: 510, into: buffer, wait: qemu.patience())
      }
      try driver.read(sector: 0, into: buffer, wait: qemu.patience())
      #expect(Self.bytes(buffer) == Array(Self.content[..<(8 * 512)]))
    }
    served.join()
  }

  @Test func `a read-only file makes a read-only disk`() throws {
    let file = try HostFile(Self.content, isOnDisk: true)
    let served = try Self.serve(file, isReadOnly: true)
    try Self.machine(served).run { qemu in
      var arena = qemu.ram.arena()
      var driver = try Self.makeDriver(qemu, &arena, .none)
      let isReadOnly = driver.isReadOnly
      #expect(isReadOnly)
      let buffer = arena.allocateShared(byteCount: 512, alignment: 512)!
      try driver.read(sector: 3, into: buffer, wait: qemu.patience())
      #expect(Self.bytes(buffer) == Array(Self.content[3 * 512..<4 * 512]))
    }
    served.join()
  }

  private static func bytes(_ buffer: borrowing DMABuffer) -> [UInt8] {
    (0..<buffer.byteCount).map { buffer.load(UInt8.self, at: $0) }
  }

  private static func fill(_ buffer: borrowing DMABuffer, seed: Int) -> [UInt8] {
    for index in 0..<buffer.byteCount {
      buffer.store(UInt8(truncatingIfNeeded: index &* 13 &+ index >> 8 &+ seed), at: index)
    }
    return bytes(buffer)
  }
}
