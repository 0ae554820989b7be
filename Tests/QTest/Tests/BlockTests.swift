// The block driver on QEMU's block device; the host's file is the judge.

import DeviceTypes
import QTestSupport
import TestSupport
import Testing
import Virtio
import Wire

@Suite(.serialized) struct `Block on QEMU` {
  private typealias Driver = BlockDriver<QTestRegisters>

  private static let sectorCount = 1024
  private static let content = (0..<sectorCount * 512).map {
    UInt8(truncatingIfNeeded: ($0 >> 9) &* 31 &+ $0)
  }

  private static func machine(_ file: HostFile, _ options: String = "", isReadOnly: Bool = false) throws
    -> QEMU
  {
    try QEMU(
      Machine.fileBlock(
        path: file.path, isReadOnly: isReadOnly,
        options: Machine.allRingFeatures + ",serial=vireo-disk-7" + options))
  }

  private static func makeDriver(
    _ qemu: QEMU, _ arena: inout DriverArena, _ prepare: (inout BlockDriverOptions) -> Void = { _ in }
  ) throws -> Driver {
    var options = BlockDriverOptions()
    prepare(&options)
    return try unwrap(
      try Driver(MMIODriverTransport(QTestRegisters(qemu)), memory: &arena, options: options))
  }

  /// The bytes of `buffer`.
  private static func bytes(_ buffer: borrowing DMABuffer) -> [UInt8] {
    (0..<buffer.byteCount).map { buffer.load(UInt8.self, at: $0) }
  }

  private static func fill(_ buffer: borrowing DMABuffer, seed: Int) -> [UInt8] {
    for index in 0..<buffer.byteCount {
      buffer.store(UInt8(truncatingIfNeeded: index &* 13 &+ index >> 8 &+ seed), at: index)
    }
    return bytes(buffer)
  }

  @Test(arguments: ringFeatureMatrix)
  func `reads and writes of any length agree with the host's file`(_ features: Features) throws {
    let file = try HostFile(Self.content)
    // 14 segments for the device, 6 for the driver: longer requests have to be split.
    let qemu = try Self.machine(file, ",queue-size=16")
    try qemu.run { qemu in
      var arena = qemu.ram.arena()
      var driver = try Self.makeDriver(qemu, &arena) {
        $0.ringFeatures = features
        $0.queueSize = 8
        $0.indirectCapacity = 4
      }
      #expect(driver.features.contains(features | BlockFeature.segMax | BlockFeature.flush))
      let sectorCount = driver.sectorCount
      #expect(sectorCount == UInt64(Self.sectorCount))
      let buffer = arena.allocateShared(byteCount: 128 * 512, alignment: 512)!
      for sector in stride(from: 0, to: Self.sectorCount, by: 128) {
        try driver.read(sector: UInt64(sector), into: buffer, wait: qemu.patience())
        #expect(Self.bytes(buffer) == Array(Self.content[sector * 512..<(sector + 128) * 512]))
      }
      // Sixteen pieces in one request, out of order in memory, twice what a chain can hold.
      var segments: [16 of DMASegment] = InlineArray { _ in buffer.segment(at: 0, byteCount: 0) }
      for index in 0..<16 { segments[index] = buffer.segment(at: (15 - index) * 1024, byteCount: 1024) }
      let written = Self.fill(buffer, seed: 5)
      let write = try unwrap(try driver.submitWrite(sector: 100, from: segments.span))
      _ = try driver.finish(write, wait: qemu.patience())
      try driver.flush(wait: qemu.patience())
      let expected = (0..<16).flatMap { written[(15 - $0) * 1024..<(16 - $0) * 1024] }
      #expect(try file.read(16 * 1024, at: 100 * 512) == expected)
      #expect(try file.read(100 * 512, at: 0) == Array(Self.content[..<(100 * 512)]))
      #expect(try file.read(512, at: 132 * 512) == Array(Self.content[132 * 512..<133 * 512]))
      buffer.zero()
      let read = try unwrap(try driver.submitRead(sector: 100, into: segments.span))
      _ = try driver.finish(read, wait: qemu.patience())
      #expect(Array(Self.bytes(buffer)[..<(16 * 1024)]) == Array(written[..<(16 * 1024)]))
      try driver.reset()
    }
    #expect(file.byteCount == Self.content.count)
  }

