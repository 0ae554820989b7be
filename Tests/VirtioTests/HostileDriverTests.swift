// Malicious drivers against the device side of a virtqueue: every broken rule is a clear fault after bounded
// work, and the queue works again after a reset.

import TestSupport
import Testing
import Virtio

/// One malformed buffer, and what must be said about it.
struct HostileBuffer: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let formats: [RingFormat]
  let features: Features
  let expected: Outcome
  let offer: @Sendable (RawRing) -> Void

  init(
    _ name: String, only format: RingFormat? = nil, features: Features = .indirectDescriptors,
    _ expected: Outcome, _ offer: @escaping @Sendable (RawRing) -> Void
  ) {
    testDescription = name
    formats = format.map { [$0] } ?? [.split, .packed]
    self.features = features
    self.expected = expected
    self.offer = offer
  }
}

private let queueSize: UInt16 = 8

/// `count` elements of one byte, each with NEXT except, if `ends`, the last.
private func chain(_ count: Int, at address: UInt64, ends: Bool = true) -> [RawElement] {
  (0..<count).map {
    RawElement(address: address, length: 1, flags: ends && $0 == count - 1 ? 0 : Flag.next)
  }
}

private let directBuffers: [HostileBuffer] = [
  HostileBuffer("the longest chain", .served(buffers: 1, bytes: 8)) { $0.offer(chain(8, at: $0.data)) },
  HostileBuffer("a descriptor loop", only: .split, .fault(.chainTooLong)) {
    $0.offer([RawElement(address: $0.data, length: 1, flags: Flag.next, next: 0)])
  },
  HostileBuffer("a loop of two", only: .split, .fault(.chainTooLong)) {
    $0.offer([
      RawElement(address: $0.data, length: 1, flags: Flag.next, next: 1),
      RawElement(address: $0.data, length: 1, flags: Flag.next, next: 0),
    ])
  },
  HostileBuffer("a chain without end", only: .packed, .fault(.chainTooLong)) {
    $0.offer(chain(8, at: $0.data, ends: false))
  },
  HostileBuffer("next out of range", only: .split, .fault(.indexOutOfRange)) {
    $0.offer([RawElement(address: $0.data, length: 1, flags: Flag.next, next: 8)])
  },
  HostileBuffer("next far out of range", only: .split, .fault(.indexOutOfRange)) {
    $0.offer([RawElement(address: $0.data, length: 1, flags: Flag.next, next: 0xffff)])
  },
  HostileBuffer("address and length overflow", .fault(.addressOutsideMemory)) {
    $0.offer([RawElement(address: .max - 3, length: 8)])
  },
  HostileBuffer("address and length wrap into memory", .fault(.addressOutsideMemory)) {
    $0.offer([RawElement(address: $0.memory.address &- 0x1000, length: 0x2000)])
  },
  HostileBuffer("address zero", .fault(.addressOutsideMemory)) {
    $0.offer([RawElement(address: 0, length: 1)])
  },
  HostileBuffer("one byte beyond memory", .fault(.addressOutsideMemory)) {
    $0.offer([RawElement(address: $0.memory.address + UInt64($0.memory.byteCount) - 7, length: 8)])
  },
  HostileBuffer("the largest length", .fault(.addressOutsideMemory)) {
    $0.offer([RawElement(address: $0.data, length: .max)])
  },
  HostileBuffer("a length of zero", .served(buffers: 1, bytes: 0)) {
    $0.offer([RawElement(address: $0.data, length: 0)])
  },
  HostileBuffer("a length of zero at the end of memory", .served(buffers: 1, bytes: 0)) {
    $0.offer([RawElement(address: $0.memory.address + UInt64($0.memory.byteCount), length: 0)])
  },
  HostileBuffer("a length of zero behind memory", .fault(.addressOutsideMemory)) {
    $0.offer([RawElement(address: $0.memory.address + UInt64($0.memory.byteCount) + 1, length: 0)])
  },
  HostileBuffer("a length of zero before memory", .fault(.addressOutsideMemory)) {
    $0.offer([RawElement(address: $0.memory.address - 1, length: 0)])
  },
  HostileBuffer("up to the last byte of memory", .served(buffers: 1, bytes: 8)) {
    $0.offer([RawElement(address: $0.memory.address + UInt64($0.memory.byteCount) - 8, length: 8)])
  },
  HostileBuffer("readable after writable", .fault(.readableAfterWritable)) {
    $0.offer([
      RawElement(address: $0.data, length: 1, flags: Flag.next | Flag.write),
      RawElement(address: $0.data, length: 1),
    ])
  },
]

