// The block driver against a device that answers what the test says: what it sends, and what it believes.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

/// A driver's memory where several can reach it.
final class ArenaBox {
  var arena: DriverArena
  init(_ arena: consuming DriverArena) { self.arena = arena }
}

/// A lying device with a plausible configuration, and drivers for it.
struct BlockLiar {
  let memory = TestMemory()
  let device: FakeDevice
  private let box: ArenaBox

  /// Every device-type feature but MQ, unless said otherwise.
  init(_ features: Features = BlockDriverOptions.knownFeatures.subtracting(BlockFeature.multiqueue)) {
    box = ArenaBox(memory.arena())
    device = FakeDevice(.block, memory, features: features.subtracting(BlockFeature.readOnly))
    var configuration = BlockConfiguration()
    configuration.sectorCount = 1000
    configuration.sizeMax = 4096
    configuration.segMax = 4
    configuration.blockSize = 512
    configuration.writeback = 1
    configuration.queueCount = 1
    configuration.discard = BlockRangeLimits(sectorCount: 100, rangeCount: 2, sectorAlignment: 1)
    configuration.writeZeroes = BlockRangeLimits(sectorCount: 100, rangeCount: 1)
    configuration.secureErase = BlockRangeLimits(sectorCount: 50, rangeCount: 3)
    device.configuration = list(configuration.encoded())
  }

  func set<T: FixedWidthInteger>(_ value: T, at offset: Int) {
    for i in 0..<MemoryLayout<T>.size {
      device.configuration[offset + i] = UInt8(truncatingIfNeeded: value >> T(8 * i))
    }
  }

  /// `byteCount` bytes that driver and device share.
  func allocate(_ byteCount: Int) -> DMABuffer {
    box.arena.allocateShared(byteCount: byteCount, alignment: 16)!
  }

  func makeDriver(
    _ change: (inout BlockDriverOptions) -> Void = { _ in }
  ) throws -> BlockDriver<FakeRegisters> {
    var options = BlockDriverOptions()
    options.queueSize = 16
    change(&options)
    return try BlockDriver(try MMIODriverTransport(device.registers), memory: &box.arena, options: options)!
  }

  /// The device-readable bytes of a buffer.
  func readable(_ buffer: FakeDevice.Buffer) -> [UInt8] {
    buffer.elements.filter { !$0.isDeviceWritable }.flatMap { memory.bytes($0.address, Int($0.byteCount)) }
  }

  /// Device-writable bytes of a buffer.
  func room(_ buffer: FakeDevice.Buffer) -> UInt32 {
    buffer.elements.reduce(0) { $0 + ($1.isDeviceWritable ? $1.byteCount : 0) }
  }

  /// Uses a buffer with `status` in its last byte and a length of `byteCount`, or the truth.
  func answer(_ buffer: FakeDevice.Buffer, _ status: UInt8, byteCount: UInt32? = nil) {
    let last = buffer.elements.last!
    memory.store(status, last.address + UInt64(last.byteCount) - 1)
    device.use(0, id: UInt32(buffer.id), byteCount: byteCount ?? room(buffer))
  }
}

@Suite struct BlockDriverTests {
  let liar = BlockLiar()

  private func header(_ type: UInt8, sector: UInt8 = 0) -> [UInt8] {
    [type, 0, 0, 0, 0, 0, 0, 0, sector, 0, 0, 0, 0, 0, 0, 0]
  }

  // MARK: What is negotiated

  @Test func `5.2.5.1 driver: accepts FLUSH, and sends it`() throws {
    var driver = try liar.makeDriver()
    #expect(liar.device.driverFeatures.contains(BlockFeature.flush))
    _ = try driver.submitFlush()
    let buffer = try #require(liar.device.take(0))
    #expect(liar.readable(buffer)[0] == 4)
  }

  @Test(
    arguments: [
      (.none, false), (BlockFeature.flush, true), (BlockFeature.flush | BlockFeature.configurableCache, true),
    ] as [(Features, Bool)])
  func `5.2.5.1 driver: deduces the kind of cache from the features`(
    features: Features, isWriteback: Bool
  ) throws {
    let liar = BlockLiar(features)
    var driver = try liar.makeDriver()
    let seen = driver.isWriteback
    #expect(seen == isWriteback)
    if features.isEmpty {
      #expect(throws: BlockFailure.request(.unsupported)) { _ = try driver.submitFlush() }
    }
  }

