// virtio 1.4 §2.7 Split Virtqueues, device side: one test for each normative statement.

import TestSupport
import Testing
import Virtio
import Wire

@Suite struct `Split virtqueue, device` {
  private static let data = testBase + 0x8000
  private static let table = testBase + 0x6000

  /// A live device that answers every buffer, with queue 0 at `ring`.
  private static func machine(_ features: Features = .none) -> (ScratchMachine, RingView) {
    let machine = ScratchMachine()
    let ring = RingView(machine.ram, size: 16)
    machine.bringUp(features, rings: [ring])
    return (machine, ring)
  }

  /// Cuts `readable` and `writable` bytes at `data` into descriptors as `cuts` says and offers the chain.
  private static func offer(_ ring: RingView, readable: [UInt32], writable: [UInt32]) {
    var address = data
    let lengths = readable + writable
    for (index, length) in lengths.enumerated() {
      var flags: UInt16 = index < readable.count ? 0 : RingDescriptor.write
      if index + 1 < lengths.count { flags |= RingDescriptor.next }
      ring[split: index] = RingDescriptor(address, length, flags, UInt16(index + 1))
      address += UInt64(length)
    }
    ring.offer(0)
  }

  @Test(
    arguments: [
      ([6], [4]), ([1, 5], [4]), ([2, 2, 2], [1, 3]), ([1, 1, 1, 1, 1, 1], [1, 1, 1, 1]),
      ([0, 6, 0], [0, 4, 0]),
      ([3, 3], [2, 0, 2]),
    ] as [([UInt32], [UInt32])])
  func `2.7.4.1 the arrangement of descriptors makes no difference`(
    _ readable: [UInt32], _ writable: [UInt32]
  ) {
    let (machine, ring) = Self.machine()
    machine.ram.write([1, 2, 3, 4, 5, 6, 0, 0, 0, 0], Self.data)
    Self.offer(ring, readable: readable, writable: writable)
    machine.write(0, MMIORegister.queueNotify)
    #expect(machine.state.received == [[1, 2, 3, 4, 5, 6]])
    #expect(machine.ram.bytes(Self.data + 6, 4) == [0xa5, 0xa5, 0xa5, 0xa5])
    #expect(ring[used: 0] == (0, 4))
  }

  @Test func `2.7.4.1 a chain as long as the queue is accepted and a loop is not`() {
    let (machine, ring) = Self.machine()
    Self.offer(ring, readable: Array(repeating: 1, count: 8), writable: Array(repeating: 1, count: 8))
    machine.write(0, MMIORegister.queueNotify)
    #expect(machine.status == 15 && ring[used: 0] == (0, 8))
    ring[split: 15] = RingDescriptor(Self.data, 1, RingDescriptor.write | RingDescriptor.next, 15)
    ring.offer(0)
    machine.write(0, MMIORegister.queueNotify)
    #expect(machine.status & 64 != 0 && machine.transport.fault == .chainTooLong)
  }

  @Test(arguments: [Features.none, .eventIndex, .inOrder])
  func `2.7.5.1 device-readable bytes and the descriptor table are never written`(_ features: Features) {
    let (machine, ring) = Self.machine(features)
    machine.ram.write([UInt8](1...64), Self.data)
    for _ in 0..<20 {
      Self.offer(ring, readable: [16, 16], writable: [16])
      let table = machine.ram.bytes(ring.addresses.descriptorArea, 16 * 16)
      machine.write(0, MMIORegister.queueNotify)
      #expect(machine.ram.bytes(Self.data, 32) == [UInt8](1...32))
      #expect(machine.ram.bytes(ring.addresses.descriptorArea, 16 * 16) == table)
    }
    #expect(machine.ram.bytes(Self.data + 32, 16) == [UInt8](repeating: 0xa5, count: 16))
  }

  @Test func `2.7.5.1 device-writable bytes are not read`() {
    let (machine, ring) = Self.machine()
    machine.ram.write([UInt8](1...8), Self.data)
    Self.offer(ring, readable: [4], writable: [4])
    machine.write(0, MMIORegister.queueNotify)
    #expect(machine.state.received == [[1, 2, 3, 4]])
  }

  @Test(arguments: [0, RingDescriptor.write])
  func `2.7.5.3.2 the WRITE flag beside INDIRECT is ignored`(_ extra: UInt16) {
    let (machine, ring) = Self.machine(.indirectDescriptors)
    machine.ram.write([7, 8], Self.data)
    ring.setSplitDescriptor(RingDescriptor(Self.data, 2, RingDescriptor.next, 1), at: Self.table)
    ring.setSplitDescriptor(RingDescriptor(Self.data + 8, 3, RingDescriptor.write), at: Self.table + 16)
    ring[split: 0] = RingDescriptor(Self.table, 32, RingDescriptor.indirect | extra)
    ring.offer(0)
    machine.write(0, MMIORegister.queueNotify)
    #expect(machine.state.received == [[7, 8]] && ring[used: 0] == (0, 3))
  }

