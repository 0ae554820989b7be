// Segments of one TCP stream that come in one after the other, joined to a frame to be segmented: what a
// guest takes as one costs it, and us, little more than a single segment does. Only what the receiver could
// cut into the same segments again is joined (RFC 9293 3.1; virtio 1.4 §5.1.9.4.1 for what is said of the
// frame).

public import Virtio
import Wire

/// A run of segments of one TCP stream, which lies in a buffer of its own.
///
/// The caller offers it every frame that comes in, in order: first to `join`, then, when that does not take
/// it, to `begin`, having passed the run on, and passes on the run when no further frame is there. Frames
/// come from anybody: each one's checksums are verified before it becomes part of a run.
public struct NetworkCoalescer: ~Copyable {
  /// Length that the buffer must have: Ethernet's header and the longest packet of IPv4 or IPv6.
  public static var bufferByteCount: Int { Ethernet.maximumOffloadByteCount }
  /// The shortest payload that a run begins with: copying costs more than it saves below.
  private static var payloadByteMin: Int { 512 }

  private let buffer: GuestRange
  /// Of the first segment, with what differs from segment to segment zero.
  private var common = ByteArray<192>()
  private var first: TCPHeaders?
  /// Length of the run, all headers of the first segment included.
  private var byteCount = 0
  private var segmentCount = 0
  private var nextSequence: UInt32 = 0
  private var flags: UInt8 = 0
  /// Nothing can follow: the last segment was short, or asked to be passed on.
  private var isClosed = false

  /// An empty run. `buffer` has `bufferByteCount` bytes at least, which nothing else uses. Traps when it has
  /// fewer.
  public init(buffer: GuestRange) {
    precondition(Int(buffer.byteCount) >= Self.bufferByteCount, "a buffer for the longest frame")
    self.buffer = buffer
  }

  /// Whether there is a run.
  public var isEmpty: Bool { first == nil }

  /// Makes `packet` the first of a new run. Returns whether it did: false when nothing can ever be joined to
  /// it. Traps when there is a run.
  public mutating func begin(_ packet: borrowing NetworkPacket) -> Bool {
    precondition(isEmpty, "a run that was not passed on")
    guard packet.isWhole, let headers = TCPHeaders(packet), headers.flags == TCPHeaders.acknowledgement,
      headers.payloadByteCount >= Self.payloadByteMin, packet.byteCount <= Int(buffer.byteCount)
    else { return false }
    packet.copy(from: 0, to: buffer)
    guard isIntact(packet, headers, payloadAt: headers.byteCount) else { return false }
    first = headers
    common = packet.head
    headers.clearVariable(&common)
    byteCount = packet.byteCount
    segmentCount = 1
    nextSequence = headers.sequence &+ UInt32(headers.payloadByteCount)
    flags = headers.flags
    isClosed = false
    return true
  }

  /// Adds `packet` to the run. Returns whether it did: false when it is not the next segment of that stream,
  /// or the run cannot be longer.
  @_optimize(speed)
  public mutating func join(_ packet: borrowing NetworkPacket) -> Bool {
    guard let first, !isClosed, packet.isWhole, let headers = TCPHeaders(packet),
      headers.byteCount == first.byteCount, headers.isIPv6 == first.isIPv6, headers.sequence == nextSequence,
      headers.payloadByteCount <= first.payloadByteCount,
      headers.flags | TCPHeaders.push == TCPHeaders.acknowledgement | TCPHeaders.push,
      headers.flags & TCPHeaders.acknowledgement != 0,
      headers.follows(first, by: segmentCount),
      // The length of IP's packet, header included, has 16 bits.
      byteCount - TCPHeaders.network + headers.payloadByteCount <= 0xffff,
      hasCommonHeaders(packet, headers)
    else { return false }
    packet.copy(from: headers.byteCount, to: buffer.dropFirst(UInt32(byteCount)))
    guard isIntact(packet, headers, payloadAt: byteCount) else { return false }
    byteCount += headers.payloadByteCount
    segmentCount += 1
    nextSequence = nextSequence &+ UInt32(headers.payloadByteCount)
    flags |= headers.flags
    isClosed = flags & TCPHeaders.push != 0 || headers.payloadByteCount < first.payloadByteCount
    return true
  }