private let indirectBuffers: [HostileBuffer] = [
  HostileBuffer("an indirect table", .served(buffers: 1, bytes: 2)) {
    $0.offerIndirect(chain(2, at: $0.data + 4096))
  },
  HostileBuffer("an indirect table that WRITE refers to", .served(buffers: 1, bytes: 2)) {
    $0.offerIndirect(chain(2, at: $0.data + 4096), flags: Flag.indirect | Flag.write)
  },
  HostileBuffer("a misaligned indirect table", .served(buffers: 1, bytes: 1)) { ring in
    ring.write(RawElement(address: ring.data, length: 1), 0, in: ring.data + 5)
    ring.offer([RawElement(address: ring.data + 5, length: 16, flags: Flag.indirect)])
  },
  HostileBuffer("direct, then indirect", only: .split, .served(buffers: 1, bytes: 3)) { ring in
    ring.offerIndirect(chain(2, at: ring.data + 4096))
    ring.write(
      RawElement(address: ring.data, length: 1, flags: Flag.next, next: 1), 0, in: ring.memory.address)
    ring.write(
      RawElement(address: ring.data, length: 32, flags: Flag.indirect), 1, in: ring.memory.address)
  },
  HostileBuffer("direct, then indirect", only: .packed, .fault(.invalidIndirectTable)) { ring in
    ring.offer([
      RawElement(address: ring.data, length: 1, flags: Flag.next),
      RawElement(address: ring.data, length: 32, flags: Flag.indirect),
    ])
  },
  HostileBuffer("indirect, not negotiated", features: .none, .fault(.invalidIndirectTable)) {
    $0.offerIndirect(chain(2, at: $0.data))
  },
  HostileBuffer("indirect within indirect", only: .split, .fault(.invalidIndirectTable)) {
    $0.offerIndirect([RawElement(address: $0.data, length: 16, flags: Flag.indirect)])
  },
  HostileBuffer("INDIRECT within a table is ignored (§2.8.7)", only: .packed, .served(buffers: 1, bytes: 16))
  {
    $0.offerIndirect([RawElement(address: $0.data, length: 16, flags: Flag.indirect)])
  },
  HostileBuffer("indirect with NEXT", .fault(.invalidIndirectTable)) {
    $0.offerIndirect(chain(2, at: $0.data), flags: Flag.indirect | Flag.next)
  },
  HostileBuffer("an indirect table of no bytes", .fault(.invalidIndirectTable)) {
    $0.offerIndirect(chain(2, at: $0.data), length: 0)
  },
  HostileBuffer("an indirect table of half a descriptor", .fault(.invalidIndirectTable)) {
    $0.offerIndirect(chain(2, at: $0.data), length: 8)
  },
  HostileBuffer("an indirect table of one and a half", .fault(.invalidIndirectTable)) {
    $0.offerIndirect(chain(2, at: $0.data), length: 24)
  },
  HostileBuffer("the largest indirect table", .fault(.addressOutsideMemory)) {
    $0.offerIndirect(chain(2, at: $0.data), length: 0xffff_fff0)
  },
  HostileBuffer("an indirect table outside memory", .fault(.addressOutsideMemory)) {
    $0.offerIndirect(chain(2, at: $0.data), address: .max - 15)
  },
  HostileBuffer("a table longer than the queue", .fault(.chainTooLong)) {
    $0.offerIndirect(chain(9, at: $0.data + 4096))
  },
  HostileBuffer("a loop within a table", only: .split, .fault(.chainTooLong)) {
    $0.offerIndirect([RawElement(address: $0.data, length: 1, flags: Flag.next, next: 0)])
  },
  HostileBuffer("next beyond a table", only: .split, .fault(.indexOutOfRange)) {
    $0.offerIndirect([RawElement(address: $0.data, length: 1, flags: Flag.next, next: 1)])
  },
  HostileBuffer("readable after writable within a table", .fault(.readableAfterWritable)) {
    $0.offerIndirect([
      RawElement(address: $0.data, length: 1, flags: Flag.next | Flag.write),
      RawElement(address: $0.data, length: 1),
    ])
  },
]

