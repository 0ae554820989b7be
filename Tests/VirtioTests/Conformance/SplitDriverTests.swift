// virtio 1.4 §2.7 Split Virtqueues, driver side: one test for each normative statement.

import TestSupport
import Testing
import Virtio

@Suite struct `Split virtqueue, driver` {
  /// A driver's queue of 8 in memory that was dirty before, with a buffer of 256 bytes to point at.
  private struct Fixture: ~Copyable {
    let memory = TestMemory()
    var queue: DriverVirtqueue
    let data: DMABuffer
    var ring: RingView { RingView(memory, queue.addresses, size: queue.size) }

    init(_ features: Features = .none, size: UInt16 = 8, indirectCapacity: UInt16 = 0) {
      memory.write([UInt8](repeating: 0xcc, count: 1 << 15), memory.address + UInt64(memory.byteCount / 2))
      var arena = memory.arena()
      queue = DriverVirtqueue(
        index: 0, size: size, features: features | .version1, indirectCapacity: indirectCapacity, from: &arena
      )!
      data = arena.allocateShared(byteCount: 256, alignment: 16)!
    }

    /// Submits `readable` and `writable` segments of 4 bytes each.
    mutating func submit(readable: Int = 0, writable: Int = 1, token: UInt32 = 0) -> Bool {
      var segments: [24 of DMASegment] = InlineArray { data.segment(at: $0 * 4, byteCount: 4) }
      segments[0].byteCount = 4
      return queue.submit(
        segments.span.extracting(0..<readable + writable), readableCount: readable, token: token)
    }

    /// The chain that starts at `head`, as a device would walk it.
    func chain(_ head: UInt16) -> [RingDescriptor] {
      var descriptors = [ring[split: Int(head)]]
      while descriptors.last!.flags & RingDescriptor.next != 0 && descriptors.count <= 64 {
        descriptors.append(ring[split: Int(descriptors.last!.link)])
      }
      return descriptors
    }
  }

  @Test(arguments: [1, 2, 4, 8, 64, 1024, 32768] as [UInt16])
  func `2.7.1 each area starts at a multiple of its alignment`(_ size: UInt16) {
    let memory = TestMemory(byteCount: 4 << 20, ownByteCount: 4 << 20)
    var arena = memory.arena()
    _ = arena.allocateShared(byteCount: 1, alignment: 1)
    let queue = DriverVirtqueue(index: 0, size: size, features: .version1, from: &arena)!
    let addresses = queue.addresses
    #expect(addresses.descriptorArea % 16 == 0)
    #expect(addresses.driverArea % 2 == 0)
    #expect(addresses.deviceArea % 4 == 0)
    #expect(addresses.driverArea >= addresses.descriptorArea + 16 * UInt64(size))
    #expect(addresses.deviceArea >= addresses.driverArea + 6 + 2 * UInt64(size))
  }

  @Test func `2.7.4.2 device-writable elements come after device-readable ones, one descriptor each`() {
    var fixture = Fixture()
    let isAccepted = fixture.submit(readable: 3, writable: 2)
    _ = fixture.queue.publish()
    #expect(isAccepted)
    let flags = fixture.chain(fixture.ring[available: 0]).map { $0.flags & RingDescriptor.write }
    #expect(flags == [0, 0, 0, RingDescriptor.write, RingDescriptor.write])
  }

  /// Submits a buffer of one readable and one writable segment of `byteCount` bytes each.
  private static func submitTwice(_ byteCount: UInt32, _ features: Features) {
    let memory = TestMemory()
    defer { withExtendedLifetime(memory) {} }
    var arena = memory.arena()
    var queue = DriverVirtqueue(
      index: 0, size: 8, features: features | .version1, indirectCapacity: 8, from: &arena)!
    let half = DMASegment(deviceAddress: 0x1000, byteCount: byteCount)
    let segments: [2 of DMASegment] = [half, half]
    _ = queue.submit(segments.span, readableCount: 1, token: 0)
  }

  @Test func `2.7.5.2 a buffer of 2^32 bytes or more is never made available`() async {
    // Our own mistake, and so a trap: each in a process of its own.
    await #expect(processExitsWith: .failure) { Self.submitTwice(0x8000_0000, .none) }
    await #expect(processExitsWith: .failure) { Self.submitTwice(0x8000_0000, .ringPacked) }
    await #expect(processExitsWith: .failure) { Self.submitTwice(0x8000_0000, .indirectDescriptors) }
    Self.submitTwice(0x7fff_ffff, .none)
    Self.submitTwice(0x7fff_ffff, .ringPacked)
    Self.submitTwice(0x7fff_ffff, .indirectDescriptors)
  }

