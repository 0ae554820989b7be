// Checksum and segmentation offloads: what a header says about its frame. The header comes from an untrusted
// peer; what `decode` returns is consistent with the frame's length and with what was negotiated.

import Virtio

/// A set of offloads of one direction.
public struct NetworkOffloads: Equatable, Sendable {
  /// The bits as in VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET: the numbers of the features of the receive direction.
  public let rawValue: UInt64

  /// The set with exactly these bits.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// No offload.
  public static var none: NetworkOffloads { NetworkOffloads(rawValue: 0) }
  /// Partial checksums.
  public static var checksum: NetworkOffloads { NetworkOffloads(rawValue: 1 << 1) }
  /// TCP over IPv4 to be segmented.
  public static var tcp4: NetworkOffloads { NetworkOffloads(rawValue: 1 << 7) }
  /// TCP over IPv6 to be segmented.
  public static var tcp6: NetworkOffloads { NetworkOffloads(rawValue: 1 << 8) }
  /// TCP to be segmented with ECN.
  public static var ecn: NetworkOffloads { NetworkOffloads(rawValue: 1 << 9) }
  /// UDP to be fragmented.
  public static var udp: NetworkOffloads { NetworkOffloads(rawValue: 1 << 10) }
  /// All of them.
  public static var all: NetworkOffloads { checksum | segmentation | ecn }
  /// Everything that makes frames longer than the link's.
  static var segmentation: NetworkOffloads { tcp4 | tcp6 | udp }

  /// The offloads of the receive direction (GUEST_*) among `features`.
  init(receive features: Features) { rawValue = features.low & Self.all.rawValue }

  /// The offloads of the transmit direction (CSUM, HOST_*) among `features`.
  init(transmit features: Features) {
    let checksum = features.low << 1 & Self.checksum.rawValue
    rawValue = checksum | features.low >> 4 & (Self.segmentation | .ecn).rawValue
  }

  /// The features of the receive direction.
  var receiveFeatures: Features { Features(low: rawValue & Self.all.rawValue) }

  /// The features of the transmit direction.
  var transmitFeatures: Features {
    Features(
      low: (rawValue & Self.checksum.rawValue) >> 1
        | (rawValue & (Self.segmentation | .ecn).rawValue) << 4)
  }

  /// Whether every offload of `other` is in this set.
  public func contains(_ other: NetworkOffloads) -> Bool { rawValue & other.rawValue == other.rawValue }

  /// Whether some offload of `other` is in this set.
  func intersects(_ other: NetworkOffloads) -> Bool { rawValue & other.rawValue != 0 }

  /// Both sets.
  public static func | (a: NetworkOffloads, b: NetworkOffloads) -> NetworkOffloads {
    NetworkOffloads(rawValue: a.rawValue | b.rawValue)
  }
}

/// The state of a frame's transport checksum.
public enum NetworkChecksum: Equatable, Sendable {
  /// Nobody vouches for it (§5.1.9.2.2, §5.1.9.4.2): complete, but to be checked.
  case unchecked
  /// The device has checked it. On received frames only.
  case valid
  /// The field `offset` bytes after `start` holds the pseudo header's sum. It has to be replaced by the ones'
  /// complement checksum from `start` to the end of the frame. The field lies within the frame.
  case partial(start: UInt16, offset: UInt16)
}

/// How a frame has to be cut before it fits the link.
public struct NetworkSegmentation: Equatable, Sendable {
  /// What is cut.
  public enum Kind: Equatable, Sendable {
    /// TCP over IPv4, into segments.
    case tcp4
    /// TCP over IPv6, into segments.
    case tcp6
    /// UDP, into fragments.
    case udp
  }

  /// What is cut.
  public var kind: Kind
  /// The most payload of each piece, in bytes; not 0.
  public var segmentSize: UInt16
  /// Whether TCP has the ECN bit set. Never with UDP.
  public var hasECN: Bool

  /// Pieces of `segmentSize` bytes of payload.
  public init(_ kind: Kind, segmentSize: UInt16, hasECN: Bool = false) {
    self.kind = kind
    self.segmentSize = segmentSize
    self.hasECN = hasECN
  }

  var type: UInt8 {
    let type =
      switch kind {
      case .tcp4: NetworkSegmentationType.tcp4
      case .tcp6: NetworkSegmentationType.tcp6
      case .udp: NetworkSegmentationType.udp
      }
    return hasECN ? type | NetworkSegmentationType.ecn : type
  }

  /// The offloads that the other side must have agreed to.
  var required: NetworkOffloads {
    let kind: NetworkOffloads =
      switch kind {
      case .tcp4: .tcp4
      case .tcp6: .tcp6
      case .udp: .udp
      }
    return hasECN ? kind | .ecn : kind
  }
}

/// What is left to do for a frame, or was already done.
public struct NetworkOffload: Equatable, Sendable {
  /// The state of its checksum.
  public var checksum: NetworkChecksum
  /// How it has to be cut; nil when it fits the link. Only together with a partial checksum.
  public var segmentation: NetworkSegmentation?
  /// A hint at the length of all headers in bytes, at most the frame's; 0 when unknown. Never rely on it.
  public var headerLength: UInt16

