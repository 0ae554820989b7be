// What the image says: lines for people, and lines `vireo: KEY=VALUE` for who checks them on the host. The
// keys are listed in Toolchain/harness/drivers_check.py.

import DriverChecks
import Machine
import Platform
import Virtio
import Wire

/// Work ended early; why has been reported. The error carries nothing, so that it costs nothing to pass on.
struct Failed: Error {}

/// Result lines and errors.
enum Report {
  // Only this core reads and writes them, outside of interrupts.
  nonisolated(unsafe) private static var errorCount = 0
  nonisolated(unsafe) private static var subject = DeviceID.reserved

  /// Whether an error was reported.
  static var hasErrors: Bool { unsafe errorCount != 0 }

  /// Says what type of device the next failures are about.
  static func begin(about type: DeviceID) { unsafe subject = type }

  /// Starts a result line; the caller writes the value and ends the line.
  static func begin(_ key: FixedText) {
    Serial.put("vireo: ")
    Serial.put(key)
    Serial.put("=")
  }

  /// A result line with a number.
  static func line(_ key: FixedText, _ value: UInt64) {
    begin(key)
    Serial.put(decimal: value)
    Serial.newLine()
  }

  /// A result line with a hash.
  static func line(_ key: FixedText, _ digest: ByteArray<32>) {
    begin(key)
    for index in 0..<32 { Serial.put(hex: UInt64(digest[index]), digits: 2) }
    Serial.newLine()
  }

  /// Starts an error line; the caller writes what is wrong and ends the line.
  static func beginError() {
    unsafe errorCount += 1
    Serial.put("vireo: error: ")
  }

  /// An error line.
  static func error(_ text: FixedText) {
    beginError()
    Serial.line(text)
  }

  /// Starts an error line about the device at work.
  static func beginFailure() {
    beginError()
    Serial.put(unsafe subject)
    Serial.put(": ")
  }

  /// An error line about the device at work.
  @inline(never) static func failed(_ text: FixedText) -> Failed {
    beginFailure()
    Serial.line(text)
    return Failed()
  }

  /// An error line about what the device at work did wrong.
  @inline(never) static func failed(_ fault: DeviceFault) -> Failed {
    beginFailure()
    Serial.put(describing: fault)
    Serial.newLine()
    return Failed()
  }

  /// Says how the run went, and ends it with exit status 0 or 1.
  static func end(passed: Bool) -> Never {
    begin("result")
    Serial.line(passed ? "pass" : "fail")
    Power.off(status: passed ? 0 : 1)
  }
}

extension Serial {
  /// Writes dotted decimal.
  static func put(_ address: IPv4Address) {
    for index in 0..<4 as Range<UInt32> {
      let shift = 24 - index * 8
      put(decimal: UInt64(address.rawValue >> shift & 0xff))
      if shift != 0 { put(".") }
    }
  }
}