  /// Ends the run: what it has become lies in `piece`, with `offload` left to do for it. Nil when there is
  /// none. To be passed on before the next `begin`.
  public mutating func finish(_ piece: inout GuestRange) -> NetworkOffload? {
    guard let first else { return nil }
    self.first = nil
    piece = buffer.prefix(UInt32(byteCount))
    // What was verified needs no second look.
    if segmentCount == 1 { return NetworkOffload(checksum: .valid) }
    first.complete(&common, frameByteCount: byteCount, flags: flags)
    buffer.copyIn(from: common.view(first.byteCount))
    return NetworkOffload(
      checksum: .partial(start: UInt16(first.transport), offset: 16),
      segmentation: NetworkSegmentation(
        first.isIPv6 ? .tcp6 : .tcp4, segmentSize: UInt16(first.payloadByteCount)),
      headerLength: UInt16(first.byteCount))
  }

  /// Whether the headers of `packet` are those of the run, but for what differs from segment to segment.
  @_optimize(speed)
  private func hasCommonHeaders(_ packet: borrowing NetworkPacket, _ headers: TCPHeaders) -> Bool {
    var head = packet.head
    headers.clearVariable(&head)
    var difference: UInt64 = 0
    // Up to 8 bytes beyond the headers are zero in both.
    for offset in stride(from: 0, to: headers.byteCount, by: 8) {
      difference |= head.bytes.field(UInt64.self, at: offset) ^ common.bytes.field(UInt64.self, at: offset)
    }
    return difference == 0
  }

  /// Whether the checksums of `packet`, whose payload was copied to `place`, are right.
  @_optimize(speed)
  private func isIntact(
    _ packet: borrowing NetworkPacket, _ headers: TCPHeaders, payloadAt place: Int
  ) -> Bool {
    if !headers.isIPv6 {
      var sum = NetworkSum()
      sum.add(packet.head.bytes, from: TCPHeaders.network, count: 20)
      guard sum.isZero else { return false }
    }
    // Somebody vouches for it.
    if packet.offload.checksum == .valid { return true }
    var sum = NetworkSum()
    sum.add(packet.head.bytes, from: headers.addresses.start, count: headers.addresses.count)
    sum.add(bigEndian: 6)
    sum.add(bigEndian: UInt32(packet.byteCount - headers.transport))
    sum.add(packet.head.bytes, from: headers.transport, count: headers.byteCount - headers.transport)
    sum.add(buffer.dropFirst(UInt32(place)).prefix(UInt32(headers.payloadByteCount)))
    return sum.isZero
  }
}

/// The headers of a segment of TCP that may be joined to others: Ethernet without a tag, IP without options
/// and not fragmented, TCP. All places are in bytes from the start of the frame.
private struct TCPHeaders {
  static var network: Int { 14 }
  static var acknowledgement: UInt8 { 0x10 }
  static var push: UInt8 { 0x08 }

  let isIPv6: Bool
  /// Length of all headers.
  let byteCount: Int
  let payloadByteCount: Int
  let sequence: UInt32
  let flags: UInt8
  /// Of IPv4: the identification, and whether it may not be fragmented, so that this says nothing.
  let identification: UInt16
  let isUnfragmentable: Bool

  var transport: Int { Self.network + (isIPv6 ? 40 : 20) }
  /// Those of IP, in the checksum of TCP.
  var addresses: (start: Int, count: Int) { isIPv6 ? (Self.network + 8, 32) : (Self.network + 12, 8) }

