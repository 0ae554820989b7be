// Texts that are part of the program: names, and what it says.

/// A text of the program: where its bytes are, which a zero byte ends.
///
/// Smaller to hand on than a static string, which knows its length too: images are full of such calls. Its
/// bytes never change, so that everybody may have it.
@safe
@frozen
public struct FixedText: ExpressibleByStringLiteral, @unchecked Sendable {
  /// The bytes and the zero byte behind them, for functions in C. They stay for ever.
  @unsafe public let start: UnsafePointer<UInt8>

  /// The text of a literal, up to its first zero byte.
  @inline(__always)
  public init(stringLiteral value: StaticString) {
    // Static strings end with a zero byte.
    unsafe start = value.utf8Start
  }

  /// Length in bytes, without the zero byte.
  @inline(never)
  public var count: Int {
    var count = 0
    // Up to the byte that ends it.
    while unsafe start[count] != 0 { count += 1 }
    return count
  }

  /// Its bytes, without the zero byte.
  public var bytes: Span<UInt8> {
    @_lifetime(immortal)
    get {
      let all = unsafe UnsafeBufferPointer(start: start, count: count)
      // They are constant and stay for ever.
      return unsafe _overrideLifetime(Span(_unsafeElements: all), copying: ())
    }
  }
}
