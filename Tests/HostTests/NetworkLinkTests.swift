// The links of a network device, with a peer at the other end that sends whatever a test wants.

import CLinux
import DeviceTypes
import Glibc
import TestSupport
import Testing
import Virtio
import Wire

@testable import Host

/// Both ends of a pair of sockets.
private func pair(_ type: __socket_type) throws -> (ours: OpenFile, peer: OpenFile) {
  var numbers: [Int32] = [-1, -1]
  guard unsafe socketpair(AF_UNIX, Int32(type.rawValue), 0, &numbers) == 0 else { throw SystemError(errno) }
  return (OpenFile(numbers[0]), OpenFile(numbers[1]))
}

/// A frame of `byteCount` bytes that differ by `seed`.
private func content(_ byteCount: Int, _ seed: Int = 0) -> [UInt8] {
  (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8 &+ seed) }
}

private func prefixed(_ frame: [UInt8]) -> [UInt8] {
  [
    UInt8(frame.count >> 24), UInt8(frame.count >> 16 & 255), UInt8(frame.count >> 8 & 255),
    UInt8(frame.count & 255),
  ]
    + frame
}

/// Memory for one frame at a time, in three pieces.
private struct Pieces {
  let ram = TestMemory(byteCount: 1 << 18)

  func withFrame<Result>(_ byteCount: Int, _ body: (borrowing NetworkFrame) -> Result) throws -> Result {
    let cuts = [0, byteCount / 3, byteCount / 2, byteCount]
    var ranges: [3 of GuestRange] = InlineArray(repeating: .empty)
    for i in 0..<3 {
      ranges[i] = try ram.guest.range(
        at: testBase + UInt64(cuts[i]), byteCount: UInt32(cuts[i + 1] - cuts[i]))
    }
    return body(NetworkFrame(ranges.span, byteCount: byteCount))
  }

  /// Sends `bytes` on `link`.
  func send<Link: NetworkBackend & ~Copyable>(
    _ bytes: [UInt8], _ offload: NetworkOffload = .complete, on link: inout Link
  ) throws -> NetworkTransmission {
    ram.write(bytes, testBase)
    return try withFrame(bytes.count) { link.transmit($0, offload, tag: 0) }
  }

  /// The next frame of `link`.
  func receive<Link: NetworkBackend & ~Copyable>(from link: inout Link) throws -> [UInt8]? {
    guard let waiting = link.waitingFrame() else { return nil }
    let isWhole = try withFrame(waiting.byteCount) { link.receive(into: $0) }
    #expect(isWhole)
    let bytes = ram.bytes(testBase, waiting.byteCount)
    #expect((0..<min(64, bytes.count)).allSatisfy { waiting.prefix[$0] == bytes[$0] })
    return bytes
  }
}

@Suite struct `A link through a stream` {
  private let pieces = Pieces()

  @Test(arguments: [1, 3, 5, 1000, 100_000])
  func `frames arrive whatever the stream is cut into`(_ step: Int) throws {
    let (ours, peer) = try pair(SOCK_STREAM)
    var link = try StreamLink(ours)
    let frames = [content(14), content(1514, 3), content(60, 5), content(65553, 7), content(15, 9)]
    let stream = frames.map(prefixed).reduce([], +)
    var received: [[UInt8]] = []
    for start in stride(from: 0, to: stream.count, by: step) {
      peer.put(Array(stream[start..<min(start + step, stream.count)]))
      while let frame = try pieces.receive(from: &link) { received.append(frame) }
    }
    #expect(received == frames)
    peer.put(prefixed(content(80)) + prefixed(content(90)))
    _ = link.waitingFrame()
    link.dropFrame()
    let last = try pieces.receive(from: &link)
    #expect(last == content(90))
    let isUp = link.isUp
    #expect(isUp)
  }

  @Test func `a full socket keeps the driver waiting, and nothing is cut`() throws {
    let (ours, peer) = try pair(SOCK_STREAM)
    var link = try StreamLink(ours)
    clinux_allow_unsent(ours.number, 100_000)
    var sent: [UInt8] = []
    var received: [UInt8] = []
    var busyCount = 0
    for number in 0..<200 {
      let frame = content(60 + number * 97 % 9000, number)
      while try pieces.send(frame, on: &link) == .busy {
        busyCount += 1
        received += peer.take(1 + number * 331 % 40_000)
        try #require(busyCount < 10_000)
      }
      sent += prefixed(frame)
    }
    for _ in 0..<1000 where received.count < sent.count {
      received += peer.take()
      // What is left of the last frame goes out when the link is looked at.
      _ = link.waitingFrame()
    }
    #expect(busyCount > 0 && received == sent)
  }

