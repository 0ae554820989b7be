// Checksums completed and TCP segmented in software, for a driver that takes less than the sender leaves.
// What comes out is judged by a second implementation that works on arrays.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

/// TCP over IP with a partial checksum.
struct TCPFrame {
  var isIPv6 = false
  var vlan: UInt16?
  var networkOptions = 0
  var transportOptions = 0
  var payload = 0
  var flags: UInt8 = 0x18
  var sequence: UInt32 = 0xffff_fe00

  var network: Int { vlan == nil ? 14 : 18 }
  var transport: Int { network + (isIPv6 ? 40 : 20 + networkOptions) }
  var header: Int { transport + 20 + transportOptions }

  func offload(segmentSize: UInt16?, hasECN: Bool = false) -> NetworkOffload {
    let segmentation = segmentSize.map {
      NetworkSegmentation(isIPv6 ? .tcp6 : .tcp4, segmentSize: $0, hasECN: hasECN)
    }
    return NetworkOffload(
      checksum: .partial(start: UInt16(transport), offset: 16), segmentation: segmentation)
  }

  func bytes(to destination: MACAddress = deviceMAC, from source: [UInt8] = [2, 9, 9, 9, 9, 9]) -> [UInt8] {
    var bytes = destination.list + source
    if let vlan { bytes += [0x81, 0, UInt8(vlan >> 8), UInt8(vlan & 0xff)] }
    let ipLength = 20 + transportOptions + payload + (isIPv6 ? 0 : 20 + networkOptions)
    if isIPv6 {
      bytes += [0x86, 0xdd, 0x60, 0, 0, 0, UInt8(ipLength >> 8 & 0xff), UInt8(ipLength & 0xff), 6, 64]
      bytes += (0..<32).map { UInt8($0 * 7) }
    } else {
      bytes += [
        8, 0, UInt8(0x45 + networkOptions / 4), 0, UInt8(ipLength >> 8 & 0xff), UInt8(ipLength & 0xff),
      ]
      bytes += [0xff, 0xfe, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]
      bytes += [UInt8](repeating: 1, count: networkOptions)
      let sum = ~onesComplementSum(bytes[network...])
      bytes[network + 10] = UInt8(sum >> 8)
      bytes[network + 11] = UInt8(sum & 0xff)
    }
    bytes += [0x12, 0x34, 0x56, 0x78] + (0..<4).map { UInt8(sequence >> UInt32(24 - 8 * $0) & 0xff) }
    bytes += [1, 2, 3, 4, UInt8((20 + transportOptions) * 4), flags, 0x20, 0, 0, 0, 0, 0]
    bytes += [UInt8](repeating: 1, count: transportOptions)
    let sum = onesComplementSum(pseudoHeader(bytes, 20 + transportOptions + payload))
    bytes[transport + 16] = UInt8(sum >> 8)
    bytes[transport + 17] = UInt8(sum & 0xff)
    for index in 0..<payload { bytes.append(UInt8(truncatingIfNeeded: index &* 31 &+ index >> 8)) }
    return bytes
  }

  private func pseudoHeader(_ bytes: [UInt8], _ length: Int) -> [UInt8] {
    let addresses = isIPv6 ? bytes[(network + 8)..<(network + 40)] : bytes[(network + 12)..<(network + 20)]
    return Array(addresses) + [0, 6, UInt8(length >> 8 & 0xff), UInt8(length & 0xff)]
  }

  /// What one frame of those that it becomes must be.
  func check(_ piece: [UInt8], index: Int, segmentSize: Int) {
    let all = bytes()
    let start = index * segmentSize
    let count = min(segmentSize, payload - start)
    let isLast = start + count == payload
    #expect(piece.count == header + count)
    #expect(Array(piece[header...]) == Array(all[(header + start)..<(header + start + count)]))
    #expect(Array(piece[..<network]) == Array(all[..<network]))
    let ipLength = piece.count - network - (isIPv6 ? 40 : 0)
    let lengthAt = isIPv6 ? network + 4 : network + 2
    #expect(Int(piece[lengthAt]) << 8 | Int(piece[lengthAt + 1]) == ipLength)
    if !isIPv6 {
      #expect(onesComplementSum(piece[network..<transport]) == 0xffff)
      let identification = UInt16(piece[network + 4]) << 8 | UInt16(piece[network + 5])
      #expect(identification == 0xfffe &+ UInt16(index))
    }
    let number = piece[(transport + 4)..<(transport + 8)].reduce(0 as UInt32) { $0 << 8 | UInt32($1) }
    #expect(number == sequence &+ UInt32(start))
    var expected = flags
    if !isLast { expected &= ~0x09 }
    if index != 0 { expected &= ~0x80 }
    #expect(piece[transport + 13] == expected)
    #expect(
      onesComplementSum(pseudoHeader(piece, piece.count - transport) + piece[transport...]) == 0xffff)
  }
}

