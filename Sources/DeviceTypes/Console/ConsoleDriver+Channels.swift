// virtio 1.4 §5.3 Console Device, driver side: one queue of a port, or of control messages, and its memory.

import Virtio

/// A receive queue and its buffers, all of one size. The device has every buffer but the one being read.
struct ConsoleReceiveChannel: ~Copyable {
  private(set) var queue: DriverVirtqueue
  private let memory: DMABuffer
  private let byteCount: Int
  /// The buffer being read, what has been read of it, and where it ends.
  private var slot = 0
  private var offset = 0
  private(set) var end = 0
  private var holdsSlot = false

  /// Up to `count` buffers of `byteCount` bytes, none of them with the device. Nil when memory runs out.
  @inline(never)
  init?<Registers: RegisterAccess & ~Copyable, Memory: DriverMemory & ~Copyable>(
    _ index: Int, count: UInt16, byteCount: Int, on transport: borrowing MMIODriverTransport<Registers>,
    memory source: inout Memory
  ) throws(DeviceFault) {
    guard let queue = try transport.makeQueue(index, wanted: count, from: &source),
      let memory = source.allocateShared(byteCount: Int(queue.size) * byteCount, alignment: 16)
    else { return nil }
    self.queue = queue
    self.memory = memory
    self.byteCount = byteCount
  }

  /// Gives every buffer to the device, once it is live.
  mutating func fill() {
    for slot in 0..<Int(queue.size) { post(slot) }
    _ = queue.enableNotifications()
  }

  @inline(never)
  private mutating func post(_ slot: Int) {
    // §5.3.6.1: device-writable only. There are as many descriptors as buffers.
    let segment = memory.segment(at: slot * byteCount, byteCount: byteCount)
    let isAccepted = queue.submit(segment, deviceWritable: true, token: UInt32(slot))
    precondition(isAccepted, "more buffers than descriptors")
  }

  /// Tells the device about buffers given back.
  mutating func publish<Registers: RegisterAccess & ~Copyable>(
    to transport: borrowing MMIODriverTransport<Registers>
  ) {
    if queue.publish() { transport.notify(queue) }
  }

  /// Goes to the next buffer that the device has filled. False when there is none: the device then notifies
  /// us of the next.
  @inline(never)
  mutating func advance() throws(DeviceFault) -> Bool {
    release()
    var used = try queue.reclaim()
    if used == nil && queue.enableNotifications() { used = try queue.reclaim() }
    guard let used else { return false }
    slot = Int(used.token)
    offset = 0
    end = Int(used.byteCount)
    holdsSlot = true
    return true
  }

  /// Gives the buffer being read back, read or not.
  @inline(never)
  mutating func release() {
    if !holdsSlot { return }
    holdsSlot = false
    offset = 0
    end = 0
    // A device that claims more than it writes exposes nothing old, of this port or one before it.
    memory.zero(at: slot * byteCount, byteCount: byteCount)
    post(slot)
  }

  /// Copies received bytes into `target`; returns how many, 0 when there are none.
  mutating func read(into target: inout MutableRawSpan) throws(DeviceFault) -> Int {
    var done = 0
    // Every buffer at most once, so that a device that keeps them coming cannot keep us here.
    var buffersLeft = Int(queue.size)
    while done < target.byteCount {
      if offset == end {
        guard buffersLeft > 0, try advance() else { break }
        buffersLeft -= 1
        continue
      }
      let count = min(end - offset, target.byteCount - done)
      var part = target._mutatingExtracting(done..<(done + count))
      memory.copyOut(to: &part, from: slot * byteCount + offset)
      offset += count
      done += count
    }
    if offset == end { release() }
    return done
  }

  /// Drops everything received so far.
  mutating func discard() throws(DeviceFault) {
    release()
    for _ in 0..<queue.size {
      guard try advance() else { return }
    }
    release()
  }

  /// An integer of the buffer being read. Traps beyond its memory; bytes beyond `end` mean nothing.
  func load<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type = T.self, at offset: Int) -> T {
    precondition(holdsSlot && offset + MemoryLayout<T>.size <= byteCount, "beyond the buffer")
    return memory.load(at: slot * byteCount + offset)
  }
}

/// A transmit queue and its buffers, all of one size, at most 64.
struct ConsoleTransmitChannel: ~Copyable {
  private(set) var queue: DriverVirtqueue
  private let memory: DMABuffer
  private let byteCount: Int
  /// One bit a buffer that the device does not have.
  private var free: UInt64
  private var isNotified = false

  /// Up to `count` buffers of `byteCount` bytes, all free. Nil when memory runs out.
  init?<Registers: RegisterAccess & ~Copyable, Memory: DriverMemory & ~Copyable>(
    _ index: Int, count: UInt16, byteCount: Int, on transport: borrowing MMIODriverTransport<Registers>,
    memory source: inout Memory
  ) throws(DeviceFault) {
    guard let queue = try transport.makeQueue(index, wanted: min(count, 64), from: &source),
      let memory = source.allocateShared(byteCount: Int(queue.size) * byteCount, alignment: 16)
    else { return nil }
    let size = queue.size
    self.queue = queue
    self.memory = memory
    self.byteCount = byteCount
    // Free buffers are looked for when they are needed. The device is not live yet.
    self.queue.disableNotifications()
    free = size == 64 ? .max : (1 << UInt64(size)) - 1
  }

  /// Whether there is a free buffer. When there is none, the device notifies us of the next.
  mutating func hasRoom() throws(DeviceFault) -> Bool {
    try collect()
    if free == 0 {
      isNotified = true
      if queue.enableNotifications() { try collect() }
    } else if isNotified {
      isNotified = false
      queue.disableNotifications()
    }
    return free != 0
  }

  /// Whether the device has used every buffer. When not, it notifies us of the next it uses.
  mutating func isDrained() throws(DeviceFault) -> Bool {
    try collect()
    if queue.inFlight != 0 {
      isNotified = true
      if queue.enableNotifications() { try collect() }
    }
    return queue.inFlight == 0
  }

  private mutating func collect() throws(DeviceFault) {
    for _ in 0..<queue.size {
      guard let used = try queue.reclaim() else { return }
      free |= 1 << UInt64(used.token)
    }
  }

  /// Copies as much of `source` as there are free buffers for, and tells the device. Returns how much.
  mutating func write<Registers: RegisterAccess & ~Copyable>(
    _ source: RawSpan, to transport: borrowing MMIODriverTransport<Registers>
  ) throws(DeviceFault) -> Int {
    var done = 0
    while done < source.byteCount, try hasRoom() {
      let slot = free.trailingZeroBitCount
      let count = min(byteCount, source.byteCount - done)
      memory.copyIn(from: source.extracting(done..<(done + count)), at: slot * byteCount)
      // §5.3.6.1: device-readable only. There are as many descriptors as buffers.
      let segment = memory.segment(at: slot * byteCount, byteCount: count)
      let isAccepted = queue.submit(segment, deviceWritable: false, token: UInt32(slot))
      precondition(isAccepted, "more buffers than descriptors")
      free &= free - 1
      done += count
    }
    if queue.publish() { transport.notify(queue) }
    return done
  }
}
