// Segments of TCP joined to one frame. What comes out is held against the frame that the segments were cut
// from, and against what cutting it again gives.

import DeviceTypes
import TestSupport
import Testing
import Virtio
import Wire

/// Frames through a coalescer, as a host passes them on.
private final class Joining {
  private let memory = TestMemory()
  /// What came out: bytes and what is left to do.
  var frames: [(bytes: [UInt8], offload: NetworkOffload)] = []

  private func withPacket(
    _ bytes: [UInt8], _ offload: NetworkOffload, cut: Int, _ body: (borrowing NetworkPacket) -> Void
  ) throws {
    memory.write(bytes, memory.address)
    var ranges: [GuestRange] = []
    for start in stride(from: 0, to: bytes.count, by: cut) {
      let count = UInt32(min(cut, bytes.count - start))
      ranges.append(try memory.guest.range(at: memory.address + UInt64(start), byteCount: count))
    }
    body(NetworkPacket(NetworkFrame(ranges.span, byteCount: bytes.count), offload))
  }

  func pass(_ all: [[UInt8]], _ offload: NetworkOffload = .complete, cut: Int = 700) throws {
    let place = memory.address + 0x40000
    var run = NetworkCoalescer(
      buffer: try memory.guest.range(at: place, byteCount: UInt32(NetworkCoalescer.bufferByteCount)))
    for bytes in all {
      try withPacket(bytes, offload, cut: cut) { packet in
        if run.join(packet) { return }
        take(&run)
        if !run.begin(packet) { frames.append((bytes, offload)) }
      }
    }
    take(&run)
    let isEmpty = run.isEmpty
    #expect(isEmpty)
  }

  private func take(_ run: inout NetworkCoalescer) {
    var piece = GuestRange.empty
    guard let offload = run.finish(&piece) else { return }
    frames.append((memory.bytes(piece.address, Int(piece.byteCount)), offload))
  }

  /// `bytes` cut by its offload, each piece complete.
  func cut(_ bytes: [UInt8], _ offload: NetworkOffload) throws -> [[UInt8]] {
    var pieces: [[UInt8]] = []
    try withPacket(bytes, offload, cut: 4096) { packet in
      guard var finishing = packet.finishing(for: .none) else { return }
      var frame = NetworkPacket(copying: packet)
      for _ in 0..<finishing.frameCount {
        packet.makeNext(&frame, &finishing)
        var list = (0..<frame.headByteCount).map { frame.head[$0] }
        var body = frame.body
        while let piece = body.next(limit: .max) {
          list += memory.bytes(piece.address, Int(piece.byteCount))
        }
        pieces.append(list)
      }
    }
    return pieces
  }
}

@Suite struct NetworkCoalescingTests {
  private static let shapes: [TCPFrame] = [
    TCPFrame(flags: 0x10), TCPFrame(), TCPFrame(isIPv6: true), TCPFrame(transportOptions: 12),
    TCPFrame(isIPv6: true, transportOptions: 40, flags: 0x10),
  ]

  private func segments(_ shape: TCPFrame, size: Int) throws -> [[UInt8]] {
    try Joining().cut(shape.bytes(), shape.offload(segmentSize: UInt16(size)))
  }

  @Test(arguments: shapes, [512, 1000, 1448])
  func `segments become the frame that they were cut from`(_ shape: TCPFrame, _ size: Int) throws {
    for payload in [2 * size, 2 * size + 1, 40 * size - 7] {
      for (cut, offload) in [(100, NetworkOffload.complete), (4096, NetworkOffload(checksum: .valid))] {
        var shape = shape
        shape.payload = payload
        let joining = Joining()
        try joining.pass(segments(shape, size: size), offload, cut: cut)
        try #require(joining.frames.count == 1)
        #expect(joining.frames[0].bytes == shape.bytes())
        var expected = shape.offload(segmentSize: UInt16(size))
        expected.headerLength = UInt16(shape.header)
        #expect(joining.frames[0].offload == expected)
      }
    }
  }

  @Test func `a run ends before it is longer than a packet of IP`() throws {
    var shape = TCPFrame(flags: 0x10)
    shape.payload = 60 * 1448
    let joining = Joining()
    let all = try segments(shape, size: 1448)
    try joining.pass(all)
    #expect(joining.frames.map(\.bytes.count) == [45 * 1448 + 54, 15 * 1448 + 54])
    let again = try joining.frames.flatMap { try joining.cut($0.bytes, $0.offload) }
    #expect(again == all)
  }

  @Test func `one segment alone stays as it is, and was verified`() throws {
    var shape = TCPFrame(flags: 0x10)
    shape.payload = 1000
    let joining = Joining()
    let all = try segments(shape, size: 1000)
    try joining.pass(all)
    #expect(joining.frames.map(\.bytes) == all)
    #expect(joining.frames[0].offload == NetworkOffload(checksum: .valid))
  }

  @Test func `a partial checksum is nobody's to join`() throws {
    var shape = TCPFrame(flags: 0x10)
    shape.payload = 1000
    let joining = Joining()
    try joining.pass([shape.bytes(), shape.bytes()], shape.offload(segmentSize: nil))
    #expect(joining.frames.count == 2)
  }

