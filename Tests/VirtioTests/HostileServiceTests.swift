// What a service call promises: nothing when nothing happened, no lost notification, no work claimed for
// buffers that the device left in the ring on purpose.

import TestSupport
import Testing
import Virtio
import Wire

private let formats: [Features] = [.none, .eventIndex, .ringPacked, .ringPacked | .eventIndex]

/// A ready queue of four, and `count` buffers of one byte in its ring.
private func queue(_ features: Features, buffers count: Int) throws -> (RawRing, QueueBox) {
  let format: RingFormat = features.contains(.ringPacked) ? .packed : .split
  let ring = RawRing(TestMemory(byteCount: 1 << 16), format, size: 4)
  let box = QueueBox(DeviceVirtqueue(maximumSize: 4, memory: ring.memory.guest), in: ring.memory)
  try box.queue.makeReady(size: 4, at: ring.addresses, features: features)
  add(ring, upTo: count)
  return (ring, box)
}

/// Makes the first `count` entries of the first lap available, one buffer each.
private func add(_ ring: RawRing, upTo count: Int) {
  for i in 0..<count {
    let element = RawElement(address: ring.data, length: 1, flags: Flag.write)
    ring.write(element, i, in: ring.addresses.descriptorArea, marks: Flag.available)
  }
  if ring.format == .split { ring.expose((0..<UInt16(count)).map { $0 }) }
}

/// A queue on the heap, so that functions can hand it out, with the memory that its ring lies in.
final class QueueBox {
  var queue: DeviceVirtqueue
  private let memory: TestMemory

  init(_ queue: consuming DeviceVirtqueue, in memory: TestMemory) {
    self.queue = queue
    self.memory = memory
  }

  /// The next buffer; a failure when there is none.
  func take() throws -> DescriptorChain {
    guard let chain = try queue.next() else { throw NothingAvailable() }
    return chain
  }

  /// Uses the next buffer.
  func takeAndUse() throws { try queue.use(take(), written: 0) }
}

struct NothingAvailable: Error {
}

/// Where the device asks to be notified, as the driver reads it.
private func asked(_ ring: RawRing) -> UInt32 {
  ring.format == .split
    ? UInt32(ring.memory.load(UInt16.self, ring.addresses.deviceArea + 4 + 8 * UInt64(ring.size)))
    : ring.memory.load(UInt32.self, ring.addresses.deviceArea)
}

@Suite struct HostileServiceTests {
  @Test("A device that writes an element in pieces gets all of it", arguments: formats)
  func writesInPieces(_ features: Features) throws {
    let (ring, box) = try queue(features, buffers: 0)
    ring.offer([RawElement(address: ring.data, length: 16, flags: Flag.write)])
    var chain = try box.take()
    for i in 0..<4 {
      var bytes = ByteArray<4>()
      bytes.store(UInt32(i), at: 0)
      try chain.write(bytes, box.queue)
    }
    try box.queue.use(chain, written: 16)
    #expect((0..<4).allSatisfy { ring.memory.load(UInt32.self, ring.data + UInt64($0) * 4) == UInt32($0) })
  }

