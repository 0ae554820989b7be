// A device that dies at any step and is followed by another, which knows the ring and two positions.

import TestSupport
import Testing
import Virtio

@Suite struct `A tracked packed ring` {
  private static let track = testBase + 0x100

  /// A driver that stays, and devices that come and go. Buffers are used in order.
  private final class Lives {
    enum Death: CaseIterable {
      /// Between two services.
      case atRest
      /// Within a use, before the ring is written.
      case beforeUse
      /// Within a use, after the ring is written.
      case afterUse
    }

    private let ram = TestMemory()
    private let size: UInt16
    private let features: Features
    private var random: SeededRandom
    private var driver: DriverVirtqueue
    private var device: DeviceVirtqueue
    private let data: DMABuffer
    private var parked: [ParkedBox] = []
    private var nextToken: UInt32 = 0
    private var nextReclaimed: UInt32 = 0

    init(_ features: Features, size: UInt16, seed: UInt64) throws {
      self.size = size
      self.features = features | .ringPacked
      random = SeededRandom(seed)
      var arena = ram.arena()
      driver = DriverVirtqueue(
        index: 0, size: size, features: self.features, indirectCapacity: 4, from: &arena)!
      data = arena.allocateShared(byteCount: 64, alignment: 16)!
      device = DeviceVirtqueue(maximumSize: size, memory: ram.guest)
      try device.makeReady(size: size, at: driver.addresses, features: self.features)
      device.startTracking(in: try place())
    }

    private func place() throws -> GuestRange {
      try ram.guest.range(at: track, byteCount: DeviceVirtqueue.trackByteCount)
    }

    func run(steps: Int) throws {
      for _ in 0..<steps {
        switch random.pick(0...5) {
        case 0, 1: submit()
        case 2: try take(random.pick(1...4))
        case 3: use(random.pick(0...parked.count))
        case 4: try reclaim()
        default: if random.oneIn(3) { try die(Death.allCases[random.pick(0...2)]) }
        }
      }
      try take(Int(size))
      for _ in 0..<100 where nextReclaimed != nextToken {
        use(parked.count)
        try reclaim()
        try take(Int(size))
      }
      #expect(nextReclaimed == nextToken && nextToken > 0)
    }

    private func submit() {
      for _ in 0..<random.pick(1...4) {
        let segments = (0..<random.pick(1...3)).map { _ in data.segment(at: 0, byteCount: 16) }
        let isAccepted = driver.submit(
          segments.span, readableCount: random.pick(0...segments.count - 1), token: nextToken)
        if !isAccepted { break }
        nextToken += 1
      }
      _ = driver.publish()
    }

    private func take(_ count: Int) throws {
      for _ in 0..<count {
        guard let chain = try device.next() else { break }
        parked.append(ParkedBox(try device.park(chain), 0))
      }
      _ = device.endService()
    }

    private func use(_ count: Int) {
      for _ in 0..<count { device.use(parked.removeFirst().chain.take()!, written: random.oneIn(2) ? 0 : 5) }
      _ = device.endService()
    }

    /// Whatever happens in between, buffers come back once each and in their order.
    private func reclaim() throws {
      while let buffer = try driver.reclaim() {
        #expect(buffer.token == nextReclaimed)
        nextReclaimed += 1
      }
    }

    private func die(_ death: Death) throws {
      switch death {
      case .atRest: break
      case .beforeUse:
        if !parked.isEmpty { ram.store(UInt16(random.pick(0...Int(size) - 1)), track + 2) }
      case .afterUse:
        guard !parked.isEmpty else { break }
        let before = ram.load(UInt16.self, track)
        use(1)
        ram.store(before, track)
        // The driver goes on meanwhile, and may use the place again.
        try reclaim()
        submit()
      }
      parked = []
      device = DeviceVirtqueue(maximumSize: size, memory: ram.guest)
      try device.makeReady(size: size, at: driver.addresses, features: features)
      try device.resume(at: device.trackedPosition(in: place()))
      device.startTracking(in: try place())
    }
  }

  @Test(
    arguments: [Features.none, .eventIndex, .indirectDescriptors, .eventIndex | .inOrder],
    1...8 as ClosedRange<UInt64>)
  func `survives any number of devices, and loses and repeats nothing`(
    _ features: Features, _ seed: UInt64
  ) throws {
    try Lives(features, size: seed % 2 == 0 ? 8 : 7, seed: seed).run(steps: 2000)
  }

  @Test func `positions beyond the ring are refused`() throws {
    let ram = TestMemory()
    let ring = RingView(ram, at: testBase + 0x1000, size: 8)
    var device = DeviceVirtqueue(maximumSize: 8, memory: ram.guest)
    try device.makeReady(size: 8, at: ring.addresses, features: .ringPacked)
    let place = try ram.guest.range(at: Self.track, byteCount: DeviceVirtqueue.trackByteCount)
    for halves in [(8, 0), (0, 8), (0x8008, 0x8000), (0xffff, 0xffff), (0x7fff, 0)] as [(UInt16, UInt16)] {
      ram.store(halves.0, Self.track)
      ram.store(halves.1, Self.track + 2)
      #expect(throws: StateFault.malformed) { try device.trackedPosition(in: place) }
    }
    ram.store(0x8007 as UInt16, Self.track)
    ram.store(0x8007 as UInt16, Self.track + 2)
    let last = try device.trackedPosition(in: place)
    #expect(last == RingPosition(index: 7, wrapCounter: true))
  }
}
