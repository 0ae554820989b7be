// DHCP messages (RFC 2131 section 2, options of RFC 2132). Servers are not trusted: every length is checked.

/// A file name that a server or a person gave.
public struct FileName: Sendable {
  /// Longest name, in bytes.
  public static let capacity = 128

  private var bytes = InlineArray<128, UInt8>(repeating: 0)
  /// Length in bytes.
  public private(set) var count = 0

  /// No name.
  public init() {}

  /// The bytes of `range`, up to the first zero. Nil when they are too many, or one is not printable ASCII.
  public init?(_ source: RawSpan, _ range: Range<Int>) {
    // Made apart from the properties: the optimizer (Swift 6.3.1) loses what a loop writes to properties that
    // have initial values.
    var text = InlineArray<128, UInt8>(repeating: 0)
    var length = 0
    while length < range.count {
      let byte = source.byte(range.lowerBound + length)
      if byte == 0 { break }
      guard length < Self.capacity, byte >= 0x20, byte < 0x7f else { return nil }
      text[length] = byte
      length += 1
    }
    bytes = text
    count = length
  }

  /// The characters of a text of this program. Traps when it is too long.
  public init(_ text: StaticString) {
    for index in 0..<text.utf8CodeUnitCount {
      // A static string has as many bytes as it says.
      bytes[index] = unsafe text.utf8Start[index]
    }
    count = text.utf8CodeUnitCount
  }

  /// The byte at `index`. Traps outside.
  public subscript(index: Int) -> UInt8 {
    precondition(index < count)
    return bytes[index]
  }
}

/// What a DHCP server says.
struct DHCPReply {
  static let offer: UInt8 = 2
  static let acknowledge: UInt8 = 5
  static let refuse: UInt8 = 6

  var type: UInt8 = 0
  var address: IPv4Address
  var server = IPv4Address.unspecified
  var mask = IPv4Address.unspecified
  var router = IPv4Address.unspecified
  /// Where boot files are; unspecified if the server names no other than itself.
  var bootServer: IPv4Address
  var bootFile = FileName()
  var leaseSeconds: UInt32 = 0

  private static let fixedByteCount = 236
  private static let magic: UInt32 = 0x6382_5363

  /// The reply in `range` of a frame, if it is a well-formed one to this transaction of this client.
  init?(frame: RawSpan, _ range: Range<Int>, transaction: UInt32, client: EthernetAddress) {
    let start = range.lowerBound
    guard range.count >= Self.fixedByteCount + 4,
      frame.byte(start) == 2, frame.byte(start + 1) == 1, frame.byte(start + 2) == 6,
      frame.big32(start + 4) == transaction, frame.mac(start + 28) == client,
      frame.big32(start + Self.fixedByteCount) == Self.magic
    else { return nil }
    address = IPv4Address(frame.big32(start + 16))
    bootServer = IPv4Address(frame.big32(start + 20))
    let file = start + 108..<start + 236
    let name = start + 44..<start + 108
    var overload: UInt8 = 0
    let options = start + Self.fixedByteCount + 4..<range.upperBound
    guard parse(frame, options, overload: &overload) else { return nil }
    // RFC 2132 section 9.3: the file and the server name fields may hold further options.
    var nested: UInt8 = 0
    if overload & 1 != 0 {
      guard parse(frame, file, overload: &nested) else { return nil }
    } else if bootFile.count == 0, let text = FileName(frame, file) {
      bootFile = text
    }
    if overload & 2 != 0 {
      guard parse(frame, name, overload: &nested) else { return nil }
    }
    if bootServer == .unspecified { bootServer = server }
  }

  /// Takes over the options in `range`; false if one does not fit or has a wrong length.
  private mutating func parse(_ frame: RawSpan, _ range: Range<Int>, overload: inout UInt8) -> Bool {
    var offset = range.lowerBound
    while offset < range.upperBound {
      let code = frame.byte(offset)
      offset += 1
      if code == 0 { continue }
      if code == 255 { return true }
      guard offset < range.upperBound else { return false }
      let length = Int(frame.byte(offset))
      offset += 1
      guard length <= range.upperBound - offset else { return false }
      guard take(code, frame, offset..<offset + length, &overload) else { return false }
      offset += length
    }
    return true
  }

  private mutating func take(_ code: UInt8, _ frame: RawSpan, _ value: Range<Int>, _ overload: inout UInt8)
    -> Bool
  {
    let start = value.lowerBound
    switch code {
    case 53, 52:
      guard value.count == 1 else { return false }
      if code == 53 { type = frame.byte(start) } else { overload = frame.byte(start) }
    case 1, 51, 54:
      guard value.count == 4 else { return false }
      let word = frame.big32(start)
      if code == 1 { mask = IPv4Address(word) }
      if code == 51 { leaseSeconds = word }
      if code == 54 { server = IPv4Address(word) }
    case 3:
      guard value.count >= 4, value.count % 4 == 0 else { return false }
      router = IPv4Address(frame.big32(start))
    case 67:
      guard let text = FileName(frame, value) else { return false }
      bootFile = text
    default: break
    }
    return true
  }
}

/// What the client asks.
struct DHCPRequest {
  static let discover: UInt8 = 1
  static let request: UInt8 = 3

  var type: UInt8
  var transaction: UInt32
  var client: EthernetAddress
  /// The address and the server of the offer that is taken up, for a request.
  var address = IPv4Address.unspecified
  var server = IPv4Address.unspecified

  /// Makes `frame` one that carries the message.
  func write(to frame: inout Frame) {
    UDPDatagram.begin(
      &frame,
      UDPDatagram.Route(
        sourceMAC: client, destinationMAC: .broadcast, source: .unspecified, destination: .broadcast,
        sourcePort: DHCPClient.clientPort, destinationPort: DHCPClient.serverPort))
    frame.append32(0x0101_0600)  // request, Ethernet, 6 bytes of address, no hops
    frame.append32(transaction)
    frame.append16(0)  // seconds
    frame.append16(0x8000)  // answer by broadcast: an address that is not ours yet cannot be resolved
    frame.appendZeros(16)  // the four addresses
    frame.append(client)
    frame.appendZeros(10 + 64 + 128)  // rest of the hardware address, server name, file
    frame.append32(0x6382_5363)
    frame.append16(53 << 8 | 1)
    frame.append(type)
    if type == Self.request {
      frame.append16(50 << 8 | 4)
      frame.append32(address.rawValue)
      frame.append16(54 << 8 | 4)
      frame.append32(server.rawValue)
    }
    frame.append16(55 << 8 | 4)  // wanted: mask, router, lease time, boot file
    frame.append32(0x0103_3343)
    frame.append(255)
    frame.appendZeros(max(Self.minimumByteCount - frame.count, 0))
    UDPDatagram.end(&frame)
  }

  /// RFC 1542 section 2.1: relays may drop what is shorter than 300 bytes, here with all headers before.
  private static let minimumByteCount = 14 + 20 + 8 + 300
}