  @Test("Nothing taken, nothing used: nothing is done", arguments: formats)
  func idleService(_ features: Features) throws {
    let (ring, box) = try queue(features, buffers: 2)
    _ = serve(&box.queue)
    box.queue.notificationIsDue = false
    let before = ring.memory.bytes(ring.memory.address, 4096)
    // Not looked at, looked at and left, and (the third) nothing there to look at.
    for step in 0..<3 {
      if step == 1 { add(ring, upTo: 3) }
      if step == 1 { #expect(try box.queue.hasAvailable()) }
      let more = box.queue.endService()
      #expect(!more)
      if step == 1 { ring.memory.write(before, ring.memory.address) }
      if step == 2 { #expect(try !box.queue.hasAvailable()) }
    }
    let due = box.queue.notificationIsDue
    #expect(!due)
    #expect(ring.memory.bytes(ring.memory.address, 4096) == before)
  }

  @Test("Buffers that the device left are its own affair", arguments: formats)
  func leftBuffers(_ features: Features) throws {
    let (ring, box) = try queue(features, buffers: 3)
    try box.takeAndUse()
    var more = box.queue.endService()
    #expect(!more)
    #expect(ring.usedCount == 1)
    // Taken and given back is the same as left.
    let parked = try box.queue.park(box.take())
    box.queue.giveBack(parked)
    more = box.queue.endService()
    #expect(!more)
    // It takes the rest when it can, and then wants to hear of more.
    let rest = serve(&box.queue)
    #expect(rest == .served(buffers: 2, bytes: 2))
    if features.contains(.eventIndex) {
      #expect(asked(ring) == (ring.format == .split ? 3 : 3 | 1 << 15 | 2 << 16))
    }
  }

  @Test("A spent budget means more work", arguments: formats)
  func spentBudget(_ features: Features) throws {
    let (_, box) = try queue(features, buffers: 3)
    box.queue.budget = 2
    while let chain = try box.queue.next() { try box.queue.use(chain, written: 0) }
    var more = box.queue.endService()
    #expect(more)
    while let chain = try box.queue.next() { try box.queue.use(chain, written: 0) }
    more = box.queue.endService()
    #expect(!more)
  }

  @Test("A buffer that comes after the last look is not lost", arguments: formats)
  func lateBuffer(_ features: Features) throws {
    let (ring, box) = try queue(features, buffers: 1)
    for _ in 0..<2 {
      if let chain = try box.queue.next() { try box.queue.use(chain, written: 0) }
    }
    add(ring, upTo: 2)
    var more = box.queue.endService()
    #expect(more)
    // The same for a device that asks with hasAvailable.
    let second = serve(&box.queue)
    #expect(second == .served(buffers: 1, bytes: 1))
    add(ring, upTo: 3)
    try box.takeAndUse()
    let available = try box.queue.hasAvailable()
    #expect(!available)
    add(ring, upTo: 4)
    more = box.queue.endService()
    #expect(more)
  }

  @Test("The first service asks for notifications, whatever the ring held before", arguments: formats)
  func firstService(_ features: Features) throws {
    guard features.contains(.eventIndex) else { return }
    let (ring, box) = try queue(features, buffers: 0)
    ring.memory.store(UInt32(0x1_7777), ring.addresses.deviceArea)
    ring.memory.store(UInt16(0x7777), ring.addresses.deviceArea + 4 + 8 * UInt64(ring.size))
    _ = serve(&box.queue)
    #expect(asked(ring) == (ring.format == .split ? 0 : 1 << 15 | 2 << 16))
  }

  @Test("A completion does not take back what a device that ran short asked for", arguments: formats)
  func completionWhileShort(_ features: Features) throws {
    guard features.contains(.eventIndex) else { return }
    let (ring, box) = try queue(features, buffers: 2)
    let inFlight = try box.queue.park(box.take())
    let short = try box.queue.park(box.take())
    let available = try box.queue.hasAvailable()
    #expect(!available)
    box.queue.giveBack(short)
    _ = box.queue.endService()
    let wanted = asked(ring)
    #expect(wanted == (ring.format == .split ? 2 : 2 | 1 << 15 | 2 << 16))
    box.queue.use(inFlight, written: 0)
    let more = box.queue.endService()
    #expect(!more)
    #expect(ring.usedCount == 1)
    #expect(asked(ring) == wanted)
  }

  @Test("A budget that is spent from the start", arguments: formats)
  func spentFromTheStart(_ features: Features) throws {
    let (_, box) = try queue(features, buffers: 1)
    box.queue.spendBudget()
    let none = try box.queue.next() == nil
    #expect(none)
    let more = box.queue.endService()
    #expect(more)
    let rest = serve(&box.queue)
    #expect(rest == .served(buffers: 1, bytes: 1))
  }

  @Test("What is left when a device calls the budget spent is more work", arguments: formats)
  func spentByDevice(_ features: Features) throws {
    let (ring, box) = try queue(features, buffers: 1)
    _ = serve(&box.queue)
    add(ring, upTo: 2)
    let parked = try box.queue.park(box.take())
    box.queue.giveBack(parked)
    box.queue.spendBudget()
    let none = try box.queue.next() == nil
    #expect(none)
    let more = box.queue.endService()
    #expect(more)
  }

  @Test("Parked buffers of an earlier life are ignored", arguments: formats)
  func lateCompletion(_ features: Features) throws {
    let (ring, box) = try queue(features, buffers: 2)
    let first = try box.queue.park(box.take())
    let second = try box.queue.park(box.take())
    _ = box.queue.endService()
    box.queue.reset()
    let empty = RawRing(ring.memory, ring.format, size: 4)
    try box.queue.makeReady(size: 4, at: empty.addresses, features: features)
    let before = ring.memory.bytes(ring.memory.address, 4096)
    box.queue.use(first, written: 1)
    let inFlight = box.queue.inFlight
    #expect(inFlight == 0)
    box.queue.stop()
    box.queue.use(second, written: 1)
    _ = box.queue.endService()
    #expect(ring.memory.bytes(ring.memory.address, 4096) == before)
    let works = recovers(&box.queue, ring, features: features)
    #expect(works)
  }
}