  @Test func `a peer that does not read for a while gets as much as the system keeps`() throws {
    let (ours, peer) = try pair(SOCK_STREAM)
    var link = try StreamLink(ours)
    let text = try OpenFile.open("/proc/sys/net/core/wmem_max", isWritable: false).text(byteCountMax: 64)
    let allowed = try #require(Int(text.prefix { $0.isNumber }))
    var (room, byteCount) = (0 as Int32, socklen_t(MemoryLayout<Int32>.size))
    // As long as it says.
    #expect(unsafe getsockopt(ours.number, SOL_SOCKET, SO_SNDBUF, &room, &byteCount) == 0)
    // Linux counts its own bookkeeping, and doubles what is asked for.
    #expect(Int(room) == 2 * min(allowed, StreamLink.unsentByteCountMax))
    // An acknowledgement takes less than 1 KiB of it.
    for number in 0..<Int(room) / 1024 {
      let sent = try pieces.send(content(54, number), on: &link)
      try #require(sent == .done)
    }
    #expect(peer.take(58) == prefixed(content(54)))
  }

  @Test(
    arguments: [[0, 0, 0, 0], [0, 1, 0, 18], [0xff, 0xff, 0xff, 0xff], [0x80, 0, 0, 20]] as [[UInt8]])
  func `an impossible length takes the link down, and no more`(_ prefix: [UInt8]) throws {
    let (ours, peer) = try pair(SOCK_STREAM)
    var link = try StreamLink(ours)
    peer.put(prefixed(content(60)) + prefix + content(500))
    let first = try pieces.receive(from: &link)
    #expect(first == content(60))
    #expect(try pieces.receive(from: &link) == nil)
    let isUp = link.isUp
    #expect(!isUp)
    #expect(try pieces.send(content(60), on: &link) == .done)
  }

  @Test func `a peer that goes takes the link down`() throws {
    let (ours, peer) = try pair(SOCK_STREAM)
    var link = try StreamLink(ours)
    peer.put(prefixed(content(60)) + prefixed(content(99)).prefix(50))
    shutdown(peer.number, Int32(SHUT_RDWR))
    let first = try pieces.receive(from: &link)
    #expect(first == content(60))
    #expect(try pieces.receive(from: &link) == nil)
    let isUp = link.isUp
    #expect(!isUp)
    #expect(try pieces.send(content(60), on: &link) == .done)
    #expect(throws: SystemError.self) { _ = try StreamLink(connectingTo: "/nowhere/at/all") }
  }

  @Test func `a call that handled many frames asks to be called again`() throws {
    let (ours, peer) = try pair(SOCK_STREAM)
    var link = try StreamLink(ours)
    for _ in 0..<2 {
      peer.put(Array(repeating: prefixed(content(60)), count: 256).reduce([], +))
      for _ in 0..<255 { _ = try pieces.receive(from: &link) }
      _ = try pieces.receive(from: &link)
      let asks = [link.takeMore(), link.takeMore()]
      #expect(asks == [true, false])
    }
  }
}

@Suite struct `A link through a tap interface` {
  private let pieces = Pieces()

  @Test func `a header says what is left to do, both ways`() throws {
    let (ours, peer) = try pair(SOCK_SEQPACKET)
    try SystemError.check(clinux_do_not_block(ours.number))
    var link = TapLink(ours)
    let whole = try pieces.send(content(60), on: &link)
    #expect(whole == .done)
    // The hint at the length of the headers may be as long as the frame.
    #expect(peer.take() == [0, 0, 60] + [UInt8](repeating: 0, count: 9) + content(60))
    let segmented = NetworkOffload(
      checksum: .partial(start: 34, offset: 16),
      segmentation: NetworkSegmentation(.tcp4, segmentSize: 1448, hasECN: true), headerLength: 66)
    _ = try pieces.send(content(20_000), segmented, on: &link)
    let header: [UInt8] = [1, 0x81] + le(UInt16(66), UInt16(1448), UInt16(34), UInt16(16), UInt16(0))
    #expect(peer.take() == header + content(20_000))
    // A socket takes no offloads, as no tap interface fails to do; the link keeps to what was asked for.
    link.setReceiveOffloads(.checksum | .tcp4 | .ecn)
    peer.put(header + content(20_000))
    let waiting = link.waitingFrame()
    #expect(waiting?.byteCount == 20_000 && waiting?.offload == segmented)
    let received = try pieces.receive(from: &link)
    #expect(received == content(20_000))
  }

  @Test func `frames that the driver cannot take, or that are none, are dropped`() throws {
    let (ours, peer) = try pair(SOCK_SEQPACKET)
    try SystemError.check(clinux_do_not_block(ours.number))
    var link = TapLink(ours)
    let segmented: [UInt8] = [1, 1] + le(UInt16(66), UInt16(1448), UInt16(34), UInt16(16), UInt16(0))
    for bad in [segmented + content(3000), content(1), content(12), [1, 9] + content(100)] { peer.put(bad) }
    peer.put([UInt8](repeating: 0, count: 12) + content(61))
    let received = try pieces.receive(from: &link)
    #expect(received == content(61))
    #expect(try pieces.receive(from: &link) == nil)
    #expect(throws: SystemError(ENAMETOOLONG)) { _ = try TapLink(named: "a-name-that-is-too-long") }
  }
}
