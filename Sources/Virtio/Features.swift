// virtio 1.4 §2.2 Feature Bits and §6 Reserved Feature Bits. A set of 128 feature bits.

/// A set of feature bits 0 to 127, as both sides exchange it.
///
/// A plain value and not an `OptionSet`: array literals of option sets allocate.
public struct Features: Equatable, Sendable {
  /// Bits 0 to 63.
  public var low: UInt64
  /// Bits 64 to 127.
  public var high: UInt64

  /// The set with exactly the given halves.
  @inline(__always)
  public init(low: UInt64, high: UInt64 = 0) {
    self.low = low
    self.high = high
  }

  /// The set that holds bit `index` alone. Traps outside `0 ..< 128`.
  @inline(__always)
  public static func bit(_ index: Int) -> Features {
    precondition(index >= 0 && index < 128, "feature bits are 0 to 127")
    return index < 64 ? Features(low: 1 << UInt64(index)) : Features(low: 0, high: 1 << UInt64(index - 64))
  }

  /// The empty set.
  public static var none: Features { Features(low: 0) }

  /// Whether every bit of `other` is in this set.
  @inline(__always)
  public func contains(_ other: Features) -> Bool {
    low & other.low == other.low && high & other.high == other.high
  }

  /// The union of two sets.
  @inline(__always)
  public static func | (a: Features, b: Features) -> Features {
    Features(low: a.low | b.low, high: a.high | b.high)
  }

  /// The intersection of two sets.
  @inline(__always)
  public static func & (a: Features, b: Features) -> Features {
    Features(low: a.low & b.low, high: a.high & b.high)
  }

  /// The bits of `self` that are not in `other`.
  public func subtracting(_ other: Features) -> Features {
    Features(low: low & ~other.low, high: high & ~other.high)
  }

  /// Whether no bit is set.
  public var isEmpty: Bool { low | high == 0 }

  /// The 32 bits that a feature window shows for selector `index`; zero beyond bit 127.
  public func word(_ index: UInt32) -> UInt32 {
    switch index {
    case 0, 1: UInt32(truncatingIfNeeded: low >> (UInt64(index) * 32))
    case 2, 3: UInt32(truncatingIfNeeded: high >> (UInt64(index - 2) * 32))
    default: 0
    }
  }

  /// Replaces the 32 bits of window `index`. Returns false, and changes nothing, beyond bit 127 when `value`
  /// is not zero: such a bit cannot be represented and so cannot be accepted.
  public mutating func setWord(_ index: UInt32, _ value: UInt32) -> Bool {
    let shift = UInt64(index & 1) * 32
    switch index {
    case 0, 1: low = low & ~(0xffff_ffff << shift) | UInt64(value) << shift
    case 2, 3: high = high & ~(0xffff_ffff << shift) | UInt64(value) << shift
    default: return value == 0
    }
    return true
  }
}

extension Features {
  /// VIRTIO_F_INDIRECT_DESC (28): a descriptor may refer to a table of descriptors.
  public static var indirectDescriptors: Features { .bit(28) }
  /// VIRTIO_F_EVENT_IDX (29): notifications are asked for by ring position.
  public static var eventIndex: Features { .bit(29) }
  /// VIRTIO_F_VERSION_1 (32): not the legacy interface.
  public static var version1: Features { .bit(32) }
  /// VIRTIO_F_ACCESS_PLATFORM (33): the device's access to memory is limited or translated.
  public static var accessPlatform: Features { .bit(33) }
  /// VIRTIO_F_RING_PACKED (34): the packed virtqueue format.
  public static var ringPacked: Features { .bit(34) }
  /// VIRTIO_F_IN_ORDER (35): buffers are used in the order in which they were made available.
  public static var inOrder: Features { .bit(35) }
  /// VIRTIO_F_ORDER_PLATFORM (36): memory accesses are ordered as the platform describes for devices.
  public static var orderPlatform: Features { .bit(36) }
  /// VIRTIO_F_NOTIFICATION_DATA (38): available buffer notifications carry the ring position.
  public static var notificationData: Features { .bit(38) }
  /// VIRTIO_F_NOTIF_CONFIG_DATA (39): the device chooses the queue identifier used in notifications. How it
  /// is delivered is up to the transport, and virtio-mmio defines no way: never offered or accepted there.
  public static var notificationConfigurationData: Features { .bit(39) }
  /// VIRTIO_F_RING_RESET (40): a virtqueue can be reset alone.
  public static var ringReset: Features { .bit(40) }
  /// VIRTIO_F_SUSPEND (43): the driver can suspend the device.
  public static var suspend: Features { .bit(43) }

  /// §2.2: the bits that belong to the device type (0 to 23, 41, 42 and 50 to 127). Bits 41 and 42 are also
  /// named by §6 (ADMIN_VQ is PCI only); a device type claims them where its clause defines them.
  public static var deviceTypeBits: Features {
    Features(low: 0xfffc_0000_0000_0000 | 0x600_0000_0000 | 0xff_ffff, high: .max)
  }

  /// The device-independent bits that can be used over virtio-mmio.
  public static var mmioTransportBits: Features {
    indirectDescriptors | eventIndex | version1 | accessPlatform | ringPacked | inOrder | orderPlatform
      | notificationData | ringReset | suspend
  }
}
