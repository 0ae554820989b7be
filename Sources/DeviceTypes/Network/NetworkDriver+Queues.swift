// The queues of a network driver with the memory behind them. The device is untrusted: what it says of a
// buffer is checked against what this side knows of it.

import Virtio
import Wire

/// The longest frames of a driver, in bytes.
struct NetworkFrameLimits {
  /// The MTU agreed on, or an ordinary one.
  var mtu: UInt16
  /// Offloads of received frames.
  var receiveOffloads: NetworkOffloads

  /// §5.1.9.3, §5.1.4.2: header and longest frame, with room for a tag.
  var receiveByteCount: Int {
    let longest = receiveOffloads.intersects(.segmentation) ? Ethernet.maximumOffloadByteCount : 0
    return NetworkHeader.byteCount + Ethernet.tagByteCount
      + max(longest, max(Ethernet.maximumByteCount, Int(mtu) + Ethernet.headerByteCount))
  }
}

/// A receiveq and its buffers, all of one length.
struct NetworkReceiveQueue: ~Copyable {
  var queue: DriverVirtqueue
  private let memory: DMABuffer
  private let slotByteCount: Int
  private let slotCount: Int
  private let isMergeable: Bool
  /// Buffers given back and not yet published.
  private var unpublished = 0
  /// Where the frame that was taken lies: of each segment its place in `memory` and its length.
  private var held: PrivateMemory
  private var heldCount = 0
  private var heldByteCount = 0

  /// Up to `count` buffers, together of at least `limits`; without mergeable buffers, each. Nil when `source`
  /// runs out of memory.
  init?<Registers: RegisterAccess & ~Copyable, Memory: DriverMemory & ~Copyable>(
    _ index: Int, count: Int, byteCount: Int, _ limits: NetworkFrameLimits,
    on transport: borrowing MMIODriverTransport<Registers>, from source: inout Memory
  ) throws(DeviceFault) {
    guard let queue = try transport.makeQueue(index, wanted: UInt16(count), from: &source) else { return nil }
    let isMergeable = transport.features.contains(NetworkFeature.mergeableBuffers)
    let slotCount = min(count, Int(queue.size))
    let needed = limits.receiveByteCount
    // Without mergeable buffers each takes a whole frame; else at least the ring does (§5.1.4.2).
    let least = isMergeable ? max(byteCount, (needed + slotCount - 1) / slotCount) : needed
    let slotByteCount = (least + 15) & ~15
    guard let memory = source.allocateShared(byteCount: slotCount * slotByteCount, alignment: 64),
      let held = source.allocatePrivate(byteCount: slotCount * 8)
    else { return nil }
    self.queue = queue
    self.memory = memory
    self.held = held
    self.slotCount = slotCount
    self.slotByteCount = slotByteCount
    self.isMergeable = isMergeable
    for slot in 0..<slotCount { offer(slot) }
    _ = publish()
  }

  private mutating func offer(_ slot: Int) {
    let isAccepted = queue.callSubmit(
      memory.segment(at: slot * slotByteCount, byteCount: slotByteCount), deviceWritable: true,
      token: UInt32(slot))
    precondition(isAccepted, "a ring smaller than its buffers")
    unpublished += 1
  }

  private mutating func publish() -> Bool {
    unpublished = 0
    return queue.callPublish()
  }

  /// Makes the buffers given back available: many at once, or, if the device `mayRunShort`, the rest. Whether
  /// it must be notified.
  mutating func publish(mayRunShort: Bool) -> Bool {
    guard unpublished != 0, mayRunShort || 4 * unpublished >= slotCount else { return false }
    return publish()
  }

  /// Takes the next frame: it lies in `heldCount` segments until `release()`. Nil when there is none.
  ///
  /// Frames that cannot be accepted are skipped, but not without end: more in a row than there are buffers
  /// are a fault.
  @_optimize(speed)
  mutating func hold(_ allowed: NetworkOffloads) throws(DeviceFault) -> NetworkReceivedFrame? {
    for _ in 0..<slotCount {
      guard let first = try queue.callReclaim() else { return nil }
      let headerByteCount = UInt32(NetworkHeader.byteCount)
      guard first.byteCount >= headerByteCount else { throw .invalidResponse }
      var bytes = ByteArray<12>()
      var span = bytes.mutableBytes
      // Read once: the device may change it.
      memory.copyOut(to: &span, from: Int(first.token) * slotByteCount)
      let header = NetworkHeader(bytes)
      hold(first, from: NetworkHeader.byteCount)
      // §5.1.9.4: without mergeable buffers there is always one.
      let bufferCount = isMergeable ? Int(header.bufferCount) : 1
      guard bufferCount >= 1, bufferCount <= slotCount else { throw .invalidResponse }
      for _ in 1..<bufferCount {
        // §5.1.9.4.1: all buffers of a frame are used together.
        guard let next = try queue.callReclaim() else { throw .invalidResponse }
        hold(next, from: 0)
      }
      if heldByteCount >= Ethernet.headerByteCount,
        let offload = NetworkOffload.decode(header, .receive, byteCount: heldByteCount, allowed: allowed)
      {
        return NetworkReceivedFrame(byteCount: heldByteCount, offload: offload)
      }
      release()
    }
    throw .invalidResponse
  }

