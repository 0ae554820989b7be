// Several consoles on one terminal: which one it shows, what it missed, and the keys that switch. Guests are
// untrusted: their output is bounded memory here, and none takes room from another.

import Synchronization

/// A ring of bytes.
public struct ByteRing<let capacity: Int>: ~Copyable {
  private var bytes = [capacity of UInt8](repeating: 0)
  private var first = 0
  /// How many bytes it holds.
  public private(set) var count = 0
  /// Never used: what holds an atomic is not copied when it is borrowed.
  private let place = Atomic<UInt8>(0)

  /// An empty ring.
  public init() {}

  // As in `DeviceVirtqueue`: else others would have to destroy the atomic, which Embedded Swift 6.3.1 cannot.
  deinit {}

  /// How many more bytes it takes.
  public var room: Int { capacity - count }

  /// Adds a byte. False when there is no room.
  @inline(never)
  public mutating func append(_ byte: UInt8) -> Bool {
    if count == capacity { return false }
    bytes[(first + count) % capacity] = byte
    count += 1
    return true
  }

  /// Adds a byte, in place of the oldest when there is no room.
  public mutating func push(_ byte: UInt8) {
    if count == capacity { _ = popFirst() }
    _ = append(byte)
  }

  /// The oldest byte, taken out.
  public mutating func popFirst() -> UInt8? {
    if count == 0 { return nil }
    let byte = bytes[first]
    first = (first + 1) % capacity
    count -= 1
    return byte
  }

  /// The byte at `index`, from the oldest on. Traps beyond the last.
  public func byte(_ index: Int) -> UInt8 {
    precondition(index >= 0 && index < count, "beyond the ring")
    return bytes[(first + index) % capacity]
  }

  /// Forgets all of them.
  public mutating func removeAll() { count = 0 }
}

/// What a key asks for that is not for a guest.
public enum ConsoleCommand: Equatable, Sendable {
  /// Nothing: the key was for a guest, or begins a command.
  case none
  /// That console is in front now: its number is to be shown, then `replay` called.
  case show(Int)
  /// There is no console of that number.
  case noSuchConsole
  /// The keys are to be explained.
  case help
  /// The guest is to be started again.
  case restart(Int)
  /// The guest is to be ended.
  case powerOff(Int)
  /// The guest is to be asked to end.
  case shutDown(Int)
}

/// Up to `consoleCount` consoles, 1 to 10, on one terminal.
///
/// What is typed goes to the console in front, and its output to the terminal, through a ring: when that is
/// full its guest waits, and no other one. The others' output is kept, the last 4096 bytes of each, and shown
/// when they come to the front. Ctrl-T begins a command: a digit for the console of that number, r, o and s
/// to restart, end or ask its guest to end, ? for help, and Ctrl-T again for itself.
public struct ConsoleMultiplexer<let consoleCount: Int>: ~Copyable {
  /// Ctrl-T.
  public static var escape: UInt8 { 0x14 }

  /// The console in front.
  public private(set) var focus = 0
  private let count: Int
  private var isEscaped = false
  private var histories: [consoleCount of ByteRing<4096>] = InlineArray { _ in ByteRing() }
  private var inputs: [consoleCount of ByteRing<256>] = InlineArray { _ in ByteRing() }
  private var output = ByteRing<8192>()

  // As in `ByteRing`.
  deinit {}

  /// A terminal with the first `count` consoles, the first of them in front. Traps unless `count` is 1 to
  /// `consoleCount`.
  public init(count: Int) {
    precondition(consoleCount <= 10 && count >= 1 && count <= consoleCount, "1 to 10 consoles")
    self.count = count
  }

  // MARK: Output

  /// How many bytes of a console are taken now: none while it is in front and the terminal is behind.
  public func room(console: Int) -> Int { console == focus ? output.room : .max }

  /// A byte of a console, for which there is room.
  public mutating func write(_ byte: UInt8, console: Int) {
    histories[console].push(byte)
    if console == focus { _ = output.append(byte) }
  }

  /// Whether there is something for the terminal.
  public var hasOutput: Bool { output.count != 0 }

  /// The next byte for the terminal.
  public mutating func nextOutput() -> UInt8? { output.popFirst() }

  // MARK: Input

  /// A byte was typed. What a console has no room for is lost, and the terminal's bell says so.
  public mutating func type(_ byte: UInt8) -> ConsoleCommand {
    if isEscaped {
      isEscaped = false
      return execute(byte)
    }
    if byte == Self.escape {
      isEscaped = true
    } else {
      enter(byte)
    }
    return .none
  }

  private mutating func enter(_ byte: UInt8) {
    if !inputs[focus].append(byte) { _ = output.append(7) }
  }

  private mutating func execute(_ key: UInt8) -> ConsoleCommand {
    switch key {
    case Self.escape: enter(key)
    case 0x30...0x39:  // a digit
      let console = Int(key) - 0x30
      guard console < count else { return .noSuchConsole }
      focus = console
      // What is left of the other one is kept there.
      output.removeAll()
      return .show(console)
    case 0x72: return .restart(focus)  // r
    case 0x6f: return .powerOff(focus)  // o
    case 0x73: return .shutDown(focus)  // s
    default: return .help
    }
    return .none
  }

  /// Adds what the console in front said last to the output.
  public mutating func replay() {
    for index in 0..<histories[focus].count { _ = output.append(histories[focus].byte(index)) }
  }

  /// Adds a byte of the host to the output, if there is room.
  public mutating func say(_ byte: UInt8) { _ = output.append(byte) }

  /// Whether a console has input.
  public func hasInput(console: Int) -> Bool { inputs[console].count != 0 }

  /// The next byte for a console.
  public mutating func nextInput(console: Int) -> UInt8? { inputs[console].popFirst() }

  /// Forgets the input of a console whose guest ended.
  public mutating func forgetInput(console: Int) { inputs[console].removeAll() }
}
