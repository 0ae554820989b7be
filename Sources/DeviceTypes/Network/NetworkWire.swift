// virtio 1.4 §5.1 Network Device: what both sides read and write.

public import Wire

/// struct virtio_net_hdr, which precedes each frame: 12 bytes with VERSION_1 and none of the later features.
public struct NetworkHeader: Equatable, Sendable {
  /// VIRTIO_NET_HDR_F_*.
  public var flags: UInt8 = 0
  /// VIRTIO_NET_HDR_GSO_*.
  public var segmentationType: UInt8 = 0
  /// hdr_len: a hint at the length of all headers, in bytes.
  public var headerLength: UInt16 = 0
  /// gso_size: the most payload of each segment, in bytes.
  public var segmentSize: UInt16 = 0
  /// csum_start: where checksumming starts, in bytes from the start of the frame.
  public var checksumStart: UInt16 = 0
  /// csum_offset: where the checksum goes, in bytes from `checksumStart`.
  public var checksumOffset: UInt16 = 0
  /// num_buffers: how many receive buffers the frame is spread over; 0 on transmission.
  public var bufferCount: UInt16 = 0

  /// Length of the header in bytes.
  public static var byteCount: Int { 12 }

  /// All fields zero.
  public init() {}

  /// Decodes the header.
  public init(_ bytes: ByteArray<12>) {
    flags = bytes[0]  // u8
    segmentationType = bytes[1]  // u8
    headerLength = bytes.load(at: 2)  // le16
    segmentSize = bytes.load(at: 4)  // le16
    checksumStart = bytes.load(at: 6)  // le16
    checksumOffset = bytes.load(at: 8)  // le16
    bufferCount = bytes.load(at: 10)  // le16
  }

  /// The header as it is sent.
  public var bytes: ByteArray<12> {
    var bytes = ByteArray<12>()
    bytes[0] = flags
    bytes[1] = segmentationType
    bytes.store(headerLength, at: 2)
    bytes.store(segmentSize, at: 4)
    bytes.store(checksumStart, at: 6)
    bytes.store(checksumOffset, at: 8)
    bytes.store(bufferCount, at: 10)
    return bytes
  }
}

/// Bits of `NetworkHeader.flags`.
public enum NetworkHeaderFlag {
  /// VIRTIO_NET_HDR_F_NEEDS_CSUM: the checksum is partial.
  public static var needsChecksum: UInt8 { 1 }
  /// VIRTIO_NET_HDR_F_DATA_VALID: the device has checked the checksum.
  public static var dataValid: UInt8 { 2 }
  /// VIRTIO_NET_HDR_F_RSC_INFO: the checksum fields hold counts of coalesced segments.
  public static var coalescingInfo: UInt8 { 4 }
  /// VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM: the outer checksum of a UDP tunnel is partial.
  public static var tunnelChecksum: UInt8 { 8 }
}

/// Values of `NetworkHeader.segmentationType`.
public enum NetworkSegmentationType {
  /// VIRTIO_NET_HDR_GSO_NONE.
  public static var none: UInt8 { 0 }
  /// VIRTIO_NET_HDR_GSO_TCPV4.
  public static var tcp4: UInt8 { 1 }
  /// VIRTIO_NET_HDR_GSO_UDP.
  public static var udp: UInt8 { 3 }
  /// VIRTIO_NET_HDR_GSO_TCPV6.
  public static var tcp6: UInt8 { 4 }
  /// VIRTIO_NET_HDR_GSO_ECN: a bit beside a TCP type.
  public static var ecn: UInt8 { 0x80 }
}

/// struct virtio_net_config, as far as its fields exist with the features known here.
public enum NetworkConfiguration {
  /// u8 mac[6].
  public static var mac: Int { 0 }
  /// le16 status.
  public static var status: Int { 6 }
  /// le16 max_virtqueue_pairs.
  public static var maximumPairCount: Int { 8 }
  /// le16 mtu.
  public static var mtu: Int { 10 }
  /// Length of all of them in bytes.
  public static var byteCount: Int { 12 }

