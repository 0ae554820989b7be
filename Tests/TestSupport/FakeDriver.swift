// A driver that writes whatever the test says: registers, descriptors and split rings, byte by byte.

public import Virtio

/// A hostile or merely odd driver. Its rings, in the split format, lie in the lower half of the memory.
public struct FakeDriver<Registers: RegisterAccess> {
  /// The device's registers.
  public let registers: Registers
  /// The memory shared with the device.
  public let memory: TestMemory
  /// Entries of every queue it sets up.
  public let queueSize: UInt16
  private var availableIndex: [UInt16] = Array(repeating: 0, count: 64)

  /// A driver that has done nothing yet.
  public init(_ registers: Registers, _ memory: TestMemory, queueSize: UInt16 = 8) {
    self.registers = registers
    self.memory = memory
    self.queueSize = queueSize
  }

  /// Reset, features, the given queues, DRIVER_OK.
  public mutating func start(features: Features = .none, queues: some Sequence<Int>) {
    negotiate(features)
    for index in queues { setUpQueue(index) }
    registers.write32(15, MMIORegister.status)
  }

  /// Reset up to FEATURES_OK. VERSION_1 is accepted too.
  public mutating func negotiate(_ features: Features = .none) {
    registers.write32(0, MMIORegister.status)
    registers.write32(1, MMIORegister.status)
    registers.write32(3, MMIORegister.status)
    let accepted = features | .version1
    for word in 0..<4 as Range<UInt32> {
      registers.write32(word, MMIORegister.driverFeaturesSelect)
      registers.write32(accepted.word(word), MMIORegister.driverFeatures)
    }
    registers.write32(11, MMIORegister.status)
    availableIndex = Array(repeating: 0, count: 64)
  }

  /// Clears the rings of queue `index` and makes it ready.
  public mutating func setUpQueue(_ index: Int) {
    for offset in 0..<0x800 { memory.store(UInt8(0), ring(index) + UInt64(offset)) }
    availableIndex[index] = 0
    registers.write32(UInt32(index), MMIORegister.queueSelect)
    registers.write32(UInt32(queueSize), MMIORegister.queueSize)
    for (register, offset) in [
      (MMIORegister.queueDescriptorLow, 0), (MMIORegister.queueDriverLow, 0x400),
      (MMIORegister.queueDeviceLow, 0x600),
    ] as [(Int, UInt64)] {
      registers.write32(UInt32(truncatingIfNeeded: ring(index) + offset), register)
      registers.write32(UInt32((ring(index) + offset) >> 32), register + 4)
    }
    registers.write32(1, MMIORegister.queueReady)
  }

  /// Where the rings of queue `index` lie.
  public func ring(_ index: Int) -> UInt64 { memory.address + UInt64(index) * 0x800 }

  /// Writes descriptor `slot` of queue `index`. Flags: 1 NEXT, 2 WRITE, 4 INDIRECT.
  public func descriptor(
    _ index: Int, _ slot: UInt16, address: UInt64, byteCount: UInt32, flags: UInt16 = 0, next: UInt16 = 0
  ) {
    let at = ring(index) + UInt64(slot) * 16
    memory.store(address, at)
    memory.store(byteCount, at + 8)
    memory.store(flags, at + 12)
    memory.store(next, at + 14)
  }

  /// Puts `head` into the available ring of queue `index`, and notifies the device.
  public mutating func makeAvailable(_ index: Int, _ head: UInt16, notify: Bool = true) {
    let ring = ring(index) + 0x400
    memory.store(head, ring + 4 + UInt64(availableIndex[index] % queueSize) * 2)
    availableIndex[index] &+= 1
    memory.store(availableIndex[index], ring + 2)
    if notify { registers.write32(UInt32(index), MMIORegister.queueNotify) }
  }

  /// Makes available a buffer of one descriptor, `slot`.
  public mutating func offer(
    _ index: Int, _ slot: UInt16, address: UInt64, byteCount: UInt32, deviceWritable: Bool,
    notify: Bool = true
  ) {
    descriptor(index, slot, address: address, byteCount: byteCount, flags: deviceWritable ? 2 : 0)
    makeAvailable(index, slot, notify: notify)
  }

  /// The used index of queue `index`.
  public func usedIndex(_ index: Int) -> UInt16 { memory.load(UInt16.self, ring(index) + 0x602) }

  /// Entry `position` of the used ring of queue `index`.
  public func used(_ index: Int, _ position: UInt16) -> (id: UInt32, byteCount: UInt32) {
    let at = ring(index) + 0x604 + UInt64(position % queueSize) * 8
    return (memory.load(UInt32.self, at), memory.load(UInt32.self, at + 4))
  }

  /// The device status.
  public var status: DeviceStatus { DeviceStatus(UInt8(truncatingIfNeeded: registers.read32(0x70))) }
}
