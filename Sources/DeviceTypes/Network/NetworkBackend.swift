// What a network device is connected to. Frames of the guest lie in guest memory, which changes at any time.

public import Virtio
public import Wire

/// A frame in guest memory, as a list of pieces.
public struct NetworkFrame: ~Copyable, ~Escapable {
  /// The pieces, in order; none is empty. To be read, or on reception to be filled, once.
  public let ranges: Span<GuestRange>
  /// Length of all pieces together, in bytes.
  public let byteCount: Int

  /// A frame of these pieces, `byteCount` bytes together.
  @_lifetime(copy ranges)
  public init(_ ranges: Span<GuestRange>, byteCount: Int) {
    self.ranges = ranges
    self.byteCount = byteCount
  }

  /// Copies the start of the frame to `target` and returns how many bytes: as many as fit.
  public func copyOut(to target: inout MutableRawSpan) -> Int {
    var done = 0
    for index in ranges.indices where done < target.byteCount {
      let range = ranges[index]
      let count = min(Int(range.byteCount), target.byteCount - done)
      var part = target._mutatingExtracting(done..<(done + count))
      range.copyOut(to: &part)
      done += count
    }
    return done
  }

  /// Fills the start of the frame from `source` and returns how many bytes: as many as fit.
  public func copyIn(from source: RawSpan) -> Int {
    var done = 0
    for index in ranges.indices where done < source.byteCount {
      let range = ranges[index]
      let count = min(Int(range.byteCount), source.byteCount - done)
      range.copyIn(from: source.extracting(done..<(done + count)))
      done += count
    }
    return done
  }
}

/// A frame that a backend has for the driver.
public struct NetworkWaitingFrame {
  /// Bytes of the start of a frame that are looked at: up to the ports of TCP over IPv6 with a VLAN tag.
  public static var prefixByteCount: Int { 64 }
  /// Length of the frame in bytes, without the checksum of the link.
  public var byteCount: Int
  /// Its first bytes, zero beyond its end: they decide whether and in which queue it is received.
  public var prefix: ByteArray<64>
  /// What is left to do for it, within what `NetworkBackend.setReceiveOffloads` last allowed.
  public var offload: NetworkOffload

  /// A frame of `byteCount` bytes that starts with `prefix`.
  public init(byteCount: Int, prefix: ByteArray<64>, offload: NetworkOffload = .complete) {
    self.byteCount = byteCount
    self.prefix = prefix
    self.offload = offload
  }
}

/// What became of a frame to be transmitted.
public enum NetworkTransmission: Sendable {
  /// It is sent, queued in memory of the backend, or lost, as on any link; its memory is not used any more.
  case done
  /// It is being sent from its memory: `nextTransmission()` will return its tag, exactly once.
  case pending
  /// There is no room now. The device keeps the frame and tries again when it is polled.
  case busy
}

/// The link that a network device is connected to.
///
/// It gets frames whose headers were checked, and only offloads that it said it does. A backend that cannot
/// do without copying may copy; the device does not.
public protocol NetworkBackend: ~Copyable {
  /// What it does for transmitted frames. Fixed.
  var transmitOffloads: NetworkOffloads { get }
  /// What it may leave to do for frames it has received. Fixed.
  var receiveOffloads: NetworkOffloads { get }
  /// Sends a frame of at least 14 bytes. `tag`, below 64, names it while it is pending; the memory of its
  /// pieces stays valid that long, the list itself is lent for the call only.
  mutating func transmit(
    _ frame: borrowing NetworkFrame, _ offload: NetworkOffload, tag: UInt32
  ) -> NetworkTransmission
  /// The tag of the next pending frame that was sent or lost, or nil.
  mutating func nextTransmission() -> UInt32?
  /// The pending frame `tag` is no longer wanted. It still ends, and the sooner the better: its memory must
  /// be left alone before the reset that forgot it can complete.
  mutating func cancel(tag: UInt32)
  /// The frame to be received next, which stays until it is received or dropped; nil when there is none.
  mutating func waitingFrame() -> NetworkWaitingFrame?
  /// Writes the waiting frame to `frame`, which has exactly its length, and forgets it. Returns false when
  /// that failed; the frame is then lost.
  mutating func receive(into frame: borrowing NetworkFrame) -> Bool
  /// Forgets the waiting frame.
  mutating func dropFrame()
  /// From now on no frame may wait that needs more than `offloads`; those that do are dropped. Called with
  /// what was negotiated, and when the driver changes its mind.
  mutating func setReceiveOffloads(_ offloads: NetworkOffloads)
}

extension NetworkBackend where Self: ~Copyable {
  /// None: every transmitted frame is complete.
  public var transmitOffloads: NetworkOffloads { .none }
  /// None: every received frame is complete.
  public var receiveOffloads: NetworkOffloads { .none }
  /// Never anything: for backends that send every frame at once.
  public mutating func nextTransmission() -> UInt32? { nil }
  /// Nothing to hurry.
  public mutating func cancel(tag: UInt32) {}
  /// Nothing to change for a backend whose received frames are complete.
  public mutating func setReceiveOffloads(_ offloads: NetworkOffloads) {}
}