  /// VIRTIO_NET_S_LINK_UP, of `status`.
  public static var linkUp: UInt16 { 1 }
  /// VIRTIO_NET_S_ANNOUNCE, of `status`.
  public static var announce: UInt16 { 2 }
  /// VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MAX, the largest value of `maximumPairCount`.
  public static var pairCountLimit: UInt16 { 0x8000 }
  /// The smallest `mtu` that the clause allows.
  public static var mtuLimit: UInt16 { 68 }
}

/// Classes and commands of the control virtqueue (§5.1.9.5).
public enum NetworkControl {
  /// VIRTIO_NET_OK, of `ack`.
  public static var ok: UInt8 { 0 }
  /// VIRTIO_NET_ERR, of `ack`.
  public static var error: UInt8 { 1 }

  /// VIRTIO_NET_CTRL_RX, whose commands are the raw values of `NetworkReceiveMode`.
  public static var receive: UInt8 { 0 }
  /// VIRTIO_NET_CTRL_MAC.
  public static var mac: UInt8 { 1 }
  /// VIRTIO_NET_CTRL_MAC_TABLE_SET.
  public static var macTableSet: UInt8 { 0 }
  /// VIRTIO_NET_CTRL_MAC_ADDR_SET.
  public static var macAddressSet: UInt8 { 1 }
  /// VIRTIO_NET_CTRL_VLAN.
  public static var vlan: UInt8 { 2 }
  /// VIRTIO_NET_CTRL_VLAN_ADD.
  public static var vlanAdd: UInt8 { 0 }
  /// VIRTIO_NET_CTRL_VLAN_DEL.
  public static var vlanDelete: UInt8 { 1 }
  /// VIRTIO_NET_CTRL_ANNOUNCE.
  public static var announce: UInt8 { 3 }
  /// VIRTIO_NET_CTRL_ANNOUNCE_ACK.
  public static var announceAcknowledge: UInt8 { 0 }
  /// VIRTIO_NET_CTRL_MQ.
  public static var multiQueue: UInt8 { 4 }
  /// VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET.
  public static var pairsSet: UInt8 { 0 }
  /// VIRTIO_NET_CTRL_GUEST_OFFLOADS.
  public static var guestOffloads: UInt8 { 5 }
  /// VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET.
  public static var guestOffloadsSet: UInt8 { 0 }
}

/// What a device receives beyond its own address and its tables: the commands of VIRTIO_NET_CTRL_RX.
public enum NetworkReceiveMode: UInt8, Sendable {
  /// VIRTIO_NET_CTRL_RX_PROMISC: everything.
  case promiscuous = 0
  /// VIRTIO_NET_CTRL_RX_ALLMULTI: every multicast frame.
  case allMulticast = 1
  /// VIRTIO_NET_CTRL_RX_ALLUNI: every unicast frame.
  case allUnicast = 2
  /// VIRTIO_NET_CTRL_RX_NOMULTI: no multicast frame.
  case noMulticast = 3
  /// VIRTIO_NET_CTRL_RX_NOUNI: no unicast frame.
  case noUnicast = 4
  /// VIRTIO_NET_CTRL_RX_NOBCAST: no broadcast frame.
  case noBroadcast = 5
}

/// Indices of the virtqueues (§5.1.2).
enum NetworkQueue {
  /// receiveq of pair `pair`, from 0.
  static func receive(_ pair: Int) -> Int { 2 * pair }
  /// transmitq of pair `pair`, from 0.
  static func transmit(_ pair: Int) -> Int { 2 * pair + 1 }
  /// controlq: after the queues of every pair that the device has, or of one pair without MQ.
  static func control(maximumPairCount: Int) -> Int { 2 * maximumPairCount }
}
