// A device that answers whatever the test says: registers and split rings, written by hand.

public import Virtio

/// A lying or merely odd device behind virtio-mmio registers. Nothing happens but what the test does.
public final class FakeDevice {
  /// What DeviceID reads.
  public var deviceID: DeviceID
  /// What DeviceFeatures reads.
  public var features: Features
  /// What QueueSizeMax reads.
  public var queueSizeMax: UInt32 = 64
  /// What is read from the configuration space.
  public var configuration: [UInt8] = []
  /// What ConfigGeneration reads, and by how much it grows with every read.
  public var generation: UInt32 = 0
  /// See `generation`.
  public var generationStep: UInt32 = 0
  /// What InterruptStatus reads, until acknowledged.
  public var interruptStatus: UInt32 = 0
  /// What Status reads.
  public var status = DeviceStatus.reset
  /// Bits that Status never shows, whatever the driver writes.
  public var refusedStatus = DeviceStatus.reset
  /// Every QueueNotify, in order.
  public private(set) var notifications: [UInt32] = []
  /// Called with every QueueNotify, for a device that answers at once.
  public var onNotify: (UInt32) -> Void = { _ in }
  /// What the driver accepted.
  public private(set) var driverFeatures = Features.none
  /// Writes to the configuration space, as (offset, value).
  public private(set) var configurationWrites: [(offset: Int, value: UInt32)] = []

  private let memory: TestMemory
  private var selects: [Int: UInt32] = [:]
  private var queues: [Int: Queue] = [:]

  private struct Queue {
    var size: UInt32 = 0
    var isReady = false
    var addresses: [Int: UInt32] = [:]
    var nextAvailable: UInt16 = 0
    var usedIndex: UInt16 = 0

    func address(_ low: Int) -> UInt64 { UInt64(addresses[low] ?? 0) | UInt64(addresses[low + 4] ?? 0) << 32 }
  }

  /// A device of type `deviceID` that offers `features` and VERSION_1.
  public init(_ deviceID: DeviceID, _ memory: TestMemory, features: Features = .none) {
    self.deviceID = deviceID
    self.features = features | .version1
    self.memory = memory
  }

  /// A register window onto the device.
  public var registers: FakeRegisters { FakeRegisters(device: self) }

  /// A buffer that the driver made available.
  public struct Buffer {
    /// Index of its first descriptor.
    public let id: UInt16
    /// Its elements: address, length, and whether the device may write.
    public let elements: [(address: UInt64, byteCount: UInt32, isDeviceWritable: Bool)]
  }

  /// Takes the next available buffer of queue `index`.
  public func take(_ index: Int) -> Buffer? {
    guard var queue = queues[index], queue.isReady else { return nil }
    let ring = queue.address(MMIORegister.queueDriverLow)
    guard memory.load(UInt16.self, ring + 2) != queue.nextAvailable else { return nil }
    let entry = ring + 4 + UInt64(UInt32(queue.nextAvailable) % queue.size) * 2
    let head = memory.load(UInt16.self, entry)
    queue.nextAvailable &+= 1
    queues[index] = queue
    var elements: [(address: UInt64, byteCount: UInt32, isDeviceWritable: Bool)] = []
    var at = queue.address(MMIORegister.queueDescriptorLow) + UInt64(head) * 16
    while true {
      let flags = memory.load(UInt16.self, at + 12)
      elements.append(
        (memory.load(UInt64.self, at), memory.load(UInt32.self, at + 8), flags & 2 != 0))
      if flags & 1 == 0 { return Buffer(id: head, elements: elements) }
      at = queue.address(MMIORegister.queueDescriptorLow) + UInt64(memory.load(UInt16.self, at + 14)) * 16
    }
  }

  /// Writes an entry of the used ring of queue `index` and moves its index.
  public func use(_ index: Int, id: UInt32, byteCount: UInt32) {
    let ring = queues[index]!.address(MMIORegister.queueDeviceLow)
    let entry = ring + 4 + UInt64(UInt32(queues[index]!.usedIndex) % queues[index]!.size) * 8
    memory.store(id, entry)
    memory.store(byteCount, entry + 4)
    queues[index]!.usedIndex &+= 1
    memory.store(queues[index]!.usedIndex, ring + 2)
  }

