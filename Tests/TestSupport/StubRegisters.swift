public import Virtio

/// The registers of a device that is not there: it agrees to everything, or lies as told.
public final class StubRegisters {
  /// What MagicValue reads.
  public var magic: UInt32 = 0x7472_6976
  /// What Version reads.
  public var version: UInt32 = 2
  /// What DeviceID reads.
  public var deviceID: UInt32 = 0x7777
  /// What is offered.
  public var offered: Features
  /// What the driver accepted.
  public private(set) var driverFeatures = Features.none
  /// What Status reads.
  public private(set) var status: UInt8 = 0
  /// Status bits that the device refuses to take.
  public var refusedStatus: UInt8 = 0
  /// How often Status still reads 1 after a reset.
  public var readsUntilReset = 0
  /// What QueueSizeMax reads.
  public var queueSizeMax: UInt32 = 16
  /// What InterruptStatus reads.
  public var interruptStatus: UInt32 = 0
  /// What QueueReset reads: one value for each read, then 0.
  public var queueResetReads: [UInt32] = []
  /// Whether a queue reset clears QueueReady.
  public var queueResetWorks = true
  /// What ConfigGeneration reads: one value for each read, the last one for ever.
  public var generations: [UInt32] = [0]
  /// The configuration space.
  public var configuration: [UInt8] = []
  /// Called before each read.
  public var beforeRead: (Int) -> Void = { _ in }
  /// Queues that are ready.
  public private(set) var readyQueues: Set<UInt32> = []

  private var select: UInt32 = 0
  private var driverSelect: UInt32 = 0
  private var queueSelect: UInt32 = 0

  /// Answers `window`, offering `offered`.
  public init(_ window: RegisterWindow, offering offered: Features) {
    self.offered = offered
    window.onRead = { self.read($0, $1) }
    window.onWrite = { value, offset, _ in self.write(UInt32(truncatingIfNeeded: value), offset) }
  }

  private func read(_ offset: Int, _ byteCount: Int) -> UInt64 {
    beforeRead(offset)
    if offset >= MMIORegister.configuration {
      let start = offset - MMIORegister.configuration
      guard start + byteCount <= configuration.count else { return 0 }
      return configuration[start..<start + byteCount].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
    return UInt64(readRegister(offset))
  }

  private func readRegister(_ offset: Int) -> UInt32 {
    switch offset {
    case MMIORegister.magicValue: return magic
    case MMIORegister.version: return version
    case MMIORegister.deviceID: return deviceID
    case MMIORegister.deviceFeatures: return offered.word(select)
    case MMIORegister.queueSizeMax: return queueSizeMax
    case MMIORegister.queueReady: return readyQueues.contains(queueSelect) ? 1 : 0
    case MMIORegister.interruptStatus: return interruptStatus
    case MMIORegister.queueReset: return queueResetReads.isEmpty ? 0 : queueResetReads.removeFirst()
    case MMIORegister.configurationGeneration:
      return generations.count > 1 ? generations.removeFirst() : generations[0]
    case MMIORegister.status:
      if status == 0 && readsUntilReset > 0 {
        readsUntilReset -= 1
        return 1
      }
      return UInt32(status)
    default: return 0
    }
  }

  private func write(_ value: UInt32, _ offset: Int) {
    switch offset {
    case MMIORegister.deviceFeaturesSelect: select = value
    case MMIORegister.driverFeaturesSelect: driverSelect = value
    case MMIORegister.driverFeatures: _ = driverFeatures.setWord(driverSelect, value)
    case MMIORegister.queueSelect: queueSelect = value
    case MMIORegister.interruptAcknowledge: interruptStatus &= ~value
    case MMIORegister.queueReady:
      if value == 1 { readyQueues.insert(queueSelect) } else { readyQueues.remove(queueSelect) }
    case MMIORegister.queueReset: if queueResetWorks { readyQueues.remove(queueSelect) }
    case MMIORegister.status:
      if value == 0 {
        status = 0
        readyQueues = []
      } else {
        status |= UInt8(truncatingIfNeeded: value) & ~refusedStatus
      }
    default: break
    }
  }
}