  /// The third of five segments is changed: which of them are joined.
  private func counts(
    _ shape: TCPFrame = TCPFrame(flags: 0x10), keepsChecksums: Bool = true,
    _ change: (inout [UInt8]) -> Void
  ) throws -> [Int] {
    var shape = shape
    shape.payload = 5000
    var all = try segments(shape, size: 1000)
    change(&all[2])
    if keepsChecksums { shape.complete(&all[2]) }
    let joining = Joining()
    try joining.pass(all)
    let again = try joining.frames.flatMap { frame in
      frame.offload.segmentation == nil ? [frame.bytes] : try joining.cut(frame.bytes, frame.offload)
    }
    #expect(again == all, "what came out is not what came in")
    return joining.frames.map { ($0.bytes.count - shape.header + 999) / 1000 }
  }

  @Test func `what differs in its headers is not joined`() throws {
    // Ethernet's source; IP's kind of service, identification, fragment, time to live, protocol, addresses;
    // TCP's ports, sequence, acknowledgement, flags, window, urgent pointer.
    for (at, value) in [
      (6, 7), (15, 3), (20, 0x60), (21, 1), (22, 63), (23, 17), (26, 9), (33, 9), (34, 9), (36, 9), (41, 9),
      (45, 9), (47, 0x00), (47, 0x30), (47, 0x11), (47, 0x12), (47, 0x14), (47, 0x50), (48, 9), (52, 9),
    ] as [(Int, UInt8)] {
      let found = try counts { $0[at] = value }
      #expect(found == [2, 1, 2], "byte \(at) is \(value)")
    }
    // With a new sequence number the stream goes on from there, but for what follows.
    let options = try counts(TCPFrame(transportOptions: 12, flags: 0x10)) { $0[60] = 0 }
    #expect(options == [2, 1, 2])
    // Without "do not fragment" the identification counts on.
    let pushed = try counts { $0[47] = 0x18 }
    #expect(pushed == [3, 2])
  }

  @Test func `what is damaged is not joined`() throws {
    for at in [18, 24, 25, 50, 51, 54, 200, 1053] {
      let found = try counts(keepsChecksums: false) { $0[at] ^= 0x40 }
      #expect(found == [2, 1, 2], "byte \(at)")
    }
  }

  @Test func `identifications count on where packets may be fragmented`() throws {
    var shape = TCPFrame(flags: 0x10)
    shape.payload = 3000
    var all = try segments(shape, size: 1000)
    for index in 0..<3 {
      all[index][20] = 0
      shape.complete(&all[index])
    }
    var joining = Joining()
    try joining.pass(all)
    #expect(joining.frames.count == 1)
    all[1][19] &+= 1
    shape.complete(&all[1])
    joining = Joining()
    try joining.pass(all)
    #expect(joining.frames.count == 3)
  }

  @Test func `padding and short segments end a run`() throws {
    let padded = try counts(keepsChecksums: false) { $0.append(0) }
    #expect(padded == [2, 2, 2])
    var shape = TCPFrame(flags: 0x10)
    shape.payload = 511
    let joining = Joining()
    let short = try segments(shape, size: 511)
    try joining.pass(short)
    #expect(joining.frames[0].offload == .complete)
  }

  @Test func `whatever comes in, cutting what comes out gives it back`() throws {
    // The numbers of a linear congruential generator: the same in every run.
    var state: UInt64 = 7
    func random(_ limit: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % limit
    }
    for _ in 0..<200 {
      var shape = TCPFrame(isIPv6: random(2) == 0, transportOptions: 12, flags: 0x10)
      shape.payload = 8 * 600
      var all = try segments(shape, size: 600)
      if !shape.isIPv6 {
        // Where packets may be fragmented, what comes out has the identifications of what came in.
        for index in 0..<8 {
          all[index][20] = 0
          shape.complete(&all[index])
        }
      }
      for _ in 0..<2 {
        let index = random(8)
        let at = random(86)
        all[index][at] ^= UInt8(random(256))
        if random(2) == 0 { shape.complete(&all[index]) }
      }
      let joining = Joining()
      try joining.pass(all)
      let again = try joining.frames.flatMap { frame in
        frame.offload.segmentation == nil ? [frame.bytes] : try joining.cut(frame.bytes, frame.offload)
      }
      #expect(again == all)
    }
  }
}

extension TCPFrame {
  /// Sets the checksums of a segment of this shape whose headers were changed.
  fileprivate func complete(_ bytes: inout [UInt8]) {
    func set(_ sum: UInt16, at place: Int) {
      bytes[place] = UInt8(sum >> 8)
      bytes[place + 1] = UInt8(sum & 0xff)
    }
    if !isIPv6 {
      set(0, at: network + 10)
      set(~onesComplementSum(bytes[network..<transport]), at: network + 10)
    }
    set(0, at: transport + 16)
    let count = bytes.count - transport
    let addresses = isIPv6 ? bytes[(network + 8)..<(network + 40)] : bytes[(network + 12)..<(network + 20)]
    let pseudo = Array(addresses) + [0, 6, UInt8(count >> 8 & 0xff), UInt8(count & 0xff)]
    set(~onesComplementSum(pseudo + bytes[transport...]), at: transport + 16)
  }
}
