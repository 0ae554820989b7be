// A link to the network of this system: a tap interface, whose frames come with virtio's header, so that
// checksums and segmentation are left to whoever does them last.

import CLinux
public import DeviceTypes
import Glibc
import Virtio
import Wire

/// The link of a network device that is a tap interface of the kernel.
@safe
public struct TapLink: HostedLink, ~Copyable {
  /// The longest frame: 65535 bytes behind an Ethernet header with a tag.
  private static var capacity: Int { NetworkHeader.byteCount + 65535 + 18 }
  /// Pieces of the longest list of a device, and the header before them.
  private static var vectorLimit: Int { 257 }
  private static var offloads: NetworkOffloads { .checksum | .tcp4 | .tcp6 | .ecn }

  private let interface: OpenFile
  private let received: UnsafeMutableRawPointer
  private var waiting: NetworkWaitingFrame?
  private let vectors: UnsafeMutablePointer<iovec>
  private var allowed = NetworkOffloads.none
  private var handledCount = 0

  /// The link of `interface`, a descriptor that gives and takes one frame with its header at a time and does
  /// not block.
  init(_ interface: OpenFile) {
    self.interface = interface
    unsafe received = .allocate(byteCount: Self.capacity, alignment: 16)
    unsafe vectors = .allocate(capacity: Self.vectorLimit)
    unsafe vectors.initialize(repeating: iovec(), count: Self.vectorLimit)
  }

  /// The tap interface `name`, which is made when there is none. That needs a privilege; one that was made
  /// for this user before does not.
  public init(named name: String) throws(SystemError) {
    self.init(try OpenFile(checking: unsafe clinux_tap(name)))
  }

  deinit {
    unsafe received.deallocate()
    unsafe vectors.deallocate()
  }

  /// The kernel has it.
  public var isUp: Bool { true }

  /// News and room of the interface.
  public var events: [OpenFile] { [interface] }

  /// Whether a call handled as many frames as it may, so that more may wait without further news.
  public mutating func takeMore() -> Bool {
    defer { handledCount = 0 }
    return handledCount >= frameBudget
  }

  /// The kernel completes checksums and segments TCP.
  public var transmitOffloads: NetworkOffloads { Self.offloads }
  /// It leaves the same to the driver, if that wants it.
  public var receiveOffloads: NetworkOffloads { Self.offloads }

  /// Tells the kernel.
  public mutating func setReceiveOffloads(_ offloads: NetworkOffloads) {
    allowed = offloads
    func has(_ offload: NetworkOffloads) -> Int32 { offloads.contains(offload) ? 1 : 0 }
    let result = clinux_tap_offloads(
      interface.number, has(.checksum), has(.tcp4), has(.tcp6), has(.ecn))
    // Frames that need more than the driver does are dropped then.
    if result < 0 { Log.note("the interface does not take the driver's offloads: \(SystemError(-result))") }
  }

  /// Hands the frame to the kernel.
  public mutating func transmit(
    _ frame: borrowing NetworkFrame, _ offload: NetworkOffload, tag: UInt32
  ) -> NetworkTransmission {
    guard let header = offload.header(.transmit, byteCount: frame.byteCount, allowed: Self.offloads) else {
      return .done
    }
    var bytes = header.bytes
    var span = bytes.mutableBytes
    // The header lives for the call, the pieces are checked guest memory, and there are fewer than vectors.
    let result = unsafe span.withUnsafeMutableBytes { all in
      unsafe vectors[0] = iovec(iov_base: all.baseAddress, iov_len: all.count)
      for i in frame.ranges.indices {
        let range = frame.ranges[i]
        unsafe vectors[1 + i] = iovec(iov_base: range.host, iov_len: Int(range.byteCount))
      }
      return unsafe clinux_write_vectors(interface.number, vectors, UInt32(1 + frame.ranges.count))
    }
    // What the interface does not take, because it is down, is lost as on any link.
    return result == -Int(EAGAIN) ? .busy : .done
  }

  /// The next frame that the driver can take.
  public mutating func waitingFrame() -> NetworkWaitingFrame? {
    while waiting == nil, handledCount < 2 * frameBudget {
      let count = unsafe clinux_read(interface.number, received, Self.capacity)
      guard count > 0 else { return nil }
      handledCount += 1
      let byteCount = count - NetworkHeader.byteCount
      guard byteCount > 0 else { continue }
      // As long as was read.
      let bytes = unsafe RawSpan(_unsafeStart: received, byteCount: count)
      let header = NetworkHeader(ByteArray<12>(prefixOf: bytes.extracting(first: NetworkHeader.byteCount)))
      guard
        let offload = NetworkOffload.decode(header, .receive, byteCount: byteCount, allowed: allowed)
      else { continue }
      waiting = NetworkWaitingFrame(
        byteCount: byteCount,
        prefix: ByteArray<64>(prefixOf: bytes.extracting(NetworkHeader.byteCount..<count)), offload: offload)
    }
    return waiting
  }

  /// Copies the frame.
  public mutating func receive(into frame: borrowing NetworkFrame) -> Bool {
    // The waiting frame, which has this length.
    let bytes = unsafe RawSpan(_unsafeStart: received + NetworkHeader.byteCount, byteCount: frame.byteCount)
    _ = frame.copyIn(from: bytes)
    waiting = nil
    return true
  }

  /// Forgets the frame.
  public mutating func dropFrame() { waiting = nil }
}
