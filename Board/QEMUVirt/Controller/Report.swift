// What the image says: lines `vireo: KEY=VALUE` for who checks them on the host. The keys are listed in
// Toolchain/harness/controller.py.

import Machine
import Wire

enum Report {
  /// A result: `ok` or `fail`.
  static func line(_ key: FixedText, _ isGood: Bool) {
    put(key) { Serial.line(isGood ? "ok" : "fail") }
  }

  /// A result that is a number.
  static func line(_ key: FixedText, _ value: UInt64) {
    put(key) {
      Serial.put(decimal: value)
      Serial.newLine()
    }
  }

  private static func put(_ key: FixedText, _ value: () -> Void) {
    Interrupts.masked {
      Serial.exclusively {
        Serial.put("vireo: ")
        Serial.put(key)
        Serial.put("=")
        value()
      }
    }
  }

  /// Says why the run cannot go on, and ends it.
  static func fail(_ reason: FixedText) -> Never {
    Interrupts.masked {
      Serial.exclusively {
        Serial.put("vireo: error: ")
        Serial.line(reason)
      }
    }
    end(passed: false)
  }

  /// Says how the run went, and ends it with exit status 0 or 1.
  static func end(passed: Bool) -> Never {
    Interrupts.masked {
      Serial.exclusively {
        Serial.put("vireo: result=")
        Serial.line(passed ? "pass" : "fail")
      }
    }
    Power.off(status: passed ? 0 : 1)
  }
}