  @Test(arguments: [0, 1, 3])
  func `2.7.5.3.2 normal descriptors can come before the indirect one`(_ count: Int) {
    let (machine, ring) = Self.machine(.indirectDescriptors)
    machine.ram.write([1, 2, 3, 4], Self.data)
    for index in 0..<count {
      ring[split: index] = RingDescriptor(
        Self.data + UInt64(index), 1, RingDescriptor.next, UInt16(index + 1))
    }
    ring[split: count] = RingDescriptor(Self.table, 32, RingDescriptor.indirect)
    ring.setSplitDescriptor(RingDescriptor(Self.data + 3, 1, RingDescriptor.next, 1), at: Self.table)
    ring.setSplitDescriptor(RingDescriptor(Self.data + 8, 5, RingDescriptor.write), at: Self.table + 16)
    ring.offer(0)
    machine.write(0, MMIORegister.queueNotify)
    #expect(machine.state.received == [Array([1, 2, 3].prefix(count)) + [4]])
    #expect(machine.status == 15 && ring[used: 0] == (0, 5))
  }

  @Test(arguments: [(flags: 0, notified: true), (1, false)] as [(flags: UInt16, notified: Bool)])
  func `2.7.7.2 without EVENT_IDX the flags decide and used_event is ignored`(
    _ flags: UInt16, _ notified: Bool
  ) {
    for event in [0, 1, 500] as [UInt16] {
      let (machine, ring) = Self.machine()
      ring.availableFlags = flags
      ring.usedEvent = event
      Self.offer(ring, readable: [], writable: [4])
      machine.write(0, MMIORegister.queueNotify)
      #expect(ring.usedIndex == 1)
      #expect((machine.read(MMIORegister.interruptStatus) == 1) == notified, "event \(event)")
    }
  }

  @Test func `2.7.7.2 with EVENT_IDX used_event decides and the flags are ignored`() {
    // (used before, used now, used_event, notified)
    for (before, now, event, notified) in [
      (0, 1, 0, true), (0, 1, 1, false), (0, 3, 2, true), (0, 3, 3, false), (2, 1, 2, true), (2, 1, 1, false),
      (2, 3, 3, true), (2, 3, 65535, false),
    ] {
      for flags in [0, 1] as [UInt16] {
        let (machine, ring) = Self.machine(.eventIndex)
        ring.availableFlags = flags
        ring.usedEvent = 1000
        for _ in 0..<before { Self.offer(ring, readable: [], writable: [1]) }
        machine.write(0, MMIORegister.queueNotify)
        machine.write(1, MMIORegister.interruptAcknowledge)
        ring.usedEvent = UInt16(event)
        for _ in 0..<now { Self.offer(ring, readable: [], writable: [1]) }
        machine.write(0, MMIORegister.queueNotify)
        let isNotified = machine.read(MMIORegister.interruptStatus) == 1
        #expect(isNotified == notified, "\(before) + \(now), event \(event), flags \(flags)")
      }
    }
  }

  @Test func `2.7.8.2 the length and the bytes are there before the used index moves`() throws {
    let memory = TestMemory()
    let ring = RingView(memory, size: 16)
    var queue = DeviceVirtqueue(maximumSize: 16, memory: memory.guest)
    try queue.makeReady(size: 16, at: ring.addresses, features: .version1)
    Self.offer(ring, readable: [], writable: [2, 2])
    guard var chain = try queue.next() else {
      Issue.record("nothing is available")
      return
    }
    var bytes = ByteArray<4>()
    for index in 0..<4 { bytes[index] = UInt8(index) + 1 }
    try chain.write(bytes, queue)
    try queue.use(chain, written: 4)
    #expect(ring.usedIndex == 0)
    #expect(ring[used: 0] == (0, 4) && memory.bytes(Self.data, 4) == [1, 2, 3, 4])
    _ = queue.endService()
    #expect(ring.usedIndex == 1)
  }

  @Test(arguments: [Features.none, .eventIndex])
  func `2.7.10.2 the used ring's flags are 0`(_ features: Features) {
    let (machine, ring) = Self.machine(features)
    for _ in 0..<40 {
      Self.offer(ring, readable: [1], writable: [1])
      machine.write(0, MMIORegister.queueNotify)
      #expect(ring.usedFlags == 0)
    }
  }

  @Test func `2.7.10.2 with EVENT_IDX avail_event asks for the next entry`() {
    let (machine, ring) = Self.machine(.eventIndex)
    for round in 1...40 as ClosedRange<UInt16> {
      Self.offer(ring, readable: [1], writable: [1])
      machine.write(0, MMIORegister.queueNotify)
      #expect(ring.availableEvent == round)
    }
  }

  @Test(arguments: [Features.none, .eventIndex, .ringPacked, .ringPacked | .eventIndex])
  func `2.7.10.2 a spurious notification does nothing`(_ features: Features) {
    let (machine, _) = Self.machine(features)
    machine.write(0, MMIORegister.queueNotify)
    let before = machine.ram.bytes(testBase, 1 << 16)
    for _ in 0..<5 { machine.write(0, MMIORegister.queueNotify) }
    #expect(machine.ram.bytes(testBase, 1 << 16) == before)
    #expect(machine.status == 15 && machine.transport.line.eventCount == 0)
  }
}
