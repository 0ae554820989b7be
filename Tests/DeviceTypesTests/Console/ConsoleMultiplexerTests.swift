// Several consoles on one terminal.

import DeviceTypes
import Testing

/// A multiplexer that expectations can ask.
private final class Terminal {
  var value = ConsoleMultiplexer<4>(count: 2)

  func print(_ text: String, _ console: Int) -> Int {
    var taken = 0
    for byte in text.utf8 where value.room(console: console) > 0 {
      value.write(byte, console: console)
      taken += 1
    }
    return taken
  }

  func shown() -> String {
    var bytes: [UInt8] = []
    while let byte = value.nextOutput() { bytes.append(byte) }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The last command that the keys gave.
  func type(_ keys: String) -> ConsoleCommand {
    var command = ConsoleCommand.none
    for key in keys.utf8 { command = value.type(key) }
    if case .show = command { value.replay() }
    return command
  }

  var focus: Int { value.focus }

  func hasInput(_ console: Int) -> Bool { value.hasInput(console: console) }

  func input(_ console: Int) -> String {
    var bytes: [UInt8] = []
    while let byte = value.nextInput(console: console) { bytes.append(byte) }
    return String(decoding: bytes, as: UTF8.self)
  }
}

@Suite struct ConsoleMultiplexerTests {
  private let terminal = Terminal()

  @Test func `the terminal shows the console in front, and what another said when it comes there`() {
    #expect(terminal.print("one", 0) == 3 && terminal.print("two", 1) == 3)
    #expect(terminal.shown() == "one")
    #expect(terminal.type("\u{14}1") == .show(1))
    #expect(terminal.shown() == "two")
    _ = terminal.print("!", 0)
    _ = terminal.print("?", 1)
    #expect(terminal.shown() == "?")
    #expect(terminal.type("\u{14}0") == .show(0))
    #expect(terminal.shown() == "one!")
  }

  @Test func `keys go to the console in front`() {
    #expect(terminal.type("ab") == .none)
    _ = terminal.type("\u{14}1")
    #expect(terminal.type("c\u{14}\u{14}d") == .none)
    #expect(terminal.input(0) == "ab")
    #expect(terminal.input(1) == "c\u{14}d")
  }

  @Test func `commands name the console in front`() {
    #expect(terminal.type("\u{14}r") == .restart(0))
    #expect(terminal.type("\u{14}1\u{14}o") == .powerOff(1))
    #expect(terminal.type("\u{14}0\u{14}s") == .shutDown(0))
    #expect(terminal.type("\u{14}?") == .help)
    #expect(terminal.type("\u{14}x") == .help)
    #expect(terminal.type("\u{14}2") == .noSuchConsole)
    #expect(terminal.focus == 0)
    #expect(terminal.input(0).isEmpty && terminal.input(1).isEmpty)
  }

  @Test func `who prints without end waits for the terminal, and the other does not`() {
    let flood = String(repeating: "x", count: 20_000)
    #expect(terminal.print(flood, 0) == 8192)
    #expect(terminal.print(flood, 0) == 0)
    #expect(terminal.print(flood, 1) == 20_000)
    // Nothing typed is lost meanwhile, and the switch works.
    _ = terminal.type("hello")
    #expect(terminal.input(0) == "hello")
    #expect(terminal.type("\u{14}1") == .show(1))
    #expect(terminal.shown() == String(repeating: "x", count: 4096))
    #expect(terminal.print(flood, 0) == 20_000)
  }

  @Test func `only the last output is kept`() {
    _ = terminal.print(String(repeating: "a", count: 5000) + "end", 1)
    _ = terminal.type("\u{14}1")
    let shown = terminal.shown()
    #expect(shown.utf8.count == 4096 && shown.hasSuffix("aend"))
  }

  @Test func `input that has no room rings the bell, and commands still work`() {
    _ = terminal.type(String(repeating: "k", count: 258))
    #expect(terminal.shown() == "\u{7}\u{7}")
    #expect(terminal.type("\u{14}1") == .show(1))
    terminal.value.forgetInput(console: 0)
    #expect(!terminal.hasInput(0))
    _ = terminal.type("y")
    #expect(terminal.hasInput(1))
  }
}
