// virtio 1.4 §2.8 Packed Virtqueues, device side: one test for each normative statement.

import TestSupport
import Testing
import Virtio

@Suite struct `Packed virtqueue, device` {
  private static let data = testBase + 0x8000
  private static let marks = RingDescriptor.available | RingDescriptor.used

  /// A live device with queue 0 as a packed ring, and a driver that writes descriptors by hand.
  private struct Fixture: ~Copyable {
    let machine = ScratchMachine()
    let ring: RingView
    var position = 0
    var mark = RingDescriptor.available

    init(_ features: Features = .none, size: UInt16 = 8, _ prepare: (ScratchState) -> Void = { _ in }) {
      prepare(machine.state)
      ring = RingView(machine.ram, size: size)
      machine.bringUp(features | .ringPacked, rings: [ring])
    }

    /// Makes a list of descriptors available, the first one last.
    mutating func offer(_ id: UInt16, readable: [UInt32] = [], writable: [UInt32] = [4]) {
      let lengths = readable + writable
      var places: [(Int, RingDescriptor)] = []
      var address = data
      for (index, length) in lengths.enumerated() {
        var flags = mark
        if index >= readable.count { flags |= RingDescriptor.write }
        if index + 1 < lengths.count { flags |= RingDescriptor.next }
        places.append((position, RingDescriptor(address, length, flags, id)))
        address += UInt64(length)
        position += 1
        if position == Int(ring.size) {
          position = 0
          mark ^= marks
        }
      }
      for (place, descriptor) in places.reversed() { ring[packed: place] = descriptor }
    }

    func serve() { machine.write(0, MMIORegister.queueNotify) }
  }

  @Test func `2.8.12 descriptors are processed in ring order`() {
    var fixture = Fixture()
    fixture.machine.ram.write([1, 2, 3, 4], Self.data)
    for count in 1...4 as ClosedRange<UInt32> {
      fixture.offer(UInt16(9 - count), readable: [count], writable: [1])
    }
    fixture.serve()
    #expect(fixture.machine.state.received.map(\.count) == [1, 2, 3, 4])
  }

  @Test func `2.8.12 used descriptors are written in the order of completion`() {
    var fixture = Fixture { $0.behaviour = .park }
    for id in [5, 6, 7] as [UInt16] { fixture.offer(id) }
    fixture.serve()
    fixture.machine.state.usesParked = true
    fixture.machine.transport.poll()
    // The scratch device completes what it parked last first.
    #expect((0..<3).map { fixture.ring[packed: $0].link } == [7, 6, 5])
    #expect((0..<3).allSatisfy { fixture.ring[packed: $0].flags & Self.marks == Self.marks })
  }

  @Test func `2.8.15 device-readable bytes are never written, device-writable ones not read`() {
    var fixture = Fixture()
    for _ in 0..<10 {
      fixture.machine.ram.write([UInt8](1...12), Self.data)
      fixture.offer(2, readable: [4, 4], writable: [4])
      fixture.serve()
      #expect(fixture.machine.ram.bytes(Self.data, 8) == [UInt8](1...8))
      #expect(fixture.machine.ram.bytes(Self.data + 8, 4) == [0xa5, 0xa5, 0xa5, 0xa5])
      #expect(fixture.machine.state.received.last == [UInt8](1...8))
    }
  }

  @Test(arguments: [0, RingDescriptor.used, RingDescriptor.available | RingDescriptor.used])
  func `2.8.15 a descriptor is used only when AVAIL changed`(_ marks: UInt16) {
    let fixture = Fixture()
    fixture.ring[packed: 0] = RingDescriptor(Self.data, 4, marks | RingDescriptor.write, 1)
    let before = fixture.machine.ram.bytes(Self.data, 4)
    fixture.serve()
    #expect(fixture.machine.state.received.isEmpty && fixture.machine.ram.bytes(Self.data, 4) == before)
    #expect(fixture.ring[packed: 0].flags == marks | RingDescriptor.write)
    fixture.ring[packed: 0] = RingDescriptor(
      Self.data, 4, RingDescriptor.available | RingDescriptor.write, 1)
    fixture.serve()
    #expect(fixture.machine.state.received.count == 1)
  }

  @Test func `2.8.15 a used descriptor is not used again on the next lap`() {
    var fixture = Fixture(size: 2)
    fixture.offer(0)
    fixture.offer(1)
    fixture.serve()
    for _ in 0..<3 { fixture.serve() }
    #expect(fixture.machine.state.received.count == 2)
    fixture.offer(0)
    fixture.serve()
    #expect(fixture.machine.state.received.count == 3 && fixture.ring[packed: 0].flags & Self.marks == 0)
  }

  @Test(arguments: [Features.none, .eventIndex, .inOrder])
  func `2.8.15 a used descriptor is not changed again`(_ features: Features) {
    var fixture = Fixture(features)
    fixture.offer(3, readable: [2], writable: [4])
    fixture.serve()
    let used = fixture.ring[packed: 0]
    #expect(used.flags == Self.marks | RingDescriptor.write && used.length == 4 && used.link == 3)
    fixture.offer(4)
    fixture.offer(5)
    for _ in 0..<3 { fixture.serve() }
    fixture.machine.transport.poll()
    #expect(fixture.ring[packed: 0] == used)
  }

  @Test func `2.8.18 the descriptors of a list are used in their order`() {
    var fixture = Fixture()
    fixture.machine.ram.write([1, 2, 3, 4, 5, 6], Self.data)
    fixture.offer(1, readable: [1, 2, 3], writable: [1, 2])
    fixture.serve()
    #expect(fixture.machine.state.received == [[1, 2, 3, 4, 5, 6]])
    #expect(fixture.machine.ram.bytes(Self.data + 6, 3) == [0xa5, 0xa5, 0xa5])
    // One used descriptor stands for the list, and the next is skipped to.
    #expect(fixture.ring[packed: 0].link == 1 && fixture.ring[packed: 0].length == 3)
    fixture.offer(2)
    fixture.serve()
    #expect(fixture.ring[packed: 5].link == 2)
  }

  @Test func `2.8.18 a list as long as the ring is accepted and a longer one is not`() {
    var fixture = Fixture()
    fixture.offer(1, readable: Array(repeating: 1, count: 8), writable: [])
    fixture.serve()
    #expect(fixture.machine.status == 15 && fixture.machine.state.received.last?.count == 8)
    for index in 0..<8 {
      fixture.ring[packed: index] = RingDescriptor(
        Self.data, 1, RingDescriptor.used | RingDescriptor.next, 1)
    }
    fixture.serve()
    #expect(fixture.machine.transport.fault == .chainTooLong)
  }
}
