// What the host says while guests run: whole lines.

import Machine
import Wire

enum Report {
  /// Writes a line about a guest, or about the host.
  @inline(never)
  static func line(_ text: FixedText, guest: Int?) {
    Serial.exclusively {
      start(guest)
      Serial.line(text)
    }
  }

  /// The same with an address behind the text.
  @inline(never)
  static func line(_ text: FixedText, _ address: UInt64, guest: Int?) {
    Serial.exclusively {
      start(guest)
      Serial.put(text)
      Serial.put("0x")
      Serial.put(hex: address)
      Serial.newLine()
    }
  }

  private static func start(_ guest: Int?) {
    // A guest may have left off within a line.
    Serial.newLine()
    Serial.put("vireo: ")
    guard let guest else { return }
    Serial.put("guest ")
    Serial.put(decimal: UInt64(guest))
    Serial.put(" ")
  }
}
