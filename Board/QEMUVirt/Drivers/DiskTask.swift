// The disk (virtio 1.4 §5.2): read as a whole, and a pattern written that the host finds in the image file.

import DeviceTypes
import DriverChecks
import Machine
import Platform
import Virtio
import Wire

/// The work with the block device.
enum DiskTask {
  typealias Driver = BlockDriver<SlotRegisters>

  private static let chunkByteCount = 64 << 10
  /// Chunks that are asked for ahead of the one being hashed.
  private static let depth = 4
  /// Sectors of the pattern, at the end of the disk.
  private static let patternSectorCount: UInt64 = 64
  private static let sectorByteCount = 512
  /// For one request: the host may be busy, but not for that long.
  private static let patience: UInt64 = 30_000

  /// Reads the disk and prints its hash.
  static func read(_ slot: Slot, _ arena: inout DriverArena) throws(Failed) {
    var driver = try start(slot, &arena)
    var hash = SHA256()
    try read(&driver, slot, &arena, into: &hash)
    Report.line("disk.sectors", driver.sectorCount)
    Report.line("disk.sha256", hash.finish())
  }

  /// Writes the pattern, makes it stable and reads it back.
  static func write(_ slot: Slot, _ arena: inout DriverArena) throws(Failed) {
    var driver = try start(slot, &arena)
    if driver.isReadOnly { throw Report.failed("the disk is read-only") }
    let count = min(patternSectorCount, driver.sectorCount)
    guard let buffer = arena.allocateShared(byteCount: Int(count) * sectorByteCount, alignment: 64)
    else { throw Report.failed("the memory for devices is too small") }
    let seed = Clock.ticks &* 0x9e37_79b9_7f4a_7c15
    try write(&driver, slot, buffer, driver.sectorCount - count, seed)
    Report.begin("disk.write")
    Serial.put("ok sector=")
    Serial.put(decimal: driver.sectorCount - count)
    Serial.put(" count=")
    Serial.put(decimal: count)
    Serial.put(" pattern=")
    Serial.put(hex: seed)
    Serial.newLine()
  }

  @inline(never) private static func start(
    _ slot: Slot, _ arena: inout DriverArena
  ) throws(Failed) -> Driver {
    let transport = try slot.device()
    var options = BlockDriverOptions()
    options.ringFeatures = Orders.ringFeatures
    let made: Driver?
    do throws(DeviceFault) {
      made = try Driver(transport, memory: &arena, options: options)
    } catch {
      throw Report.failed(error)
    }
    guard let driver = made else { throw Report.failed("the memory for devices is too small") }
    slot.reportNegotiated(driver.transport.features)
    describe(driver)
    if driver.sectorCount == 0 { throw Report.failed("the disk has no sectors: is its image file empty?") }
    let blockSectorCount = UInt64(max(driver.configuration.blockSize, 512)) / UInt64(sectorByteCount)
    guard driver.sectorCount % blockSectorCount == 0 else {
      throw Report.failed(
        "the disk ends within a block: the size of its image file is no multiple of the block size")
    }
    return driver
  }

  private static func describe(_ driver: borrowing Driver) {
    Serial.put("  ")
    Serial.put(decimal: driver.sectorCount)
    Serial.put(" sectors of 512 bytes")
    if driver.configuration.blockSize > 512 {
      Serial.put(", blocks of ")
      Serial.put(decimal: UInt64(driver.configuration.blockSize))
    }
    if driver.isReadOnly { Serial.put(", read-only") }
    Serial.put(driver.isWriteback ? ", with a write cache" : ", without a write cache")
    Serial.newLine()
  }

