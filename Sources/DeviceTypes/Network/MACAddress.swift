// Ethernet addresses and the first bytes of a frame. Frames come from untrusted peers.

import Wire

/// A 48-bit MAC address.
public struct MACAddress: Equatable, Sendable {
  /// The address, its first byte in bits 0 to 7.
  let bits: UInt64

  /// The address with the given bytes, in the order in which they are sent.
  public init(_ b0: UInt8, _ b1: UInt8, _ b2: UInt8, _ b3: UInt8, _ b4: UInt8, _ b5: UInt8) {
    bits =
      UInt64(b0) | UInt64(b1) << 8 | UInt64(b2) << 16 | UInt64(b3) << 24 | UInt64(b4) << 32 | UInt64(b5) << 40
  }

  /// The address that has these `bits`, or nil when there are more than 48.
  init?(bits: UInt64) {
    guard bits >> 48 == 0 else { return nil }
    self.bits = bits
  }

  /// The address at byte `offset` of `bytes`. Traps when it does not fit.
  init<let count: Int>(_ bytes: ByteArray<count>, at offset: Int = 0) {
    bits =
      UInt64(bytes.load(UInt32.self, at: offset)) | UInt64(bytes.load(UInt16.self, at: offset + 4)) << 32
  }

  /// Stores the address at byte `offset` of `bytes`. Traps when it does not fit.
  func store<let count: Int>(to bytes: inout ByteArray<count>, at offset: Int = 0) {
    bytes.store(UInt32(truncatingIfNeeded: bits), at: offset)
    bytes.store(UInt16(truncatingIfNeeded: bits >> 32), at: offset + 4)
  }

  /// Byte `index` in the order in which they are sent. Traps outside `0 ..< 6`.
  public subscript(index: Int) -> UInt8 {
    precondition(index >= 0 && index < 6, "a MAC address has 6 bytes")
    return UInt8(truncatingIfNeeded: bits >> UInt64(8 * index))
  }

  /// ff:ff:ff:ff:ff:ff.
  public static var broadcast: MACAddress { MACAddress(0xff, 0xff, 0xff, 0xff, 0xff, 0xff) }

  /// Whether it names a group of stations, all of them included.
  public var isMulticast: Bool { bits & 1 != 0 }

  /// The same address marked as locally administered and not multicast (IEEE 802, 9.2).
  public var locallyAdministered: MACAddress {
    MACAddress(self[0] & 0xfc | 2, self[1], self[2], self[3], self[4], self[5])
  }
}

/// Lengths of Ethernet frames, in bytes and without the checksum at their end.
enum Ethernet {
  /// Destination, source, type.
  static var headerByteCount: Int { 14 }
  /// Type of a frame with a VLAN tag, as its bytes lie in a frame when loaded little-endian.
  private static var tagged: UInt16 { 0x0081 }

  /// Whether the frame that starts with `prefix`, of at least 14 bytes, has a VLAN tag.
  static func isTagged<let count: Int>(_ prefix: ByteArray<count>) -> Bool {
    prefix.load(UInt16.self, at: headerByteCount - 2) == tagged
  }

  /// Length of the header of the frame that starts with `prefix`, of at least 14 bytes.
  static func headerByteCount<let count: Int>(_ prefix: ByteArray<count>) -> Int {
    isTagged(prefix) ? headerByteCount + tagByteCount : headerByteCount
  }

  /// What a VLAN tag adds to the header.
  static var tagByteCount: Int { 4 }
  /// An ordinary frame.
  static var maximumByteCount: Int { 1514 }
  /// A frame of 65535 bytes of IPv6 payload, to be segmented (§5.1.9.3).
  static var maximumOffloadByteCount: Int { 65589 }
}
