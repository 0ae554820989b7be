// virtio 1.4 §4.2.2 MMIO Device Register Layout.

/// Offsets of the virtio-mmio registers, in bytes from the base of the device's window.
public enum MMIORegister {
  /// MagicValue (R): reads `magic`.
  public static var magicValue: Int { 0x000 }
  /// Version (R): reads 2.
  public static var version: Int { 0x004 }
  /// DeviceID (R).
  public static var deviceID: Int { 0x008 }
  /// VendorID (R).
  public static var vendorID: Int { 0x00c }
  /// DeviceFeatures (R): 32 bits selected by DeviceFeaturesSel.
  public static var deviceFeatures: Int { 0x010 }
  /// DeviceFeaturesSel (W).
  public static var deviceFeaturesSelect: Int { 0x014 }
  /// DriverFeatures (W): 32 bits selected by DriverFeaturesSel.
  public static var driverFeatures: Int { 0x020 }
  /// DriverFeaturesSel (W).
  public static var driverFeaturesSelect: Int { 0x024 }
  /// QueueSel (W).
  public static var queueSelect: Int { 0x030 }
  /// QueueSizeMax (R).
  public static var queueSizeMax: Int { 0x034 }
  /// QueueSize (W).
  public static var queueSize: Int { 0x038 }
  /// QueueReady (RW).
  public static var queueReady: Int { 0x044 }
  /// QueueNotify (W).
  public static var queueNotify: Int { 0x050 }
  /// InterruptStatus (R).
  public static var interruptStatus: Int { 0x060 }
  /// InterruptACK (W).
  public static var interruptAcknowledge: Int { 0x064 }
  /// Status (RW).
  public static var status: Int { 0x070 }
  /// QueueDescLow, QueueDescHigh (W).
  public static var queueDescriptorLow: Int { 0x080 }
  /// High half of the descriptor area's address.
  public static var queueDescriptorHigh: Int { 0x084 }
  /// QueueDriverLow, QueueDriverHigh (W).
  public static var queueDriverLow: Int { 0x090 }
  /// High half of the driver area's address.
  public static var queueDriverHigh: Int { 0x094 }
  /// QueueDeviceLow, QueueDeviceHigh (W).
  public static var queueDeviceLow: Int { 0x0a0 }
  /// High half of the device area's address.
  public static var queueDeviceHigh: Int { 0x0a4 }
  /// SHMSel (W).
  public static var sharedMemorySelect: Int { 0x0ac }
  /// SHMLenLow (R).
  public static var sharedMemoryLengthLow: Int { 0x0b0 }
  /// SHMLenHigh (R).
  public static var sharedMemoryLengthHigh: Int { 0x0b4 }
  /// SHMBaseLow (R).
  public static var sharedMemoryBaseLow: Int { 0x0b8 }
  /// SHMBaseHigh (R).
  public static var sharedMemoryBaseHigh: Int { 0x0bc }
  /// QueueReset (RW).
  public static var queueReset: Int { 0x0c0 }
  /// ConfigGeneration (R).
  public static var configurationGeneration: Int { 0x0fc }
  /// First byte of the device-specific configuration space.
  public static var configuration: Int { 0x100 }

  /// What MagicValue reads: "virt" in little-endian order.
  public static var magic: UInt32 { 0x7472_6976 }
}

/// Bits of InterruptStatus and InterruptACK.
public enum MMIOInterrupt {
  /// Bit 0: a buffer was used.
  public static var usedBuffer: UInt32 { 1 }
  /// Bit 1: the configuration changed.
  public static var configurationChange: UInt32 { 2 }
}

/// A region of memory that a device shares with its driver (§2.10).
public struct SharedMemoryRegion: Equatable, Sendable {
  /// Guest address of the first byte.
  public var address: UInt64
  /// Length in bytes.
  public var byteCount: UInt64

  /// `byteCount` bytes at guest `address`.
  public init(address: UInt64, byteCount: UInt64) {
    self.address = address
    self.byteCount = byteCount
  }
}
