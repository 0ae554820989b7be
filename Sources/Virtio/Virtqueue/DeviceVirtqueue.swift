// The device side of a virtqueue, split or packed. The driver writes the rings and is not trusted: whatever
// it writes leads to a correct step or to a `DriverFault`, never to a trap or unbounded work.

import Synchronization

/// Where a driver put the three areas of a virtqueue (§2.6), as guest addresses.
public struct QueueAddresses: Equatable, Sendable {
  /// Descriptor table or descriptor ring.
  public var descriptorArea: UInt64 = 0
  /// Available ring or driver event suppression.
  public var driverArea: UInt64 = 0
  /// Used ring or device event suppression.
  public var deviceArea: UInt64 = 0

  /// All three at address 0.
  public init() {}

  /// The three areas at the given guest addresses.
  public init(descriptorArea: UInt64, driverArea: UInt64, deviceArea: UInt64) {
    self.descriptorArea = descriptorArea
    self.driverArea = driverArea
    self.deviceArea = deviceArea
  }
}

/// A buffer set aside to be used later, in any order.
///
/// It outlives a reset of its queue without harm: the queue then ignores it.
public struct ParkedChain: ~Copyable {
  @usableFromInline let id: UInt16
  @usableFromInline let ringCount: UInt16
  @usableFromInline let generation: UInt32

  @inlinable @inline(always)
  init(id: UInt16, ringCount: UInt16, generation: UInt32) {
    self.id = id
    self.ringCount = ringCount
    self.generation = generation
  }
}

/// The device side of one virtqueue.
///
/// A service call of a device is: `next()` until nil, `use` for each buffer, then one `endService()`, which
/// publishes everything used and decides on one notification. The available index is read once per service,
/// and `budget` bounds the buffers taken. Addresses are validated and latched by `makeReady`.
public struct DeviceVirtqueue: ~Copyable {
  /// The largest size the device offers (QueueSizeMax), 0 for a queue that does not exist.
  public let maximumSize: UInt16
  /// Whether `makeReady` succeeded and no reset or fault came since.
  public internal(set) var isReady = false { didSet { chooseService() } }
  /// Number of descriptors while ready.
  public internal(set) var size: UInt16 = 0
  /// Buffers that one service call may take. At least 1.
  public var budget: UInt16 = 256
  /// Whether a used buffer notification is due. The transport sends it and clears this.
  public var notificationIsDue = false
  /// Set by a device that stopped at a limit of its own, such as one of bytes: the transport counts the queue
  /// as work, and clears this.
  public var needsService = false
  /// Whether nothing more is taken: the driver suspends the device (§3.4.2), or the embedder wants it so.
  /// What was taken can be used. Ends with a reset.
  public var isPaused = false { didSet { chooseService() } }
  /// Whether the embedder looks at the ring itself: see `stopNotifications()`.
  #if SMALL
    // Images leave the ring to notifications, and what they are at ends with them: they have neither this nor
    // `isTracked`.
    var isPolled: Bool { false }
    var isTracked: Bool { false }
  #else
    @usableFromInline var isPolled = false
  #endif
  /// What `serve` has to do, and how many buffers are parked.
  @usableFromInline var service = Service.any
  /// Never used. A value that holds an atomic has a place of its own, so a borrowed queue is passed by its
  /// address and not copied for each call.
  private let place = Atomic<UInt8>(0)
  @usableFromInline var memory: GuestMemory
  @usableFromInline var descriptors = RingArea.none
  @usableFromInline var driverArea = RingArea.none
  @usableFromInline var deviceArea = RingArea.none
  @usableFromInline var isPacked = false
  @usableFromInline var usesEventIndex = false
  /// The size less one; in the split format it turns an index into a position.
  @usableFromInline var lastIndex: UInt16 = 0
  /// `lastIndex`, the byte offset of the descriptor there, and `size`, as the loops of `serve` want them.
  @usableFromInline var mask: UInt32 = 0
  @usableFromInline var lastOffset = 0
  @usableFromInline var entryCount: UInt32 = 0
  /// Longest chain that may go through an indirect table; 0 where none was negotiated.
  var indirectLimit: UInt16 = 0
  var isInOrder = false
  /// Buffers still to take in this service call.
  @usableFromInline var remaining: UInt16 = 0
  /// Whether this service call has read the available index.
  @usableFromInline var isRefilled = false
  /// Whether this service call asked for a buffer and there was none, and the ring position where that was.
  /// Buffers given back since lie before it; the next notification is wanted for what comes there.
  @usableFromInline var ranOut = false
  @usableFromInline var awaited: UInt16 = 0
  @usableFromInline var awaitedMark: UInt16 = 0
  /// `nextAvailable` and `nextUsed` in their low halves. In words of their own: two 16-bit fields side by
  /// side would be stored one by one and loaded together, which stalls a processor.
  @usableFromInline var availableWord: UInt32 = 0
  @usableFromInline var usedWord: UInt32 = 0
  /// Split: the used index as last published.
  @usableFromInline var publishedUsed: UInt16 = 0
  /// Where the ring was found to end and the next available buffer notification asked for, `UInt32.max` if
  /// nowhere. Asked again only at another position: a service that took nothing costs nothing.
  @usableFromInline var armedPosition: UInt32 = .max
  /// Counts resets and stops in steps of 8 from 7, so that a buffer of an earlier life is recognised. Whoever
  /// keeps it beside a buffer can tell 8 states of the buffer apart below it, and none of them is 0.
  public internal(set) var generation: UInt32 = 7

