// The image with a person at its console: a line of input at a time, asleep in between.

import Machine
import Wire

/// The prompt of the interactive mode.
struct Prompt {
  private var line = InlineArray<80, UInt8>(repeating: 0)
  private var count = 0

  /// Answers commands until one of them says exit.
  mutating func run() {
    Serial.line("Type help for the commands.")
    while true {
      Serial.put("vireo> ")
      readLine()
      if isLine("exit") { return }
      answer()
    }
  }

  private func answer() {
    if count == 0 { return }
    if isLine("help") {
      help()
    } else if isLine("devices") {
      Inventory.print()
    } else if isLine("disk") {
      Tasks.run(.disk)
    } else if isLine("disk write") {
      Tasks.run(.diskWrite)
    } else if isLine("net") {
      Tasks.run(.network)
    } else if isLine("entropy") {
      Tasks.run(.entropy)
    } else if isLine("echo") {
      Tasks.run(.echo)
    } else if isLine("uptime") {
      Serial.put(decimal: Clock.milliseconds(from: 0, to: Clock.ticks))
      Serial.newLine()
    } else {
      Serial.line("there is no such command; type help")
    }
  }

  private func help() {
    Serial.line("devices      the virtio devices of this machine")
    Serial.line("disk         read the whole disk and show its SHA-256")
    Serial.line("disk write   write a pattern to the end of the disk and read it back")
    Serial.line("net          get an address by DHCP and a file by TFTP")
    Serial.line("entropy      draw 1 MiB of random bytes and test them")
    Serial.line("echo         send back what comes to the console port vireo.echo")
    Serial.line("uptime       milliseconds since the machine started")
    Serial.line("exit         end (or type Ctrl-A X)")
  }

  /// Reads up to a carriage return, with an echo; backspace takes back, what is too long is left out.
  private mutating func readLine() {
    count = 0
    while true {
      _ = Interrupts.wait(until: .never) { SerialInput.isReady }
      guard let byte = SerialInput.next() else { continue }
      switch byte {
      case 0x0d, 0x0a:
        Serial.newLine()
        return
      case 0x08 where count > 0, 0x7f where count > 0:
        count -= 1
        Serial.put("\u{8} \u{8}")
      case 0x20..<0x7f where count < line.count:
        line[count] = byte
        count += 1
        Serial.put(byte: byte)
      default: break
      }
    }
  }

  private func isLine(_ word: FixedText) -> Bool {
    guard count == word.count else { return false }
    let bytes = word.bytes
    for index in 0..<count where line[index] != bytes[index] { return false }
    return true
  }
}
