// The block driver against a device that lies: a fault at most, and never memory that is not its own.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

@Suite struct BlockDriverHostileTests {
  let liar = BlockLiar()

  /// Submits a read of one sector, and returns what the device sees of it.
  private func read(_ driver: inout BlockDriver<FakeRegisters>) throws -> (BlockToken, FakeDevice.Buffer) {
    let segment: [1 of DMASegment] = [DMASegment(deviceAddress: testBase, byteCount: 512)]
    let token = try driver.submitRead(sector: 0, into: segment.span)!
    return (token, try #require(liar.device.take(0)))
  }

  private func fault(_ body: () throws -> Void) -> DeviceFault? {
    do {
      try body()
    } catch BlockFailure.device(let fault) {
      return fault
    } catch {
      Issue.record("\(error)")
    }
    return nil
  }

  // MARK: Configuration

  @Test func `impossible hints are ignored`() throws {
    for (offset, value) in [(20, 0), (20, 513), (20, 256), (20, 1 << 31), (24, 0xffff_ffff)]
      as [(Int, UInt32)]
    {
      let liar = BlockLiar()
      liar.set(value, at: offset)
      let driver = try liar.makeDriver()
      let configuration = driver.configuration
      if offset == 20 { #expect(configuration.blockSize == 0) }
      if offset == 24 { #expect(configuration.topology == BlockTopology()) }
    }
  }

  @Test func `a disk without sectors has nothing to read`() throws {
    liar.set(0 as UInt64, at: 0)
    var driver = try liar.makeDriver()
    let segment: [1 of DMASegment] = [DMASegment(deviceAddress: testBase, byteCount: 512)]
    #expect(throws: BlockFailure.request(.outOfRange)) {
      _ = try driver.submitRead(sector: 0, into: segment.span)
    }
  }

  @Test func `limits of zero do not stop reading`() throws {
    liar.set(0 as UInt32, at: 8)
    liar.set(0 as UInt32, at: 12)
    for offset in [36, 40, 48, 52, 60, 64] { liar.set(0 as UInt32, at: offset) }
    var driver = try liar.makeDriver()
    let segments: [1 of DMASegment] = [DMASegment(deviceAddress: testBase, byteCount: 65536)]
    _ = try driver.submitRead(sector: 0, into: segments.span)
    let sent = try #require(liar.device.take(0))
    #expect(sent.elements.map(\.byteCount) == [16, 65536, 1])
    let range: [1 of BlockRange] = [BlockRange(sector: 0, sectorCount: 1)]
    #expect(throws: BlockFailure.request(.unsupported)) { _ = try driver.submitDiscard(range.span) }
    #expect(throws: BlockFailure.request(.unsupported)) { _ = try driver.submitWriteZeroes(range.span) }
    #expect(throws: BlockFailure.request(.unsupported)) { _ = try driver.submitSecureErase(range.span) }
  }

  @Test func `limits below a sector are a fault`() throws {
    liar.set(127 as UInt32, at: 8)
    #expect(throws: DeviceFault.invalidConfiguration) { _ = try liar.makeDriver() }
    #expect(liar.device.status.contains(.failed))
    // Four segments of 128 bytes are a sector.
    let other = BlockLiar()
    other.set(128 as UInt32, at: 8)
    var driver = try other.makeDriver()
    let segments: [1 of DMASegment] = [DMASegment(deviceAddress: testBase, byteCount: 1024)]
    _ = try driver.submitRead(sector: 0, into: segments.span)
    for _ in 0..<2 {
      let sent = try #require(other.device.take(0))
      #expect(sent.elements.map(\.byteCount) == [16, 128, 128, 128, 128, 1])
    }
  }

  @Test func `MQ without queues is a fault`() {
    liar.device.features = liar.device.features | BlockFeature.multiqueue
    liar.set(0 as UInt16, at: 34)
    #expect(throws: DeviceFault.invalidConfiguration) { _ = try liar.makeDriver() }
    #expect(liar.device.status.contains(.failed))
  }

  @Test func `more queues than there can be are not used`() throws {
    liar.device.features = liar.device.features | BlockFeature.multiqueue
    liar.set(0xffff as UInt16, at: 34)
    let driver = try liar.makeDriver() { $0.queueCount = 4 }
    let queueCount = driver.queueCount
    #expect(queueCount == 4)
  }

  @Test func `a configuration that never stands still is a fault`() {
    liar.device.generationStep = 1
    #expect(throws: DeviceFault.configurationUnstable) { _ = try liar.makeDriver() }
    #expect(liar.device.status.contains(.failed))
  }

  @Test(arguments: [0, 1, 2] as [UInt32])
  func `a queue too small for a request is a fault`(size: UInt32) {
    liar.device.queueSizeMax = size
    #expect(throws: DeviceFault.queueUnavailable(0)) { _ = try liar.makeDriver() }
  }

  @Test func `too little memory is no driver`() throws {
    let small = TestMemory(byteCount: 8192)
    var arena = small.arena()
    let driver = try BlockDriver(try MMIODriverTransport(liar.device.registers), memory: &arena)
    let exists = driver != nil
    #expect(!exists)
    #expect(liar.device.status.contains(.failed))
  }

  // MARK: Requests

  @Test(arguments: [3, 6, 0x7f, 0xfe] as [UInt8])
  func `an unknown status is a fault that stays`(status: UInt8) throws {
    var driver = try liar.makeDriver()
    let (_, sent) = try read(&driver)
    liar.answer(sent, status)
    #expect(fault { try driver.service() } == .invalidResponse)
    #expect(fault { try driver.service() } == .invalidResponse)
    #expect(fault { _ = try driver.submitGetID() } == .invalidResponse)
    let completion = driver.nextCompletion()
    #expect(completion == nil)
    // The memory comes back with the reset.
    try driver.reset()
    let abandoned = driver.nextCompletion()
    #expect(abandoned?.result == .abandoned)
    try driver.restart()
    let (token, again) = try read(&driver)
    liar.answer(again, 0)
    try driver.service()
    let end = driver.completion(of: token)
    #expect(end?.result == .finished)
  }

  @Test func `a status that nobody wrote is a fault`() throws {
    var driver = try liar.makeDriver()
    let (_, sent) = try read(&driver)
    liar.device.use(0, id: UInt32(sent.id), byteCount: 513)
    #expect(fault { try driver.service() } == .invalidResponse)
  }

  @Test(arguments: [0, 1, 512] as [UInt32])
  func `success with less than all bytes is a fault`(byteCount: UInt32) throws {
    var driver = try liar.makeDriver()
    let (_, sent) = try read(&driver)
    liar.answer(sent, 0, byteCount: byteCount)
    #expect(fault { try driver.service() } == .invalidResponse)
  }

  @Test(arguments: [(1, .inputOutput), (2, .unsupported)] as [(UInt8, BackendFault)])
  func `an error may come with any length`(status: UInt8, expected: BackendFault) throws {
    var driver = try liar.makeDriver()
    for byteCount in [0, 1, 513] as [UInt32] {
      let (token, sent) = try read(&driver)
      liar.answer(sent, status, byteCount: byteCount)
      try driver.service()
      let completion = driver.completion(of: token)
      #expect(completion?.result == .failed(expected))
    }
  }

  @Test(
    arguments: [
      (0, 514, .usedLengthTooLong), (0, .max, .usedLengthTooLong), (1, 513, .unknownBuffer),
      (16, 513, .unknownBuffer), (.max, 513, .unknownBuffer),
    ] as [(UInt32, UInt32, DeviceFault)])
  func `a used entry that cannot be true is a fault`(
    idOffset: UInt32, byteCount: UInt32, expected: DeviceFault
  ) throws {
    var driver = try liar.makeDriver()
    let (_, sent) = try read(&driver)
    liar.device.use(0, id: UInt32(sent.id) &+ idOffset, byteCount: byteCount)
    #expect(fault { try driver.service() } == expected)
  }

  @Test func `a buffer used twice is a fault`() throws {
    var driver = try liar.makeDriver()
    let (token, sent) = try read(&driver)
    let other = try read(&driver)
    liar.answer(sent, 0)
    liar.answer(sent, 0)
    #expect(fault { try driver.service() } == .unknownBuffer)
    let end = driver.completion(of: token)
    #expect(end?.result == .finished)
    let none = driver.completion(of: other.0)
    #expect(none == nil)
  }

  @Test func `a status changed after the fact changes nothing`() throws {
    var driver = try liar.makeDriver()
    let (token, sent) = try read(&driver)
    liar.answer(sent, 0)
    try driver.service()
    liar.memory.store(UInt8(1), sent.elements.last!.address)
    let completion = driver.completion(of: token)
    #expect(completion?.result == .finished)
    // And only once.
    let again = driver.completion(of: token)
    #expect(again == nil)
  }

  @Test func `descriptors that the device forges are not believed`() throws {
    var driver = try liar.makeDriver()
    let segment: [1 of DMASegment] = [DMASegment(deviceAddress: testBase, byteCount: 65536)]
    // Cut into many: what is left of the list must not be where the device can change it.
    let token = try driver.submitRead(sector: 0, into: segment.span)!
    var addresses: [UInt64] = []
    while let sent = liar.device.take(0) {
      addresses += sent.elements.filter { $0.byteCount == 4096 }.map(\.address)
      // Everything in the header, and around it, becomes garbage.
      for offset in 0..<128 where offset != 16 {
        liar.memory.store(UInt8(0xff), sent.elements[0].address + UInt64(offset))
      }
      liar.answer(sent, 0)
      try driver.service()
    }
    #expect(addresses == (0..<16).map { testBase + UInt64($0) * 4096 })
    let completion = driver.completion(of: token)
    #expect(completion?.result == .finished)
  }

  @Test func `reserved lifetime values are unknown`() throws {
    var driver = try liar.makeDriver()
    let token = try driver.submitGetLifetime()!
    let sent = try #require(liar.device.take(0))
    liar.memory.write([9, 0, 11, 0, 0xff, 0xff], sent.elements[1].address)
    liar.answer(sent, 0)
    try driver.service()
    let completion = driver.completion(of: token)
    #expect(completion?.lifetime == BlockLifetime(preEndOfLife: 0, estimateA: 11, estimateB: 0))
  }

  @Test func `a device that needs a reset stops the driver`() throws {
    var driver = try liar.makeDriver()
    _ = try read(&driver)
    liar.device.status = liar.device.status | .needsReset
    liar.device.interruptStatus = MMIOInterrupt.configurationChange
    #expect(fault { _ = try driver.handleInterrupt() } == .needsReset)
    #expect(liar.device.interruptStatus == 0)
    #expect(fault { try driver.service() } == .needsReset)
    try driver.reset()
    try driver.restart()
    let (token, sent) = try read(&driver)
    liar.answer(sent, 0)
    try driver.service()
    let completion = driver.completion(of: token)
    #expect(completion?.result == .finished)
  }

  @Test func `a device that came back as another is not started again`() throws {
    var driver = try liar.makeDriver()
    try driver.reset()
    liar.device.features = liar.device.features.subtracting(BlockFeature.flush)
    #expect(throws: DeviceFault.featureMissing(BlockFeature.flush)) { try driver.restart() }
    #expect(fault { try driver.service() } == .featureMissing(BlockFeature.flush))
  }

  @Test(arguments: [(0, 2, 100, 2), (100, 0, 100, 2), (100, 2, 7, 1)] as [(UInt32, UInt32, UInt32, UInt32)])
  func `limits that are others after a reset are the ones that count`(
    sectors: UInt32, ranges: UInt32, sectorsAfter: UInt32, rangesAfter: UInt32
  ) throws {
    liar.set(sectors, at: 36)
    liar.set(ranges, at: 40)
    var driver = try liar.makeDriver()
    try driver.reset()
    liar.set(sectorsAfter, at: 36)
    liar.set(rangesAfter, at: 40)
    try driver.restart()
    let range: [1 of BlockRange] = [BlockRange(sector: 0, sectorCount: 8)]
    _ = try driver.submitDiscard(range.span)
    let sent = try #require(liar.device.take(0))
    let count = min(8, sectorsAfter)
    #expect(liar.memory.load(UInt32.self, sent.elements[1].address + 8) == count)
  }

  @Test func `a queue reset that the device does not do is a fault`() throws {
    liar.device.features = liar.device.features | .ringReset
    var driver = try liar.makeDriver()
    #expect(throws: DeviceFault.resetTimedOut) { try driver.resetQueue(0) }
    #expect(fault { try driver.service() } == .resetTimedOut)
  }

  @Test func `tokens of another time name nothing`() throws {
    var driver = try liar.makeDriver()
    let (old, sent) = try read(&driver)
    liar.answer(sent, 0)
    try driver.service()
    _ = driver.nextCompletion()
    let (new, second) = try read(&driver)
    liar.answer(second, 0)
    try driver.service()
    #expect(old != new)
    let none = driver.completion(of: old)
    #expect(none == nil)
    let one = driver.completion(of: new)
    #expect(one?.result == .finished)
  }
}
