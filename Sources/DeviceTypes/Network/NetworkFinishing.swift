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
  /// Of the frame: the identification of IPv4, the sequence number and the flags of TCP.
  var identification: UInt16
  var sequence: UInt32
  var flags: UInt8

  var count: Int { max(1, (payloadByteCount + segmentSize - 1) / segmentSize) }

  /// Nil for what is not TCP over IP with headers that fit together and into the head.
  init?(_ packet: borrowing NetworkPacket) {
    guard let segmentation = packet.offload.segmentation, segmentation.kind != .udp,
      case .partial(let start, 16) = packet.offload.checksum
    else { return nil }
    isIPv6 = segmentation.kind == .tcp6
    network = Ethernet.headerByteCount(packet.head)
    // Not of `head`: a load from that may copy all of it.
    let bytes = packet.head.bytes
    transport = Int(start)
    segmentSize = Int(segmentation.segmentSize)
    let type = bytes.field(UInt16.self, at: network - 2)
    let networkByteCount = transport - network
    guard transport + 20 <= packet.headByteCount else { return nil }
    if isIPv6 {
      guard type == 0xdd86, networkByteCount >= 40, bytes.field(UInt8.self, at: network) >> 4 == 6,
        networkByteCount != 40 || bytes.field(UInt8.self, at: network + 6) == 6
      else { return nil }
    } else {
      // No fragment, of TCP.
      guard type == 0x0008, networkByteCount >= 20, bytes.field(UInt8.self, at: network) >> 4 == 4,
        Int(bytes.field(UInt8.self, at: network) & 0xf) * 4 == networkByteCount,
        bytes.field(UInt8.self, at: network + 6) & 0x3f == 0,
        bytes.field(UInt8.self, at: network + 7) == 0, bytes.field(UInt8.self, at: network + 9) == 6
      else { return nil }
    }
    let transportByteCount = Int(bytes.field(UInt8.self, at: transport + 12) >> 4) * 4
    headerByteCount = transport + transportByteCount
    guard transportByteCount >= 20, headerByteCount <= packet.headByteCount else { return nil }
    payloadByteCount = packet.byteCount - headerByteCount
    identification = isIPv6 ? 0 : bytes.field(UInt16.self, at: network + 4).byteSwapped
    sequence = bytes.field(UInt32.self, at: transport + 4).byteSwapped
    flags = bytes.field(UInt8.self, at: transport + 13)
    guard count <= NetworkFinishing.frameLimit else { return nil }
  }
}

extension NetworkPacket {
  /// What the packet becomes for a port that does `allowed`. Nil when it cannot be finished: its headers
  /// contradict its offload, reach beyond the head or ask for more than `frameLimit` segments.
  @inline(never)
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

  /// Makes `frame`, which is a copy of the packet at first and then the one made before, the next of the
  /// frames that the packet becomes. Traps when all were made.
  @_lifetime(frame: copy self)
  public func makeNext(_ frame: inout NetworkPacket, _ finishing: inout NetworkFinishing) {
    precondition(finishing.madeCount < finishing.frameCount, "no further frame")
    switch finishing.kind {
    case .unchanged: break
    case .checksum(let start, let offset):
      var sum = NetworkSum()
      sum.add(self, behind: headByteCount - start)
      var bytes = frame.head.mutableBytes
      sum.add(bytes.bytes, from: start, count: headByteCount - start)
      bytes.setField(sum.checksum, at: start + offset)
      frame.offload = .complete
    case .segments(let segments):
      frame.cut(finishing.madeCount, segments, at: finishing.place)
      finishing.place.advance(by: frame.bodyByteCount, in: ranges)
    }
    finishing.madeCount += 1
  }

  /// Becomes segment `index`, whose payload is at `place`. It was the whole frame, or another segment of it.
  @_lifetime(self: copy self)
  private mutating func cut(_ index: Int, _ segments: TCPSegments, at place: NetworkPlace) {
    let start = index * segments.segmentSize
    let oldHeadByteCount = headByteCount
    headByteCount = segments.headerByteCount
    bodyStart = place
    bodyByteCount = min(segments.segmentSize, segments.payloadByteCount - start)
    offload = .complete
    let total = byteCount
    var sum = NetworkSum()
    sum.add(self, behind: headByteCount - segments.transport)
    // In place: a load from `head` itself may copy all of it.
    var bytes = head.mutableBytes
    for offset in segments.headerByteCount..<oldHeadByteCount { bytes.setField(0 as UInt8, at: offset) }
    let network = segments.network
    if segments.isIPv6 {
      bytes.setField(UInt16(truncatingIfNeeded: total - network - 40).byteSwapped, at: network + 4)
    } else {
      bytes.setField(UInt16(truncatingIfNeeded: total - network).byteSwapped, at: network + 2)
      bytes.setField((segments.identification &+ UInt16(index)).byteSwapped, at: network + 4)
      bytes.setField(0 as UInt16, at: network + 10)
      var sum = NetworkSum()
      sum.add(bytes.bytes, from: network, count: segments.transport - network)
      bytes.setField(sum.checksum, at: network + 10)
    }
    let transport = segments.transport
    bytes.setField((segments.sequence &+ UInt32(start)).byteSwapped, at: transport + 4)
    // FIN and PSH are about the end, CWR is said once.
    var flags = segments.flags
    if index != segments.count - 1 { flags &= ~0x09 }
    if index != 0 { flags &= ~0x80 }
    bytes.setField(flags, at: transport + 13)
    // The checksum of a segment with its pseudo header (RFC 9293, 3.1; RFC 8200, 8.1).
    bytes.setField(0 as UInt16, at: transport + 16)
    let addresses = segments.isIPv6 ? (from: 8, count: 32) : (from: 12, count: 8)
    sum.add(bytes.bytes, from: network + addresses.from, count: addresses.count)
    sum.add(bigEndian: 6)
    sum.add(bigEndian: UInt32(total - transport))
    sum.add(bytes.bytes, from: transport, count: segments.headerByteCount - transport)
    bytes.setField(sum.checksum, at: transport + 16)
  }
}
