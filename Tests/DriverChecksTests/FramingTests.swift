import Testing

@testable import DriverChecks

@Suite struct `Ethernet, ARP, IPv4 and UDP` {
  private static let request = ARPMessage(
    operation: ARPMessage.request, senderMAC: ourMAC, sender: ourAddress, targetMAC: EthernetAddress(0),
    target: serverAddress)

  /// A request from 10.0.2.15 for 10.0.2.2, as it stands on the wire.
  private static let requestBytes =
    [UInt8](
      hex: """
        ffffffffffff 525400123456 0806 0001 0800 06 04 0001 525400123456 0a00020f 000000000000 0a000202
        """) + [UInt8](repeating: 0, count: 18)

  @Test func `an ARP request is these bytes, and those bytes are the request`() {
    #expect(Frame.built { Self.request.write(to: &$0) } == Self.requestBytes)
    #expect(Self.requestBytes.withBytes { ARPMessage(frame: $0) } == Self.request)
  }

  @Test func `an ARP reply goes to who asked`() {
    let reply = ARPMessage(
      operation: ARPMessage.reply, senderMAC: ourMAC, sender: ourAddress, targetMAC: serverMAC,
      target: serverAddress)
    let bytes = Frame.built { reply.write(to: &$0) }
    #expect(bytes.prefix(6) == [0x52, 0x55, 0x0a, 0x00, 0x02, 0x02])
    #expect(bytes.withBytes { ARPMessage(frame: $0) } == reply)
  }

  @Test func `ARP for other hardware or cut short is none`() {
    for length in 0..<42 {
      #expect(Array(Self.requestBytes.prefix(length)).withBytes { ARPMessage(frame: $0) } == nil)
    }
    for offset in [12, 13, 14, 15, 16, 17, 18, 19] {
      var bytes = Self.requestBytes
      bytes[offset] ^= 0x40
      #expect(bytes.withBytes { ARPMessage(frame: $0) } == nil)
    }
  }

  @Test func `the checksum of RFC 1071's example`() {
    // Section 3: 0001 f203 f4f5 f6f7 sum to ddf2.
    let bytes = [UInt8](hex: "0001f203f4f5f6f7")
    var checksum = InternetChecksum()
    bytes.withBytes { checksum.add($0, 0..<8) }
    #expect(checksum.value == ~0xddf2)
    var odd = InternetChecksum()
    bytes.withBytes { odd.add($0, 0..<3) }
    #expect(odd.value == ~0xf201)
  }

  static func datagram(_ payload: [UInt8]) -> [UInt8] {
    Frame.built { frame in
      UDPDatagram.begin(
        &frame,
        UDPDatagram.Route(
          sourceMAC: serverMAC, destinationMAC: ourMAC, source: serverAddress, destination: ourAddress,
          sourcePort: 69, destinationPort: 0xc001))
      for byte in payload { frame.append(byte) }
      UDPDatagram.end(&frame)
    }
  }

  @Test func `a datagram is these bytes`() {
    // The checksums are from another implementation.
    #expect(
      Self.datagram([1, 2, 3, 4])
        == [UInt8](
          hex: """
            525400123456 52550a000202 0800
            4500 0020 0000 4000 4011 22bd 0a000202 0a00020f
            0045 c001 000c 2379 01020304
            """) + [UInt8](repeating: 0, count: 14))
  }

  @Test(arguments: [0, 1, 2, 17, 18, 19, 1471, 1472]) func `payloads come through`(count: Int) throws {
    let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    let frame = Self.datagram(payload)
    #expect(frame.count == max(42 + count, 60))
    let datagram = try #require(frame.withBytes { UDPDatagram(frame: $0) })
    #expect(datagram.source == serverAddress && datagram.destination == ourAddress)
    #expect(datagram.sourcePort == 69 && datagram.destinationPort == 0xc001)
    #expect(Array(frame[datagram.payload]) == payload)
  }

  @Test func `a flipped bit in headers or payload is noticed`() {
    let frame = Self.datagram([UInt8](0..<32))
    for bit in 12 * 8..<frame.count * 8 {
      var bytes = frame
      bytes[bit / 8] ^= 1 << (bit % 8)
      #expect(bytes.withBytes { UDPDatagram(frame: $0) } == nil, "bit \(bit)")
    }
  }

  @Test func `what is cut short is no datagram`() {
    let frame = Self.datagram([UInt8](repeating: 9, count: 40))
    for length in 0..<frame.count {
      #expect(Array(frame.prefix(length)).withBytes { UDPDatagram(frame: $0) } == nil)
    }
  }

  /// Replaces a byte of the IPv4 header and makes the header's checksum right again.
  private static func changed(_ frame: [UInt8], _ offset: Int, _ value: UInt8) -> [UInt8] {
    var bytes = frame
    bytes[offset] = value
    bytes[24] = 0
    bytes[25] = 0
    var checksum = InternetChecksum()
    let header = Int(bytes[14] & 0xf) * 4
    bytes.withBytes { checksum.add($0, 14..<min(14 + header, bytes.count)) }
    bytes[24] = UInt8(checksum.value >> 8)
    bytes[25] = UInt8(checksum.value & 0xff)
    return bytes
  }

  @Test(arguments: [
    (14, 0x44), (14, 0x65), (14, 0x4f), (16, 0x06), (17, 0x1b), (20, 0x20), (21, 0x01), (23, 0x06),
    (38, 0x05),
    (39, 0x07),
  ])
  func `a header with right checksum and wrong content is no datagram`(offset: Int, value: UInt8) {
    let frame = Self.datagram([UInt8](0..<20))
    #expect(Self.changed(frame, 22, 1).withBytes { UDPDatagram(frame: $0) } != nil)  // time to live
    #expect(Self.changed(frame, offset, value).withBytes { UDPDatagram(frame: $0) } == nil)
  }

  @Test func `no UDP checksum is no error`() {
    var frame = Self.datagram([1, 2, 3])
    frame[40] = 0
    frame[41] = 0
    #expect(frame.withBytes { UDPDatagram(frame: $0) } != nil)
  }

  @Test func `random bytes are refused or read within bounds`() {
    var random = Seeded(4)
    let frame = Self.datagram([UInt8](0..<60))
    for _ in 0..<20_000 {
      var bytes = frame
      for _ in 0..<Int.random(in: 1...8, using: &random) {
        bytes[Int.random(in: 12..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      bytes.removeLast(Int.random(in: 0...bytes.count, using: &random) / 4)
      bytes.withBytes { span in
        if let datagram = UDPDatagram(frame: span) { #expect(datagram.payload.upperBound <= span.byteCount) }
        _ = ARPMessage(frame: span)
      }
    }
  }

  @Test func `hosts are told from other addresses`() {
    for address in [IPv4Address(10, 0, 2, 2), IPv4Address(1, 0, 0, 0), IPv4Address(223, 255, 255, 254)] {
      #expect(address.isHost)
    }
    for address in [.unspecified, IPv4Address(127, 0, 0, 1), IPv4Address(224, 0, 0, 1), .broadcast] {
      #expect(!address.isHost)
    }
  }

  @Test func `a received frame that is too long is refused`() {
    var frame = Frame()
    let longest = [UInt8](repeating: 7, count: 1514)
    let filled = longest.withBytes { frame.fill(from: $0) }
    #expect(filled && frame.count == 1514)
    let overfilled = (longest + [7]).withBytes { frame.fill(from: $0) }
    #expect(!overfilled && frame.count == 0)
  }
}
