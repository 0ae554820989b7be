// Where the consoles of the guests end: the UART, which shows one of them, and the ports of the board's
// console device, which carry each as it is. Used under the lock of the consoles only.

import DeviceTypes
import Machine
import Platform
import Virtio
import Wire

/// The terminal that the consoles share, and the ports that they have for themselves.
struct ConsoleTerminal: ~Copyable {
  /// Ports of a guest: its console, and one more.
  static var portCount: Int { 2 }

  /// What the UART shows.
  var screen: ConsoleMultiplexer<4>
  /// The board's console device.
  var ports: HardwarePorts?
  private var received: [8 of ByteRing<256>] = InlineArray { _ in ByteRing() }

  @inline(never)
  init(guestCount: Int) { screen = ConsoleMultiplexer(count: guestCount) }

  // MARK: Output

  /// Takes output of a guest. Returns how many bytes: as many as both ends have room for.
  mutating func write(_ range: GuestRange, guest: Int, port: Int) -> UInt32 {
    var done: UInt32 = 0
    while done < range.byteCount {
      var count = min(256, Int(range.byteCount - done))
      if port == 0 { count = min(count, screen.room(console: guest)) }
      if count == 0 { break }
      var bytes = ByteArray<256>()
      var all = bytes.mutableBytes
      var part = all._mutatingExtracting(first: count)
      range.dropFirst(done).copyOut(to: &part)
      let taken = ports?.write(bytes.bytes.extracting(first: count), guest, port) ?? count
      if port == 0 { for index in 0..<taken { screen.write(bytes[index], console: guest) } }
      done += UInt32(taken)
      if taken < count { break }
    }
    return done
  }

  /// Moves output to the UART, at most `limit` bytes. Returns whether there is more.
  mutating func drain(limit: Int) -> Bool {
    if !screen.hasOutput { return false }
    Serial.exclusively {
      for _ in 0..<limit {
        guard let byte = screen.nextOutput() else { return }
        Serial.put(byte: byte)
      }
    }
    return screen.hasOutput
  }

  // MARK: Input

  /// Takes what was typed, up to a command that is for others than the consoles.
  mutating func takeInput() -> ConsoleCommand {
    while let byte = SerialInput.next() {
      let command = screen.type(byte)
      switch command {
      case .none: break
      case .show(let guest):
        say("guest ", UInt8(0x30 + guest))
        screen.replay()
      case .noSuchConsole: say("no such guest")
      case .help:
        say("Ctrl-T and 0 to 9: that guest; r: restart it; o: power it off; s: ask it to; Ctrl-T: itself")
      case .restart, .powerOff, .shutDown: return command
      }
    }
    return .none
  }

  private mutating func say(_ text: FixedText, _ last: UInt8? = nil) {
    screen.say(0x0d)
    screen.say(0x0a)
    screen.say(0x5b)
    let bytes = text.bytes
    for index in bytes.indices { screen.say(bytes[index]) }
    if let last { screen.say(last) }
    screen.say(0x5d)
    screen.say(0x0d)
    screen.say(0x0a)
  }

  /// Whether there is input for a port of a guest.
  mutating func hasInput(guest: Int, port: Int) -> Bool {
    if port == 0 && screen.hasInput(console: guest) { return true }
    let place = guest * Self.portCount + port
    if received[place].count == 0 { receive(guest, port) }
    return received[place].count != 0
  }

  /// Takes what came at the hardware's port, as far as there is room.
  private mutating func receive(_ guest: Int, _ port: Int) {
    var bytes = ByteArray<256>()
    var all = bytes.mutableBytes
    let count = ports?.read(into: &all, guest, port) ?? 0
    for index in 0..<count { _ = received[guest * Self.portCount + port].append(bytes[index]) }
  }

  /// Moves input to `range`. Returns how many bytes.
  mutating func read(into range: GuestRange, guest: Int, port: Int) -> UInt32 {
    var bytes = ByteArray<256>()
    var count = 0
    let limit = min(256, Int(range.byteCount))
    while count < limit, port == 0, let byte = screen.nextInput(console: guest) {
      bytes[count] = byte
      count += 1
    }
    while count < limit, let byte = received[guest * Self.portCount + port].popFirst() {
      bytes[count] = byte
      count += 1
    }
    range.copyIn(from: bytes.bytes.extracting(first: count))
    return UInt32(count)
  }

  /// A guest ended: what was typed for it is for nobody.
  mutating func forgetInput(guest: Int) {
    screen.forgetInput(console: guest)
    for port in 0..<Self.portCount { received[guest * Self.portCount + port].removeAll() }
  }
}

/// Where the terminal is, for the guests' ends of it. Allocated once and never freed.
@safe struct TerminalReference {
  private let place: UnsafeMutablePointer<ConsoleTerminal>

  init(_ terminal: consuming ConsoleTerminal) {
    unsafe place = UnsafeMutablePointer<ConsoleTerminal>.allocate(capacity: 1)
    unsafe place.initialize(to: terminal)
  }

  /// Calls `body` with the terminal, under the lock of the consoles.
  @inline(__always)
  func with<Result>(_ body: (inout ConsoleTerminal) -> Result) -> Result { unsafe body(&place.pointee) }
}

/// A guest's end of the terminal.
struct GuestConsole: ConsoleBackend {
  let guest: Int
  let terminal: TerminalReference

  mutating func write(_ range: GuestRange, port: Int) -> UInt32 {
    terminal.with { $0.write(range, guest: guest, port: port) }
  }

  func hasInput(port: Int) -> Bool { terminal.with { $0.hasInput(guest: guest, port: port) } }

  mutating func read(into range: GuestRange, port: Int) -> UInt32 {
    terminal.with { $0.read(into: range, guest: guest, port: port) }
  }

  mutating func emergencyWrite(_ byte: UInt8) {
    terminal.with { if $0.screen.room(console: guest) != 0 { $0.screen.write(byte, console: guest) } }
  }
}
