// Random bytes from the entropy device (virtio 1.4 §5.4), tested as FIPS 140-2 asks.

import DeviceTypes
import DriverChecks
import Machine
import Virtio
import Wire

/// The work with the entropy device.
enum EntropyTask {
  private static let byteCount = 1 << 20
  /// For one request: the host may be busy, but not for that long.
  private static let patience: UInt64 = 30_000

  /// Draws 1 MiB and prints its hash and its statistics.
  static func run(_ slot: Slot, _ orders: Orders) throws(TaskError) {
    var drawn = Drawn()
    try slot.use { (transport, arena) throws(TaskError) in
      try draw(slot, transport, &arena, orders, into: &drawn)
    }
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
    guard drawn.test.passes else { throw .wrong("the random bytes fail too many tests") }
  }

  private struct Drawn {
    var hash = SHA256()
    var test = RandomnessTest()
  }

  @inline(never) private static func draw(
    _ slot: Slot, _ transport: consuming SlotTransport, _ arena: inout DriverArena, _ orders: Orders,
    into drawn: inout Drawn
  ) throws(TaskError) {
    var driver = try start(transport, &arena, orders)
    slot.reportNegotiated(driver.transport)
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
    _ transport: consuming SlotTransport, _ arena: inout DriverArena, _ orders: Orders
  ) throws(TaskError) -> EntropyDriver<SlotRegisters> {
    let driver: EntropyDriver<SlotRegisters>?
    do throws(DeviceFault) {
      driver = try EntropyDriver(transport, memory: &arena, ringFeatures: orders.ringFeatures)
    } catch {
      throw .device(error)
    }
    guard let driver else { throw .outOfMemory }
    return driver
  }
}
