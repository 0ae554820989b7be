// Buffers of transmitqs that a network device holds: with the backend, or done and behind those in order.

import Virtio

/// The buffers, in the order in which they were taken, which is also that in which they are used.
struct NetworkTransmissions: ~Copyable {
  /// How many can be held.
  static var capacity: Int { 64 }

  private var chains: [64 of ParkedChain?] = InlineArray { _ in nil }
  private var queues = [64 of UInt8](repeating: 0)
  /// One bit a place: the backend has the frame.
  private var pending: UInt64 = 0
  /// Of those, the ones that a reset has forgotten.
  private var forgotten: UInt64 = 0
  private var first = 0
  private var count = 0

  var isFull: Bool { count == Self.capacity }
  var isEmpty: Bool { count == 0 }
  /// Whether the backend has no frame that a reset has forgotten.
  var isQuiescent: Bool { forgotten == 0 }

  /// What the backend calls the next frame. Not to be used when full.
  var nextTag: UInt32 { UInt32(place(count)) }

  private func place(_ index: Int) -> Int { (first + index) % Self.capacity }

  /// Holds a buffer of `queue`. Traps when full.
  mutating func append(_ chain: consuming ParkedChain, queue: Int, isPending: Bool) {
    precondition(!isFull, "no room for a transmission")
    let place = place(count)
    chains[place] = consume chain
    queues[place] = UInt8(queue)
    if isPending { pending |= 1 << UInt64(place) }
    count += 1
  }

  /// The backend is done with a frame. A tag of none is ignored.
  mutating func complete(_ tag: UInt32) {
    guard tag < UInt32(Self.capacity) else { return }
    let bit: UInt64 = 1 << UInt64(tag)
    pending &= ~bit
    if forgotten & bit != 0 {
      forgotten &= ~bit
      dropForgotten()
    }
  }

  /// Uses the buffers up to the first that is pending.
  mutating func retire(_ context: inout DeviceContext) {
    while count != 0, pending & (1 << UInt64(first)) == 0 {
      let queue = Int(queues[first])
      if let chain = chains[first].take() { context.queues[queue].use(chain, written: 0) }
      dropFirst()
    }
  }

  /// Forgets the buffers of `queue`, or all. Returns the places whose frames the backend has, a bit each.
  mutating func forget(queue: Int?) -> UInt64 {
    var mine: UInt64 = 0
    for index in 0..<count {
      let place = place(index)
      if let queue, Int(queues[place]) != queue { continue }
      chains[place] = nil
      mine |= 1 << UInt64(place)
    }
    let left = pending & mine & ~forgotten
    forgotten |= left
    dropForgotten()
    return left
  }

  /// Drops what nobody waits for any more at the front.
  private mutating func dropForgotten() {
    while count != 0, pending & (1 << UInt64(first)) == 0, chains[first] == nil { dropFirst() }
  }

  private mutating func dropFirst() {
    first = (first + 1) % Self.capacity
    count -= 1
  }
}
