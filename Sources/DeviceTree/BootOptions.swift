// The boot arguments: words that are separated by spaces, each a name or name=value.

/// What an option says that has no value of the kind asked for.
public enum BootOptionError: Error, Equatable {
  case notANumber
}

/// A copy of the boot arguments.
public struct BootOptions: Sendable {
  /// Longest text that is accepted, in bytes.
  public static let sizeLimit = 256

  private var bytes = InlineArray<256, UInt8>(repeating: 0)
  private var count = 0

  /// No options.
  public init() {}

  /// The options in a property, or nil if it is too long. A zero byte ends them.
  init?(_ text: Property) {
    for index in 0..<text.count {
      let byte = text.byte(index)
      if byte == 0 { break }
      guard count < Self.sizeLimit else { return nil }
      bytes[count] = byte
      count += 1
    }
  }

  /// Whether `word` is one of the words, whole: `check`, or `trap=bounds`.
  public func contains(_ word: StaticString) -> Bool {
    var start = 0
    while let range = nextWord(from: &start) {
      if range.count == word.utf8CodeUnitCount, hasPrefix(word, at: range.lowerBound) { return true }
    }
    return false
  }

  /// The decimal number of the first word `name=number`, or nil if there is none. `name` ends with "=".
  public func number(_ name: StaticString) throws(BootOptionError) -> UInt64? {
    var start = 0
    while let range = nextWord(from: &start) {
      let length = name.utf8CodeUnitCount
      guard range.count >= length, hasPrefix(name, at: range.lowerBound) else { continue }
      return try number(in: range.lowerBound + length..<range.upperBound)
    }
    return nil
  }

  private func number(in range: Range<Int>) throws(BootOptionError) -> UInt64 {
    guard !range.isEmpty else { throw .notANumber }
    var value: UInt64 = 0
    for index in range {
      let byte = bytes[index]
      guard byte >= 0x30, byte <= 0x39 else { throw .notANumber }
      let (product, tooLarge) = value.multipliedReportingOverflow(by: 10)
      let (sum, overflow) = product.addingReportingOverflow(UInt64(byte - 0x30))
      guard !tooLarge, !overflow else { throw .notANumber }
      value = sum
    }
    return value
  }

  /// The next word from `start` on, which moves behind it.
  private func nextWord(from start: inout Int) -> Range<Int>? {
    while start < count, bytes[start] == 0x20 { start += 1 }
    guard start < count else { return nil }
    let first = start
    while start < count, bytes[start] != 0x20 { start += 1 }
    return first..<start
  }

  private func hasPrefix(_ text: StaticString, at start: Int) -> Bool {
    for index in 0..<text.utf8CodeUnitCount {
      guard start + index < count, bytes[start + index] == text.byte(index) else { return false }
    }
    return true
  }
}
