// The driver side of a virtqueue, split or packed. The device writes the rings and is not trusted: nothing it
// writes is used before it was checked against private records.

private import CBarrier
import Synchronization

/// A buffer that the device has used.
public struct UsedBuffer: Equatable, Sendable {
  /// What the driver gave with `submit`.
  public let token: UInt32
  /// Bytes the device wrote from the start of the device-writable part; never more than that part.
  public let byteCount: UInt32
}

/// The driver side of one virtqueue.
///
/// Buffers go in with `submit` and become visible to the device with one `publish()`; `reclaim()` returns
/// them with their token. What a token stands for, and who owns the memory meanwhile, is the driver's table.
public struct DriverVirtqueue: ~Copyable {
  /// Index of the queue within its device.
  public let index: UInt16
  /// Number of descriptors.
  public let size: UInt16
  /// Descriptors that are free.
  public internal(set) var freeCount: UInt16
  /// Buffers submitted and not reclaimed.
  public internal(set) var inFlight: UInt16 = 0

  #if SPLIT_DRIVERS
    // Images at EL2 drive their devices with split rings out of order, and have no code for others.
    @inline(__always) var isPacked: Bool { false }
    @inline(__always) var isInOrder: Bool { false }
  #else
    let isPacked: Bool
    let isInOrder: Bool
  #endif
  let usesEventIndex: Bool
  let ordersForPlatform: Bool
  let memory: DMABuffer
  let slots: SlotTable
  let descriptors: RingArea
  let driverArea: RingArea
  let deviceArea: RingArea
  /// Indirect tables, `indirectCapacity` entries for each slot; none when the capacity is 0.
  let tables: DMABuffer
  let indirectCapacity: UInt16

  /// Split: free-running available index. Packed: ring offset.
  var nextAvailable: UInt16 = 0
  var publishedAvailable: UInt16 = 0
  var nextUsed: UInt16 = 0
  /// First free descriptor (split) or buffer ID (packed); in order: the next in ring order.
  var freeHead: UInt16 = 0
  /// Split: the used index as last read.
  var knownUsed: UInt16 = 0
  /// In order, split: head of the oldest buffer in flight.
  var oldest: UInt16 = 0
  /// In order: the buffer that ends the batch being reclaimed, and its used length; packed, with the flags.
  var batchEnd = DriverVirtqueue.noBatch
  var batchWord: UInt64 = 0
  /// Where `reclaimAbandoned` looks next.
  var firstAbandoned: UInt16 = 0

  // Packed format only.
  var availableMark = DescriptorFlag.available
  var usedMark = DescriptorFlag.available | DescriptorFlag.used
  /// The word that makes the first buffer since `publishPacked()` available, if there is one: it stands at
  /// `publishedAvailable`.
  var heldWord: UInt64 = 0
  /// `publishedAvailable` with its wrap counter, as a device asks for it that has used all before.
  var awaitedEvent = PackedEvent.at(0, wrap: true)

  /// No buffer: a queue has at most 32768.
  @inline(__always)
  static var noBatch: UInt16 { .max }

  /// A queue of `size` descriptors with its rings and records from `memory`, all free.
  ///
  /// `indirectCapacity` is the longest buffer that goes through an indirect table, at most `size`; 0, or no
  /// INDIRECT_DESC among `features`, for none. Nil when the size is not allowed or memory runs out.
  public init?<Memory: DriverMemory & ~Copyable>(
    index: UInt16, size: UInt16, features: Features, indirectCapacity: UInt16 = 0, from source: inout Memory
  ) {
    let format: RingFormat = features.contains(.ringPacked) ? .packed : .split
    guard let layout = RingLayout(format, size: size) else { return nil }
    let driverOffset = Int(layout.descriptorAreaByteCount)
    let deviceOffset = (driverOffset + Int(layout.driverAreaByteCount) + 3) & ~3
    let total = deviceOffset + Int(layout.deviceAreaByteCount)
    // §2.7.5.3.1: no chain is longer than the queue, in a table or not.
    let tableEntries = features.contains(.indirectDescriptors) ? Int(min(indirectCapacity, size)) : 0
    // The descriptor area asks for 16; a cache line keeps the ring from sharing one with others.
    guard let rings = source.allocateShared(byteCount: total, alignment: 64),
      let records = source.allocatePrivate(byteCount: SlotTable.byteCount(size)),
      let tables = source.allocateShared(byteCount: Int(size) * tableEntries * 16, alignment: 16)
    else { return nil }
    self.index = index
    self.size = size
    freeCount = size
    #if SPLIT_DRIVERS
      precondition(!features.contains(.ringPacked) && !features.contains(.inOrder), "see `negotiate`")
    #else
      isPacked = format == .packed
      isInOrder = features.contains(.inOrder)
    #endif
    usesEventIndex = features.contains(.eventIndex)
    ordersForPlatform = features.contains(.orderPlatform)
    descriptors = rings.area(at: 0, byteCount: driverOffset)
    driverArea = rings.area(at: driverOffset, byteCount: Int(layout.driverAreaByteCount))
    deviceArea = rings.area(at: deviceOffset, byteCount: Int(layout.deviceAreaByteCount))
    memory = rings
    slots = SlotTable(records, count: size)
    self.tables = tables
    self.indirectCapacity = UInt16(tableEntries)
    reset()
  }

