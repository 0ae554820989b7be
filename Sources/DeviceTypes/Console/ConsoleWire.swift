// virtio 1.4 §5.3 Console Device: what both sides agree on.

public import Virtio
import Wire

/// Feature bits of the console device (§5.3.3).
public enum ConsoleFeature {
  /// VIRTIO_CONSOLE_F_SIZE (0): `cols` and `rows` of the configuration are valid.
  public static var size: Features { .bit(0) }
  /// VIRTIO_CONSOLE_F_MULTIPORT (1): several ports, and control queues.
  public static var multiport: Features { .bit(1) }
  /// VIRTIO_CONSOLE_F_EMERG_WRITE (2): `emerg_wr` of the configuration is valid.
  public static var emergencyWrite: Features { .bit(2) }
  /// All of them.
  public static var all: Features { size | multiport | emergencyWrite }
}

/// struct virtio_console_config (§5.3.4): where its fields are.
enum ConsoleConfiguration {
  static var columns: Int { 0 }  // le16
  static var rows: Int { 2 }  // le16
  static var portCountMax: Int { 4 }  // le32
  static var emergencyWrite: Int { 8 }  // le32
  static var byteCount: Int { 12 }
}

/// The virtqueues of a console device (§5.3.2).
enum ConsoleQueue {
  static var controlReceive: Int { 2 }
  static var controlTransmit: Int { 3 }

  /// Port 0 has the queues 0 and 1; the control queues come between it and the other ports.
  static func receive(_ port: Int) -> Int { port == 0 ? 0 : 2 * port + 2 }
  static func transmit(_ port: Int) -> Int { receive(port) + 1 }
  /// The port whose queue `index` is. Not for the control queues.
  static func port(_ index: Int) -> Int { index < controlReceive ? 0 : index / 2 - 1 }
  /// Queues of a device with `count` ports.
  static func count(ports count: Int) -> Int { 2 * count + 2 }
}

/// The size of a text console, in characters.
public struct ConsoleSize: Equatable, Sendable {
  /// Characters in a line.
  public var columns: UInt16
  /// Lines.
  public var rows: UInt16

  /// `columns` by `rows` characters.
  public init(columns: UInt16, rows: UInt16) {
    self.columns = columns
    self.rows = rows
  }
}

/// Values of `event` in a control message (§5.3.6.2).
enum ConsoleEvent {
  static var deviceReady: UInt16 { 0 }
  static var deviceAdd: UInt16 { 1 }
  static var deviceRemove: UInt16 { 2 }
  static var portReady: UInt16 { 3 }
  static var consolePort: UInt16 { 4 }
  static var resize: UInt16 { 5 }
  static var portOpen: UInt16 { 6 }
  static var portName: UInt16 { 7 }
}

/// struct virtio_console_control (§5.3.6.2). Some events are followed by more.
struct ConsoleControl: Equatable {
  var id: UInt32  // le32
  var event: UInt16  // le16
  var value: UInt16  // le16

  static var byteCount: Int { 8 }
  /// The longest message: one with a name.
  static var byteCountMax: Int { byteCount + ConsolePortName.byteCountMax }

  init(id: UInt32, event: UInt16, value: UInt16 = 0) {
    self.id = id
    self.event = event
    self.value = value
  }

  init(_ bytes: ByteArray<8>) {
    id = bytes.load(at: 0)
    event = bytes.load(at: 4)
    value = bytes.load(at: 6)
  }

  var bytes: ByteArray<8> {
    var bytes = ByteArray<8>()
    bytes.store(id, at: 0)
    bytes.store(event, at: 4)
    bytes.store(value, at: 6)
    return bytes
  }
}

extension ConsoleSize {
  /// struct virtio_console_resize, which follows a RESIZE message. Some versions of Linux take the rows to be
  /// first.
  init(_ bytes: ByteArray<4>) {
    self.init(columns: bytes.load(at: 0), rows: bytes.load(at: 2))
  }

  var bytes: ByteArray<4> {
    var bytes = ByteArray<4>()
    bytes.store(columns, at: 0)  // le16
    bytes.store(rows, at: 2)  // le16
    return bytes
  }
}

/// The name of a port, in UTF-8. The clause sets no limit; ours is `byteCountMax`, and the rest is cut off.
public struct ConsolePortName: Equatable, Sendable {
  /// The longest name kept, in bytes.
  public static var byteCountMax: Int { 64 }
  /// Length in bytes; 0 for a port without a name.
  public private(set) var byteCount = 0
  var storage = ByteArray<64>()

  /// No name.
  public init() {}

  /// The first `byteCountMax` bytes of `bytes`.
  public init(_ bytes: some Sequence<UInt8>) {
    for byte in bytes { append(byte) }
  }

  /// Adds a byte, unless the name is full.
  public mutating func append(_ byte: UInt8) {
    if byteCount == Self.byteCountMax { return }
    storage[byteCount] = byte
    byteCount += 1
  }

  /// The byte at `index`. Traps outside `0 ..< byteCount`.
  public subscript(index: Int) -> UInt8 {
    precondition(index >= 0 && index < byteCount, "beyond the name")
    return storage[index]
  }

  /// The same bytes.
  public static func == (a: ConsolePortName, b: ConsolePortName) -> Bool {
    guard a.byteCount == b.byteCount else { return false }
    for i in 0..<a.byteCount where a.storage[i] != b.storage[i] { return false }
    return true
  }
}
