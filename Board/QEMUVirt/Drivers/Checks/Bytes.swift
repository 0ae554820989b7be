// Network byte order, and frames under construction. Offsets come from our own code, after it has checked the
// length; the bytes come from anybody.

import Wire

extension RawSpan {
  /// The byte at `offset`. Traps outside.
  func byte(_ offset: Int) -> UInt8 {
    // Checked: the load itself preconditions that the byte lies within the span.
    unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
  }

  /// The 16 bits at `offset`, most significant byte first. Traps outside.
  func big16(_ offset: Int) -> UInt16 {
    // As in byte(); every bit pattern is a value.
    unsafe UInt16(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }

  /// The 32 bits at `offset`, most significant byte first. Traps outside.
  func big32(_ offset: Int) -> UInt32 {
    // As in byte(); every bit pattern is a value.
    unsafe UInt32(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }
}

/// An Ethernet frame, without its check sequence: one being built, or one received.
public struct Frame: ~Copyable {
  /// Longest frame: 14 bytes of header and 1500 of payload.
  public static let capacity = 1514

  var storage = ByteArray<1514>()
  /// Length in bytes.
  public private(set) var count = 0

  /// An empty frame.
  public init() {}

  /// The frame's bytes.
  public var bytes: RawSpan {
    @_lifetime(borrow self)
    get { storage.bytes.extracting(0..<count) }
  }

  /// Empties the frame.
  public mutating func clear() { count = 0 }

  /// The byte at `index`. Traps outside.
  public subscript(index: Int) -> UInt8 {
    precondition(index < count)
    return storage[index]
  }

  /// Adds a byte. Traps when the frame is full: what this side sends is bounded by its own code.
  public mutating func append(_ byte: UInt8) {
    storage[count] = byte
    count += 1
  }

  /// Adds 16 bits, most significant byte first.
  mutating func append16(_ value: UInt16) {
    storage.store(value.byteSwapped, at: count)
    count += 2
  }

  /// Adds 32 bits, most significant byte first.
  mutating func append32(_ value: UInt32) {
    storage.store(value.byteSwapped, at: count)
    count += 4
  }

  /// Adds zeros.
  mutating func appendZeros(_ number: Int) {
    for _ in 0..<number { append(0) }
  }

  /// Adds the characters of a text.
  mutating func append(_ text: StaticString) {
    // A static string has as many bytes as it says.
    for index in 0..<text.utf8CodeUnitCount { append(unsafe text.utf8Start[index]) }
  }

  /// Replaces the 16 bits at `offset`. Traps outside what was appended.
  mutating func set16(_ value: UInt16, at offset: Int) {
    precondition(offset + 2 <= count)
    storage.store(value.byteSwapped, at: offset)
  }

  /// Replaces the frame by bytes that were received; false, and an empty frame, when they are too many.
  public mutating func fill(from source: RawSpan) -> Bool {
    count = 0
    guard source.byteCount <= Self.capacity else { return false }
    for index in source.byteOffsets { append(source.byte(index)) }
    return true
  }
}

/// When to send something again: a number of attempts, each time after a longer wait.
struct Retry {
  /// Attempts that are left.
  private(set) var left: Int
  /// When the next one is due, in milliseconds.
  private(set) var due: UInt64
  private var interval: UInt64

  /// `attempts` of them, the first at once and the second after `interval` milliseconds.
  init(attempts: Int, interval: UInt64, now: UInt64) {
    left = attempts
    due = now
    self.interval = interval
  }

  enum Step { case wait, send, giveUp }

  /// What to do now. After `.send` the next attempt is due after twice the last wait, 8 seconds at most.
  mutating func step(_ now: UInt64) -> Step {
    if now < due { return .wait }
    if left == 0 { return .giveUp }
    left -= 1
    due = now + interval
    interval = min(interval * 2, 8000)
    return .send
  }
}

/// The stream of SplitMix64: numbers that depend on the seed alone.
public struct SplitMix64 {
  private var state: UInt64

  /// The stream of a seed.
  public init(seed: UInt64) { state = seed }

  /// The next number.
  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }
}