  /// Where the device finds the three areas.
  public var addresses: QueueAddresses {
    let layout = RingLayout(isPacked ? .packed : .split, size: size)!  // the size was checked at creation
    let driver = memory.deviceAddress + UInt64(layout.descriptorAreaByteCount)
    let device = (driver + UInt64(layout.driverAreaByteCount) + 3) & ~3
    return QueueAddresses(
      descriptorArea: memory.deviceAddress, driverArea: driver, deviceArea: device)
  }

  /// Forgets everything in flight and clears the rings. Only for a queue that is not live: after a reset of
  /// the device or of the queue (§3.3.1). `reclaimAbandoned()` first, if the tokens matter.
  public mutating func reset() {
    memory.zero()
    for i in 0..<size {
      slots[i] = Slot()
      slots[i].next = i &+ 1 == size ? 0 : i &+ 1
    }
    freeCount = size
    inFlight = 0
    nextAvailable = 0
    publishedAvailable = 0
    nextUsed = 0
    freeHead = 0
    knownUsed = 0
    oldest = 0
    batchEnd = DriverVirtqueue.noBatch
    firstAbandoned = 0
    availableMark = DescriptorFlag.available
    usedMark = DescriptorFlag.available | DescriptorFlag.used
    awaitedEvent = PackedEvent.at(0, wrap: true)
  }

  /// Descriptors of the ring that a buffer of `count` segments takes.
  @inline(__always)
  func ringCount(_ count: Int) -> Int {
    count > 1 && count <= Int(indirectCapacity) ? 1 : count
  }

  /// Whether a buffer of `count` segments can be submitted now.
  public func hasRoom(for count: Int) -> Bool { ringCount(count) <= Int(freeCount) }

  /// The longest buffer, in segments, that an empty queue takes.
  public var maximumSegmentCount: Int { Int(size) }

  /// Adds a buffer: `segments`, the first `readableCount` of them device-readable, the rest device-writable.
  ///
  /// Returns false, and does nothing, when there is no room now. The device sees it after `publish()`. Until
  /// `reclaim()` returns `token`, the memory belongs to the device. Traps on an empty buffer.
  #if SMALL
    @inline(never)
  #else
    @inline(__always)
  #endif
  @_optimize(speed)
  public mutating func submit(
    _ segments: Span<DMASegment>, readableCount: Int, token: UInt32
  ) -> Bool {
    precondition(segments.count > 0 && readableCount <= segments.count, "an impossible buffer")
    if segments.count > 1 && segments.count <= Int(indirectCapacity) {
      return submitIndirect(segments, readableCount: readableCount, token: token)
    }
    guard segments.count <= Int(freeCount) else { return false }
    if isPacked {
      submitPacked(segments, readableCount: readableCount, token: token)
    } else {
      submitSplit(segments, readableCount: readableCount, token: token)
    }
    inFlight &+= 1
    return true
  }

  /// Adds a buffer of one segment. See `submit(_:readableCount:token:)`.
  @inline(__always)
  public mutating func submit(_ segment: DMASegment, deviceWritable: Bool, token: UInt32) -> Bool {
    let segments: [1 of DMASegment] = [segment]
    return submit(segments.span, readableCount: deviceWritable ? 0 : 1, token: token)
  }

  /// Makes everything submitted visible to the device. Returns whether it must be notified.
  #if SMALL
    @inline(never)
  #else
    @inline(__always)
  #endif
  public mutating func publish() -> Bool {
    isPacked ? publishPacked() : publishSplit()
  }