  /// What is left to do for a frame.
  public init(
    checksum: NetworkChecksum = .unchecked, segmentation: NetworkSegmentation? = nil,
    headerLength: UInt16 = 0
  ) {
    self.checksum = checksum
    self.segmentation = segmentation
    self.headerLength = headerLength
  }

  /// A complete frame.
  public static var complete: NetworkOffload { NetworkOffload() }

  /// Whether it fits a frame of `byteCount` bytes and needs nothing beyond `allowed`.
  func isAllowed(_ byteCount: Int, _ allowed: NetworkOffloads) -> Bool {
    if case .partial(let start, let offset) = checksum {
      // The two bytes of the checksum lie within the frame.
      guard allowed.contains(.checksum), Int(start) + Int(offset) + 2 <= byteCount else { return false }
    } else if segmentation != nil {
      // §5.1.9.2.1, §5.1.9.4.1: segmentation goes with a partial checksum.
      return false
    }
    guard let segmentation else { return true }
    guard segmentation.segmentSize != 0, !(segmentation.hasECN && segmentation.kind == .udp) else {
      return false
    }
    return allowed.contains(segmentation.required)
  }
}

/// Which way a frame goes.
public enum NetworkDirection: Sendable {
  /// From the driver to the device.
  case transmit
  /// From the device to the driver.
  case receive
}

extension NetworkOffload {
  /// What `header` says about a frame of `byteCount` bytes. Nil when the frame cannot be accepted: the header
  /// contradicts itself or the frame, or asks for more than `allowed`.
  @inline(never)
  public static func decode(
    _ header: NetworkHeader, _ direction: NetworkDirection, byteCount: Int, allowed: NetworkOffloads
  ) -> NetworkOffload? {
    let needsChecksum = header.flags & NetworkHeaderFlag.needsChecksum != 0
    if header.flags & NetworkHeaderFlag.tunnelChecksum != 0, direction == .transmit || needsChecksum {
      // §5.1.9.2.2, §5.1.9.4.2: never without the bits for tunnels, which are not accepted below.
      return nil
    }
    // §5.1.9.4.2: the checksum fields then hold counts, so the checksum cannot be completed.
    if direction == .receive, needsChecksum, header.flags & NetworkHeaderFlag.coalescingInfo != 0 {
      return nil
    }
    // Other unknown flags are ignored, and so are the checksum fields of a frame that does not need them.
    var offload = NetworkOffload(headerLength: UInt16(min(Int(header.headerLength), byteCount)))
    if needsChecksum {
      offload.checksum = .partial(start: header.checksumStart, offset: header.checksumOffset)
    } else if direction == .receive, allowed.contains(.checksum),
      header.flags & NetworkHeaderFlag.dataValid != 0
    {
      offload.checksum = .valid
    }
    let hasECN = header.segmentationType & NetworkSegmentationType.ecn != 0
    let kind: NetworkSegmentation.Kind
    switch header.segmentationType & ~NetworkSegmentationType.ecn {
    case NetworkSegmentationType.none: return offload.isAllowed(byteCount, allowed) ? offload : nil
    case NetworkSegmentationType.tcp4: kind = .tcp4
    case NetworkSegmentationType.tcp6: kind = .tcp6
    case NetworkSegmentationType.udp: kind = .udp
    default: return nil
    }
    offload.segmentation = NetworkSegmentation(kind, segmentSize: header.segmentSize, hasECN: hasECN)
    return offload.isAllowed(byteCount, allowed) ? offload : nil
  }

  /// The header of a frame of `byteCount` bytes; `bufferCount` is left 0. Nil when this offload does not fit
  /// the frame or is beyond `allowed`.
  @inline(never)
  public func header(_ direction: NetworkDirection, byteCount: Int, allowed: NetworkOffloads)
    -> NetworkHeader?
  {
    guard isAllowed(byteCount, allowed) else { return nil }
    var header = NetworkHeader()
    switch checksum {
    case .unchecked: break
    case .valid:
      // §5.1.9.4.1: flags are zero without GUEST_CSUM; §5.1.9.2.1: never set by a driver.
      if direction == .receive && allowed.contains(.checksum) { header.flags = NetworkHeaderFlag.dataValid }
    case .partial(let start, let offset):
      header.flags = NetworkHeaderFlag.needsChecksum
      header.checksumStart = start
      header.checksumOffset = offset
    }
    if let segmentation {
      header.segmentationType = segmentation.type
      header.segmentSize = segmentation.segmentSize
    }
    header.headerLength = headerLength
    if headerLength == 0 && allowed.intersects(.segmentation) {
      // §5.1.9.2.1, §5.1.9.4.1: not less than all headers: Ethernet with a tag, IPv6 and TCP need 118 bytes.
      header.headerLength = UInt16(min(byteCount, 128))
    }
    return header
  }
}
