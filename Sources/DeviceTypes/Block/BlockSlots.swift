// Requests that a block device holds: pending in the backend, or done and waiting for older ones (§2.7.9).

import Synchronization
import Virtio
import Wire

/// A fixed table of requests in flight, shared by the queues of a device.
struct BlockSlots: ~Copyable {
  /// How many requests can be held.
  static var capacity: Int { 64 }

  private struct Slot: ~Copyable {
    var chain: ParkedChain?
    var status = GuestRange.empty
    var writtenByteCount: UInt32 = 0
    var result = BlockStatus.ok
    var queue: UInt8 = 0
    /// Position in the order in which requests were taken.
    var sequence: UInt32 = 0
    /// Part of the tag, so that a completion of an earlier use of the slot is recognised.
    var generation: UInt32 = 0
  }

  /// Never used: as in `DeviceVirtqueue`, so that a borrowed table is not copied.
  private let place = Atomic<UInt8>(0)
  private var slots: [64 of Slot] = InlineArray { _ in Slot() }
  // One bit a slot; a slot is in one of the sets or free.
  private var pending: UInt64 = 0
  private var done: UInt64 = 0
  /// Forgotten by a reset, and not yet let go by the backend.
  private var abandoned: UInt64 = 0
  private var nextSequence: UInt32 = 0

  init() {}

  // See `DeviceVirtqueue`.
  deinit {}

  private var taken: UInt64 { pending | done | abandoned }

  /// Whether there is no free slot.
  var isFull: Bool { taken == .max }
  /// Whether no request is held.
  var isEmpty: Bool { taken == 0 }
  /// Whether no request forgotten by a reset is still with the backend.
  var isQuiescent: Bool { abandoned == 0 }

  /// The slot that the next request gets. Traps when full.
  var free: Int { (~taken).trailingZeroBitCount }

  /// What the backend calls the request in slot `index`.
  func tag(_ index: Int) -> UInt32 { UInt32(index) | slots[index].generation << 8 }

  /// Whether a request of `queue` is held.
  func holdsAny(of queue: Int) -> Bool { oldest(of: queue) != nil }

  /// Holds a request in slot `index`; `result` is nil while it is pending.
  mutating func hold(
    _ chain: consuming ParkedChain, at index: Int, queue: Int, _ request: borrowing BlockRequest,
    result: BlockStatus?
  ) {
    precondition(taken & (1 << UInt64(index)) == 0, "a slot in use")
    slots[index].chain = consume chain
    slots[index].status = request.status
    slots[index].writtenByteCount = request.writtenByteCount
    slots[index].queue = UInt8(queue)
    slots[index].sequence = nextSequence
    nextSequence &+= 1
    if let result {
      slots[index].result = result
      done |= 1 << UInt64(index)
    } else {
      pending |= 1 << UInt64(index)
    }
  }

  /// The backend is done with a request. A tag of an earlier life is ignored.
  mutating func complete(_ tag: UInt32, _ result: BlockStatus) {
    let index = Int(tag & 0xff)
    guard index < Self.capacity, slots[index].generation == tag >> 8 else { return }
    let bit: UInt64 = 1 << UInt64(index)
    if abandoned & bit != 0 {
      abandoned &= ~bit
      renew(index)
    } else if pending & bit != 0 {
      pending &= ~bit
      done |= bit
      slots[index].result = result
    }
  }

  /// Gives back every request that can be: done, and in order (`inOrder`) the oldest of its queue.
  mutating func retire(_ context: inout DeviceContext, inOrder: Bool) {
    var todo = done
    while todo != 0 {
      let index = todo.trailingZeroBitCount
      let queue = Int(slots[index].queue)
      if inOrder {
        while let oldest = oldest(of: queue), done & (1 << UInt64(oldest)) != 0 {
          retire(oldest, &context.queues[queue])
        }
        todo &= done & ~bits(of: queue, done)
      } else {
        retire(index, &context.queues[queue])
        todo &= todo &- 1
      }
    }
  }

  private mutating func retire(_ index: Int, _ queue: inout DeviceVirtqueue) {
    BlockSlots.write(slots[index].result, to: slots[index].status)
    // A held slot has its chain.
    let chain = slots[index].chain.take()!
    queue.use(chain, written: slots[index].writtenByteCount)
    done &= ~(1 << UInt64(index))
    renew(index)
  }

  /// Writes a status byte.
  static func write(_ status: BlockStatus, to range: GuestRange) {
    var byte = ByteArray<1>()
    byte[0] = status.rawValue
    range.copyIn(from: byte.bytes)
  }

  /// Forgets the requests of `queue`, or of all. Returns the slots that are still pending: the caller tells
  /// the backend.
  mutating func abandon(queue: Int?) -> UInt64 {
    let mine = queue.map { bits(of: $0, pending | done) } ?? (pending | done)
    var finished = done & mine
    while finished != 0 {
      let index = finished.trailingZeroBitCount
      finished &= finished &- 1
      slots[index].chain = nil
      renew(index)
    }
    done &= ~mine
    let left = pending & mine
    pending &= ~mine
    abandoned |= left
    return left
  }

  private mutating func renew(_ index: Int) {
    slots[index].chain = nil
    slots[index].status = .empty
    slots[index].generation = (slots[index].generation &+ 1) & 0xff_ffff
  }

  /// Those of `set` that belong to `queue`.
  private func bits(of queue: Int, _ set: UInt64) -> UInt64 {
    var found: UInt64 = 0
    var todo = set
    while todo != 0 {
      let index = todo.trailingZeroBitCount
      todo &= todo &- 1
      if Int(slots[index].queue) == queue { found |= 1 << UInt64(index) }
    }
    return found
  }

  private func oldest(of queue: Int) -> Int? {
    var todo = bits(of: queue, pending | done)
    var found: Int?
    var greatestAge: UInt32 = 0
    while todo != 0 {
      let index = todo.trailingZeroBitCount
      todo &= todo &- 1
      let age = nextSequence &- slots[index].sequence
      if age > greatestAge {
        greatestAge = age
        found = index
      }
    }
    return found
  }
}
