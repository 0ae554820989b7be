// Malicious devices against the driver side of a virtqueue: every lie is a clear fault after bounded work, no
// buffer comes back twice or gets lost, and the queue works again after a reset.

import TestSupport
import Testing
import Virtio

/// A driver's queue of 8 with three buffers in flight, and the device's pen.
final class LyingDevice {
  let memory = TestMemory(byteCount: 1 << 16)
  var queue: DriverVirtqueue
  let isPacked: Bool
  private let data: DMABuffer
  private var used: UInt16 = 0

  /// Device-writable bytes of each buffer.
  static let length: UInt32 = 16

  init(_ features: Features, segments count: Int = 1) {
    var arena = memory.arena()
    isPacked = features.contains(.ringPacked)
    queue = DriverVirtqueue(index: 0, size: 8, features: features, from: &arena)!
    data = arena.allocateShared(byteCount: 1024, alignment: 16)!
    for token in 100..<103 as Range<UInt32> { submit(token, segments: count) }
  }

  /// Submits a buffer of `length` bytes in `count` segments, and publishes it.
  func submit(_ token: UInt32, segments count: Int = 1) {
    let part = Int(Self.length) / count
    let segments: [4 of DMASegment] = InlineArray {
      data.segment(at: Int(token % 32) * 16 + $0 % count * part, byteCount: part)
    }
    let accepted = queue.submit(segments.span.extracting(first: count), readableCount: 0, token: token)
    #expect(accepted)
    _ = queue.publish()
  }

  /// Writes the next used entry: any ID and any length. Packed: at ring position `position`.
  func use(id: UInt32, length: UInt32 = 1, position: Int? = nil) {
    let addresses = queue.addresses
    if isPacked {
      let at = addresses.descriptorArea + 16 * UInt64(position ?? Int(used))
      memory.store(length, at + 8)
      memory.store(UInt16(truncatingIfNeeded: id), at + 12)
      memory.store(Flag.available | Flag.used | Flag.write, at + 14)
      used += 1
    } else {
      let at = addresses.deviceArea + 4 + 8 * UInt64(used % 8)
      memory.store(id, at)
      memory.store(length, at + 4)
      setUsedIndex(used &+ 1)
    }
  }

  /// Split: moves the used index.
  func setUsedIndex(_ index: UInt16) {
    used = index
    memory.store(index, queue.addresses.deviceArea + 2)
  }

  /// Reclaims until nothing is left or the device is caught; no more often than buffers were in flight.
  func drain() -> (tokens: [UInt32], fault: DeviceFault?) {
    var tokens: [UInt32] = []
    do throws(DeviceFault) {
      while let buffer = try queue.reclaim() {
        #expect(buffer.byteCount <= Self.length)
        tokens.append(buffer.token)
        if tokens.count > 8 { break }
      }
    } catch {
      return (tokens, error)
    }
    return (tokens, nil)
  }

  /// What never came back.
  func abandoned() -> [UInt32] {
    var tokens: [UInt32] = []
    while let token = queue.reclaimAbandoned() { tokens.append(token) }
    return tokens
  }

  /// Whether the queue works after a reset, with a device that tells the truth.
  func recovers() -> Bool {
    queue.reset()
    used = 0
    submit(7)
    use(id: 0, length: 9)
    let result = drain()
    let (free, inFlight) = (queue.freeCount, queue.inFlight)
    return result.tokens == [7] && result.fault == nil && free == 8 && inFlight == 0
  }
}

struct Lie: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let features: Features
  let fault: DeviceFault?
  /// Buffers that come back before the lie is noticed.
  let honest: Int
  let tell: @Sendable (LyingDevice) -> Void

  init(
    _ name: String, _ features: Features, _ fault: DeviceFault?, after honest: Int = 0,
    _ tell: @escaping @Sendable (LyingDevice) -> Void
  ) {
    testDescription = name
    self.features = features
    self.fault = fault
    self.honest = honest
    self.tell = tell
  }
}

private let splitLies: [Lie] = [
  Lie("an ID beyond the queue", .none, .unknownBuffer) { $0.use(id: 8) },
  Lie("an ID whose low half is right", .none, .unknownBuffer) { $0.use(id: 0x1_0000) },
  Lie("the largest ID", .none, .unknownBuffer) { $0.use(id: .max) },
  Lie("an ID that is free", .none, .unknownBuffer) { $0.use(id: 5) },
  Lie("the same buffer twice", .none, .unknownBuffer, after: 1) {
    $0.use(id: 1)
    $0.use(id: 1)
  },
  Lie("one byte too long", .none, .usedLengthTooLong) { $0.use(id: 0, length: 17) },
  Lie("the largest length", .none, .usedLengthTooLong) { $0.use(id: 0, length: .max) },
  Lie("the used index runs ahead", .none, .usedIndexJumped) { $0.setUsedIndex(4) },
  Lie("the used index moves back", .none, .usedIndexJumped) { $0.setUsedIndex(0xffff) },
  Lie("the used index moves back later", .none, .usedIndexJumped, after: 1) {
    $0.use(id: 2)
    _ = try? $0.queue.reclaim()
    $0.setUsedIndex(0)
  },
  Lie("in order: the batch ends beyond the index", .inOrder, .unknownBuffer, after: 1) {
    $0.use(id: 2)
    $0.setUsedIndex(2)
  },
  Lie("in order: the batch ends nowhere", .inOrder, .unknownBuffer, after: 2) {
    $0.use(id: 5)
    $0.setUsedIndex(3)
  },
  Lie("in order: the last of a batch is too long", .inOrder, .usedLengthTooLong, after: 1) {
    $0.use(id: 1, length: 17)
    $0.setUsedIndex(2)
  },
]

