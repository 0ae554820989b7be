import Wire

@testable import DriverChecks

extension [UInt8] {
  /// Calls `body` with these bytes.
  func withBytes<Result>(_ body: (RawSpan) throws -> Result) rethrows -> Result {
    // Every value of UInt8 is a byte.
    try body(unsafe span.bytes)
  }

  /// The bytes of hexadecimal digits.
  init(hex text: String) {
    let digits = text.filter { $0.isHexDigit }.map { UInt8($0.hexDigitValue!) }
    self = stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }

  var sha256: [UInt8] {
    var hash = SHA256()
    withBytes { hash.update($0) }
    return hash.finish().array
  }
}

extension ByteArray {
  var array: [UInt8] { (0..<count).map { self[$0] } }
}

extension Frame {
  /// Calls `body` on an empty frame and returns what it made of it.
  static func built(_ body: (inout Frame) -> Void) -> [UInt8] {
    var frame = Frame()
    body(&frame)
    return (0..<frame.count).map { frame[$0] }
  }
}

extension IPv4Address {
  init(_ a: UInt32, _ b: UInt32, _ c: UInt32, _ d: UInt32) { self.init(a << 24 | b << 16 | c << 8 | d) }
}

/// A seeded generator for tests.
struct Seeded: RandomNumberGenerator {
  var stream: SplitMix64
  init(_ seed: UInt64) { stream = SplitMix64(seed: seed) }
  mutating func next() -> UInt64 { stream.next() }
}

let ourMAC = EthernetAddress(0x5254_0012_3456)
let serverMAC = EthernetAddress(0x5255_0a00_0202)
let ourAddress = IPv4Address(10, 0, 2, 15)
let serverAddress = IPv4Address(10, 0, 2, 2)
