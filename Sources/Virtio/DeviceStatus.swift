// virtio 1.4 §2.1 Device Status Field.

/// The device status field: a set of bits both sides use to follow initialization.
public struct DeviceStatus: Equatable, Sendable {
  /// The field as the transport carries it.
  public var rawValue: UInt8

  /// The status with exactly these bits.
  @inline(__always)
  public init(_ rawValue: UInt8) { self.rawValue = rawValue }

  /// 0: the device is reset.
  public static var reset: DeviceStatus { DeviceStatus(0) }
  /// ACKNOWLEDGE (1): the driver's side has found the device.
  public static var acknowledge: DeviceStatus { DeviceStatus(1) }
  /// DRIVER (2): a driver knows how to drive the device.
  public static var driver: DeviceStatus { DeviceStatus(2) }
  /// DRIVER_OK (4): the driver is ready, the device is live.
  public static var driverOK: DeviceStatus { DeviceStatus(4) }
  /// FEATURES_OK (8): feature negotiation is complete.
  public static var featuresOK: DeviceStatus { DeviceStatus(8) }
  /// SUSPEND (16): the device is, or is about to be, suspended (§3.4).
  public static var suspend: DeviceStatus { DeviceStatus(16) }
  /// DEVICE_NEEDS_RESET (64): the device met an error it cannot recover from.
  public static var needsReset: DeviceStatus { DeviceStatus(64) }
  /// FAILED (128): the driver has given up.
  public static var failed: DeviceStatus { DeviceStatus(128) }

  /// Every bit that §2.1 defines.
  public static var defined: DeviceStatus { DeviceStatus(1 | 2 | 4 | 8 | 16 | 64 | 128) }

  /// Whether every bit of `other` is set.
  @inline(__always)
  public func contains(_ other: DeviceStatus) -> Bool { rawValue & other.rawValue == other.rawValue }

  /// Both sets of bits.
  @inline(__always)
  public static func | (a: DeviceStatus, b: DeviceStatus) -> DeviceStatus {
    DeviceStatus(a.rawValue | b.rawValue)
  }

  /// The bits of `self` that are not in `other`.
  public func subtracting(_ other: DeviceStatus) -> DeviceStatus { DeviceStatus(rawValue & ~other.rawValue) }
}
