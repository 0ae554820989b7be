// virtio 1.4 §4.2 Virtio Over MMIO, driver side. The device is untrusted: every value it presents is checked
// or only passed on, and every wait for it is bounded.

/// Access to the registers of one virtio-mmio window.
///
/// Offsets are aligned to the width. On bare metal these are volatile loads and stores, with the barriers
/// that order them against memory; in a test they may be anything.
public protocol RegisterAccess: ~Copyable {
  /// Reads 1 byte.
  func read8(_ offset: Int) -> UInt8
  /// Reads 2 bytes, little-endian.
  func read16(_ offset: Int) -> UInt16
  /// Reads 4 bytes, little-endian.
  func read32(_ offset: Int) -> UInt32
  /// Writes 1 byte.
  func write8(_ value: UInt8, _ offset: Int)
  /// Writes 2 bytes, little-endian.
  func write16(_ value: UInt16, _ offset: Int)
  /// Writes 4 bytes, little-endian. Everything written to memory before is visible to the device first.
  func write32(_ value: UInt32, _ offset: Int)
}

/// A virtio-mmio device as its driver handles it, from discovery to reset.
public struct MMIODriverTransport<Registers: RegisterAccess & ~Copyable>: ~Copyable {
  /// The device type found.
  public let deviceID: DeviceID
  /// The subsystem vendor, for display.
  public let vendorID: UInt32
  /// What was negotiated; empty before.
  public private(set) var features = Features.none
  let registers: Registers
  /// How often a register is read while waiting for the device, before it counts as broken.
  static var pollLimit: Int { 1_000_000 }

  /// Finds out what is behind `registers` (§4.2.3.1.1).
  ///
  /// Throws `.notVirtio`, `.legacyDevice`, `.unknownVersion`, or `.noDevice` for an empty slot, after which
  /// no other register was touched.
  public init(_ registers: consuming Registers) throws(DeviceFault) {
    deviceID = try Self.identify(registers)
    vendorID = registers.read32(MMIORegister.vendorID)
    self.registers = registers
  }

  private static func identify(_ registers: borrowing Registers) throws(DeviceFault) -> DeviceID {
    guard registers.read32(MMIORegister.magicValue) == MMIORegister.magic else { throw .notVirtio }
    let version = registers.read32(MMIORegister.version)
    if version != 2 { throw version == 1 ? .legacyDevice : .unknownVersion(version) }
    let id = DeviceID(registers.read32(MMIORegister.deviceID))
    if id == .reserved { throw .noDevice }
    return id
  }

  /// The device status.
  public var status: DeviceStatus {
    DeviceStatus(UInt8(truncatingIfNeeded: registers.read32(MMIORegister.status)))
  }

  /// Whether the device asks for a reset (§2.1.2).
  public var needsReset: Bool { status.contains(.needsReset) }

  /// Resets the device and waits until it says so (§2.4.2).
  public mutating func reset() throws(DeviceFault) {
    registers.write32(0, MMIORegister.status)
    for _ in 0..<Self.pollLimit where registers.read32(MMIORegister.status) == 0 {
      features = .none
      return
    }
    throw .resetTimedOut
  }

  /// The features the device offers. Reads all four windows.
  public func offeredFeatures() -> Features {
    var offered = Features.none
    for index in 0..<4 as Range<UInt32> {
      registers.write32(index, MMIORegister.deviceFeaturesSelect)
      _ = offered.setWord(index, registers.read32(MMIORegister.deviceFeatures))
    }
    return offered
  }

  /// Steps 1 to 6 of §3.1.1: reset, ACKNOWLEDGE, DRIVER, features, FEATURES_OK.
  ///
  /// Accepts what is offered of `supported`; VERSION_1 and `required` must be among it. On any failure
  /// FAILED is set and the fault thrown.
  public mutating func negotiate(
    supported: Features, required: Features = .none
  ) throws(DeviceFault) -> Features {
    try reset()
    setStatus(.acknowledge)
    setStatus(.driver)
    #if SPLIT_DRIVERS
      let supported = supported.subtracting(.ringPacked | .inOrder)
    #endif
    // §2.2.1: only bits that the clause defines for this transport or device type.
    let known = supported & (.mmioTransportBits | .deviceTypeBits) | .version1 | required
    let accepted = offeredFeatures() & known
    let missing = (required | .version1).subtracting(accepted)
    guard missing.isEmpty else {
      fail()
      throw .featureMissing(missing)
    }
    // From the top down: QEMU takes every selector above 1 for 1, and the last write must be the true one.
    for index in (0..<4 as Range<UInt32>).reversed() {
      registers.write32(index, MMIORegister.driverFeaturesSelect)
      registers.write32(accepted.word(index), MMIORegister.driverFeatures)
    }
    setStatus(.featuresOK)
    guard status.contains(.featuresOK) else {
      fail()
      throw .featuresRefused
    }
    features = accepted
    return accepted
  }

