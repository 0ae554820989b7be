// What is done in software for a port that leaves less undone than the sender of a frame: checksums are
// completed and TCP is cut into segments. The headers are a guest's: what does not fit together is refused.

import Virtio
import Wire

/// What a packet becomes for a port: how many frames, and how they are made.
public struct NetworkFinishing {
  enum Kind {
    case unchanged
    case checksum(start: Int, offset: Int)
    case segments(TCPSegments)
  }
  let kind: Kind
  /// How many frames it becomes, 1 to `frameLimit`.
  public let frameCount: Int
  /// How many of them were made, and where the payload of the next one is.
  var madeCount = 0
  var place = NetworkPlace()

  /// The most segments that a frame is cut into.
  public static var frameLimit: Int { 256 }

  init(_ kind: Kind, frameCount: Int = 1) {
    self.kind = kind
    self.frameCount = frameCount
  }
}

/// How a frame of TCP is cut. All places are in bytes from the start of the frame, and lie within its head.
struct TCPSegments {
  var isIPv6: Bool
  var network: Int
  var transport: Int
  /// Length of all headers.
  var headerByteCount: Int
  var payloadByteCount: Int
  /// Payload of each segment but the last.
  var segmentSize: Int

  var count: Int { max(1, (payloadByteCount + segmentSize - 1) / segmentSize) }

  /// Nil for what is not TCP over IP with headers that fit together and into the head.
  init?(_ packet: borrowing NetworkPacket) {
    guard let segmentation = packet.offload.segmentation, segmentation.kind != .udp,
      case .partial(let start, 16) = packet.offload.checksum
    else { return nil }
    isIPv6 = segmentation.kind == .tcp6
    let head = packet.head
    network = Ethernet.headerByteCount(head)
    transport = Int(start)
    segmentSize = Int(segmentation.segmentSize)
    let type: UInt16 = head.load(at: network - 2)
    let networkByteCount = transport - network
    guard transport + 20 <= packet.headByteCount else { return nil }
    if isIPv6 {
      guard type == 0xdd86, networkByteCount >= 40, head[network] >> 4 == 6,
        networkByteCount != 40 || head[network + 6] == 6
      else { return nil }
    } else {
      // No fragment, of TCP.
      guard type == 0x0008, networkByteCount >= 20, head[network] >> 4 == 4,
        Int(head[network] & 0xf) * 4 == networkByteCount, head[network + 6] & 0x3f == 0,
        head[network + 7] == 0, head[network + 9] == 6
      else { return nil }
    }
    let transportByteCount = Int(head[transport + 12] >> 4) * 4
    headerByteCount = transport + transportByteCount
    guard transportByteCount >= 20, headerByteCount <= packet.headByteCount else { return nil }
    payloadByteCount = packet.byteCount - headerByteCount
    guard count <= NetworkFinishing.frameLimit else { return nil }
  }
}

extension NetworkPacket {
  /// What the packet becomes for a port that does `allowed`. Nil when it cannot be finished: its headers
  /// contradict its offload, reach beyond the head or ask for more than `frameLimit` segments.
  public func finishing(for allowed: NetworkOffloads) -> NetworkFinishing? {
    if let segmentation = offload.segmentation, !allowed.contains(segmentation.required | .checksum) {
      guard let segments = TCPSegments(self) else { return nil }
      var finishing = NetworkFinishing(.segments(segments), frameCount: segments.count)
      finishing.place.advance(by: segments.headerByteCount, in: ranges)
      return finishing
    }
    if case .partial(let start, let offset) = offload.checksum, !allowed.contains(.checksum) {
      let end = Int(start) + Int(offset) + 2
      guard end <= headByteCount else { return nil }
      return NetworkFinishing(.checksum(start: Int(start), offset: Int(offset)))
    }
    return NetworkFinishing(.unchanged)
  }

  /// The next of the frames that it becomes, after which it is made ready for the one behind. Traps when all
  /// were made.
  @_lifetime(copy self)
  public func nextFrame(_ finishing: inout NetworkFinishing) -> NetworkPacket {
    precondition(finishing.madeCount < finishing.frameCount, "no further frame")
    var frame = self
    switch finishing.kind {
    case .unchanged: break
    case .checksum(let start, let offset):
      var sum = NetworkSum()
      sum.add(head, from: start, count: headByteCount - start)
      sum.add(self, behind: headByteCount - start)
      frame.head.store(sum.checksum, at: start + offset)
      frame.offload = .complete
    case .segments(let segments):
      frame.cut(finishing.madeCount, segments, at: finishing.place)
      finishing.place.advance(by: frame.bodyByteCount, in: ranges)
    }
    finishing.madeCount += 1
    return frame
  }

  /// Becomes segment `index`, whose payload is at `place`.
  @_lifetime(self: copy self)
  private mutating func cut(_ index: Int, _ segments: TCPSegments, at place: NetworkPlace) {
    let start = index * segments.segmentSize
    let isLast = index == segments.count - 1
    for offset in segments.headerByteCount..<headByteCount { head[offset] = 0 }
    headByteCount = segments.headerByteCount
    bodyStart = place
    bodyByteCount = min(segments.segmentSize, segments.payloadByteCount - start)
    offload = .complete
    let network = segments.network
    if segments.isIPv6 {
      head.store(UInt16(truncatingIfNeeded: byteCount - network - 40).byteSwapped, at: network + 4)
    } else {
      head.store(UInt16(truncatingIfNeeded: byteCount - network).byteSwapped, at: network + 2)
      let identification = head.load(UInt16.self, at: network + 4).byteSwapped &+ UInt16(index)
      head.store(identification.byteSwapped, at: network + 4)
      head.store(0 as UInt16, at: network + 10)
      var sum = NetworkSum()
      sum.add(head, from: network, count: segments.transport - network)
      head.store(sum.checksum, at: network + 10)
    }
    let transport = segments.transport
    let sequence = head.load(UInt32.self, at: transport + 4).byteSwapped &+ UInt32(start)
    head.store(sequence.byteSwapped, at: transport + 4)
    // FIN and PSH are about the end, CWR is said once.
    if !isLast { head[transport + 13] &= ~0x09 }
    if index != 0 { head[transport + 13] &= ~0x80 }
    completeTCP(segments)
  }

  /// The checksum of a segment with its pseudo header (RFC 9293, 3.1; RFC 8200, 8.1).
  @_lifetime(self: copy self)
  private mutating func completeTCP(_ segments: TCPSegments) {
    let transport = segments.transport
    head.store(0 as UInt16, at: transport + 16)
    var sum = NetworkSum()
    let addresses = segments.isIPv6 ? (from: 8, count: 32) : (from: 12, count: 8)
    sum.add(head, from: segments.network + addresses.from, count: addresses.count)
    sum.add(bigEndian: 6)
    sum.add(bigEndian: UInt32(byteCount - transport))
    sum.add(head, from: transport, count: headByteCount - transport)
    sum.add(self, behind: headByteCount - transport)
    head.store(sum.checksum, at: transport + 16)
  }
}