/// INDIRECT where no tables were negotiated.
private let forbiddenTables: [HostileBuffer] = [
  HostileBuffer("an indirect descriptor", .fault(.invalidIndirectTable)) {
    $0.offerIndirect(chain(2, at: $0.data))
  },
  HostileBuffer("an indirect descriptor with WRITE", .fault(.invalidIndirectTable)) {
    $0.offerIndirect(chain(2, at: $0.data), flags: Flag.indirect | Flag.write)
  },
  HostileBuffer("an indirect descriptor after others", .fault(.invalidIndirectTable)) {
    $0.offer([
      RawElement(address: $0.data, length: 1, flags: Flag.next),
      RawElement(address: $0.data, length: 1, flags: Flag.next | Flag.write),
      RawElement(address: $0.data, length: 32, flags: Flag.indirect),
    ])
  },
]

private let availableRings: [HostileBuffer] = [
  HostileBuffer("the index jumps", only: .split, .fault(.availableIndexJumped)) { $0.expose([0], index: 9) },
  HostileBuffer("the index moves back", only: .split, .fault(.availableIndexJumped)) {
    $0.expose([0], index: 0xffff)
  },
  HostileBuffer("a head out of range", only: .split, .fault(.indexOutOfRange)) { $0.expose([8]) },
  HostileBuffer("the largest head", only: .split, .fault(.indexOutOfRange)) { $0.expose([0xffff]) },
  HostileBuffer("the same head in every entry", only: .split, .served(buffers: 8, bytes: 8)) {
    $0.offer([RawElement(address: $0.data, length: 1)])
    $0.expose([0, 0, 0, 0, 0, 0, 0, 0])
  },
  HostileBuffer("the same buffer ID in every descriptor", only: .packed, .served(buffers: 8, bytes: 8)) {
    ring in
    ring.offer((0..<8).map { _ in RawElement(address: ring.data, length: 1, next: 0xffff) })
  },
]

@Suite struct HostileDriverTests {
  @Test(arguments: directBuffers + indirectBuffers + availableRings, Manner.allCases)
  func buffer(_ hostile: HostileBuffer, manner: Manner) throws {
    try check(hostile, manner, hostile.features)
  }

  @Test(
    "A queue without indirect tables",
    arguments: directBuffers + forbiddenTables + availableRings, Manner.allCases)
  func simpleBuffer(_ hostile: HostileBuffer, manner: Manner) throws {
    try check(hostile, manner, .eventIndex)
  }

  private func check(_ hostile: HostileBuffer, _ manner: Manner, _ features: Features) throws {
    for format in hostile.formats {
      let ring = RawRing(TestMemory(byteCount: 1 << 16), format, size: queueSize)
      let features = features | ring.features
      var queue = DeviceVirtqueue(maximumSize: queueSize, memory: ring.memory.guest)
      try queue.makeReady(size: queueSize, at: ring.addresses, features: features)
      hostile.offer(ring)
      var steps = 0
      let outcome = serve(&queue, steps: &steps, manner)
      #expect(outcome == hostile.expected, "\(format)")
      // A walk reads no more descriptors than the queue has, whatever it finds.
      #expect(steps <= Int(queueSize))
      if case .fault = hostile.expected {
        #expect(ring.usedCount == 0)
        // Stopped: nothing is taken before a reset.
        let more = serve(&queue)
        #expect(more == .served(buffers: 0, bytes: 0))
      }
      let works = recovers(&queue, ring, features: features)
      #expect(works, "\(format)")
    }
  }