  /// Nil for anything else, and for a frame that is longer or shorter than its packet.
  @_optimize(speed)
  init?(_ packet: borrowing NetworkPacket) {
    let bytes = packet.head.bytes
    let type = bytes.field(UInt16.self, at: 12)
    let length: Int
    if type == 0xdd86 {
      isIPv6 = true
      length = Int(bytes.field(UInt16.self, at: 18).byteSwapped) + 40
      guard bytes.field(UInt8.self, at: 14) >> 4 == 6, bytes.field(UInt8.self, at: 20) == 6
      else { return nil }
      identification = 0
      isUnfragmentable = true
    } else {
      isIPv6 = false
      length = Int(bytes.field(UInt16.self, at: 16).byteSwapped)
      let fragment = bytes.field(UInt16.self, at: 20)
      guard type == 0x0008, bytes.field(UInt8.self, at: 14) == 0x45, fragment & ~0x40 == 0,
        bytes.field(UInt8.self, at: 23) == 6
      else { return nil }
      identification = bytes.field(UInt16.self, at: 18).byteSwapped
      isUnfragmentable = fragment != 0
    }
    let transport = Self.network + (isIPv6 ? 40 : 20)
    let transportByteCount = Int(bytes.field(UInt8.self, at: transport + 12) >> 4) * 4
    byteCount = transport + transportByteCount
    payloadByteCount = packet.byteCount - byteCount
    guard length == packet.byteCount - Self.network, transportByteCount >= 20,
      byteCount <= packet.headByteCount, payloadByteCount > 0
    else { return nil }
    sequence = bytes.field(UInt32.self, at: transport + 4).byteSwapped
    flags = bytes.field(UInt8.self, at: transport + 13)
  }

  /// Whether the identification is one that cutting the run would give segment `index`.
  func follows(_ first: TCPHeaders, by index: Int) -> Bool {
    isUnfragmentable || identification == first.identification &+ UInt16(truncatingIfNeeded: index)
  }

  /// Makes zero what differs from segment to segment, and 8 bytes behind the headers.
  func clearVariable(_ head: inout ByteArray<192>) {
    var bytes = head.mutableBytes
    if isIPv6 {
      bytes.setField(0 as UInt16, at: Self.network + 4)
    } else {
      bytes.setField(0 as UInt32, at: Self.network + 2)
      bytes.setField(0 as UInt16, at: Self.network + 10)
    }
    bytes.setField(0 as UInt32, at: transport + 4)
    bytes.setField(0 as UInt8, at: transport + 13)
    bytes.setField(0 as UInt16, at: transport + 16)
    bytes.setField(0 as UInt64, at: byteCount)
  }

  /// Completes `common`, what all segments have in common, to the headers of a frame of `frameByteCount`
  /// bytes that begins with this segment, with a partial checksum of TCP.
  func complete(_ common: inout ByteArray<192>, frameByteCount: Int, flags: UInt8) {
    let network = Self.network
    var head = common.mutableBytes
    if isIPv6 {
      head.setField(UInt16(frameByteCount - transport).byteSwapped, at: network + 4)
    } else {
      head.setField(UInt16(frameByteCount - network).byteSwapped, at: network + 2)
      head.setField(identification.byteSwapped, at: network + 4)
      var sum = NetworkSum()
      sum.add(head.bytes, from: network, count: 20)
      head.setField(sum.checksum, at: network + 10)
    }
    head.setField(sequence.byteSwapped, at: transport + 4)
    head.setField(flags, at: transport + 13)
    var sum = NetworkSum()
    sum.add(head.bytes, from: addresses.start, count: addresses.count)
    sum.add(bigEndian: 6)
    sum.add(bigEndian: UInt32(frameByteCount - transport))
    head.setField(sum.pseudoHeader, at: transport + 16)
  }
}

extension NetworkPacket {
  /// Whether nothing is left to do for it.
  fileprivate var isWhole: Bool {
    if case .partial = offload.checksum { return false }
    return offload.segmentation == nil
  }

  /// Copies everything from byte `start` on, which lies in the head, to `target`. Traps when it does not fit.
  fileprivate func copy(from start: Int, to target: GuestRange) {
    target.copyIn(from: head.bytes.extracting(start..<headByteCount))
    var rest = target.dropFirst(UInt32(headByteCount - start))
    var pieces = body
    while let piece = pieces.next(limit: .max) {
      rest.copy(from: piece)
      rest = rest.dropFirst(piece.byteCount)
    }
  }
}