  // Packed format only.
  /// AVAIL and USED bits that mark the next descriptor as available.
  @usableFromInline var availableMark = DescriptorFlag.available
  /// AVAIL and USED bits that mark the next used descriptor.
  @usableFromInline var usedMark = DescriptorFlag.available | DescriptorFlag.used
  @usableFromInline var chainsInFlight: UInt16 = 0
  /// Descriptors of parked chains.
  @usableFromInline var inFlightDescriptors: UInt16 = 0
  /// The flags of the first descriptor used since the last publication, held back until the next.
  @usableFromInline var holdsFirst = false
  @usableFromInline var heldFlags: UInt16 = 0
  @usableFromInline var heldPosition: UInt16 = 0
  #if !SMALL
    /// Whether every used buffer is noted in `track`, and published by itself.
    @usableFromInline var isTracked = false { didSet { chooseService() } }
    @usableFromInline var track = RingArea.none
  #endif

  /// A queue of up to `maximumSize` descriptors over `memory`, not ready. 0: the queue does not exist.
  public init(maximumSize: UInt16, memory: GuestMemory) {
    precondition(maximumSize <= maximumQueueSize, "queue sizes end at 32768")
    self.maximumSize = maximumSize
    self.memory = memory
  }

  // Without it, whoever ends the life of an array of queues destroys the atomic in each, and for that the
  // compiler of Swift 6.3.1 has no code in Embedded mode: it fails on any variable with a transport in it.
  deinit {}

  /// Values of `service`: one of the first four, and on top of that `begun`; parked buffers count in its
  /// upper half.
  @usableFromInline
  enum Service {
    /// No loop of its own: a queue with indirect tables, or over several regions of memory; also one that is
    /// not ready or is paused.
    @usableFromInline static var any: UInt32 { 0 }
    @usableFromInline static var split: UInt32 { 1 }
    @usableFromInline static var packed: UInt32 { 2 }
    /// As `any`, of a split ring that `beginUsual()` can serve: its bit is that of `split`.
    @usableFromInline static var usualSplit: UInt32 { 3 }
    static var kinds: UInt32 { 3 }
    /// A service call has begun: buffers were taken or used one by one, until `endService()`.
    @usableFromInline static var begun: UInt32 { 4 }
    @usableFromInline static var parked: UInt32 { 1 << 16 }
  }

