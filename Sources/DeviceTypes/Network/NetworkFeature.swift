// virtio 1.4 §5.1.3 Feature bits, of the network device, as far as either side here knows them.

public import Virtio

/// The feature bits of a network device.
public enum NetworkFeature {
  /// VIRTIO_NET_F_CSUM (0): the device completes partial checksums.
  public static var checksum: Features { .bit(0) }
  /// VIRTIO_NET_F_GUEST_CSUM (1): the driver takes frames with partial checksums.
  public static var guestChecksum: Features { .bit(1) }
  /// VIRTIO_NET_F_CTRL_GUEST_OFFLOADS (2): the driver can change the receive offloads.
  public static var controlGuestOffloads: Features { .bit(2) }
  /// VIRTIO_NET_F_MTU (3): the device reports the largest MTU.
  public static var mtu: Features { .bit(3) }
  /// VIRTIO_NET_F_MAC (5): the device has a MAC address.
  public static var mac: Features { .bit(5) }
  /// VIRTIO_NET_F_GUEST_TSO4 (7): the driver takes TCP over IPv4 to be segmented.
  public static var guestTSO4: Features { .bit(7) }
  /// VIRTIO_NET_F_GUEST_TSO6 (8): the driver takes TCP over IPv6 to be segmented.
  public static var guestTSO6: Features { .bit(8) }
  /// VIRTIO_NET_F_GUEST_ECN (9): the driver takes TCP to be segmented with ECN.
  public static var guestECN: Features { .bit(9) }
  /// VIRTIO_NET_F_GUEST_UFO (10): the driver takes UDP to be fragmented.
  public static var guestUFO: Features { .bit(10) }
  /// VIRTIO_NET_F_HOST_TSO4 (11): the device segments TCP over IPv4.
  public static var hostTSO4: Features { .bit(11) }
  /// VIRTIO_NET_F_HOST_TSO6 (12): the device segments TCP over IPv6.
  public static var hostTSO6: Features { .bit(12) }
  /// VIRTIO_NET_F_HOST_ECN (13): the device segments TCP with ECN.
  public static var hostECN: Features { .bit(13) }
  /// VIRTIO_NET_F_HOST_UFO (14): the device fragments UDP.
  public static var hostUFO: Features { .bit(14) }
  /// VIRTIO_NET_F_MRG_RXBUF (15): a received frame may be spread over several buffers.
  public static var mergeableBuffers: Features { .bit(15) }
  /// VIRTIO_NET_F_STATUS (16): the configuration has a status field.
  public static var status: Features { .bit(16) }
  /// VIRTIO_NET_F_CTRL_VQ (17): there is a control virtqueue.
  public static var controlQueue: Features { .bit(17) }
  /// VIRTIO_NET_F_CTRL_RX (18): receive modes and the MAC table can be set.
  public static var controlReceive: Features { .bit(18) }
  /// VIRTIO_NET_F_CTRL_VLAN (19): the VLAN table can be set.
  public static var controlVLAN: Features { .bit(19) }
  /// VIRTIO_NET_F_CTRL_RX_EXTRA (20): further receive modes.
  public static var controlReceiveExtra: Features { .bit(20) }
  /// VIRTIO_NET_F_GUEST_ANNOUNCE (21): the driver announces itself when asked.
  public static var guestAnnounce: Features { .bit(21) }
  /// VIRTIO_NET_F_MQ (22): several pairs of queues, with automatic receive steering.
  public static var multiQueue: Features { .bit(22) }
  /// VIRTIO_NET_F_CTRL_MAC_ADDR (23): the MAC address can be set.
  public static var controlMACAddress: Features { .bit(23) }

  /// All of them.
  static var known: Features { Features(low: 0xff_ffaf) }

  /// What is of no use without the control virtqueue.
  private static var needsControlQueue: Features {
    requiresControlQueue | controlReceiveExtra | controlGuestOffloads
  }

  /// What requires the control virtqueue (§5.1.3.1).
  private static var requiresControlQueue: Features {
    controlReceive | controlVLAN | guestAnnounce | multiQueue | controlMACAddress
  }

  /// `set` without the features that lack what they require (§5.1.3.1) or need (§5.1.4.1, §5.1.4.2).
  static func usable(_ set: Features) -> Features {
    closed(set, needsControlQueue)
  }

  /// Whether every feature of `set` has those it requires (§5.1.3.1).
  static func isConsistent(_ set: Features) -> Bool {
    closed(set, requiresControlQueue) == set
  }

  private static func closed(_ set: Features, _ control: Features) -> Features {
    var set = set
    func lacks(_ feature: Features) -> Bool { (set & feature).isEmpty }
    if lacks(controlQueue) { set = set.subtracting(control) }
    if lacks(guestChecksum) { set = set.subtracting(guestTSO4 | guestTSO6 | guestUFO) }
    if lacks(checksum) { set = set.subtracting(hostTSO4 | hostTSO6 | hostUFO) }
    if lacks(guestTSO4 | guestTSO6) { set = set.subtracting(guestECN) }
    if lacks(hostTSO4 | hostTSO6) { set = set.subtracting(hostECN) }
    return set
  }
}

extension NetworkReceiveMode {
  /// The feature that a driver needs for it (§5.1.9.5.1.1).
  var requiredFeature: Features {
    switch self {
    case .promiscuous, .allMulticast: NetworkFeature.controlReceive
    default: NetworkFeature.controlReceiveExtra
    }
  }
}