  @Test("A device that accepts longer chains than the ring has")
  func tableLongerThanRing() throws {
    for format in [RingFormat.split, .packed] {
      let ring = RawRing(TestMemory(byteCount: 1 << 16), format, size: 8)
      var queue = DeviceVirtqueue(maximumSize: 16, memory: ring.memory.guest)
      let features = ring.features | .indirectDescriptors
      try queue.makeReady(size: 8, at: ring.addresses, features: features)
      ring.offerIndirect(chain(16, at: ring.data + 4096))
      let longest = serve(&queue)
      #expect(longest == .served(buffers: 1, bytes: 16))
      try queue.makeReady(size: 8, at: ring.addresses, features: features)
      let again = RawRing(ring.memory, format, size: 8)
      again.offerIndirect(chain(17, at: ring.data + 4096))
      let tooLong = serve(&queue)
      #expect(tooLong == .fault(.chainTooLong))
    }
  }

  @Test("More than 2^32 - 1 bytes in one chain, all of it the same mebibyte")
  func chainOfTooManyBytes() throws {
    for format in [RingFormat.split, .packed] {
      let ring = RawRing(TestMemory(), format, size: 8192)
      var queue = DeviceVirtqueue(maximumSize: 8192, memory: ring.memory.guest)
      try queue.makeReady(size: 8192, at: ring.addresses, features: ring.features)
      let element = RawElement(
        address: ring.memory.address, length: UInt32(ring.memory.byteCount), flags: Flag.next)
      ring.offer([RawElement](repeating: element, count: 8191) + chain(1, at: ring.data))
      var steps = 0
      let outcome = serve(&queue, steps: &steps)
      #expect(outcome == .fault(.chainTooLong))
      #expect(steps == 4095)
    }
  }

  @Test("Endless submissions: a budget bounds each service, and the rest waits")
  func budget() throws {
    let ring = RawRing(TestMemory(byteCount: 1 << 16), .split, size: 8)
    var queue = DeviceVirtqueue(maximumSize: 8, memory: ring.memory.guest)
    queue.budget = 3
    try queue.makeReady(size: 8, at: ring.addresses, features: .none)
    ring.offer([RawElement(address: ring.data, length: 1)])
    ring.expose([0, 0, 0, 0, 0, 0, 0, 0])
    for expected in [3, 3, 2, 0] {
      let outcome = serve(&queue)
      #expect(outcome == .served(buffers: expected, bytes: expected))
    }
  }

  @Test("The available index runs ahead while buffers are parked")
  func indexJumpWithParkedBuffers() throws {
    let ring = RawRing(TestMemory(byteCount: 1 << 16), .split, size: 4)
    var queue = DeviceVirtqueue(maximumSize: 4, memory: ring.memory.guest)
    try queue.makeReady(size: 4, at: ring.addresses, features: .none)
    ring.offer([RawElement(address: ring.data, length: 1)])
    ring.expose([0, 0, 0])
    var taken = 0
    while let chain = try queue.next() {
      let parked = try queue.park(chain)
      taken += 1
      discard(parked)
    }
    #expect(taken == 3)
    _ = queue.endService()
    ring.expose([], index: 5)
    let outcome = serve(&queue)
    #expect(outcome == .fault(.availableIndexJumped))
    let works = recovers(&queue, ring, features: .none)
    #expect(works)
  }

  @Test("Packed: every descriptor in flight is still marked available")
  func packedRingAllInFlight() throws {
    let ring = RawRing(TestMemory(byteCount: 1 << 16), .packed, size: 3)
    var queue = DeviceVirtqueue(maximumSize: 3, memory: ring.memory.guest)
    try queue.makeReady(size: 3, at: ring.addresses, features: .ringPacked)
    ring.offer((0..<3).map { _ in RawElement(address: ring.data, length: 1) })
    var taken = 0
    while let chain = try queue.next() {
      let parked = try queue.park(chain)
      taken += 1
      discard(parked)
    }
    #expect(taken == 3)
    // The marks of the next lap, set before anything was used.
    for i in 0..<3 {
      ring.write(
        RawElement(address: ring.data, length: 1), i, in: ring.addresses.descriptorArea, marks: Flag.used)
    }
    let more = queue.endService()
    #expect(!more)
    let outcome = serve(&queue)
    #expect(outcome == .served(buffers: 0, bytes: 0))
  }