  @inline(never)
  private mutating func chooseService() {
    var kind = Service.any
    if isReady && !isPaused && !isTracked && usesEventIndex {
      let isSimple = indirectLimit == 0 && memory.isOneRegion
      if isPacked {
        if isSimple { kind = Service.packed }
      } else {
        kind = isSimple ? Service.split : Service.usualSplit
      }
    }
    service = service & ~Service.kinds | kind
  }

  /// Where the next buffer is taken. Split: free-running index. Packed: ring offset.
  @inlinable @inline(always)
  var nextAvailable: UInt16 {
    get { UInt16(truncatingIfNeeded: availableWord) }
    set { availableWord = UInt32(newValue) }
  }

  /// Where the next one is used. Split: free-running index. Packed: ring offset.
  @inlinable @inline(always)
  var nextUsed: UInt16 {
    get { UInt16(truncatingIfNeeded: usedWord) }
    set { usedWord = UInt32(newValue) }
  }

  /// Buffers taken and not yet used.
  public var inFlight: UInt16 { isPacked ? chainsInFlight : nextAvailable &- nextUsed }

  /// Validates what the driver configured and starts from an empty ring.
  ///
  /// Throws when the size is not allowed, an area is misaligned or not in guest memory; the queue then stays
  /// unready. From here on the settings are latched: register writes have no effect until a reset.
  public mutating func makeReady(
    size: UInt16, at addresses: QueueAddresses, features: Features
  ) throws(DriverFault) {
    reset()
    let format: RingFormat = features.contains(.ringPacked) ? .packed : .split
    guard size <= maximumSize, let layout = RingLayout(format, size: size) else { throw .invalidQueueSize }
    // §2.7, §2.8.10.1: alignment of the areas.
    guard addresses.descriptorArea % layout.descriptorAreaAlignment == 0,
      addresses.driverArea % layout.driverAreaAlignment == 0,
      addresses.deviceArea % layout.deviceAreaAlignment == 0
    else { throw .misalignedRing }
    descriptors = RingArea(
      try memory.range(at: addresses.descriptorArea, byteCount: layout.descriptorAreaByteCount))
    driverArea = RingArea(try memory.range(at: addresses.driverArea, byteCount: layout.driverAreaByteCount))
    deviceArea = RingArea(try memory.range(at: addresses.deviceArea, byteCount: layout.deviceAreaByteCount))
    self.size = size
    lastIndex = size &- 1
    mask = UInt32(lastIndex)
    lastOffset = Int(lastIndex) * 16
    entryCount = UInt32(size)
    isPacked = format == .packed
    usesEventIndex = features.contains(.eventIndex)
    // §2.7.5.3.1 bounds a chain through an indirect table by the queue size "of the device".
    indirectLimit = features.contains(.indirectDescriptors) ? maximumSize : 0
    isInOrder = features.contains(.inOrder)
    isReady = true
  }

  /// §2.6.1.1.1: back to the default state. Buffers in flight are forgotten; using them later does nothing.
  public mutating func reset() {
    service = Service.any
    isReady = false
    isPaused = false
    needsService = false
    size = 0
    remaining = 0
    isRefilled = false
    ranOut = false
    notificationIsDue = false
    chainsInFlight = 0
    nextAvailable = 0
    nextUsed = 0
    publishedUsed = 0
    armedPosition = .max
    generation &+= 8
    availableMark = DescriptorFlag.available
    usedMark = DescriptorFlag.available | DescriptorFlag.used
    inFlightDescriptors = 0
    holdsFirst = false
    #if !SMALL
      isPolled = false
      isTracked = false
    #endif
  }

  /// Takes the next available buffer, or nil when there is none, the budget is spent or the queue not ready.
  ///
  /// In the packed format a buffer must be used or parked before the next one is taken and before a parked
  /// one is used: the ring position behind it is known only then.
  #if SMALL
    @inline(never)
  #else
    @inline(always)
  #endif
  public mutating func next() throws(DriverFault) -> DescriptorChain? {
    if remaining == 0 {
      if isRefilled {
        noteEnd()
        return nil
      }
      guard try refill() else { return nil }
    }
    return isPacked ? takePacked() : try takeSplit()
  }

