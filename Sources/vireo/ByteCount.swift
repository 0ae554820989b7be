// Sizes on the command line.

import ArgumentParser

/// A number of bytes: digits, and K, M, G or T for powers of 1024.
struct ByteCount: ExpressibleByArgument {
  let bytes: UInt64

  /// Nil for what is no such number, or one of 2^64 or more.
  init?(argument text: String) {
    let units: [Character: UInt64] = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40]
    let unit = text.last.flatMap { units[$0] }
    guard let number = UInt64(unit == nil ? text[...] : text.dropLast()) else { return nil }
    let (product, overflow) = number.multipliedReportingOverflow(by: unit ?? 1)
    guard !overflow else { return nil }
    bytes = product
  }

  static let help = "SIZE is a number of bytes such as 4096, 64K or 10G; K, M, G and T are powers of 1024."
}