  /// Takes the next buffer of queue `index`, fills its first element with `bytes` as far as they fit, and
  /// uses it with a length of `byteCount`, or the truth. False when there is no buffer.
  @discardableResult
  public func answer(_ index: Int, _ bytes: [UInt8], byteCount: UInt32? = nil) -> Bool {
    guard let buffer = take(index) else { return false }
    memory.write(Array(bytes.prefix(Int(buffer.elements[0].byteCount))), buffer.elements[0].address)
    use(index, id: UInt32(buffer.id), byteCount: byteCount ?? UInt32(bytes.count))
    return true
  }

  /// The device-readable bytes of the next buffer of queue `index`, which is used then; nil without one.
  public func consume(_ index: Int) -> [UInt8]? {
    guard let buffer = take(index) else { return nil }
    use(index, id: UInt32(buffer.id), byteCount: 0)
    return buffer.elements.filter { !$0.isDeviceWritable }
      .flatMap { memory.bytes($0.address, Int($0.byteCount)) }
  }

  /// Whether the driver made queue `index` ready.
  public func isReady(_ index: Int) -> Bool { queues[index]?.isReady ?? false }

  fileprivate func read(_ offset: Int, _ byteCount: Int) -> UInt32 {
    let queue = Int(selects[MMIORegister.queueSelect] ?? 0)
    switch offset {
    case MMIORegister.magicValue: return MMIORegister.magic
    case MMIORegister.version: return 2
    case MMIORegister.deviceID: return deviceID.rawValue
    case MMIORegister.deviceFeatures: return features.word(selects[MMIORegister.deviceFeaturesSelect] ?? 0)
    case MMIORegister.queueSizeMax: return queueSizeMax
    case MMIORegister.queueReady: return queues[queue]?.isReady ?? false ? 1 : 0
    case MMIORegister.interruptStatus: return interruptStatus
    case MMIORegister.status: return UInt32(status.subtracting(refusedStatus).rawValue)
    case MMIORegister.configurationGeneration:
      generation &+= generationStep
      return generation
    case MMIORegister.configuration...:
      var value: UInt32 = 0
      for i in 0..<byteCount where offset - 0x100 + i < configuration.count {
        value |= UInt32(configuration[offset - 0x100 + i]) << UInt32(8 * i)
      }
      return value
    default: return 0
    }
  }

  fileprivate func write(_ value: UInt32, _ offset: Int) {
    let queue = Int(selects[MMIORegister.queueSelect] ?? 0)
    switch offset {
    case MMIORegister.driverFeatures:
      _ = driverFeatures.setWord(selects[MMIORegister.driverFeaturesSelect] ?? 0, value)
    case MMIORegister.queueSize: queues[queue, default: Queue()].size = value
    case MMIORegister.queueReady: queues[queue, default: Queue()].isReady = value == 1
    case MMIORegister.queueNotify:
      notifications.append(value)
      onNotify(value)
    case MMIORegister.interruptAcknowledge: interruptStatus &= ~value
    case MMIORegister.status:
      status = DeviceStatus(UInt8(value))
      if value == 0 { queues = [:] }
    case MMIORegister.queueDescriptorLow...MMIORegister.queueDeviceHigh:
      queues[queue, default: Queue()].addresses[offset] = value
    case MMIORegister.configuration...: configurationWrites.append((offset - 0x100, value))
    default: selects[offset] = value
    }
  }
}

/// Register accesses that go to a `FakeDevice`.
public struct FakeRegisters: RegisterAccess {
  let device: FakeDevice

  /// See `RegisterAccess`.
  public func read8(_ offset: Int) -> UInt8 { UInt8(truncatingIfNeeded: device.read(offset, 1)) }
  /// See `RegisterAccess`.
  public func read16(_ offset: Int) -> UInt16 { UInt16(truncatingIfNeeded: device.read(offset, 2)) }
  /// See `RegisterAccess`.
  public func read32(_ offset: Int) -> UInt32 { device.read(offset, 4) }
  /// See `RegisterAccess`.
  public func write8(_ value: UInt8, _ offset: Int) { device.write(UInt32(value), offset) }
  /// See `RegisterAccess`.
  public func write16(_ value: UInt16, _ offset: Int) { device.write(UInt32(value), offset) }
  /// See `RegisterAccess`.
  public func write32(_ value: UInt32, _ offset: Int) { device.write(value, offset) }
}
