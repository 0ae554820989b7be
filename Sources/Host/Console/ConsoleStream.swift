// What is behind a console: a terminal or pipes of this process, a pseudo-terminal, or whoever connects to a
// socket. None of them is trusted to read, or to stay.

import CLinux
public import DeviceTypes
import Glibc
public import Virtio

/// The host's end of a console device with one port.
///
/// Nothing is kept here: bytes go straight between guest memory and the file. Output waits in the guest while
/// somebody is there who does not read, and is lost while nobody is there.
@safe
public struct ConsoleStream: HostedConsole, ~Copyable {
  private var loop: EventLoop
  /// Where clients connect, one at a time; those that come meanwhile wait.
  private var listener: OpenFile?
  private var input: OpenFile?
  private var output: OpenFile?
  /// Whether the files stay when nobody is at their other end: somebody can open it again.
  private var isTerminalPair = false
  /// What a terminal of this process was like.
  private var terminal: OpaquePointer?
  /// There may be input: something came since the last look found nothing.
  private var mayHaveInput = true

  /// Standard input and output, or any two open files like them, of which others may have the same.
  ///
  /// A terminal passes on every key while this lives, but for those that send signals.
  public init(reading input: Int32, writing output: Int32) throws(SystemError) {
    let source = try OpenFile(checking: clinux_unshared(input, 0))
    let target = try OpenFile(checking: clinux_unshared(output, 1))
    loop = try Self.loop(watching: [source, target])
    self.input = source
    self.output = target
    // Nothing, when it is no terminal.
    unsafe terminal = clinux_terminal_take(source.number)
  }

  /// A new pseudo-terminal; the name of the end for others goes to `name`.
  public init(pseudoTerminal name: inout String) throws(SystemError) {
    var bytes = [CChar](repeating: 0, count: 128)
    // As long as the array.
    let end = try OpenFile(checking: unsafe clinux_pty(&bytes, bytes.count))
    name = String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    loop = try Self.loop(watching: [end])
    input = end
    output = end
    isTerminalPair = true
  }

  /// Whoever connects to the Unix stream socket `path`, one client after the other.
  public init(listeningAt path: String) throws(SystemError) {
    let listener = try OpenFile(checking: unsafe clinux_listen(path))
    try listener.doNotBlock()
    loop = try Self.loop(watching: [listener])
    self.listener = listener
  }

  deinit {
    // The same that was taken, and not used again.
    if let terminal = unsafe terminal { unsafe clinux_terminal_give_back(terminal) }
  }

  private static func loop(watching files: [OpenFile]) throws(SystemError) -> EventLoop {
    let loop = try EventLoop()
    for file in files {
      do throws(SystemError) {
        try loop.add(file, token: 0, isEdge: true)
      } catch {
        // A file on a disk, and the like: always ready, and thus without news.
        if error.number != EPERM { throw error }
      }
    }
    return loop
  }

  /// One set of all that can have news.
  public var events: [OpenFile] { [loop.set] }

  /// The size of the terminal in characters, when there is one that knows.
  public var size: ConsoleSize? {
    guard let output, !isTerminalPair else { return nil }
    var size = ConsoleSize(columns: 0, rows: 0)
    // Both live for the call.
    guard unsafe clinux_terminal_size(output.number, &size.columns, &size.rows) != 0 else { return nil }
    return size
  }

  /// Something came, or there is room again, or somebody has come or gone.
  public mutating func gather() {
    // That there is news is all; it is found out where.
    do throws(SystemError) { _ = try loop.look(waits: false) } catch { Log.warn("the console: \(error)") }
    mayHaveInput = true
    guard listener != nil else { return }
    // Only the other end of its output was left of this client.
    if input == nil, let output, clinux_is_hung_up(output.number) != 0 { self.output = nil }
    acceptNext()
  }

  /// Takes in the next client, once the last one is gone.
  private mutating func acceptNext() {
    guard let listener, input == nil, output == nil else { return }
    let number = clinux_accept(listener.number)
    guard number >= 0 else { return }
    let client = OpenFile(number)
    do throws(SystemError) { try loop.add(client, token: 0, isEdge: true) } catch {
      return Log.warn("a client of the console: \(error)")
    }
    Log.note("a client of the console connected")
    input = client
    output = client
    mayHaveInput = true
  }

  /// No more input comes.
  private mutating func endInput() {
    mayHaveInput = false
    input = nil
    guard listener != nil else { return Log.note("the input of the console ended") }
    // A client that closed one direction only still reads.
    if let output, clinux_is_hung_up(output.number) != 0 { endOutput() }
  }

  /// Nobody reads output any more.
  private mutating func endOutput() {
    output = nil
    guard listener != nil else { return Log.warn("nobody reads the output of the console any more") }
    if input == nil {
      Log.note("the client of the console is gone")
      acceptNext()
    }
  }

  // MARK: Data

  /// Writes at once what there is room for; without anybody there, all of it goes nowhere.
  public mutating func write(_ range: GuestRange, port: Int) -> UInt32 {
    guard let output else { return range.byteCount }
    if isTerminalPair && clinux_is_hung_up(output.number) != 0 { return range.byteCount }
    var rest = range
    while rest.byteCount != 0 {
      // A checked range is valid for its length.
      let count = unsafe clinux_put(output.number, rest.host, Int(rest.byteCount))
      if count == -Int(EAGAIN) { break }
      guard count > 0 else {
        if !isTerminalPair { endOutput() }
        return range.byteCount
      }
      rest = rest.dropFirst(UInt32(count))
    }
    return range.byteCount - rest.byteCount
  }

  /// Whether input came since there was none.
  public func hasInput(port: Int) -> Bool { mayHaveInput && input != nil }

  /// Reads what is there.
  public mutating func read(into range: GuestRange, port: Int) -> UInt32 {
    guard let input else { return 0 }
    // A checked range is valid for its length.
    let count = unsafe clinux_get(input.number, range.host, Int(range.byteCount))
    if count > 0 { return UInt32(count) }
    mayHaveInput = false
    // A pseudo-terminal that nobody has open cannot be read, and can again once somebody has.
    if count != -Int(EAGAIN) && !isTerminalPair { endInput() }
    return 0
  }

  /// Writes the character, if there is room.
  public mutating func emergencyWrite(_ byte: UInt8) {
    guard let output else { return }
    var byte = byte
    // Lives for the call. Who writes so does not wait.
    _ = unsafe clinux_put(output.number, &byte, 1)
  }
}