@Suite struct NetworkFinishingTests {
  /// What `bytes` becomes for a port that does `allowed`; nil when it cannot be finished. The frame lies in
  /// pieces of `cut` bytes.
  private func finish(
    _ bytes: [UInt8], _ offload: NetworkOffload, for allowed: NetworkOffloads = .none, cut: Int = 700
  ) throws -> [[UInt8]]? {
    let memory = TestMemory()
    memory.write(bytes, memory.address)
    var ranges: [GuestRange] = []
    for start in stride(from: 0, to: bytes.count, by: cut) {
      let count = UInt32(min(cut, bytes.count - start))
      ranges.append(try memory.guest.range(at: memory.address + UInt64(start), byteCount: count))
    }
    let packet = NetworkPacket(NetworkFrame(ranges.span, byteCount: bytes.count), offload)
    #expect(packet.byteCount == bytes.count)
    guard var finishing = packet.finishing(for: allowed) else { return nil }
    var frames: [[UInt8]] = []
    var frame = NetworkPacket(copying: packet)
    for _ in 0..<finishing.frameCount {
      packet.makeNext(&frame, &finishing)
      if allowed == .none { #expect(frame.offload == .complete) }
      var list = (0..<frame.headByteCount).map { frame.head[$0] }
      var body = frame.body
      while let piece = body.next(limit: 100) { list += memory.bytes(piece.address, Int(piece.byteCount)) }
      #expect(list.count == frame.byteCount)
      frames.append(list)
    }
    return frames
  }

  private static let shapes: [TCPFrame] = [
    TCPFrame(), TCPFrame(isIPv6: true), TCPFrame(vlan: 7), TCPFrame(isIPv6: true, vlan: 7),
    TCPFrame(networkOptions: 40, transportOptions: 40), TCPFrame(isIPv6: true, transportOptions: 12),
    TCPFrame(flags: 0x99), TCPFrame(flags: 0xff, sequence: 0),
  ]

  @Test(arguments: shapes, [1, 2, 511, 1448, 1449])
  func `TCP is cut into segments that each are whole`(_ shape: TCPFrame, _ segmentSize: Int) throws {
    for payload in [1, segmentSize, segmentSize + 1, 5 * segmentSize, 5 * segmentSize + 3] {
      for cut in [100, 193, 4096] {
        var shape = shape
        shape.payload = payload
        let offload = shape.offload(segmentSize: UInt16(segmentSize), hasECN: shape.flags & 0x80 != 0)
        let frames = try finish(shape.bytes(), offload, cut: cut)
        #expect(frames?.count == (payload + segmentSize - 1) / segmentSize)
        for (index, frame) in (frames ?? []).enumerated() {
          shape.check(frame, index: index, segmentSize: segmentSize)
        }
      }
    }
  }

  @Test func `what a port does itself is left to it`() throws {
    let shape = TCPFrame(payload: 4000)
    let offload = shape.offload(segmentSize: 1000)
    let same = try finish(shape.bytes(), offload, for: .checksum | .tcp4)
    #expect(same == [shape.bytes()])
    for allowed in [NetworkOffloads.none, .checksum, .checksum | .tcp6, .tcp4] {
      let frames = try finish(shape.bytes(), offload, for: allowed)
      #expect(frames?.count == 4)
    }
    let withECN = shape.offload(segmentSize: 1000, hasECN: true)
    let cut = try finish(shape.bytes(), withECN, for: .checksum | .tcp4)
    #expect(cut?.count == 4)
    let whole = try finish(shape.bytes(), withECN, for: .checksum | .tcp4 | .ecn)
    #expect(whole?.count == 1)
  }

  @Test(arguments: 60..<330)
  func `a partial checksum is completed`(_ byteCount: Int) throws {
    for source in [1, 2] as [UInt8] {
      var expected = udpFrame(from: (source, 1000), to: (2, 2000), byteCount: byteCount)
      let bytes = expected
      completeChecksum(&expected, start: 34, offset: 6)
      for cut in [61, 200] {
        let frames = try finish(bytes, .udp4(), cut: cut)
        #expect(frames == [expected])
        let untouched = try finish(bytes, .udp4(), for: .checksum, cut: cut)
        #expect(untouched == [bytes])
      }
    }
  }

  @Test func `a checksum of zero is sent as all ones`() throws {
    // All ones sum up to it: without the mangling UDP would read it as none.
    let bytes = [UInt8](repeating: 0xff, count: 60)
    let offload = NetworkOffload(checksum: .partial(start: 20, offset: 10))
    let frames = try finish(bytes, offload)
    #expect(frames == [bytes])
  }

  @Test func `headers that contradict the offload are refused`() throws {
    let shape = TCPFrame(payload: 3000)
    let offload = shape.offload(segmentSize: 1000)
    func isRefused(_ change: (inout [UInt8]) -> Void) throws -> Bool {
      var bytes = shape.bytes()
      change(&bytes)
      return try finish(bytes, offload) == nil
    }
    let lies: [(Int, UInt8)] = [
      (12, 0x86), (13, 0xdd), (14, 0x65), (14, 0x46), (14, 0x44), (20, 0x20), (20, 1), (21, 1), (23, 17),
      (46, 0x40), (46, 0),
    ]
    for (at, value) in lies {
      let refused = try isRefused { $0[at] = value }
      #expect(refused, "byte \(at) is \(value)")
    }
    let honest = try isRefused { _ in }
    #expect(!honest)
  }

  @Test func `segmentation that lies about its checksum or kind is refused`() throws {
    let shape = TCPFrame(payload: 3000)
    let cut = NetworkSegmentation(.tcp4, segmentSize: 1000)
    let cutUDP = NetworkSegmentation(.udp, segmentSize: 1000)
    let lies: [NetworkOffload] = [
      NetworkOffload(checksum: .unchecked, segmentation: cut),
      NetworkOffload(checksum: .valid, segmentation: cut),
      NetworkOffload(checksum: .partial(start: 34, offset: 6), segmentation: cut),
      NetworkOffload(checksum: .partial(start: 33, offset: 16), segmentation: cut),
      NetworkOffload(checksum: .partial(start: 14, offset: 16), segmentation: cut),
      NetworkOffload(checksum: .partial(start: 0, offset: 16), segmentation: cut),
      NetworkOffload(checksum: .partial(start: 2900, offset: 16), segmentation: cut),
      NetworkOffload(
        checksum: .partial(start: 34, offset: 16), segmentation: NetworkSegmentation(.tcp6, segmentSize: 1000)
      ),
      NetworkOffload(
        checksum: .partial(start: 34, offset: 16), segmentation: cutUDP),
    ]
    for lie in lies {
      let frames = try finish(shape.bytes(), lie)
      #expect(frames == nil)
    }
  }

  @Test func `IPv6 with headers between is cut, beyond the head refused`() throws {
    // Destination options of 8 bytes before TCP.
    var shape = TCPFrame(isIPv6: true, payload: 2000)
    var bytes = shape.bytes()
    bytes[20] = 60
    bytes.insert(contentsOf: [6, 0, 1, 4, 0, 0, 0, 0], at: 54)
    let offload = NetworkOffload(
      checksum: .partial(start: 62, offset: 16), segmentation: NetworkSegmentation(.tcp6, segmentSize: 1000))
    let frames = try finish(bytes, offload)
    #expect(frames?.map { $0.count } == [1082, 1082])
    #expect(frames?.map { Int($0[18]) << 8 | Int($0[19]) } == [1028, 1028])
    shape.transportOptions = 40
    let beyond = NetworkOffload(
      checksum: .partial(start: 180, offset: 16), segmentation: NetworkSegmentation(.tcp6, segmentSize: 1000))
    let none = try finish(shape.bytes(), beyond)
    #expect(none == nil)
    let atOnce = NetworkOffload(
      checksum: .partial(start: 54, offset: 16), segmentation: NetworkSegmentation(.tcp6, segmentSize: 1000))
    let refused = try finish(bytes, atOnce)
    #expect(refused == nil)
  }

  @Test func `segments are limited in number`() throws {
    let limit = NetworkFinishing.frameLimit
    for (payload, isRefused) in [(2 * limit, false), (2 * limit + 1, true), (60_000, true)] {
      let shape = TCPFrame(payload: payload)
      let frames = try finish(shape.bytes(), shape.offload(segmentSize: 2))
      #expect((frames == nil) == isRefused)
      let whole = try finish(shape.bytes(), shape.offload(segmentSize: 2), for: .all)
      #expect(whole?.count == 1)
    }
  }

  @Test func `TCP without payload becomes one complete frame`() throws {
    let shape = TCPFrame(payload: 0)
    let frames = try finish(shape.bytes(), shape.offload(segmentSize: 1000))
    #expect(frames?.count == 1)
    shape.check(try #require(frames?.first), index: 0, segmentSize: 1000)
  }

  @Test func `a checksum beyond the head is refused, unless the port completes it`() throws {
    let bytes = frame(byteCount: 1000)
    for (start, isRefused) in [(174, false), (175, true), (900, true)] as [(UInt16, Bool)] {
      let offload = NetworkOffload(checksum: .partial(start: start, offset: 16))
      let frames = try finish(bytes, offload)
      #expect((frames == nil) == isRefused)
      let whole = try finish(bytes, offload, for: .checksum)
      #expect(whole == [bytes])
    }
  }

  @Test func `short frames are no trouble`() throws {
    for byteCount in 14..<60 {
      let bytes = Array(TCPFrame(payload: 10).bytes().prefix(byteCount))
      let whole = try finish(bytes, .complete)
      #expect(whole == [bytes])
      let cut = try finish(bytes, TCPFrame().offload(segmentSize: 4))
      #expect((cut == nil) == (byteCount < 54))
    }
  }
}