private let packedLies: [Lie] = [
  Lie("an ID beyond the queue", .ringPacked, .unknownBuffer) { $0.use(id: 8) },
  Lie("the largest ID", .ringPacked, .unknownBuffer) { $0.use(id: 0xffff) },
  Lie("an ID that is free", .ringPacked, .unknownBuffer) { $0.use(id: 5) },
  Lie("the same buffer twice", .ringPacked, .unknownBuffer, after: 1) {
    $0.use(id: 1)
    $0.use(id: 1)
  },
  Lie("one byte too long", .ringPacked, .usedLengthTooLong) { $0.use(id: 0, length: 17) },
  Lie("more used than in flight", .ringPacked, nil, after: 3) { device in
    for id in [2, 0, 1, 0, 0, 0, 0, 0] as [UInt32] { device.use(id: id) }
  },
  Lie("in order: a batch that ends nowhere", .ringPacked | .inOrder, .unknownBuffer) { $0.use(id: 5) },
  Lie("in order: the last of a batch is too long", .ringPacked | .inOrder, .usedLengthTooLong, after: 2) {
    $0.use(id: 2, length: 17)
  },
]

@Suite struct HostileDeviceTests {
  @Test(arguments: splitLies + packedLies)
  func lie(_ lie: Lie) throws {
    let device = LyingDevice(lie.features)
    var early: [UInt32] = []
    lie.tell(device)
    // A lie may have consumed a buffer itself.
    let inFlight = Int(device.queue.inFlight)
    if inFlight == 2 { early = [102] }
    let (tokens, fault) = device.drain()
    #expect(fault == lie.fault)
    #expect((early + tokens).count == lie.honest)
    if lie.fault != nil {
      // Said again rather than forgotten.
      let again = device.drain()
      #expect(again.tokens.isEmpty && again.fault == lie.fault)
    }
    #expect((early + tokens + device.abandoned()).sorted() == [100, 101, 102])
    #expect(device.recovers())
  }

  @Test("A used mark where nothing is in flight is no work")
  func idleQueueMarkedUsed() throws {
    let device = LyingDevice(.ringPacked)
    for i in 0..<8 { device.use(id: 0, position: i) }
    device.queue.reset()
    for i in 0..<8 { device.use(id: 0, position: i) }
    let (hasUsed, more) = (device.queue.hasUsed, device.queue.enableNotifications())
    #expect(!hasUsed && !more)
    let (tokens, fault) = device.drain()
    #expect(tokens.isEmpty && fault == nil)
  }

  @Test("In order: a batch that names the middle of a chain cannot swallow what is submitted later")
  func endlessBatch() throws {
    let device = LyingDevice(.ringPacked | .inOrder, segments: 2)
    // Chains of two lie at even positions; the named position is odd and never reached.
    device.use(id: 1, position: 0)
    var rounds = 0
    var fault: DeviceFault?
    do throws(DeviceFault) {
      while let buffer = try device.queue.reclaim(), rounds < 100 {
        device.submit(buffer.token, segments: 2)
        rounds += 1
      }
    } catch {
      fault = error
    }
    #expect(rounds == 0 && fault == .unknownBuffer)
    #expect(device.recovers())
  }

  @Test(
    "What the device writes into the descriptors reaches no later buffer",
    arguments: [Features.none, .inOrder])
  func forgedDescriptors(_ features: Features) throws {
    let device = LyingDevice(features)
    let table = device.queue.addresses.descriptorArea
    for i in 0..<8 as Range<UInt64> {
      device.memory.store(UInt64.max, table + 16 * i)
      device.memory.store(UInt64.max, table + 16 * i + 8)
    }
    for id in 0..<3 as Range<UInt32> { device.use(id: id) }
    let (tokens, fault) = device.drain()
    #expect(tokens == [100, 101, 102] && fault == nil)
    for token in 0..<2 as Range<UInt32> { device.submit(token, segments: 4) }
    let ring = device.queue.addresses.driverArea
    var seen: Set<UInt16> = []
    for entry in 3..<5 as Range<UInt64> {
      var index = device.memory.load(UInt16.self, ring + 4 + 2 * entry)
      for part in 0..<4 {
        #expect(seen.insert(index).inserted)
        let at = table + 16 * UInt64(index)
        #expect(device.memory.load(UInt32.self, at + 8) == 4)
        #expect(device.memory.load(UInt16.self, at + 12) == (part == 3 ? Flag.write : Flag.write | Flag.next))
        index = device.memory.load(UInt16.self, at + 14)
      }
    }
    #expect(seen.count == 8)
  }

  @Test(
    "Garbage where the device asks for notifications only decides on notifications",
    arguments: ringFeatureMatrix)
  func forgedEventSuppression(_ features: Features) throws {
    let device = LyingDevice(features)
    var random = SeededRandom(1)
    let area = device.queue.addresses.deviceArea
    for round in 0..<64 as Range<UInt32> {
      if device.isPacked {
        device.memory.store(UInt32(truncatingIfNeeded: random.next()), area)
      } else {
        device.memory.store(UInt16(truncatingIfNeeded: random.next()), area)
        device.memory.store(UInt16(truncatingIfNeeded: random.next()), area + 4 + 8 * 8)
      }
      let free = device.queue.freeCount
      if free > 0 { device.submit(round) }
      _ = device.queue.enableNotifications()
      device.queue.disableNotifications()
    }
    #expect(device.recovers())
  }
}
