// The options of an option acknowledgment (RFC 2347): name and value, each ended by a zero byte.

struct TFTPOptions {
  enum Option: Equatable {
    case blockSize(UInt64)
    case size(UInt64)
    /// One that was not asked for, or is damaged.
    case bad
  }

  private var offset: Int
  private let end: Int

  init(_ range: Range<Int>) {
    offset = range.lowerBound
    end = range.upperBound
  }

  /// The next option, or nil after the last.
  mutating func next(_ frame: RawSpan) -> Option? {
    guard offset < end else { return nil }
    guard let name = text(frame), let value = text(frame), let number = Self.number(frame, value) else {
      offset = end
      return .bad
    }
    if Self.equals("blksize", frame, name) { return .blockSize(number) }
    if Self.equals("tsize", frame, name) { return .size(number) }
    return .bad
  }

  /// The bytes up to the next zero, which is skipped.
  private mutating func text(_ frame: RawSpan) -> Range<Int>? {
    let start = offset
    while offset < end {
      offset += 1
      if frame.byte(offset - 1) == 0 { return start..<offset - 1 }
    }
    return nil
  }

  private static func number(_ frame: RawSpan, _ range: Range<Int>) -> UInt64? {
    // 15 digits are enough and cannot overflow.
    guard range.count >= 1, range.count <= 15 else { return nil }
    var value: UInt64 = 0
    for offset in range {
      let byte = frame.byte(offset)
      guard byte >= 0x30, byte <= 0x39 else { return nil }
      value = value * 10 + UInt64(byte - 0x30)
    }
    return value
  }

  /// Compares without regard to the case of letters (RFC 2347); `name` is in small letters.
  private static func equals(_ name: StaticString, _ frame: RawSpan, _ range: Range<Int>) -> Bool {
    guard range.count == name.utf8CodeUnitCount else { return false }
    for index in 0..<range.count {
      let byte = frame.byte(range.lowerBound + index)
      let small = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
      // A static string has as many bytes as it says.
      let wanted = unsafe name.utf8Start[index]
      guard small == wanted else { return false }
    }
    return true
  }
}
