// A frame on its way from one port of a network to others. Its bytes are a guest's or a device's and change
// at any time: the first ones are read once and decide about it; the rest is only moved.

import Synchronization
public import Virtio
public import Wire

/// A frame: the bytes of its head, which were read once, and the rest where it lies.
public struct NetworkPacket: ~Copyable, ~Escapable {
  /// Never used. A value that holds an atomic has a place of its own, so that it is not copied for each call.
  private let place = Atomic<UInt8>(0)
  /// Bytes that are read of each frame: all headers of what can be segmented here.
  public static var headCapacity: Int { 192 }

  /// The first bytes; zero from `headByteCount` on.
  public var head: ByteArray<192>
  /// How many bytes of the frame `head` holds.
  public internal(set) var headByteCount: Int
  /// Pieces of memory, of which the bytes from `bodyStart` on follow the head.
  let ranges: Span<GuestRange>
  var bodyStart: NetworkPlace
  /// How many bytes follow the head.
  public internal(set) var bodyByteCount: Int
  /// What is left to do for it.
  public internal(set) var offload: NetworkOffload

  /// Length of the frame in bytes.
  public var byteCount: Int { headByteCount + bodyByteCount }

  /// `frame`, of which `offload` is left to do.
  @_lifetime(copy frame)
  @_optimize(speed)
  public init(_ frame: borrowing NetworkFrame, _ offload: NetworkOffload) {
    head = ByteArray<192>()
    var bytes = head.mutableBytes
    headByteCount = frame.copyOut(to: &bytes)
    ranges = frame.ranges
    bodyStart = NetworkPlace()
    bodyStart.advance(by: headByteCount, in: frame.ranges)
    bodyByteCount = frame.byteCount - headByteCount
    self.offload = offload
  }

  /// Another one for the same frame, to be changed.
  @_lifetime(copy packet)
  @inline(never)
  public init(copying packet: borrowing NetworkPacket) {
    head = packet.head
    headByteCount = packet.headByteCount
    ranges = packet.ranges
    bodyStart = packet.bodyStart
    bodyByteCount = packet.bodyByteCount
    offload = packet.offload
  }

  deinit {}

  /// In how many pieces of memory the frame lies.
  public var pieceCount: Int { ranges.count }

  /// The pieces of the body, one after the other.
  public var body: NetworkPieceCursor {
    @_lifetime(copy self)
    get { NetworkPieceCursor(ranges, from: bodyStart, byteCount: bodyByteCount) }
  }

  /// Fills `target` with the frame. Traps unless it has exactly its length.
  func copy(into target: borrowing NetworkFrame) {
    precondition(target.byteCount == byteCount, "a frame of another length")
    _ = target.copyIn(from: head.bytes.extracting(first: headByteCount))
    var start = NetworkPlace()
    start.advance(by: headByteCount, in: target.ranges)
    var place = NetworkPieceCursor(target.ranges, from: start, byteCount: bodyByteCount)
    var source = body
    while let from = source.next(limit: .max) {
      var rest = from
      while rest.byteCount != 0, let to = place.next(limit: rest.byteCount) {
        to.copy(from: rest.prefix(to.byteCount))
        rest = rest.dropFirst(to.byteCount)
      }
    }
  }
}

/// A place in a list of pieces.
struct NetworkPlace {
  /// The piece, the one behind the last at the end.
  var index = 0
  /// Bytes from its start, fewer than it has.
  var offset: UInt32 = 0

  /// Moves on, at most to the end.
  @inline(never)
  @_optimize(speed)
  mutating func advance(by count: Int, in ranges: Span<GuestRange>) {
    var left = count
    while left != 0, index < ranges.count {
      let rest = Int(ranges[index].byteCount - offset)
      if left < rest {
        offset += UInt32(left)
        return
      }
      left -= rest
      index += 1
      offset = 0
    }
  }
}

/// A walk over a part of a list of pieces.
public struct NetworkPieceCursor: ~Escapable {
  private let ranges: Span<GuestRange>
  private var place: NetworkPlace
  private var left: Int

  /// The `byteCount` bytes from `start` on, which the pieces have.
  @_lifetime(copy ranges)
  init(_ ranges: Span<GuestRange>, from start: NetworkPlace, byteCount: Int) {
    self.ranges = ranges
    place = start
    left = byteCount
  }

  /// The next bytes that lie in one piece, at most `limit` of them; nil at the end.
  @_lifetime(self: copy self)
  @inline(never)
  @_optimize(speed)
  public mutating func next(limit: UInt32) -> GuestRange? {
    guard left != 0, place.index < ranges.count else { return nil }
    let range = ranges[place.index].dropFirst(place.offset)
    let count = UInt32(min(Int(min(range.byteCount, limit)), left))
    left -= Int(count)
    place.advance(by: Int(count), in: ranges)
    return range.prefix(count)
  }
}

/// The ones' complement sum of RFC 1071.
struct NetworkSum {
  private var sum: UInt64 = 0

  /// Adds the `count` bytes from `start` of `bytes`, as 16-bit words from `start` on.
  @_optimize(speed)
  mutating func add(_ bytes: RawSpan, from start: Int, count: Int) {
    var offset = start
    let end = start + count
    while end - offset >= 8 {
      add(bytes.field(UInt64.self, at: offset))
      offset += 8
    }
    while end - offset >= 2 {
      add(UInt64(bytes.field(UInt16.self, at: offset)))
      offset += 2
    }
    if offset != end { add(UInt64(bytes.field(UInt8.self, at: offset))) }
  }

  /// Adds a number that is stored with its most significant byte first.
  mutating func add(bigEndian value: UInt32) { add(UInt64(value.byteSwapped)) }

  /// Adds the body of a packet, which is as long as it says, behind `byteCountBefore` bytes of the sum.
  mutating func add(_ packet: borrowing NetworkPacket, behind byteCountBefore: Int) {
    var pieces = packet.body
    var isOdd = byteCountBefore & 1 != 0
    while let piece = pieces.next(limit: .max) {
      // From an odd byte on, the halves of all words change places.
      let sum = piece.onesComplementSum()
      add(UInt64(isOdd ? sum.byteSwapped : sum))
      if piece.byteCount & 1 != 0 { isOdd.toggle() }
    }
  }

  /// Adds the bytes of `piece`, which begin at an even place of what is summed.
  mutating func add(_ piece: GuestRange) { add(UInt64(piece.onesComplementSum())) }

  private mutating func add(_ word: UInt64) {
    let (next, carry) = sum.addingReportingOverflow(word)
    sum = carry ? next &+ 1 : next
  }

  /// The sum in 16 bits, as its bytes are stored when loaded little-endian.
  private var folded: UInt16 {
    var value = sum
    while value > 0xffff { value = (value & 0xffff) + (value >> 16) }
    return UInt16(value)
  }

  /// Whether what was added, a checksum included, is intact.
  var isZero: Bool { folded == 0xffff }

  /// What a partial checksum starts from, as `ByteArray.store` writes it.
  var pseudoHeader: UInt16 { folded }

  /// The checksum, as `ByteArray.store` writes it. Never 0, which with UDP says that there is none.
  var checksum: UInt16 { folded == 0xffff ? 0xffff : ~folded }
}
