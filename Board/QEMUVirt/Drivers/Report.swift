// What the image says: lines for people, and lines `vireo: KEY=VALUE` for who checks them on the host. The
// keys are listed in Toolchain/harness/drivers_check.py.

import DriverChecks
import Machine
import Wire

/// Result lines and errors.
enum Report {
  // Only this core reads and writes it, outside of interrupts.
  nonisolated(unsafe) private static var errorCount = 0

  /// Whether an error was reported.
  static var hasErrors: Bool { unsafe errorCount != 0 }

  /// Starts a result line; the caller writes the value and ends the line.
  static func begin(_ key: StaticString) {
    Serial.put("vireo: ")
    Serial.put(key)
    Serial.put("=")
  }

  /// A result line with a number.
  static func line(_ key: StaticString, _ value: UInt64) {
    begin(key)
    Serial.put(decimal: value)
    Serial.newLine()
  }

  /// A result line with a hash.
  static func line(_ key: StaticString, _ digest: ByteArray<32>) {
    begin(key)
    put(digest)
    Serial.newLine()
  }

  /// Writes a hash in hexadecimal.
  static func put(_ digest: ByteArray<32>) {
    for index in 0..<32 { Serial.put(hex: UInt64(digest[index]), digits: 2) }
  }

  /// Starts an error line; the caller writes what is wrong and ends the line.
  static func beginError() {
    unsafe errorCount += 1
    Serial.put("vireo: error: ")
  }

  /// An error line.
  static func error(_ text: StaticString) {
    beginError()
    Serial.line(text)
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
