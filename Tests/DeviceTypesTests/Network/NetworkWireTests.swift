// The structures of the network device against literal bytes.

import Testing
import Virtio
import Wire

@testable import DeviceTypes

@Suite struct NetworkWireTests {
  @Test func `5.1.9 a header is 12 bytes, little-endian`() {
    let header = NetworkHeader.with(
      flags: 1, type: 0x81, headerLength: 0x0302, segmentSize: 0x0504, start: 0x0706, offset: 0x0908,
      bufferCount: 0x0b0a)
    let bytes: [UInt8] = [1, 0x81, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    #expect(header.list == bytes)
    #expect(NetworkHeader(list: bytes) == header)
    #expect(NetworkHeader.byteCount == 12)
  }

  @Test func `5.1.3 feature bits have the numbers of the clause`() {
    let bits: [(Features, Int)] = [
      (NetworkFeature.checksum, 0), (NetworkFeature.guestChecksum, 1),
      (NetworkFeature.controlGuestOffloads, 2), (NetworkFeature.mtu, 3), (NetworkFeature.mac, 5),
      (NetworkFeature.guestTSO4, 7), (NetworkFeature.guestTSO6, 8), (NetworkFeature.guestECN, 9),
      (NetworkFeature.guestUFO, 10), (NetworkFeature.hostTSO4, 11), (NetworkFeature.hostTSO6, 12),
      (NetworkFeature.hostECN, 13), (NetworkFeature.hostUFO, 14), (NetworkFeature.mergeableBuffers, 15),
      (NetworkFeature.status, 16), (NetworkFeature.controlQueue, 17), (NetworkFeature.controlReceive, 18),
      (NetworkFeature.controlVLAN, 19), (NetworkFeature.controlReceiveExtra, 20),
      (NetworkFeature.guestAnnounce, 21), (NetworkFeature.multiQueue, 22),
      (NetworkFeature.controlMACAddress, 23),
    ]
    var all = Features.none
    for (feature, number) in bits {
      #expect(feature == .bit(number))
      all = all | feature
    }
    #expect(NetworkFeature.known == all)
  }

  @Test func `an address has its bytes in the order in which they are sent`() {
    let address = MACAddress(2, 3, 4, 5, 6, 7)
    var bytes = ByteArray<8>()
    address.store(to: &bytes, at: 1)
    #expect((0..<8).map { bytes[$0] } == [0, 2, 3, 4, 5, 6, 7, 0])
    #expect(MACAddress(bytes, at: 1) == address)
    #expect(address.list == [2, 3, 4, 5, 6, 7])
    #expect(!address.isMulticast && MACAddress(1, 0, 0x5e, 0, 0, 1).isMulticast)
    #expect(MACAddress.broadcast.isMulticast)
    #expect(MACAddress(0x11, 1, 1, 1, 1, 1).locallyAdministered == MACAddress(0x12, 1, 1, 1, 1, 1))
  }

  @Test func `5.1.9.5.9 offloads have the bits of their features`() {
    #expect(NetworkOffloads.all.rawValue == 1 << 1 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10)
    #expect(NetworkOffloads.all.receiveFeatures == Features(low: 0x782))
    #expect(NetworkOffloads.all.transmitFeatures == Features(low: 0x7801))
    #expect(NetworkOffloads(receive: Features(low: 0x782)) == .all)
    #expect(NetworkOffloads(transmit: Features(low: 0x7801)) == .all)
    #expect(NetworkOffloads(transmit: NetworkFeature.hostTSO6) == .tcp6)
    #expect(NetworkOffloads(receive: NetworkFeature.guestUFO) == .udp)
    #expect(NetworkOffloads(transmit: Features(low: 0x782)) == .none)
  }

  @Test func `5.1.3.1 a feature is of no use without those it requires`() {
    let offloads = Features(low: 0x7f83)
    #expect(NetworkFeature.usable(offloads) == offloads)
    #expect(NetworkFeature.usable(offloads.subtracting(.bit(0))) == Features(low: 0x782))
    #expect(NetworkFeature.usable(offloads.subtracting(.bit(1))) == Features(low: 0x7801))
    #expect(NetworkFeature.usable(Features(low: 0x6001)) == Features(low: 0x4001))
    #expect(NetworkFeature.usable(Features(low: 0xfc_0004)) == .none)
    #expect(NetworkFeature.isConsistent(.version1 | NetworkFeature.mac))
    for bit in [7, 8, 9, 10, 11, 12, 13, 14, 18, 19, 21, 22, 23] {
      #expect(!NetworkFeature.isConsistent(.bit(bit)), "\(bit)")
    }
  }

  @Test(
    arguments: [
      // Frame of 60 bytes; what is allowed; header; what comes out.
      (.all, .with(), .complete),
      (.all, .with(headerLength: 54), NetworkOffload(headerLength: 54)),
      // A hint beyond the frame is cut down.
      (.all, .with(headerLength: 9999), NetworkOffload(headerLength: 60)),
      (.all, .with(flags: 1, start: 34, offset: 24), .init(checksum: .partial(start: 34, offset: 24))),
      // The last two bytes hold the checksum; one further is beyond.
      (.all, .with(flags: 1, start: 58, offset: 0), .init(checksum: .partial(start: 58, offset: 0))),
      (.all, .with(flags: 1, start: 0, offset: 58), .init(checksum: .partial(start: 0, offset: 58))),
      (.all, .with(flags: 1, start: 59, offset: 0), nil),
      (.all, .with(flags: 1, start: 58, offset: 1), nil),
      (.all, .with(flags: 1, start: 0xffff, offset: 0xffff), nil),
      (.all, .with(flags: 1, start: 0xffff, offset: 3), nil),
      (.none, .with(flags: 1, start: 34, offset: 6), nil),
      // Segmentation needs a partial checksum, a size, and leave.
      (
        .all, .with(flags: 1, type: 1, segmentSize: 9, start: 34, offset: 16),
        .init(checksum: .partial(start: 34, offset: 16), segmentation: .init(.tcp4, segmentSize: 9))
      ),
      (
        .all, .with(flags: 1, type: 0x84, segmentSize: 9, start: 34, offset: 16),
        .init(
          checksum: .partial(start: 34, offset: 16),
          segmentation: .init(.tcp6, segmentSize: 9, hasECN: true))
      ),
      (
        .all, .with(flags: 1, type: 3, segmentSize: 9, start: 34, offset: 6),
        .init(checksum: .partial(start: 34, offset: 6), segmentation: .init(.udp, segmentSize: 9))
      ),
      (.all, .with(flags: 0, type: 1, segmentSize: 9), nil),
      (.all, .with(flags: 1, type: 1, segmentSize: 0, start: 34, offset: 16), nil),
      (.checksum | .tcp6, .with(flags: 1, type: 1, segmentSize: 9, start: 34, offset: 16), nil),
      (.checksum | .tcp4, .with(flags: 1, type: 4, segmentSize: 9, start: 34, offset: 16), nil),
      (.checksum | .tcp4, .with(flags: 1, type: 3, segmentSize: 9, start: 34, offset: 6), nil),
      (.checksum | .tcp4, .with(flags: 1, type: 0x81, segmentSize: 9, start: 34, offset: 16), nil),
      (.all, .with(flags: 1, type: 0x83, segmentSize: 9, start: 34, offset: 6), nil),
      // Unknown types, USO and tunnels.
      (.all, .with(flags: 1, type: 2, segmentSize: 9, start: 34, offset: 6), nil),
      (.all, .with(flags: 1, type: 5, segmentSize: 9, start: 34, offset: 6), nil),
      (.all, .with(flags: 1, type: 0x21, segmentSize: 9, start: 34, offset: 6), nil),
      (.all, .with(flags: 1, type: 0x44, segmentSize: 9, start: 34, offset: 6), nil),
      (.all, .with(flags: 1, type: 0x61, segmentSize: 9, start: 34, offset: 6), nil),
      (.all, .with(type: 0x20), nil),
    ] as [(NetworkOffloads, NetworkHeader, NetworkOffload?)])
  func `an offload that contradicts itself or its frame is refused`(
    _ allowed: NetworkOffloads, _ header: NetworkHeader, _ expected: NetworkOffload?
  ) {
    for direction in [NetworkDirection.transmit, .receive] {
      let offload = NetworkOffload.decode(header, direction, byteCount: 60, allowed: allowed)
      #expect(offload == expected)
      // What is understood is written the same way, but for the hint.
      if let offload {
        var written = offload.header(direction, byteCount: 60, allowed: allowed)
        var read = header
        written?.headerLength = 0
        read.headerLength = 0
        #expect(written == read)
      }
    }
  }

  @Test func `flags that only one direction knows`() {
    func decode(_ flags: UInt8, _ direction: NetworkDirection, _ allowed: NetworkOffloads) -> NetworkOffload?
    {
      NetworkOffload.decode(.with(flags: flags), direction, byteCount: 60, allowed: allowed)
    }
    #expect(decode(2, .receive, .checksum) == NetworkOffload(checksum: .valid))
    #expect(decode(2, .receive, .none) == NetworkOffload.complete)
    #expect(decode(2, .transmit, .checksum) == NetworkOffload.complete)
    #expect(decode(0xf6 & ~8, .receive, .none) == NetworkOffload.complete)
    #expect(decode(8, .transmit, .all) == nil)
    #expect(decode(8, .receive, .all) == NetworkOffload.complete)
    #expect(decode(9, .receive, .all) == nil)
    #expect(decode(5, .receive, .all) == nil)
  }

  @Test func `a checksum that was checked is told to drivers only, and only if they know of it`() {
    let offload = NetworkOffload(checksum: .valid)
    #expect(offload.header(.receive, byteCount: 60, allowed: .checksum)?.flags == 2)
    #expect(offload.header(.receive, byteCount: 60, allowed: .none)?.flags == 0)
    #expect(offload.header(.transmit, byteCount: 60, allowed: .checksum)?.flags == 0)
  }
}
