// virtio 1.4 §5.3.4 Device configuration layout, of the console device, device side.

public import Virtio

extension ConsoleDevice where Backend: ~Copyable {
  /// struct virtio_console_config.
  public var configurationByteCount: Int { ConsoleConfiguration.byteCount }

  /// Fields of features that are not offered read as zero, and so does `emerg_wr`.
  public func loadConfiguration(at offset: Int, byteCount: Int) -> UInt32 {
    let word: UInt32
    switch offset & ~3 {
    case ConsoleConfiguration.columns where offeredFeatures.contains(ConsoleFeature.size):
      word = UInt32(visibleSize.columns) | UInt32(visibleSize.rows) << 16
    case ConsoleConfiguration.portCountMax where offeredFeatures.contains(ConsoleFeature.multiport):
      word = UInt32(portCount)
    default:
      word = 0
    }
    let shifted = word >> UInt32(8 * (offset & 3))
    return byteCount == 4 ? shifted : shifted & (1 << UInt32(8 * byteCount) - 1)
  }

  /// §5.3.5.1: the lower byte of `emerg_wr` goes to the backend. Nothing else can be written.
  public mutating func storeConfiguration(
    _ value: UInt32, at offset: Int, byteCount: Int, _ context: inout DeviceContext
  ) {
    guard takesConfigurationWriteAtAnyTime(at: offset) else { return }
    backend.emergencyWrite(UInt8(truncatingIfNeeded: value))
  }

  /// §5.3.5.1: MUST allow a write to `emerg_wr`, even on an unconfigured device.
  public func takesConfigurationWriteAtAnyTime(at offset: Int) -> Bool {
    offset == ConsoleConfiguration.emergencyWrite
      && offeredFeatures.contains(ConsoleFeature.emergencyWrite)
  }

  /// A size set before the driver was there is shown now.
  public mutating func start(_ context: inout DeviceContext) { showSize(&context) }

  /// Makes the size of port 0 visible, and has the driver notified of it (§5.3.6).
  mutating func showSize(_ context: inout DeviceContext) {
    guard visibleSize != ports[0].size else { return }
    visibleSize = ports[0].size
    if context.features.contains(ConsoleFeature.size) { context.configurationChanged = true }
  }
}
