// The driver side's private record of what is in flight. The device cannot reach it, so it can be trusted.

/// What the driver remembers of one buffer, found by its head (split) or buffer ID (packed).
struct Slot {
  var token: UInt32 = 0
  /// Device-writable bytes of the buffer: the most a device can have written.
  var writableByteCount: UInt32 = 0
  /// Next entry of the free list; within a split chain, the next descriptor.
  var next: UInt16 = 0
  /// Split: last descriptor of the chain.
  var tail: UInt16 = 0
  /// Descriptors of the ring that the buffer takes.
  var ringCount: UInt16 = 0
  /// Whether the device has it.
  var isInFlight: UInt16 = 0
}

/// A table of slots in private memory.
@safe
struct SlotTable: ~Copyable {
  private let slots: UnsafeMutablePointer<Slot>
  private let count: Int
  private let memory: PrivateMemory

  static func byteCount(_ count: UInt16) -> Int { Int(count) * MemoryLayout<Slot>.stride }

  init(_ memory: consuming PrivateMemory, count: UInt16) {
    precondition(memory.byteCount >= SlotTable.byteCount(count), "too little memory for the slots")
    // The block is ours alone, large enough and aligned to 16.
    unsafe slots = memory.base.bindMemory(to: Slot.self, capacity: Int(count))
    unsafe slots.initialize(repeating: Slot(), count: Int(count))
    self.count = Int(count)
    self.memory = memory
  }

  /// Indices are our own or were checked against the queue size; asserted in debug builds.
  subscript(index: UInt16) -> Slot {
    @inline(__always)
    get {
      assert(Int(index) < count, "a slot outside the table")
      return unsafe slots[Int(index)]
    }
    @inline(__always)
    nonmutating _modify {
      assert(Int(index) < count, "a slot outside the table")
      yield unsafe &slots[Int(index)]
    }
  }
}
