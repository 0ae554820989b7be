// virtio 1.4 §2.8 Packed Virtqueues, driver side: one test for each normative statement.

import TestSupport
import Testing
import Virtio

@Suite struct `Packed virtqueue, driver` {
  private static let marks = RingDescriptor.available | RingDescriptor.used

  /// A driver's packed queue of 8, with 256 bytes to point at.
  private struct Fixture: ~Copyable {
    let memory = TestMemory()
    var queue: DriverVirtqueue
    let data: DMABuffer
    var ring: RingView { RingView(memory, queue.addresses, size: queue.size) }
    /// Where the device uses next, and the marks that say used on this lap.
    var position = 0
    var usedMark = marks

    init(_ features: Features = .none, size: UInt16 = 8, indirectCapacity: UInt16 = 0) {
      var arena = memory.arena()
      queue = DriverVirtqueue(
        index: 3, size: size, features: features | .version1 | .ringPacked,
        indirectCapacity: indirectCapacity,
        from: &arena)!
      data = arena.allocateShared(byteCount: 256, alignment: 16)!
    }

    mutating func submit(readable: Int = 0, writable: Int = 1, token: UInt32 = 0) -> Bool {
      let segments: [24 of DMASegment] = InlineArray { data.segment(at: $0 * 4, byteCount: 4) }
      return queue.submit(
        segments.span.extracting(0..<readable + writable), readableCount: readable, token: token)
    }

    /// Uses the buffer `id` of `count` descriptors, as a device does.
    mutating func use(_ id: UInt16, count: Int = 1, length: UInt32 = 0) {
      ring[packed: position] = RingDescriptor(0, length, usedMark | RingDescriptor.write, id)
      position += count
      if position >= Int(queue.size) {
        position -= Int(queue.size)
        usedMark ^= marks
      }
    }

    func ringBytes() -> [UInt8] { memory.bytes(queue.addresses.descriptorArea, 16 * Int(queue.size)) }
  }

  @Test(arguments: [1, 2, 3, 7, 64, 1000, 32768] as [UInt16])
  func `2.8.11 each area starts at a multiple of its alignment`(_ size: UInt16) {
    let memory = TestMemory(byteCount: 4 << 20, ownByteCount: 4 << 20)
    defer { withExtendedLifetime(memory) {} }
    var arena = memory.arena()
    _ = arena.allocateShared(byteCount: 1, alignment: 1)
    let queue = DriverVirtqueue(index: 0, size: size, features: .version1 | .ringPacked, from: &arena)!
    let addresses = queue.addresses
    #expect(addresses.descriptorArea % 16 == 0)
    #expect(addresses.driverArea % 4 == 0 && addresses.deviceArea % 4 == 0)
    #expect(addresses.driverArea >= addresses.descriptorArea + 16 * UInt64(size))
    #expect(addresses.deviceArea >= addresses.driverArea + 4)
  }

  @Test(arguments: [Features.none, .inOrder])
  func `2.8.16 a descriptor in flight is not changed until it is seen as used`(_ features: Features) throws {
    var fixture = Fixture(features)
    for token in 0..<8 as Range<UInt32> {
      let isAccepted = fixture.submit(token: token)
      #expect(isAccepted)
    }
    _ = fixture.queue.publish()
    let full = fixture.ringBytes()
    let isMoreAccepted = fixture.submit()
    _ = fixture.queue.publish()
    let nothing = try fixture.queue.reclaim()
    #expect(!isMoreAccepted && nothing == nil && fixture.ringBytes() == full)
    let first = fixture.ring[packed: 0].link
    fixture.use(first, length: 4)
    let used = fixture.ringBytes()
    // Used, but not seen by the driver yet: still not touched.
    let isEarlyAccepted = fixture.submit()
    #expect(!isEarlyAccepted && fixture.ringBytes() == used)
    let token = try fixture.queue.reclaim()?.token
    let isAccepted = fixture.submit(token: 9)
    #expect(token == 0 && isAccepted)
    _ = fixture.queue.publish()
    #expect(Array(fixture.ringBytes().dropFirst(16)) == Array(used.dropFirst(16)))
    // The second lap has the inverted marks.
    #expect(fixture.ring[packed: 0].flags & Self.marks == RingDescriptor.used)
  }

  @Test func `2.8.16 notification data name the next descriptor that is not available yet`() throws {
    var fixture = Fixture(.notificationData)
    var expected = 0
    var wrap = 1
    for _ in 0..<20 {
      _ = fixture.submit(readable: 1, writable: 2)
      let id = fixture.ring[packed: (expected + 2) % 8].link
      _ = fixture.queue.publish()
      expected += 3
      if expected >= 8 {
        expected -= 8
        wrap ^= 1
      }
      let data = fixture.queue.notificationData
      #expect(data == 3 | UInt32(expected) << 16 | UInt32(wrap) << 31)
      fixture.use(id, count: 3, length: 8)
      _ = try fixture.queue.reclaim()
    }
  }

