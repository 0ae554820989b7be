// Operations as numbers, for embedders that cannot keep a value of this module's.

extension OperationID {
  /// A number that tells the operation from others; never 0.
  public var number: UInt32 { 1 << 31 | UInt32(agent) << 24 | UInt32(slot) << 16 | UInt32(generation) }

  /// The operation with that number, which need not be under way; nil for a number that none can have.
  public init?(number: UInt32) {
    guard number >> 31 == 1, number >> 24 & 0x7F < 32, number >> 16 & 0xFF < 8 else { return nil }
    agent = UInt8(number >> 24 & 0x7F)
    slot = UInt8(truncatingIfNeeded: number >> 16)
    generation = UInt16(truncatingIfNeeded: number)
  }
}
