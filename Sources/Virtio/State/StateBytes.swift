// The state of a device as bytes: little-endian fields in a fixed order. Those that are read may come from
// anyone, and are checked one by one.

import Wire

/// Why a state cannot be saved or restored.
public enum StateFault: Error, Equatable, Sendable {
  /// Requests are with the backend, or a reset or suspension is under way: complete them and try again.
  case busy
  /// The device type has no saved state.
  case unsupported
  /// The bytes end too early or too late, or a field has a value that no device saves.
  case malformed
  /// The bytes are of a version that is not known here.
  case unknownVersion
  /// The bytes are of a device of another type, or of one that offers more than this one.
  case otherDevice
}

/// Fields, one after the other, at the start of a piece of memory.
///
/// What does not fit is counted and not written, so that a writer over no memory tells the length.
public struct StateWriter: ~Copyable, ~Escapable {
  private var bytes: MutableRawSpan
  /// Length of what was appended.
  public private(set) var byteCount = 0

  /// Nothing yet.
  @_lifetime(copy bytes)
  public init(_ bytes: consuming MutableRawSpan) { self.bytes = bytes }

  /// Whether all of it fitted.
  public var isComplete: Bool { byteCount <= bytes.byteCount }

  /// Appends an integer, little-endian.
  public mutating func append<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
    let end = byteCount + MemoryLayout<T>.size
    if end <= bytes.byteCount {
      bytes.storeBytes(of: value.littleEndian, toByteOffset: byteCount, as: T.self)
    }
    byteCount = end
  }

  /// Appends a byte of 1 or 0.
  public mutating func append(_ flag: Bool) { append(flag ? 1 as UInt8 : 0) }
}

/// The fields of a state, read in the order in which they were appended.
public struct StateReader: ~Copyable, ~Escapable {
  private let bytes: RawSpan
  private var offset = 0

  /// From the first byte.
  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan) { self.bytes = bytes }

  /// Whether every byte was read.
  public var isAtEnd: Bool { offset == bytes.byteCount }

  /// The next integer. Throws `.malformed` at the end.
  public mutating func next<T: FixedWidthInteger & BitwiseCopyable>(
    _: T.Type = T.self
  ) throws(StateFault) -> T {
    let end = offset + MemoryLayout<T>.size
    guard end <= bytes.byteCount else { throw .malformed }
    let field = ByteArray<8>(prefixOf: bytes.extracting(offset..<end))
    offset = end
    return field.load(at: 0)
  }

  /// The next byte, which is 1 or 0. Throws `.malformed` for any other and at the end.
  public mutating func nextFlag() throws(StateFault) -> Bool {
    let value: UInt8 = try next()
    guard value <= 1 else { throw .malformed }
    return value == 1
  }
}