  @Test("A buffer or ring that crosses from one region into the next is refused")
  func acrossRegions() throws {
    let low = TestMemory(byteCount: 1 << 16, address: 0x1_0000)
    let high = TestMemory(byteCount: 1 << 16, address: 0x2_0000)
    let regions = [low.region, high.region]
    try unsafe regions.withUnsafeBufferPointer { table in
      let memory = unsafe GuestMemory(regions: table)
      for format in [RingFormat.split, .packed] {
        let ring = RawRing(low, format, size: 8)
        var queue = DeviceVirtqueue(maximumSize: 8, memory: memory)
        try queue.makeReady(size: 8, at: ring.addresses, features: ring.features)
        ring.offer([RawElement(address: 0x1_fff8, length: 16)])
        let crossing = serve(&queue)
        #expect(crossing == .fault(.addressOutsideMemory))
        // Either side of the border is fine, and so is a whole element in the second region.
        try queue.makeReady(size: 8, at: ring.addresses, features: ring.features)
        let clean = RawRing(low, format, size: 8)
        clean.offer([
          RawElement(address: 0x1_fff8, length: 8, flags: Flag.next),
          RawElement(address: 0x2_0000, length: 8),
        ])
        let split = serve(&queue)
        #expect(split == .served(buffers: 1, bytes: 16))
        var addresses = ring.addresses
        addresses.descriptorArea = 0x2_0000 - 64
        #expect(throws: DriverFault.addressOutsideMemory) {
          try queue.makeReady(size: 8, at: addresses, features: ring.features)
        }
      }
    }
  }

  @Test("Rings outside memory, misaligned or wrapping; sizes that no queue has")
  func settings() throws {
    let memory = TestMemory(byteCount: 1 << 16)
    for format in [RingFormat.split, .packed] {
      let ring = RawRing(memory, format, size: 8)
      var queue = DeviceVirtqueue(maximumSize: 8, memory: memory.guest)
      for area in [\QueueAddresses.descriptorArea, \.driverArea, \.deviceArea] {
        let end = memory.address + UInt64(memory.byteCount)
        for wrong in [0, end, end - 16, memory.address - 16, UInt64.max - 15] where wrong & 15 == 0 {
          // The last 16 bytes do hold the event suppression structures of a packed queue.
          if wrong == end - 16 && format == .packed && area != \.descriptorArea { continue }
          var addresses = ring.addresses
          addresses[keyPath: area] = wrong
          #expect(throws: DriverFault.addressOutsideMemory) {
            try queue.makeReady(size: 8, at: addresses, features: ring.features)
          }
        }
        for offset in [1, 2, 4, 8] as [UInt64] {
          var addresses = ring.addresses
          addresses[keyPath: area] = ring.data + offset
          let alignment: UInt64 =
            area == \.descriptorArea ? 16 : area == \.deviceArea || format == .packed ? 4 : 2
          if offset % alignment == 0 { continue }
          #expect(throws: DriverFault.misalignedRing) {
            try queue.makeReady(size: 8, at: addresses, features: ring.features)
          }
        }
      }
      let wrong: [UInt16] = format == .split ? [0, 3, 7, 9, 16, 32768, 65535] : [0, 9, 16, 32769, 65535]
      for size in wrong {
        #expect(throws: DriverFault.invalidQueueSize) {
          try queue.makeReady(size: size, at: ring.addresses, features: ring.features)
        }
      }
      let isReady = queue.isReady
      #expect(!isReady)
      let outcome = serve(&queue)
      #expect(outcome == .served(buffers: 0, bytes: 0))
      let works = recovers(&queue, ring, features: ring.features)
      #expect(works)
    }
  }
}

/// Forgets a parked buffer, as a device does whose backend never completes.
func discard(_ parked: consuming ParkedChain) {}
