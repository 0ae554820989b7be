public import Virtio

/// A `ScratchDevice` behind its transport, and a window through which a driver reaches it.
public final class ScratchMachine {
  /// The memory of both sides.
  public let ram = TestMemory()
  /// What the device is told and saw.
  public let state: ScratchState
  /// The register window, with everything that went through it.
  public let window = RegisterWindow()
  /// The device side.
  public var transport: MMIODeviceTransport<ScratchDevice, CountingLine, 4>

  /// A device in reset state.
  public init(
    _ state: ScratchState = ScratchState(),
    transportFeatures: Features = MMIODeviceTransport<ScratchDevice, CountingLine, 4>.defaultTransportFeatures
  ) {
    self.state = state
    transport = MMIODeviceTransport(
      device: ScratchDevice(state), line: CountingLine(), memory: ram.guest,
      transportFeatures: transportFeatures)
    window.onRead = { [unowned self] in self.transport.read(at: $0, byteCount: $1) }
    window.onWrite = { [unowned self] in self.transport.write($0, at: $1, byteCount: $2) }
  }

  /// A driver for it that has found the device.
  public func driver() throws -> MMIODriverTransport<WindowRegisters> {
    try MMIODriverTransport(window.registers)
  }

  /// A driver that has come as far as FEATURES_OK.
  public func negotiated(
    _ features: Features = .none
  ) throws -> MMIODriverTransport<WindowRegisters> {
    var driver = try driver()
    _ = try driver.negotiate(supported: features)
    return driver
  }

  /// Writes a register as a driver without rules.
  public func write(_ value: UInt32, _ offset: Int) {
    window.registers.write32(value, offset)
  }

  /// Reads a register as a driver without rules.
  public func read(_ offset: Int) -> UInt32 {
    window.registers.read32(offset)
  }

  /// Makes queue `index` ready with areas as in `ring`, as a driver without rules.
  public func enable(_ ring: RingView, queue index: UInt32 = 0) {
    write(index, MMIORegister.queueSelect)
    write(UInt32(ring.size), MMIORegister.queueSize)
    let areas = [
      (MMIORegister.queueDescriptorLow, ring.addresses.descriptorArea),
      (MMIORegister.queueDriverLow, ring.addresses.driverArea),
      (MMIORegister.queueDeviceLow, ring.addresses.deviceArea),
    ]
    for (register, address) in areas {
      write(UInt32(truncatingIfNeeded: address), register)
      write(UInt32(truncatingIfNeeded: address >> 32), register + 4)
    }
    write(1, MMIORegister.queueReady)
  }

  /// Goes through the status steps with `features` and the queues of `rings` ready, up to DRIVER_OK.
  public func bringUp(_ features: Features = .none, rings: [RingView]) {
    for bit in [1, 3] as [UInt32] { write(bit, MMIORegister.status) }
    for index in 0..<4 as Range<UInt32> {
      write(index, MMIORegister.driverFeaturesSelect)
      write((features | .version1).word(index), MMIORegister.driverFeatures)
    }
    write(11, MMIORegister.status)
    for (index, ring) in rings.enumerated() { enable(ring, queue: UInt32(index)) }
    write(15, MMIORegister.status)
  }

  /// The status register.
  public var status: UInt8 { UInt8(truncatingIfNeeded: read(MMIORegister.status)) }
}