  private mutating func hold(_ used: UsedBuffer, from start: Int) {
    let byteCount = Int(used.byteCount) - start
    held.store(UInt32(Int(used.token) * slotByteCount + start), at: heldCount * 8)
    held.store(UInt32(byteCount), at: heldCount * 8 + 4)
    heldCount += 1
    heldByteCount += byteCount
  }

  /// In how many segments the frame that was taken lies. Mutating, as below.
  mutating func countHeld() -> Int { heldCount }

  /// A segment of the frame that was taken; it may be empty. Traps beyond them.
  /// Mutating, since what is borrowed is copied.
  mutating func heldSegment(_ index: Int) -> DMASegment {
    precondition(index >= 0 && index < heldCount, "no such segment")
    let (offset, byteCount) = place(index)
    return memory.segment(at: offset, byteCount: byteCount)
  }

  private func place(_ index: Int) -> (offset: Int, byteCount: Int) {
    (
      Int(held.load(UInt32.self, at: index * 8)), Int(held.load(UInt32.self, at: index * 8 + 4))
    )
  }

  /// Gives the buffers of the frame that was taken back to the device.
  @_optimize(speed)
  mutating func release() {
    for index in 0..<heldCount {
      // A segment starts within its buffer, or at its end when there is nothing behind the header.
      let (offset, byteCount) = place(index)
      let slot = (index == 0 ? offset - NetworkHeader.byteCount : offset) / slotByteCount
      let end = offset + byteCount
      // A device that later claims what it did not write shows nothing old.
      memory.zero(at: slot * slotByteCount, byteCount: end - slot * slotByteCount)
      offer(slot)
    }
    heldCount = 0
    heldByteCount = 0
  }

  /// Copies the next frame to `target` as far as it fits. Nil when there is none.
  mutating func receive(
    into target: inout MutableRawSpan, _ allowed: NetworkOffloads
  ) throws(DeviceFault) -> NetworkReceivedFrame? {
    guard let frame = try hold(allowed) else { return nil }
    var done = 0
    for index in 0..<heldCount {
      let (offset, byteCount) = place(index)
      let count = min(byteCount, target.byteCount - done)
      if count == 0 { continue }
      var part = target._mutatingExtracting(done..<(done + count))
      memory.copyOut(to: &part, from: offset)
      done += count
    }
    release()
    return frame
  }
}

/// The control queue, for one command at a time.
struct NetworkControlQueue: ~Copyable {
  var queue: DriverVirtqueue
  private let memory: DMABuffer
  private var byteCount = 0

  private static var byteLimit: Int { 1024 }
  private static var ack: Int { byteLimit }

  init?<Registers: RegisterAccess & ~Copyable, Memory: DriverMemory & ~Copyable>(
    _ index: Int, on transport: borrowing MMIODriverTransport<Registers>, from source: inout Memory
  ) throws(DeviceFault) {
    guard let queue = try transport.makeQueue(index, wanted: 2, minimum: 2, from: &source),
      let memory = source.allocateShared(byteCount: Self.byteLimit + 1, alignment: 16)
    else { return nil }
    self.queue = queue
    self.memory = memory
  }

  mutating func begin(_ class: UInt8, _ command: UInt8) {
    byteCount = 0
    append(`class`)
    append(command)
  }

  /// Adds a little-endian field to the command. Traps when the command becomes too long.
  mutating func append<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
    precondition(byteCount + MemoryLayout<T>.size <= Self.byteLimit, "a command that is too long")
    memory.store(value, at: byteCount)
    byteCount += MemoryLayout<T>.size
  }

  mutating func append(_ address: MACAddress) {
    for index in 0..<6 { append(address[index]) }
  }

  /// Makes the command available. Whether the device must be notified.
  mutating func submit() -> Bool {
    // No answer that the clause knows.
    memory.store(UInt8.max, at: Self.ack)
    let segments: [2 of DMASegment] = [
      memory.segment(at: 0, byteCount: byteCount), memory.segment(at: Self.ack, byteCount: 1),
    ]
    let isAccepted = queue.callSubmit(segments.span, readableCount: 1, token: 0)
    precondition(isAccepted, "an empty queue without room")
    return queue.callPublish()
  }

  /// Whether the command was executed; nil while the device works on it.
  mutating func result() throws(DeviceFault) -> Bool? {
    guard let used = try queue.callReclaim() else { return nil }
    guard used.byteCount == 1 else { throw .invalidResponse }
    switch memory.load(UInt8.self, at: Self.ack) {
    case NetworkControl.ok: return true
    case NetworkControl.error: return false
    default: throw .invalidResponse
    }
  }
}
