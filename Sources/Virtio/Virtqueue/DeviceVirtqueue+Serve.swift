// A whole service call in one function: the positions in the rings stay in registers from the first buffer to
// the last, and each ring format has a loop of its own.

import Synchronization

extension DeviceVirtqueue {
  /// Serves the queue: takes buffers until there is none or the budget is spent, calls `body` with each,
  /// marks it used with the number of bytes that `body` returns, then publishes all of them and decides on
  /// one notification, as `endService()` does. Returns how many buffers it served.
  ///
  /// For a device that is done with each buffer before it takes the next. When `body` returns nil the buffer
  /// stays in the ring as if it had not been taken, and the call ends. Sets `needsService` when more buffers
  /// are available already. Throws what `body` throws, or when the driver broke a rule; the queue must then
  /// be given up. Traps while a buffer is parked.
  @inline(always)
  @discardableResult
  public mutating func serve(
    _ body: (inout DescriptorChain, borrowing DeviceVirtqueue) throws(DriverFault) -> UInt32?
  ) throws(DriverFault) -> Int {
    if _fastPath(service == Service.split) { return try serveSplit(body) }
    if _slowPath(service == Service.packed) { return try servePacked(body) }
    var fault: DriverFault? = nil
    let count = serveAny(&fault, body)
    if let fault { throw fault }
    return count
  }

  /// The same for every queue. Does not throw: see `DescriptorWalk.followRest`.
  @usableFromInline @inline(never)
  mutating func serveAny(
    _ fault: inout DriverFault?,
    _ body: (inout DescriptorChain, borrowing DeviceVirtqueue) throws(DriverFault) -> UInt32?
  ) -> Int {
    precondition(service < Service.parked, "a buffer is parked")
    var count = 0
    do throws(DriverFault) {
      while var chain = try next() {
        guard let written = try body(&chain, self) else {
          giveBack(try park(chain))
          break
        }
        try use(chain, written: written)
        count += 1
      }
    } catch {
      fault = error
      return 0
    }
    if endService() { needsService = true }
    return count
  }

  @inlinable @inline(always)
  mutating func serveSplit(
    _ body: (inout DescriptorChain, borrowing DeviceVirtqueue) throws(DriverFault) -> UInt32?
  ) throws(DriverFault) -> Int {
    // Nothing is in flight, so the position is the same in both rings.
    var position = usedWord
    // As in `refillSplit()`.
    let pending = (UInt32(driverArea.loadAcquiring16(SplitRing.index)) &- position) & 0xffff
    guard _fastPath(pending <= UInt32(size)) else { throw .availableIndexJumped }
    let end = position &+ min(pending, UInt32(budget))
    if _slowPath(end == position) {
      awaitNothing()
      return 0
    }
    repeat {
      let slot = Int(position & mask)
      let head = UInt32(driverArea.load16(4 + 2 * slot))
      guard _fastPath(head <= mask) else { throw .indexOutOfRange }
      var chain = DescriptorChain(head: head, stepLimit: mask, isPacked: false, isSimple: true)
      guard let written = try body(&chain, self) else {
        return leave(position, mark: usedMark, first: nil, count: Int(position &- usedWord))
      }
      deviceArea.store32(head, 4 + 8 * slot)
      deviceArea.store32(written, 8 + 8 * slot)
      position &+= 1
    } while position != end
    availableWord = position
    usedWord = position
    return publishSplit(position)
  }

  /// The end of a service call that left nothing in flight.
  @usableFromInline @inline(__always)
  mutating func publishSplit(_ word: UInt32) -> Int {
    let position = UInt16(truncatingIfNeeded: word)
    deviceArea.storeReleasing16(position, SplitRing.index)
    armedPosition = word
    let count = position &- publishedUsed
    deviceArea.store16(position, 4 + 8 * Int(entryCount))
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    let isWanted = position &- driverArea.load16(4 + 2 * Int(entryCount)) &- 1 < count
    if _slowPath(isWanted) { notificationIsDue = true }
    publishedUsed = position
    if _slowPath(driverArea.load16(SplitRing.index) != position) { needsService = true }
    return Int(count)
  }

