// virtio 1.4 §5 Device Types.

/// A virtio subsystem device ID, as read from the transport.
public struct DeviceID: Equatable, Sendable {
  /// The number assigned by virtio 1.4 §5.
  public let rawValue: UInt32

  /// The ID with the given number.
  @inline(__always)
  public init(_ rawValue: UInt32) { self.rawValue = rawValue }

  /// No device: a placeholder slot (§4.2.2).
  public static var reserved: DeviceID { DeviceID(0) }
  /// §5.1 Network Device.
  public static var network: DeviceID { DeviceID(1) }
  /// §5.2 Block Device.
  public static var block: DeviceID { DeviceID(2) }
  /// §5.3 Console Device.
  public static var console: DeviceID { DeviceID(3) }
  /// §5.4 Entropy Device.
  public static var entropy: DeviceID { DeviceID(4) }
  /// §5.17 SCMI Device.
  public static var scmi: DeviceID { DeviceID(32) }
}