  /// Whether `next()` would return a buffer.
  #if SMALL
    @inline(never)
  #else
    @inline(__always)
  #endif
  public mutating func hasAvailable() throws(DriverFault) -> Bool {
    if remaining == 0 {
      guard try refill() else { return false }
    }
    if isPacked && !packedIsAvailable {
      noteEnd()
      return false
    }
    return true
  }

  /// Marks a buffer as used, `written` bytes of it having been written from the start of its device-writable
  /// part. The driver sees it after `endService()`.
  ///
  /// Throws when a part of a packed chain that was not walked yet turns out to be malformed.
  #if SMALL
    @inline(never)
  #else
    @inline(always)
  #endif
  public mutating func use(_ chain: consuming DescriptorChain, written: UInt32) throws(DriverFault) {
    if chain.walk.isPacked {
      let (id, count) = try finishWalk(chain)
      usePacked(id: id, ringCount: count, written: written)
    } else {
      useSplit(id: UInt16(truncatingIfNeeded: chain.head), written: written)
    }
  }

  /// Sets a buffer aside, to be used later and in any order. Throws as `use(_:written:)` does.
  #if SMALL
    @inline(never)
  #else
    @inline(__always)
  #endif
  public mutating func park(_ chain: consuming DescriptorChain) throws(DriverFault) -> ParkedChain {
    service &+= Service.parked
    if isPacked {
      let (id, count) = try finishWalk(chain)
      parkPacked(count)
      return ParkedChain(id: id, ringCount: count, generation: generation)
    }
    return ParkedChain(id: UInt16(truncatingIfNeeded: chain.head), ringCount: 0, generation: generation)
  }

  /// Marks a parked buffer as used. Does nothing when the queue was reset meanwhile.
  #if SMALL
    @inline(never)
  #else
    @inline(__always)
  #endif
  public mutating func use(_ parked: consuming ParkedChain, written: UInt32) {
    guard parked.generation == generation else { return }
    service &-= Service.parked
    if isPacked {
      usePackedParked(parked.id, parked.ringCount, written)
    } else {
      useSplit(id: parked.id, written: written)
    }
  }

  /// Out of line, for the sake of those that call it.
  @inline(never)
  private mutating func usePackedParked(_ id: UInt16, _ ringCount: UInt16, _ written: UInt32) {
    inFlightDescriptors &-= ringCount
    usePacked(id: id, ringCount: ringCount, written: written)
  }

  /// Puts a parked buffer back as if it had not been taken. Only the buffer taken last can be given back,
  /// and only before `endService()`; the next `next()` returns it again.
  public mutating func giveBack(_ parked: consuming ParkedChain) {
    guard parked.generation == generation else { return }
    service &-= Service.parked
    remaining &+= 1
    if isPacked {
      chainsInFlight &-= 1
      inFlightDescriptors &-= parked.ringCount
      let (offset, borrow) = nextAvailable.subtractingReportingOverflow(parked.ringCount)
      nextAvailable = borrow ? offset &+ size : offset
      if borrow { availableMark = DescriptorFlag.flipped(availableMark) }
    } else {
      nextAvailable &-= 1
    }
  }

  /// Reads the available index, once per service call. False when there is nothing to take.
  @usableFromInline @inline(never)
  mutating func refill() throws(DriverFault) -> Bool {
    guard isReady, !isPaused else { return false }
    if !isRefilled {
      isRefilled = true
      service |= Service.begun
      if isPacked {
        remaining = min(budget, size &- inFlightDescriptors)
      } else {
        remaining = try refillSplit()
      }
    }
    if remaining == 0 { noteEnd() }
    return remaining != 0
  }

  /// There is no buffer at the ring position.
  @inlinable @inline(always)
  mutating func noteEnd() {
    ranOut = true
    awaited = nextAvailable
    awaitedMark = availableMark
  }
}