  /// Sets FAILED: this driver has given up on the device.
  @inline(never)
  public func fail() { setStatus(.failed) }

  /// Step 8 of §3.1.1: the device goes live. Throws when it wants a reset instead.
  public func start() throws(DeviceFault) {
    setStatus(.driverOK)
    if needsReset { throw .needsReset }
  }

  /// §2.1.1: bits are added, never cleared.
  @inline(never)
  private func setStatus(_ bit: DeviceStatus) {
    registers.write32(UInt32((status | bit).rawValue), MMIORegister.status)
  }

  // MARK: Queues

  /// The largest size of queue `index` that the device takes; 0 when there is no such queue.
  public func queueSizeMax(_ index: UInt16) -> UInt32 {
    registers.write32(UInt32(index), MMIORegister.queueSelect)
    return registers.read32(MMIORegister.queueSizeMax)
  }

  /// The size to use for queue `index`: at most `wanted`, at most the device's maximum, and in the split
  /// format a power of two. Throws `.queueUnavailable` when that is below `minimum`.
  public func queueSize(
    _ index: UInt16, wanted: UInt16, minimum: UInt16 = 1
  ) throws(DeviceFault) -> UInt16 {
    var size = UInt16(min(UInt32(min(wanted, maximumQueueSize)), queueSizeMax(index)))
    if !features.contains(.ringPacked) && size != 0 {
      size = 1 << UInt16(15 - size.leadingZeroBitCount)
    }
    guard size >= max(minimum, 1) else { throw .queueUnavailable(index) }
    return size
  }

  /// Hands a queue to the device (§4.2.3.2). Throws when the device has it in use or does not take it.
  public func enable(_ queue: borrowing DriverVirtqueue) throws(DeviceFault) {
    registers.write32(UInt32(queue.index), MMIORegister.queueSelect)
    guard registers.read32(MMIORegister.queueReady) == 0 else { throw .queueBusy(queue.index) }
    guard registers.read32(MMIORegister.queueSizeMax) >= UInt32(queue.size) else {
      throw .queueUnavailable(queue.index)
    }
    let addresses = queue.addresses
    registers.write32(UInt32(queue.size), MMIORegister.queueSize)
    writeAddress(addresses.descriptorArea, MMIORegister.queueDescriptorLow)
    writeAddress(addresses.driverArea, MMIORegister.queueDriverLow)
    writeAddress(addresses.deviceArea, MMIORegister.queueDeviceLow)
    registers.write32(1, MMIORegister.queueReady)
    guard registers.read32(MMIORegister.queueReady) == 1 else { throw .queueBusy(queue.index) }
  }

  /// Makes queue `index` and hands it to the device: of the size that `queueSize` says, with what was
  /// negotiated. Nil when `memory` runs out. See `DriverVirtqueue.init` for `indirectCapacity`. Throws
  /// `.queueUnavailable` too for an index that no notification can carry (§4.2.2).
  @inline(never)
  public func makeQueue<Memory: DriverMemory & ~Copyable>(
    _ index: Int, wanted: UInt16, minimum: UInt16 = 1, indirectCapacity: UInt16 = 0,
    from memory: inout Memory
  ) throws(DeviceFault) -> DriverVirtqueue? {
    guard let index = UInt16(exactly: index) else { throw .queueUnavailable(.max) }
    let size = try queueSize(index, wanted: wanted, minimum: minimum)
    guard
      let queue = DriverVirtqueue(
        index: index, size: size, features: features, indirectCapacity: indirectCapacity, from: &memory)
    else { return nil }
    try enable(queue)
    return queue
  }

  private func writeAddress(_ address: UInt64, _ low: Int) {
    registers.write32(UInt32(truncatingIfNeeded: address), low)
    registers.write32(UInt32(truncatingIfNeeded: address >> 32), low + 4)
  }

  /// Resets one queue and waits for it (§2.6.1). Throws `.featureMissing` without RING_RESET, and
  /// `.resetTimedOut` when the device does not do what it offered, as QEMU 10 over virtio-mmio.
  /// The queue is then `reset()` by its owner and can be enabled again.
  public func resetQueue(_ index: UInt16) throws(DeviceFault) {
    guard features.contains(.ringReset) else { throw .featureMissing(.ringReset) }
    registers.write32(UInt32(index), MMIORegister.queueSelect)
    registers.write32(1, MMIORegister.queueReset)
    for _ in 0..<Self.pollLimit where registers.read32(MMIORegister.queueReset) == 0 {
      // §4.2.2.1: both registers read 0 after a reset.
      guard registers.read32(MMIORegister.queueReady) == 0 else { throw .resetTimedOut }
      return
    }
    throw .resetTimedOut
  }

