// The bytes that the fuzzer made up, read from the front. Once they are used up everything reads as zero, and
// `isEmpty` ends the run.

/// What one run is about to do.
@safe
struct Input {
  private let bytes: UnsafeRawBufferPointer
  private var position = 0

  /// The caller keeps `bytes` as long as the run takes.
  @unsafe
  init(_ bytes: UnsafeRawBufferPointer) { unsafe self.bytes = bytes }

  var isEmpty: Bool { unsafe position >= bytes.count }

  /// The next integer, little-endian.
  mutating func next<T: FixedWidthInteger>(_: T.Type = T.self) -> T {
    var value: T = 0
    for shift in stride(from: 0, to: T.bitWidth, by: 8) where !isEmpty {
      // Checked by the subscript.
      value |= T(truncatingIfNeeded: unsafe bytes[position]) << T(truncatingIfNeeded: shift)
      position += 1
    }
    return value
  }

  /// A number below `count`, from one byte.
  mutating func pick(_ count: Int) -> Int { Int(next(UInt8.self)) % count }

  /// True for about one byte in `n`.
  mutating func oneIn(_ n: Int) -> Bool { pick(n) == 1 }

  /// A number that is likely to be small, but may be anything.
  mutating func number() -> UInt32 {
    switch pick(8) {
    case 0: next(UInt32.self)
    case 1: UInt32(next(UInt16.self))
    case 2: 512 * UInt32(pick(8))
    case 3: UInt32.max - UInt32(pick(4))
    default: UInt32(pick(64))
    }
  }
}