  @inlinable @inline(always)
  mutating func servePacked(
    _ body: (inout DescriptorChain, borrowing DeviceVirtqueue) throws(DriverFault) -> UInt32?
  ) throws(DriverFault) -> Int {
    // Nothing is in flight, so the position is the same on both sides, in bytes here.
    let first = Int(usedWord) << 4
    var offset = first
    // The AVAIL and USED bits of a used descriptor; those of an available one differ in USED.
    var mark = UInt32(usedMark)
    var left = UInt32(budget)
    repeat {
      let flags = descriptors.loadAcquiring32(offset &+ 12) >> 16
      guard _fastPath((flags ^ mark) & PackedMark.both == PackedMark.used) else {
        if left == UInt32(budget) {
          awaitNothing()
          return 0
        }
        break
      }
      var chain = DescriptorChain(simplePacked: offset, flags: flags, stepLimit: mask)
      guard let written = try body(&chain, self) else {
        return leave(
          UInt32(truncatingIfNeeded: offset >> 4), mark: UInt16(truncatingIfNeeded: mark),
          first: left == UInt32(budget) ? nil : first, count: Int(UInt32(budget) &- left))
      }
      if _slowPath(chain.walk.source != .ended) {
        var copy = chain.walk
        if let fault = copy.followRest(self, { _ in }) { throw fault }
        chain.walk = copy
      }
      let last = chain.walk.offset
      descriptors.store32(written, offset &+ 8)
      // §2.8.6: the buffer ID is in the last descriptor.
      descriptors.store16(descriptors.load16(last &+ 12), offset &+ 12)
      let used = UInt16(truncatingIfNeeded: written == 0 ? mark : mark | UInt32(DescriptorFlag.write))
      // The flags of the first are held back, so that the driver sees all of them at once.
      if offset == first { heldFlags = used } else { descriptors.store16(used, offset &+ 14) }
      let next = last == lastOffset ? 0 : last &+ 16
      if UInt(bitPattern: next) <= UInt(bitPattern: offset) { mark ^= PackedMark.both }
      offset = next
      left &-= 1
    } while left != 0
    heldPosition = UInt16(truncatingIfNeeded: first >> 4)
    let position = UInt32(truncatingIfNeeded: offset >> 4)
    availableWord = position
    usedWord = position
    usedMark = UInt16(truncatingIfNeeded: mark)
    availableMark = UInt16(truncatingIfNeeded: mark) ^ DescriptorFlag.used
    descriptors.storeReleasing16(heldFlags, first &+ 14)
    publishPacked(offset, mark)
    return Int(UInt32(budget) &- left)
  }

  /// The end of a service call that left nothing in flight, at byte `offset` of the ring.
  @usableFromInline @inline(__always)
  mutating func publishPacked(_ offset: Int, _ mark: UInt32) {
    let event =
      UInt32(truncatingIfNeeded: offset >> 4) | mark & PackedMark.used | PackedEvent.descriptor << 16
    armedPosition = event
    deviceArea.store32(event, 0)
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    let wanted = driverArea.load32(0)
    if _slowPath(wanted & 0x30000 != PackedEvent.disable << 16), isWanted(wanted) { notificationIsDue = true }
    let flags = UInt32(descriptors.load16(offset &+ 14))
    if _slowPath((flags ^ mark) & PackedMark.both == PackedMark.used) { needsService = true }
  }

  /// The end of a service call that leaves buffers in the ring, at `position`. Packed: `mark` is that of the
  /// next used descriptor; `first` is where the one is whose flags are held back.
  @usableFromInline @inline(never)
  mutating func leave(_ position: UInt32, mark: UInt16, first: Int?, count: Int) -> Int {
    availableWord = position
    usedWord = position
    usedMark = mark
    availableMark = mark ^ DescriptorFlag.used
    if let first {
      holdsFirst = true
      heldPosition = UInt16(truncatingIfNeeded: first >> 4)
    }
    remaining = 0
    isRefilled = false
    if endService() { needsService = true }
    return count
  }

  /// The memory of an element that lies elsewhere than most.
  @usableFromInline @inline(never)
  func rangeAnywhere(_ raw: RawDescriptor) -> GuestRange? {
    try? memory.range(at: raw.address, byteCount: raw.length)
  }

  /// The end of a service call that found nothing.
  @usableFromInline @inline(never)
  mutating func awaitNothing() {
    remaining = 0
    isRefilled = true
    noteEnd()
    if endService() { needsService = true }
  }
}