  @Test func `5.2.5.1 driver: reads writeback only after FEATURES_OK`() throws {
    let loop = BlockLoop()
    var arena = loop.memory.arena()
    let log = AccessLog()
    var driver = try BlockDriver(
      try MMIODriverTransport(LoggingRegisters(log: log, inner: loop.bench.registers)), memory: &arena)!
    let isWriteback = driver.isWriteback
    #expect(isWriteback)
    let statusWrites = log.entries.indices.filter {
      log.entries[$0].isWrite && log.entries[$0].offset == MMIORegister.status
    }
    let featuresOK = try #require(statusWrites.first { log.entries[$0].value & 8 != 0 })
    let reads = log.entries.indices.filter {
      !log.entries[$0].isWrite && log.entries[$0].offset >= MMIORegister.configuration
    }
    #expect(reads.contains { log.entries[$0].offset == MMIORegister.configuration + 32 })
    #expect(reads.allSatisfy { $0 > featuresOK })
    try driver.flush(wait: loop.wait)
  }

  @Test func `5.2.5.1 driver: does not accept ZONED`() throws {
    liar.device.features = liar.device.features | .bit(17)
    _ = try liar.makeDriver()
    #expect(!liar.device.driverFeatures.contains(.bit(17)))
    #expect(liar.device.status.contains(.driverOK))
  }