  @Test func `2.8.17 no list is longer than the queue or than what is free`() {
    var fixture = Fixture()
    let isLongAccepted = fixture.submit(readable: 9, writable: 0)
    let isFirstAccepted = fixture.submit(readable: 3, writable: 2)
    let before = fixture.ringBytes()
    let isSecondAccepted = fixture.submit(readable: 2, writable: 2)
    #expect(!isLongAccepted && isFirstAccepted && !isSecondAccepted)
    // Not even a part of it was placed.
    #expect(fixture.ringBytes() == before)
    let isThirdAccepted = fixture.submit(readable: 2, writable: 1)
    #expect(isThirdAccepted)
  }

  @Test func `2.8.17 device-writable elements come after device-readable ones`() {
    var fixture = Fixture()
    _ = fixture.submit(readable: 2, writable: 3)
    _ = fixture.queue.publish()
    let flags = (0..<5).map { fixture.ring[packed: $0].flags }
    #expect(flags.map { $0 & RingDescriptor.write } == [0, 0, 2, 2, 2])
    #expect(flags.map { $0 & RingDescriptor.next } == [1, 1, 1, 1, 0])
  }

  @Test func `2.8.17 the first descriptor of a list becomes available last`() {
    var fixture = Fixture()
    _ = fixture.submit(readable: 2, writable: 1)
    // Placed, and not exposed: the first still has the marks of an empty ring.
    #expect(fixture.ring[packed: 0].flags & Self.marks == 0)
    #expect((1..<3).allSatisfy { fixture.ring[packed: $0].flags & Self.marks == RingDescriptor.available })
    _ = fixture.submit(readable: 1, writable: 1)
    #expect(fixture.ring[packed: 0].flags & Self.marks == 0)
    _ = fixture.queue.publish()
    #expect((0..<5).allSatisfy { fixture.ring[packed: $0].flags & Self.marks == RingDescriptor.available })
  }

  @Test func `2.8.19 without INDIRECT_DESC no descriptor is indirect`() {
    var fixture = Fixture(indirectCapacity: 8)
    _ = fixture.submit(readable: 4, writable: 4)
    _ = fixture.queue.publish()
    #expect((0..<8).allSatisfy { fixture.ring[packed: $0].flags & RingDescriptor.indirect == 0 })
  }

  @Test func `2.8.19 a chain in a table is no longer than the queue`() {
    var fixture = Fixture(.indirectDescriptors, indirectCapacity: 16)
    let isLongAccepted = fixture.submit(readable: 8, writable: 1)
    let isFullAccepted = fixture.submit(readable: 7, writable: 1)
    #expect(!isLongAccepted && isFullAccepted)
    _ = fixture.queue.publish()
    #expect(fixture.ring[packed: 0].length == 8 * 16)
  }

  @Test(arguments: [Features.none, .inOrder])
  func `2.8.19 an indirect table has no flag but WRITE, and its descriptor no NEXT`(_ features: Features) {
    var fixture = Fixture(features | .indirectDescriptors, indirectCapacity: 8)
    _ = fixture.submit(readable: 2, writable: 2)
    _ = fixture.queue.publish()
    let head = fixture.ring[packed: 0]
    #expect(head.flags == RingDescriptor.indirect | RingDescriptor.available && head.length == 4 * 16)
    let flags = (0..<4 as Range<UInt64>).map { fixture.memory.load(UInt16.self, head.address + 16 * $0 + 14) }
    #expect(flags == [0, 0, RingDescriptor.write, RingDescriptor.write])
    let free = fixture.queue.freeCount
    #expect(free == 7)
  }

  @Test func `2.8.19 an indirect buffer is never part of a chain`() {
    var fixture = Fixture(.indirectDescriptors, indirectCapacity: 4)
    _ = fixture.submit(readable: 1, writable: 1)
    _ = fixture.submit(readable: 3, writable: 3)
    _ = fixture.queue.publish()
    #expect(fixture.ring[packed: 0].flags & RingDescriptor.indirect != 0)
    // Longer than a table: direct descriptors, none of them indirect.
    for index in 1..<7 {
      let flags = fixture.ring[packed: index].flags
      #expect(flags & RingDescriptor.indirect == 0)
      #expect((flags & RingDescriptor.next != 0) == (index < 6))
    }
  }

  @Test func `2.8.21.3.1 the device's event suppression decides about the notification`() {
    // flags 0 enable, 1 disable, 2 descriptor event, in the upper 16 bits; offset and wrap in the lower.
    for (features, event, isWanted) in [
      (Features.none, 0x0000_0000, true), (.none, 0x0001_0000, false), (.eventIndex, 0x0000_0000, true),
      (.eventIndex, 0x0001_0000, false), (.eventIndex, 0x0002_8000, true), (.eventIndex, 0x0002_8001, true),
      (.eventIndex, 0x0002_8002, false), (.eventIndex, 0x0002_0000, false),
    ] as [(Features, UInt32, Bool)] {
      var fixture = Fixture(features)
      fixture.memory.store(event, fixture.queue.addresses.deviceArea)
      _ = fixture.submit(readable: 1, writable: 1)
      let isNotified = fixture.queue.publish()
      #expect(isNotified == isWanted, "\(String(event, radix: 16))")
    }
  }
}