  /// Takes back the next buffer that the device has used, or nil when there is none.
  ///
  /// Throws when the device broke the protocol; the queue must then be reset before it is used again.
  #if SMALL
    @inline(never)
  #else
    @inline(__always)
  #endif
  @_optimize(speed)
  public mutating func reclaim() throws(DeviceFault) -> UsedBuffer? {
    isPacked ? try reclaimPacked() : try reclaimSplit()
  }

  /// Takes back a buffer that the device will never use, or nil when none is left. Only for a queue that is
  /// not live (§3.3.1), before `reset()`.
  public mutating func reclaimAbandoned() -> UInt32? {
    while firstAbandoned < size {
      let id = firstAbandoned
      firstAbandoned += 1
      if slots[id].isInFlight == 0 { continue }
      slots[id].isInFlight = 0
      inFlight &-= 1
      return slots[id].token
    }
    return nil
  }

  /// Asks the device for no used buffer notifications. A hint: they may still come (§2.7.7.1).
  public mutating func disableNotifications() {
    if isPacked {
      driverArea.store32(PackedEvent.disable << 16, 0)
    } else if usesEventIndex {
      // An entry that was passed already: not reached again before the index wraps.
      driverArea.store16(nextUsed &- 1, SplitRing.usedEvent(size))
    } else {
      driverArea.store16(SplitRing.noNotification, SplitRing.flags)
    }
  }

  /// Asks for a notification at the next used buffer. Returns true when one is used already: reclaim again,
  /// for no notification may come for it.
  public mutating func enableNotifications() -> Bool {
    if isPacked {
      let wrap = usedMark & DescriptorFlag.used != 0
      driverArea.store32(usesEventIndex ? PackedEvent.at(nextUsed, wrap: wrap) : PackedEvent.enable, 0)
    } else if usesEventIndex {
      driverArea.store16(nextUsed, SplitRing.usedEvent(size))
    } else {
      driverArea.store16(0, SplitRing.flags)
    }
    fullBarrier()
    return hasUsed
  }

  /// Whether `reclaim()` would return a buffer or throw.
  public var hasUsed: Bool {
    if batchEnd != DriverVirtqueue.noBatch { return true }
    if isPacked {
      return inFlight != 0 && packedIsUsed(descriptors.loadAcquiring64(Int(nextUsed) * 16 + 8))
    }
    return deviceArea.loadAcquiring16(SplitRing.index) != nextUsed
  }

  /// §2.9: queue index, offset and wrap counter of the next available entry, for NOTIFICATION_DATA.
  public var notificationData: UInt32 {
    let position =
      isPacked
      ? nextAvailable | (availableMark & DescriptorFlag.available != 0 ? 1 << 15 : 0)
      : nextAvailable
    return UInt32(index) | UInt32(position) << 16
  }

  /// Orders our publication against what we read of the device's next.
  @inline(__always)
  func fullBarrier() {
    // §6.1: with ORDER_PLATFORM the barrier must hold for hardware devices too.
    if ordersForPlatform { vireo_platform_barrier() }
    atomicMemoryFence(ordering: .sequentiallyConsistent)
  }

  /// Before a store that hands memory to the device.
  @inline(__always)
  func releaseBarrier() {
    if ordersForPlatform { vireo_platform_barrier() }
  }

  /// The device-writable bytes of a buffer of `total` bytes. §2.7.5.2: it has less than 2^32 in all.
  @inline(__always)
  func writableByteCount(_ total: UInt64, _ readable: UInt64) -> UInt32 {
    precondition(total <= UInt64(UInt32.max), "a buffer of 2^32 bytes or more")
    return UInt32(truncatingIfNeeded: total &- readable)
  }

  /// `id`, when the device's claim about that buffer can be true.
  @inline(__always)
  func checked(_ id: UInt16, _ written: UInt32) throws(DeviceFault) -> UInt16 {
    guard slots[id].isInFlight != 0 else { throw .unknownBuffer }
    guard written <= slots[id].writableByteCount else { throw .usedLengthTooLong }
    return id
  }

  /// The buffer of slot `id`, taken out of flight; the device's claim about it was checked.
  @inline(__always)
  mutating func retire(_ id: UInt16, written: UInt32) -> UsedBuffer {
    let slot = slots[id]
    slots[id].isInFlight = 0
    inFlight &-= 1
    freeCount &+= slot.ringCount
    return UsedBuffer(token: slot.token, byteCount: written)
  }
}