  @Test func `5.2.6.1 driver: accepts RO, and then sends no writes`() throws {
    liar.device.features = liar.device.features | BlockFeature.readOnly
    var driver = try liar.makeDriver()
    #expect(liar.device.driverFeatures.contains(BlockFeature.readOnly))
    let buffer = liar.allocate(512)
    let range: [1 of BlockRange] = [BlockRange(sector: 0, sectorCount: 1)]
    #expect(throws: BlockFailure.request(.readOnly)) {
      try driver.write(sector: 0, from: buffer, wait: { true })
    }
    #expect(throws: BlockFailure.request(.readOnly)) { _ = try driver.submitDiscard(range.span) }
    #expect(liar.device.take(0) == nil)
  }

  // MARK: What is sent

  @Test func `a read is header, segments, status`() throws {
    var driver = try liar.makeDriver()
    let buffer = liar.allocate(1024)
    let segments: [2 of DMASegment] = [
      buffer.segment(at: 0, byteCount: 512), buffer.segment(at: 512, byteCount: 512),
    ]
    _ = try driver.submitRead(sector: 9, into: segments.span)
    #expect(liar.device.notifications.count == 1)
    let sent = try #require(liar.device.take(0))
    #expect(sent.elements.map(\.byteCount) == [16, 512, 512, 1])
    #expect(sent.elements.map(\.isDeviceWritable) == [false, true, true, true])
    #expect(sent.elements[1].address == buffer.deviceAddress)
    #expect(liar.readable(sent) == header(0, sector: 9))
  }

  @Test func `5.2.6.1 driver: a flush has sector 0 and no data`() throws {
    var driver = try liar.makeDriver()
    let buffer = liar.allocate(512)
    // A request before, so that nothing is zero by chance.
    let token = try driver.submitWrite(
      sector: 99, from: ([buffer.segment] as [1 of DMASegment]).span)!
    liar.answer(try #require(liar.device.take(0)), 0)
    try driver.service()
    _ = driver.completion(of: token)
    _ = try driver.submitFlush()
    let sent = try #require(liar.device.take(0))
    #expect(liar.readable(sent) == header(4))
    #expect(sent.elements.map(\.byteCount) == [16, 1])
  }

  @Test func `5.2.6.1 driver: data is whole sectors`() throws {
    var driver = try liar.makeDriver()
    let buffer = liar.allocate(2048)
    for count in [1, 511, 513] {
      let segment: [1 of DMASegment] = [buffer.segment(at: 0, byteCount: count)]
      #expect(throws: BlockFailure.request(.unsupported)) {
        _ = try driver.submitRead(sector: 0, into: segment.span)
      }
      #expect(throws: BlockFailure.request(.unsupported)) {
        _ = try driver.submitWrite(sector: 0, from: segment.span)
      }
    }
    // Five pieces where four segments is all: cut where a sector ends.
    let piece = buffer.segment(at: 0, byteCount: 200)
    let odd: [6 of DMASegment] = [
      piece, piece, piece, piece, piece, buffer.segment(at: 0, byteCount: 24),
    ]
    _ = try driver.submitWrite(sector: 0, from: odd.span)
    let first = try #require(liar.device.take(0))
    #expect(first.elements.map(\.byteCount) == [16, 200, 200, 112, 1])
    let second = try #require(liar.device.take(0))
    #expect(second.elements.map(\.byteCount) == [16, 88, 200, 200, 24, 1])
    #expect(liar.readable(second)[8] == 1)
    #expect(second.elements[1].address == piece.deviceAddress + 112)
  }

  @Test func `pieces too small for the device end as unsupported`() throws {
    var driver = try liar.makeDriver()
    let buffer = liar.allocate(512)
    let piece = buffer.segment(at: 0, byteCount: 64)
    let tiny: [8 of DMASegment] = [piece, piece, piece, piece, piece, piece, piece, piece]
    let token = try driver.submitRead(sector: 0, into: tiny.span)!
    let completion = driver.completion(of: token)
    #expect(completion?.result == .failed(.unsupported))
    #expect(liar.device.take(0) == nil)
  }

  @Test(arguments: [(11, 2), (13, 1), (14, 3)] as [(UInt8, Int)])
  func `5.2.6.1 driver: no more ranges than the device takes, whole, without unknown flags`(
    type: UInt8, rangesPerRequest: Int
  ) throws {
    var driver = try liar.makeDriver()
    let ranges: [4 of BlockRange] = [
      BlockRange(sector: 1, sectorCount: 50, flags: .max),
      BlockRange(sector: 51, sectorCount: 50, flags: .max),
      BlockRange(sector: 101, sectorCount: 50, flags: .max),
      BlockRange(sector: 151, sectorCount: 50, flags: .max),
    ]
    switch type {
    case 11: _ = try driver.submitDiscard(ranges.span)
    case 13: _ = try driver.submitWriteZeroes(ranges.span)
    default: _ = try driver.submitSecureErase(ranges.span)
    }
    var sent: [BlockRange] = []
    while let buffer = liar.device.take(0) {
      let bytes = liar.readable(buffer)
      #expect(Array(bytes[..<16]) == header(type))
      #expect(bytes.count % 16 == 0)
      let count = bytes.count / 16 - 1
      #expect(count >= 1 && count <= rangesPerRequest)
      for i in 1...count { sent.append(BlockRange(byteArray(Array(bytes[(i * 16)..<(i * 16 + 16)])))) }
    }
    // §5.2.6.1: `unmap` MUST be zero in a discard; reserved bits are never set.
    let flags: UInt32 = type == 13 ? 1 : 0
    #expect(
      sent == (0..<4).map { BlockRange(sector: ranges[$0].sector, sectorCount: 50, flags: flags) })
  }

  @Test func `5.2.6.1 driver: room for the ID is 20 bytes`() throws {
    var driver = try liar.makeDriver()
    let token = try driver.submitGetID()!
    let sent = try #require(liar.device.take(0))
    #expect(liar.readable(sent) == header(8))
    #expect(sent.elements.map(\.byteCount) == [16, 20, 1])
    liar.memory.write(Array("ABC".utf8), sent.elements[1].address)
    liar.answer(sent, 0)
    try driver.service()
    let completion = driver.completion(of: token)!
    #expect(list(completion.response) == [65, 66, 67] + Array(repeating: 0, count: 17))
  }

  @Test(
    arguments: [(1000, 512), (999, 1024), (.max, 512), (.max - 1, 1024), (0, 1001 * 512)]
      as [(UInt64, UInt32)])
  func `5.2.6.1 driver: never reaches beyond the capacity`(
    sector: UInt64, byteCount: UInt32
  ) throws {
    var driver = try liar.makeDriver()
    let segment: [1 of DMASegment] = [DMASegment(deviceAddress: testBase, byteCount: byteCount)]
    let range: [1 of BlockRange] = [BlockRange(sector: sector, sectorCount: byteCount / 512)]
    #expect(throws: BlockFailure.request(.outOfRange)) {
      _ = try driver.submitRead(sector: sector, into: segment.span)
    }
    #expect(throws: BlockFailure.request(.outOfRange)) {
      _ = try driver.submitWrite(sector: sector, from: segment.span)
    }
    #expect(throws: BlockFailure.request(.outOfRange)) { _ = try driver.submitDiscard(range.span) }
    #expect(throws: BlockFailure.request(.outOfRange)) { _ = try driver.submitWriteZeroes(range.span) }
    #expect(throws: BlockFailure.request(.outOfRange)) { _ = try driver.submitSecureErase(range.span) }
    #expect(liar.device.take(0) == nil)
  }

  @Test func `5.2.6.1 driver: switches the cache, and still flushes what was written before`() throws {
    var driver = try liar.makeDriver()
    try driver.setWriteback(false)
    #expect(liar.device.configurationWrites.map(\.offset) == [32])
    #expect(liar.device.configurationWrites.map(\.value) == [0])
    liar.set(0 as UInt8, at: 32)
    try driver.configurationChanged()
    // Writes that completed before the switch may be volatile: a flush is sent, not assumed.
    _ = try driver.submitFlush()
    let sent = try #require(liar.device.take(0))
    #expect(liar.readable(sent) == header(4))
    let other = BlockLiar(BlockFeature.flush)
    var fixed = try other.makeDriver()
    #expect(throws: BlockFailure.request(.unsupported)) { try fixed.setWriteback(true) }
  }

  @Test func `5.2.6.1 driver: a request that failed in part failed as a whole`() throws {
    var driver = try liar.makeDriver()
    let range: [1 of BlockRange] = [BlockRange(sector: 0, sectorCount: 500)]
    let token = try driver.submitWriteZeroes(range.span)!
    // One range of 100 sectors each; the second of five fails.
    for n in 0..<5 {
      let sent = try #require(liar.device.take(0))
      liar.answer(sent, n == 1 ? 1 : 0)
    }
    try driver.service()
    let completion = driver.completion(of: token)
    #expect(completion?.result == .failed(.inputOutput))
  }

  @Test func `what was not offered is not sent`() throws {
    let liar = BlockLiar(.none)
    var driver = try liar.makeDriver()
    let range: [1 of BlockRange] = [BlockRange(sector: 0, sectorCount: 1)]
    #expect(throws: BlockFailure.request(.unsupported)) { _ = try driver.submitDiscard(range.span) }
    #expect(throws: BlockFailure.request(.unsupported)) { _ = try driver.submitWriteZeroes(range.span) }
    #expect(throws: BlockFailure.request(.unsupported)) { _ = try driver.submitSecureErase(range.span) }
    #expect(throws: BlockFailure.request(.unsupported)) { _ = try driver.submitGetLifetime() }
    #expect(throws: BlockFailure.request(.unsupported)) { _ = try driver.submitFlush() }
    // Reading the ID needs no feature.
    let token = try driver.submitGetID()
    #expect(token != nil)
  }
}

/// Every access to registers, in order.
final class AccessLog {
  var entries: [(isWrite: Bool, offset: Int, value: UInt32)] = []
}

/// Registers that write down what is done with them.
struct LoggingRegisters<Inner: RegisterAccess>: RegisterAccess {
  let log: AccessLog
  let inner: Inner

  private func read(_ offset: Int) { log.entries.append((false, offset, 0)) }

  func read8(_ offset: Int) -> UInt8 {
    read(offset)
    return inner.read8(offset)
  }
  func read16(_ offset: Int) -> UInt16 {
    read(offset)
    return inner.read16(offset)
  }
  func read32(_ offset: Int) -> UInt32 {
    read(offset)
    return inner.read32(offset)
  }
  func write8(_ value: UInt8, _ offset: Int) {
    log.entries.append((true, offset, UInt32(value)))
    inner.write8(value, offset)
  }
  func write16(_ value: UInt16, _ offset: Int) {
    log.entries.append((true, offset, UInt32(value)))
    inner.write16(value, offset)
  }
  func write32(_ value: UInt32, _ offset: Int) {
    log.entries.append((true, offset, value))
    inner.write32(value, offset)
  }
}
