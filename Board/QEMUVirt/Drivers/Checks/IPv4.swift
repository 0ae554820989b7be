// IPv4 (RFC 791) without options and fragments of our own, and UDP (RFC 768).

/// An IPv4 address.
public struct IPv4Address: Equatable, Sendable {
  /// The four bytes, the first one in bits 24 to 31.
  public let rawValue: UInt32

  /// The address of those bits.
  public init(_ rawValue: UInt32) { self.rawValue = rawValue }

  /// No address yet.
  public static var unspecified: IPv4Address { IPv4Address(0) }
  /// All hosts of this network.
  public static var broadcast: IPv4Address { IPv4Address(.max) }

  /// Whether a single other host can have it: not 0/8, loopback, multicast, reserved or broadcast.
  var isHost: Bool {
    let first = rawValue >> 24
    return first != 0 && first != 127 && first < 224
  }
}

/// The checksum of RFC 1071, as a sum under way.
struct InternetChecksum {
  private var sum: UInt64 = 0

  /// Adds `range` of `bytes`; an odd last byte counts as followed by zero. Traps outside.
  mutating func add(_ bytes: RawSpan, _ range: Range<Int>) {
    var offset = range.lowerBound
    while offset + 1 < range.upperBound {
      sum += UInt64(bytes.big16(offset))
      offset += 2
    }
    if offset < range.upperBound { sum += UInt64(bytes.byte(offset)) << 8 }
  }

  mutating func add(_ address: IPv4Address) {
    sum += UInt64(address.rawValue >> 16) + UInt64(address.rawValue & 0xffff)
  }

  mutating func add(_ value: UInt16) { sum += UInt64(value) }

  /// The value for the checksum field; 0 over data whose own checksum is right.
  var value: UInt16 {
    var folded = sum
    while folded >> 16 != 0 { folded = folded & 0xffff + folded >> 16 }
    return ~UInt16(folded)
  }
}

/// A UDP datagram in a frame that was received.
struct UDPDatagram {
  private static let udp: UInt8 = 17
  private static let headerByteCount = 20
  private static let udpHeaderByteCount = 8

  let source: IPv4Address
  let destination: IPv4Address
  let sourcePort: UInt16
  let destinationPort: UInt16
  /// Where the payload lies in the frame.
  let payload: Range<Int>

  /// The datagram in a frame, or nil if it holds none that is whole and has right checksums.
  init?(frame: RawSpan) {
    let start = Ethernet.headerByteCount
    guard frame.byteCount >= start + Self.headerByteCount, frame.big16(12) == EtherType.ipv4,
      frame.byte(start) >> 4 == 4
    else { return nil }
    let header = Int(frame.byte(start) & 0xf) * 4
    let total = Int(frame.big16(start + 2))
    guard header >= Self.headerByteCount, total >= header + Self.udpHeaderByteCount,
      total <= frame.byteCount - start
    else { return nil }
    var checksum = InternetChecksum()
    checksum.add(frame, start..<start + header)
    // No fragments: neither MORE FRAGMENTS nor an offset.
    guard checksum.value == 0, frame.big16(start + 6) & 0x3fff == 0, frame.byte(start + 9) == Self.udp
    else { return nil }

    let udp = start + header
    let length = Int(frame.big16(udp + 4))
    guard length >= Self.udpHeaderByteCount, length <= total - header else { return nil }
    source = IPv4Address(frame.big32(start + 12))
    destination = IPv4Address(frame.big32(start + 16))
    sourcePort = frame.big16(udp)
    destinationPort = frame.big16(udp + 2)
    payload = udp + Self.udpHeaderByteCount..<udp + length
    // A checksum of 0 says that there is none.
    guard frame.big16(udp + 6) == 0 || Self.checksum(frame, udp..<udp + length, source, destination) == 0
    else { return nil }
  }

  private static func checksum(
    _ bytes: RawSpan, _ range: Range<Int>, _ source: IPv4Address, _ destination: IPv4Address
  ) -> UInt16 {
    var checksum = InternetChecksum()
    checksum.add(source)
    checksum.add(destination)
    checksum.add(UInt16(udp))
    checksum.add(UInt16(range.count))
    checksum.add(bytes, range)
    return checksum.value
  }

  // MARK: Sending

  /// The ends of a datagram to send.
  struct Route {
    var sourceMAC: EthernetAddress
    var destinationMAC: EthernetAddress
    var source: IPv4Address
    var destination: IPv4Address
    var sourcePort: UInt16
    var destinationPort: UInt16
  }

  /// Starts a frame: the payload is appended next, then `end` fills in lengths and checksums.
  static func begin(_ frame: inout Frame, _ route: Route) {
    frame.begin(to: route.destinationMAC, from: route.sourceMAC, type: EtherType.ipv4)
    frame.append16(0x4500)
    frame.append16(0)  // total length
    frame.append16(0)  // identification, of no use without fragments
    frame.append16(0x4000)  // do not fragment
    frame.append(64)  // time to live
    frame.append(udp)
    frame.append16(0)  // header checksum
    frame.append32(route.source.rawValue)
    frame.append32(route.destination.rawValue)
    frame.append16(route.sourcePort)
    frame.append16(route.destinationPort)
    frame.append16(0)  // length
    frame.append16(0)  // checksum
  }

  static func end(_ frame: inout Frame) {
    let start = Ethernet.headerByteCount
    let udp = start + headerByteCount
    let count = frame.count
    frame.set16(UInt16(count - start), at: start + 2)
    frame.set16(UInt16(count - udp), at: udp + 4)
    var header = InternetChecksum()
    header.add(frame.bytes, start..<udp)
    frame.set16(header.value, at: start + 10)
    let source = IPv4Address(frame.bytes.big32(start + 12))
    let destination = IPv4Address(frame.bytes.big32(start + 16))
    let sum = checksum(frame.bytes, udp..<count, source, destination)
    // 0 would say that there is none.
    frame.set16(sum == 0 ? 0xffff : sum, at: udp + 6)
    frame.pad()
  }
}