  @Test(arguments: [Features.eventIndex, .ringPacked | .eventIndex | .inOrder])
  func `ID, write zeroes and discard`(_ features: Features) throws {
    let file = try HostFile(Self.content)
    let qemu = try Self.machine(file, ",discard=on,write-zeroes=on")
    try qemu.run { qemu in
      var arena = qemu.ram.arena()
      var driver = try Self.makeDriver(qemu, &arena) { $0.ringFeatures = features }
      let id = try driver.getID(wait: qemu.patience())
      #expect((0..<20).map { id[$0] } == Array("vireo-disk-7".utf8) + [UInt8](repeating: 0, count: 8))
      for (sector, flags) in [(UInt64(16), UInt32(0)), (64, BlockRange.unmap)] {
        try driver.writeZeroes(
          BlockRange(sector: sector, sectorCount: 8, flags: flags), wait: qemu.patience())
        #expect(try file.read(8 * 512, at: Int(sector) * 512) == [UInt8](repeating: 0, count: 8 * 512))
        let (before, after) = (Int(sector) * 512 - 512, Int(sector) * 512 + 8 * 512)
        #expect(try file.read(512, at: before) == Array(Self.content[before..<before + 512]))
        #expect(try file.read(512, at: after) == Array(Self.content[after..<after + 512]))
      }
      try driver.discard(BlockRange(sector: 128, sectorCount: 64), wait: qemu.patience())
      #expect(try file.read(512, at: 127 * 512) == Array(Self.content[127 * 512..<128 * 512]))
      #expect(try file.read(512, at: 192 * 512) == Array(Self.content[192 * 512..<193 * 512]))
      #expect(throws: BlockFailure.request(.outOfRange)) {
        try driver.discard(BlockRange(sector: 1020, sectorCount: 8), wait: qemu.patience())
      }
      try driver.reset()
    }
    #expect(file.byteCount == Self.content.count)
  }

  @Test(arguments: [Features.none, .ringPacked | .eventIndex])
  func `four queues work at once`(_ features: Features) throws {
    let file = try HostFile(Self.content)
    let qemu = try Self.machine(file, ",num-queues=4")
    try qemu.run { qemu in
      var arena = qemu.ram.arena()
      var driver = try Self.makeDriver(qemu, &arena) {
        $0.ringFeatures = features
        $0.queueCount = 4
      }
      #expect(driver.queueCount == 4)
      let buffer = arena.allocateShared(byteCount: 16 * 4096, alignment: 512)!
      for round in 0..<4 {
        let written = Self.fill(buffer, seed: round)
        var tokens: [BlockToken] = []
        for index in 0..<16 {
          let segments: [1 of DMASegment] = [buffer.segment(at: index * 4096, byteCount: 4096)]
          let sector = UInt64(round * 128 + index * 8)
          tokens.append(
            try unwrap(try driver.submitWrite(sector: sector, from: segments.span, queue: index % 4)))
        }
        for token in tokens { _ = try driver.finish(token, wait: qemu.patience()) }
        #expect(try file.read(16 * 4096, at: round * 128 * 512) == written)
      }
      try driver.reset()
    }
  }

  @Test func `a read-only disk, the cache switch and a new size`() throws {
    let file = try HostFile(Self.content)
    let qemu = try Self.machine(file, isReadOnly: true)
    try qemu.run { qemu in
      var arena = qemu.ram.arena()
      var driver = try Self.makeDriver(qemu, &arena)
      let isReadOnly = driver.isReadOnly
      #expect(isReadOnly)
      let buffer = arena.allocateShared(byteCount: 512, alignment: 512)!
      #expect(throws: BlockFailure.request(.readOnly)) {
        try driver.write(sector: 0, from: buffer, wait: qemu.patience())
      }
      try driver.read(sector: 3, into: buffer, wait: qemu.patience())
      #expect(Self.bytes(buffer) == Array(Self.content[3 * 512..<4 * 512]))
    }
    let grown = try HostFile(Self.content)
    let other = try Self.machine(grown, ",config-wce=on")
    try other.run { qemu in
      var arena = qemu.ram.arena()
      var driver = try Self.makeDriver(qemu, &arena)
      for isWriteback in [false, true] {
        try driver.setWriteback(isWriteback)
        let isNow = driver.isWriteback
        #expect(isNow == isWriteback)
      }
      try qemu.command("block_resize", arguments: "{\"node-name\": \"n0\", \"size\": 1048576}")
      try qemu.wait(for: "the new size") { try driver.handleInterrupt() && driver.sectorCount == 2048 }
      let buffer = arena.allocateShared(byteCount: 512, alignment: 512)!
      let written = Self.fill(buffer, seed: 9)
      try driver.write(sector: 2047, from: buffer, wait: qemu.patience())
      try driver.flush(wait: qemu.patience())
      #expect(try grown.read(512, at: 2047 * 512) == written)
    }
  }

  @Test(arguments: [Features.none, .ringPacked])
  func `a reset with requests in flight gives them back, and the device works again`(_ features: Features)
    throws
  {
    let qemu = try QEMU(
      Machine.nullBlock(bytes: 1 << 20, latencyMilliseconds: 400, options: Machine.allRingFeatures))
    try qemu.run { qemu in
      var arena = qemu.ram.arena()
      var driver = try Self.makeDriver(qemu, &arena) { $0.ringFeatures = features }
      let buffer = arena.allocateShared(byteCount: 4 * 512, alignment: 512)!
      for index in 0..<4 {
        let segments: [1 of DMASegment] = [buffer.segment(at: index * 512, byteCount: 512)]
        let token = try driver.submitRead(sector: UInt64(index), into: segments.span)
        #expect(token != nil)
      }
      try driver.reset()
      var abandoned = 0
      while let completion = driver.nextCompletion() {
        #expect(completion.result == .abandoned)
        abandoned += 1
      }
      #expect(abandoned == 4)
      try driver.restart()
      _ = Self.fill(buffer, seed: 1)
      try driver.read(sector: 0, into: buffer, wait: qemu.patience())
      #expect(Self.bytes(buffer) == [UInt8](repeating: 0, count: 4 * 512))
    }
  }

  @Test func `a queue reset that the device offers and does not do is reported`() throws {
    // QEMU 10 offers RING_RESET over virtio-mmio and has no QueueReset register.
    let qemu = try QEMU(Machine.nullBlock(bytes: 1 << 20))
    try qemu.run { qemu in
      var arena = qemu.ram.arena()
      var driver = try Self.makeDriver(qemu, &arena)
      #expect(driver.features.contains(.ringReset))
      #expect(throws: DeviceFault.resetTimedOut) { try driver.resetQueue(0) }
      // The way out is a reset of the whole device.
      try driver.reset()
      try driver.restart()
      let buffer = arena.allocateShared(byteCount: 512, alignment: 512)!
      try driver.read(sector: 1, into: buffer, wait: qemu.patience())
    }
  }
}