  @Test func `2.7.5.2 with IN_ORDER next is x plus 1, and 0 in the last descriptor of the table`() throws {
    var fixture = Fixture(.inOrder)
    for round in 0..<16 {
      let isAccepted = fixture.submit(readable: 2, writable: 1)
      #expect(isAccepted)
      _ = fixture.queue.publish()
      let head = fixture.ring[available: round % 8]
      for step in 0..<3 {
        let index = (Int(head) + step) % 8
        let descriptor = fixture.ring[split: index]
        #expect((descriptor.flags & RingDescriptor.next != 0) == (step < 2))
        if step < 2 { #expect(descriptor.link == (index == 7 ? 0 : UInt16(index) + 1)) }
      }
      fixture.ring.finish(head, length: 4)
      let used = try fixture.queue.reclaim()
      #expect(used != nil)
    }
  }

  @Test func `2.7.5.3.1 without INDIRECT_DESC no descriptor is indirect`() {
    var fixture = Fixture(indirectCapacity: 8)
    _ = fixture.submit(readable: 4, writable: 4)
    _ = fixture.queue.publish()
    #expect((0..<8).allSatisfy { fixture.ring[split: $0].flags & RingDescriptor.indirect == 0 })
    #expect(fixture.chain(fixture.ring[available: 0]).count == 8)
  }

  @Test func `2.7.5.3.1 an indirect table holds no indirect descriptor, and its own has no NEXT`() {
    var fixture = Fixture(.indirectDescriptors, indirectCapacity: 8)
    _ = fixture.submit(readable: 3, writable: 3)
    _ = fixture.queue.publish()
    let head = fixture.ring[split: Int(fixture.ring[available: 0])]
    #expect(head.flags == RingDescriptor.indirect && head.length == 6 * 16)
    for index in 0..<6 as Range<UInt64> {
      let entry = fixture.ring.splitDescriptor(at: head.address + 16 * index)
      #expect(entry.flags & RingDescriptor.indirect == 0)
    }
  }

  @Test(arguments: [Features.none, .indirectDescriptors, .ringPacked, .ringPacked | .indirectDescriptors])
  func `2.7.5.3.1 no chain is longer than the queue`(_ features: Features) {
    var fixture = Fixture(features, indirectCapacity: 16)
    let isLongAccepted = fixture.submit(readable: 8, writable: 1)
    let isFullAccepted = fixture.submit(readable: 7, writable: 1)
    #expect(!isLongAccepted && isFullAccepted)
    #expect(fixture.queue.maximumSegmentCount == 8)
  }

  @Test(arguments: [Features.indirectDescriptors, .indirectDescriptors | .inOrder])
  func `2.7.5.3.1 indirect descriptors appear one after the other`(_ features: Features) {
    var fixture = Fixture(features, indirectCapacity: 8)
    _ = fixture.submit(readable: 2, writable: 2)
    _ = fixture.queue.publish()
    let table = fixture.ring[split: Int(fixture.ring[available: 0])].address
    let entries = (0..<4 as Range<UInt64>).map { fixture.ring.splitDescriptor(at: table + 16 * $0) }
    #expect(entries.map { $0.flags & RingDescriptor.next } == [1, 1, 1, 0])
    #expect(entries.prefix(3).map(\.link) == [1, 2, 3])
  }

  @Test func `2.7.6.1 the available index only grows, through its wrap`() throws {
    var fixture = Fixture(.eventIndex)
    var last = fixture.ring.availableIndex
    #expect(last == 0)
    for _ in 0..<22_000 {
      for _ in 0..<3 { _ = fixture.submit() }
      _ = fixture.queue.publish()
      let index = fixture.ring.availableIndex
      if index &- last != 3 {
        Issue.record("from \(last) to \(index)")
        return
      }
      for entry in 0..<3 as Range<UInt16> {
        fixture.ring.finish(fixture.ring[available: Int((last &+ entry) % 8)], length: 4)
      }
      while try fixture.queue.reclaim() != nil {}
      last = index
    }
    #expect(last == UInt16(truncatingIfNeeded: 66_000))
  }

  @Test func `2.7.7.1 without EVENT_IDX the flags are 0 or 1`() {
    var fixture = Fixture()
    #expect(fixture.ring.availableFlags == 0)
    fixture.queue.disableNotifications()
    #expect(fixture.ring.availableFlags == 1)
    let isPending = fixture.queue.enableNotifications()
    #expect(fixture.ring.availableFlags == 0 && !isPending)
  }

  @Test func `2.7.7.1 with EVENT_IDX the flags are 0 and used_event asks`() throws {
    var fixture = Fixture(.eventIndex)
    for round in 0..<10 as Range<UInt16> {
      _ = fixture.submit()
      _ = fixture.queue.publish()
      let isPending = fixture.queue.enableNotifications()
      #expect(fixture.ring.availableFlags == 0 && !isPending)
      #expect(fixture.ring.usedEvent == round)
      fixture.queue.disableNotifications()
      #expect(fixture.ring.availableFlags == 0)
      #expect(fixture.ring.usedEvent != round)
      fixture.ring.finish(fixture.ring[available: Int(round % 8)], length: 4)
      let isUsed = fixture.queue.enableNotifications()
      #expect(isUsed)
      _ = try fixture.queue.reclaim()
    }
  }

  @Test(arguments: ringFeatureMatrix)
  func `2.7.7.1 a spurious notification finds nothing and changes nothing`(_ features: Features) throws {
    var fixture = Fixture(features)
    for _ in 0..<3 {
      let nothing = try fixture.queue.reclaim()
      #expect(nothing == nil)
    }
    _ = fixture.submit()
    _ = fixture.queue.publish()
    let before = fixture.memory.bytes(fixture.queue.addresses.descriptorArea, 512)
    for _ in 0..<3 {
      let nothing = try fixture.queue.reclaim()
      #expect(nothing == nil)
    }
    #expect(fixture.memory.bytes(fixture.queue.addresses.descriptorArea, 512) == before)
    let inFlight = fixture.queue.inFlight
    #expect(inFlight == 1)
  }

  @Test func `2.7.8.3 the driver counts no more bytes than the device says it wrote`() throws {
    var fixture = Fixture()
    for length in [0, 1, 7, 8] as [UInt32] {
      _ = fixture.submit(readable: 1, writable: 2)
      _ = fixture.queue.publish()
      let entry = Int((fixture.ring.availableIndex &- 1) % 8)
      fixture.ring.finish(fixture.ring[available: entry], length: length)
      let used = try fixture.queue.reclaim()
      #expect(used?.byteCount == length)
    }
    _ = fixture.submit(readable: 1, writable: 2)
    _ = fixture.queue.publish()
    fixture.ring.finish(fixture.ring[available: 4], length: 9)
    #expect(throws: DeviceFault.usedLengthTooLong) { _ = try fixture.queue.reclaim() }
  }

  @Test(arguments: [Features.none, .eventIndex, .ringPacked])
  func `2.7.10.1 the used ring starts with flags 0`(_ features: Features) {
    let fixture = Fixture(features)
    #expect(fixture.memory.load(UInt32.self, fixture.queue.addresses.deviceArea) == 0)
  }

  @Test func `2.7.10.1 without EVENT_IDX the flags decide and avail_event does not`() {
    var fixture = Fixture()
    for (flags, event, isWanted) in [(0, 0, true), (0, 500, true), (1, 0, false), (1, 2, false)] {
      fixture.ring.usedFlags = UInt16(flags)
      fixture.ring.availableEvent = UInt16(event)
      _ = fixture.submit()
      let isNotified = fixture.queue.publish()
      #expect(isNotified == isWanted)
    }
  }

  @Test func `2.7.10.1 with EVENT_IDX avail_event decides and the flags do not`() {
    // (entries before, entries added, avail_event, wanted)
    for (before, added, event, isWanted) in [
      (0, 1, 0, true), (0, 1, 1, false), (0, 3, 2, true), (0, 3, 0, true), (0, 3, 3, false), (2, 2, 1, false),
      (2, 2, 2, true), (2, 2, 3, true), (2, 2, 4, false), (2, 2, 65535, false),
    ] {
      for flags in [0, 1] as [UInt16] {
        var fixture = Fixture(.eventIndex)
        fixture.ring.usedFlags = flags
        for _ in 0..<before { _ = fixture.submit() }
        _ = fixture.queue.publish()
        fixture.ring.availableEvent = UInt16(event)
        for _ in 0..<added { _ = fixture.submit() }
        let isNotified = fixture.queue.publish()
        #expect(isNotified == isWanted, "\(before) + \(added), event \(event), flags \(flags)")
      }
    }
  }

  @Test func `2.7.13.3.1 the index moves only after entries and descriptors are written`() {
    var fixture = Fixture()
    _ = fixture.submit(readable: 1, writable: 1)
    _ = fixture.submit(readable: 2, writable: 0)
    // Written, and not exposed.
    #expect(fixture.ring.availableIndex == 0)
    #expect(fixture.chain(fixture.ring[available: 0]).count == 2)
    #expect(fixture.chain(fixture.ring[available: 1]).count == 2)
    _ = fixture.queue.publish()
    #expect(fixture.ring.availableIndex == 2)
  }
}
