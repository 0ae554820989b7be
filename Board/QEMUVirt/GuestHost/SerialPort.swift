// The board's UART behind a guest's console.

import DeviceTypes
import Machine
import Virtio
import Wire

/// Output goes to the UART as it is; input, for one guest, comes from what was typed there.
struct SerialPort: ConsoleBackend {
  let takesInput: Bool

  mutating func write(_ range: GuestRange, port: Int) -> UInt32 {
    var done: UInt32 = 0
    while done < range.byteCount {
      var bytes = ByteArray<64>()
      let count = min(64, range.byteCount - done)
      var all = bytes.mutableBytes
      var part = all._mutatingExtracting(first: Int(count))
      range.dropFirst(done).copyOut(to: &part)
      Serial.exclusively { for i in 0..<Int(count) { Serial.put(byte: bytes[i]) } }
      done += count
    }
    return done
  }

  func hasInput(port: Int) -> Bool { takesInput && SerialInput.isReady }

  mutating func read(into range: GuestRange, port: Int) -> UInt32 {
    var bytes = ByteArray<64>()
    var count = 0
    while count < min(64, Int(range.byteCount)), let byte = SerialInput.next() {
      bytes[count] = byte
      count += 1
    }
    range.copyIn(from: bytes.bytes.extracting(first: count))
    return UInt32(count)
  }

  mutating func emergencyWrite(_ byte: UInt8) { Serial.exclusively { Serial.put(byte: byte) } }
}
