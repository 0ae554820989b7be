// The boot arguments: words that are separated by spaces, each a name or name=value, up to one that is `--`;
// what follows that is for somebody else.

import Synchronization
public import Wire

/// What an option says that has no value of the kind asked for.
public enum BootOptionError: Error, Equatable {
  case notANumber
}

/// A copy of the boot arguments.
public struct BootOptions: ~Copyable, Sendable {
  /// Never used. A value that holds an atomic has a place of its own, so that it is not copied for each call.
  private let place = Atomic<UInt8>(0)
  /// Longest text that is accepted, in bytes.
  public static let sizeLimit = 1024

  private var bytes = InlineArray<1024, UInt8>(repeating: 0)
  private var count = 0

  /// No options.
  public init() {}

  /// Takes over the options in a property; a zero byte ends them. Returns false, and has none, if they are
  /// too long.
  mutating func take(_ text: Property) -> Bool {
    count = 0
    for index in 0..<text.count {
      let byte = text.byte(index)
      if byte == 0 { break }
      guard count < Self.sizeLimit else {
        count = 0
        return false
      }
      bytes[count] = byte
      count += 1
    }
    return true
  }

  /// Whether `word` is one of the words, whole: `check`, or `trap=bounds`.
  public func contains(_ word: FixedText) -> Bool {
    var start = 0
    while let range = nextWord(from: &start) {
      if range.count == word.count, hasPrefix(word, at: range.lowerBound) { return true }
    }
    return false
  }

  /// Whether a word starts with `text`.
  public func hasWord(startingWith text: FixedText) -> Bool {
    var start = 0
    while let range = nextWord(from: &start) {
      if range.count >= text.count, hasPrefix(text, at: range.lowerBound) { return true }
    }
    return false
  }

  /// The decimal number of the first word `name=number`, or nil if there is none. `name` ends with "=".
  public func number(_ name: FixedText) throws(BootOptionError) -> UInt64? {
    var start = 0
    while let range = nextWord(from: &start) {
      let length = name.count
      guard range.count >= length, hasPrefix(name, at: range.lowerBound) else { continue }
      return try number(in: range.lowerBound + length..<range.upperBound)
    }
    return nil
  }

  /// The decimal numbers of the first word `name=number,number...`: how many there are, at most `limit`, and
  /// the numbers; nil if there is no such word. `name` ends with "=".
  public func numbers<let limit: Int>(
    _ name: FixedText
  ) throws(BootOptionError) -> (count: Int, [limit of UInt64])? {
    var start = 0
    while let range = nextWord(from: &start) {
      let length = name.count
      guard range.count >= length, hasPrefix(name, at: range.lowerBound) else { continue }
      var numbers = [limit of UInt64](repeating: 0)
      var (count, first) = (0, range.lowerBound + length)
      for end in first...range.upperBound where end == range.upperBound || bytes[end] == 0x2c {
        guard count < limit else { throw .notANumber }
        numbers[count] = try number(in: first..<end)
        count += 1
        first = end + 1
      }
      return (count, numbers)
    }
    return nil
  }

  /// What follows the word `--`, without the spaces around it; empty if there is no such word.
  public var rest: Span<UInt8> {
    @_lifetime(borrow self)
    get {
      var (start, end) = (0, count)
      while nextWord(from: &start) != nil {}
      start = min(start + 2, count)
      while start < end, bytes[start] == 0x20 { start += 1 }
      while end > start, bytes[end - 1] == 0x20 { end -= 1 }
      return bytes.span.extracting(start..<end)
    }
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
  @inline(never)
  private func nextWord(from start: inout Int) -> Range<Int>? {
    while start < count, bytes[start] == 0x20 { start += 1 }
    guard start < count else { return nil }
    let first = start
    while start < count, bytes[start] != 0x20 { start += 1 }
    if start - first == 2, hasPrefix("--", at: first) {
      start = first
      return nil
    }
    return first..<start
  }

  private func hasPrefix(_ text: FixedText, at start: Int) -> Bool {
    let wanted = text.bytes
    for index in wanted.indices {
      guard start + index < count, bytes[start + index] == wanted[index] else { return false }
    }
    return true
  }
}
