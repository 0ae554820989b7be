// Random bytes from the entropy device (virtio 1.4 §5.4), tested as FIPS 140-2 asks.

import DeviceTypes
import DriverChecks
import Machine
import Platform
import Virtio
import Wire

/// The work with the entropy device.
enum EntropyTask {
  private static let byteCount = 1 << 20
  /// For one request: the host may be busy, but not for that long.
  private static let patience: UInt64 = 30_000

  /// Draws 1 MiB and prints its hash and its statistics.
  static func run(_ slot: Slot, _ arena: inout DriverArena) throws(Failed) {
    var drawn = Drawn()
    try draw(slot, &arena, into: &drawn)
    Report.line("entropy.bytes", drawn.hash.byteCount)
    Report.line("entropy.sha256", drawn.hash.finish())
    Report.line("entropy.monobit", UInt64(drawn.test.monobitFailures))
    Report.line("entropy.poker", UInt64(drawn.test.pokerFailures))
    Report.line("entropy.runs", UInt64(drawn.test.runsFailures))
    Report.line("entropy.longrun", UInt64(drawn.test.longRunFailures))
    Serial.put("  of ")
    Serial.put(decimal: UInt64(drawn.test.blockCount))
    Serial.put(" blocks of 20,000 bits ")
    Serial.put(decimal: UInt64(drawn.test.failedBlockCount))
    Serial.put(" fail a test; ")
    Serial.put(decimal: UInt64(RandomnessTest.tolerance))
    Serial.line(" may")
    guard drawn.test.passes else { throw Report.failed("the random bytes fail too many tests") }
  }

  private struct Drawn {
    var hash = SHA256()
    var test = RandomnessTest()
  }

  @inline(never) private static func draw(
    _ slot: Slot, _ arena: inout DriverArena, into drawn: inout Drawn
  ) throws(Failed) {
    var driver = try start(slot, &arena)
    var chunk = ByteArray<4096>()
    while drawn.hash.byteCount < UInt64(byteCount) {
      let wanted = min(4096, byteCount - Int(drawn.hash.byteCount))
      _ = try checked { () throws(DeviceFault) in try driver.request(byteCount: wanted) }
      let deadline = Deadline.after(milliseconds: patience)
      var count: Int?
      while true {
        count = try checked { () throws(DeviceFault) in
          var bytes = chunk.mutableBytes
          return try driver.receive(into: &bytes)
        }
        if count != nil { break }
        try slot.wait(until: deadline, for: "random bytes")
      }
      let bytes = chunk.bytes.extracting(first: min(count ?? 0, wanted))
      drawn.hash.update(bytes)
      drawn.test.add(bytes)
    }
  }

  @inline(never) private static func start(
    _ slot: Slot, _ arena: inout DriverArena
  ) throws(Failed) -> EntropyDriver<SlotRegisters> {
    let driver: EntropyDriver<SlotRegisters>?
    let transport = try slot.device()
    do throws(DeviceFault) {
      driver = try EntropyDriver(transport, memory: &arena, ringFeatures: Orders.ringFeatures)
    } catch {
      throw Report.failed(error)
    }
    guard let driver else { throw Report.failed("the memory for devices is too small") }
    slot.reportNegotiated(driver.transport.features)
    return driver
  }
}