  /// Reads all sectors, `depth` chunks ahead, and hashes them in their order.
  @inline(never) private static func read(
    _ driver: inout Driver, _ slot: Slot, _ arena: inout DriverArena, into hash: inout SHA256
  ) throws(Failed) {
    guard let buffer = arena.allocateShared(byteCount: depth * chunkByteCount, alignment: 64) else {
      throw Report.failed("the memory for devices is too small")
    }
    let total = driver.sectorCount * UInt64(sectorByteCount)
    var tokens = InlineArray<4, BlockToken?> { _ in nil }
    var asked: UInt64 = 0
    var chunk = 0
    while hash.byteCount < total {
      var next = chunk
      while asked < total, tokens[next] == nil {
        let segment = buffer.segment(
          at: next * chunkByteCount, byteCount: Int(min(total - asked, UInt64(chunkByteCount))))
        tokens[next] = try submit(&driver, slot, asked / UInt64(sectorByteCount), segment)
        asked += UInt64(segment.byteCount)
        next = (next + 1) % depth
      }
      guard let token = tokens[chunk] else { throw Report.failed("the driver takes no request") }
      try finish(&driver, slot, token)
      tokens[chunk] = nil
      let byteCount = Int(min(total - hash.byteCount, UInt64(chunkByteCount)))
      hash.update(buffer, at: chunk * chunkByteCount, byteCount: byteCount)
      chunk = (chunk + 1) % depth
    }
  }

  @inline(never) private static func write(
    _ driver: inout Driver, _ slot: Slot, _ buffer: borrowing DMABuffer, _ sector: UInt64, _ seed: UInt64
  ) throws(Failed) {
    var stream = SplitMix64(seed: seed)
    for offset in stride(from: 0, to: buffer.byteCount, by: 8) { buffer.store(stream.next(), at: offset) }
    let deadline = Deadline.after(milliseconds: patience)
    do throws(BlockFailure) {
      try driver.write(sector: sector, from: buffer, wait: { slot.sleep(until: deadline) })
      if driver.isWriteback { try driver.flush(wait: { slot.sleep(until: deadline) }) }
      buffer.zero()
      try driver.read(sector: sector, into: buffer, wait: { slot.sleep(until: deadline) })
    } catch {
      throw failed(error, slot)
    }
    stream = SplitMix64(seed: seed)
    for offset in stride(from: 0, to: buffer.byteCount, by: 8) {
      guard buffer.load(UInt64.self, at: offset) == stream.next() else {
        throw Report.failed("what was read back is not what was written")
      }
    }
  }

  private static func submit(
    _ driver: inout Driver, _ slot: Slot, _ sector: UInt64, _ segment: DMASegment
  ) throws(Failed) -> BlockToken? {
    let segments: [1 of DMASegment] = [segment]
    do throws(BlockFailure) {
      return try driver.submitRead(sector: sector, into: segments.span)
    } catch {
      throw failed(error, slot)
    }
  }

  private static func finish(
    _ driver: inout Driver, _ slot: Slot, _ token: BlockToken
  ) throws(Failed) {
    let deadline = Deadline.after(milliseconds: patience)
    do throws(BlockFailure) {
      _ = try driver.finish(token, wait: { slot.sleep(until: deadline) })
    } catch {
      throw failed(error, slot)
    }
  }

  @inline(never) private static func failed(_ failure: BlockFailure, _ slot: Slot) -> Failed {
    switch failure {
    case .request(let fault):
      Report.beginFailure()
      Serial.put(describing: fault)
      Serial.newLine()
      return Failed()
    case .device(let fault): return Report.failed(fault)
    case .timedOut: return slot.failure("a request")
    case .tooManyRequests, .abandoned: return Report.failed("the driver dropped a request")
    }
  }
}

extension SHA256 {
  /// Adds bytes that a device has written.
  mutating func update(_ buffer: borrowing DMABuffer, at offset: Int, byteCount: Int) {
    var piece = ByteArray<512>()
    var done = 0
    while done < byteCount {
      let count = min(512, byteCount - done)
      var bytes = piece.mutableBytes
      var part = bytes._mutatingExtracting(0..<count)
      buffer.copyOut(to: &part, from: offset + done)
      update(piece.bytes.extracting(0..<count))
      done += count
    }
  }
}