  /// Tells the device that `queue` has new buffers. Only after `start()` (§3.1.1), and when
  /// `DriverVirtqueue.publish()` said so.
  #if SMALL
    @inline(never)
  #else
    @inline(__always)
  #endif
  public func notify(_ queue: borrowing DriverVirtqueue) {
    registers.write32(
      features.contains(.notificationData) ? queue.notificationData : UInt32(queue.index),
      MMIORegister.queueNotify)
  }

  // MARK: Interrupts

  /// Reads and acknowledges what the interrupt was about (§4.2.3.4.1). Undefined bits are ignored.
  ///
  /// To be followed by the draining of the queues. Acknowledged before it and not after, which would wipe out
  /// an event between the last look at a queue and the acknowledgement; this way it interrupts again.
  #if SMALL
    @inline(never)
  #else
    @inline(__always)
  #endif
  public func takeInterrupts() -> (usedBuffer: Bool, configurationChange: Bool) {
    let bits =
      registers.read32(MMIORegister.interruptStatus)
      & (MMIOInterrupt.usedBuffer | MMIOInterrupt.configurationChange)
    if bits != 0 { registers.write32(bits, MMIORegister.interruptAcknowledge) }
    return (bits & MMIOInterrupt.usedBuffer != 0, bits & MMIOInterrupt.configurationChange != 0)
  }

  // MARK: Configuration space

  /// One field of 8, 16 or 32 bits at byte `offset` of the configuration space.
  public func configuration8(_ offset: Int) -> UInt8 {
    registers.read8(MMIORegister.configuration + offset)
  }
  /// See `configuration8`.
  public func configuration16(_ offset: Int) -> UInt16 {
    registers.read16(MMIORegister.configuration + offset)
  }
  /// See `configuration8`.
  public func configuration32(_ offset: Int) -> UInt32 {
    registers.read32(MMIORegister.configuration + offset)
  }
  /// A field of 64 bits, as two reads (§4.2.2.2): read it within a stable generation.
  public func configuration64(_ offset: Int) -> UInt64 {
    UInt64(configuration32(offset)) | UInt64(configuration32(offset + 4)) << 32
  }
  /// Writes a field of 8 bits.
  public func setConfiguration8(_ value: UInt8, _ offset: Int) {
    registers.write8(value, MMIORegister.configuration + offset)
  }
  /// Writes a field of 32 bits.
  public func setConfiguration32(_ value: UInt32, _ offset: Int) {
    registers.write32(value, MMIORegister.configuration + offset)
  }
  /// The version of the configuration space (§2.5.1): read before and after fields that belong together,
  /// and read them again when it changed.
  public func configurationGeneration() -> UInt32 {
    registers.read32(MMIORegister.configurationGeneration)
  }

  /// The shared memory region `id`, or nil when there is none (§2.10).
  public func sharedMemoryRegion(_ id: UInt32) -> SharedMemoryRegion? {
    registers.write32(id, MMIORegister.sharedMemorySelect)
    let byteCount = read64(MMIORegister.sharedMemoryLengthLow)
    if byteCount == .max { return nil }
    return SharedMemoryRegion(address: read64(MMIORegister.sharedMemoryBaseLow), byteCount: byteCount)
  }

  private func read64(_ low: Int) -> UInt64 {
    UInt64(registers.read32(low)) | UInt64(registers.read32(low + 4)) << 32
  }

  // MARK: Suspend

  /// Suspends the device (§3.4.1). True once it is; false when it is still finishing buffers: drain the
  /// queues and ask again. Nothing may be submitted or notified meanwhile. Throws `.needsReset` for a device
  /// that is not live.
  public func suspend() throws(DeviceFault) -> Bool {
    guard features.contains(.suspend) else { throw .featureMissing(.suspend) }
    // §3.4.1: not before DRIVER_OK, which a device on its way to being suspended has cleared.
    let before = status
    guard before.contains(.driverOK) || before.contains(.suspend) else { throw .needsReset }
    setStatus(.suspend)
    let now = status
    if now.contains(.needsReset) { throw .needsReset }
    return now.contains(.suspend) && !now.contains(.driverOK)
  }

  /// Resumes a suspended device and waits until it runs (§3.4.1).
  public func resume() throws(DeviceFault) {
    setStatus(.driverOK)
    for _ in 0..<Self.pollLimit {
      let now = status
      if now.contains(.needsReset) { throw .needsReset }
      if now.contains(.driverOK) && !now.contains(.suspend) { return }
    }
    throw .resetTimedOut
  }
}
