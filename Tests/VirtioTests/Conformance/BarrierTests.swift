// The barriers of virtio 1.4 §2.7.13.3, §2.7.13.4, §2.8.21.1 and §2.8.21.3: both sides at once on two
// threads. A store seen too early shows as wrong data, a notification decided too early as a wait that never
// ends.

import Synchronization
import TestSupport
import Testing
import Virtio
import Wire

/// What the two threads tell each other besides the rings: that a notification was sent.
private final class Signals: Sendable {
  let availableBuffer = Atomic<Int>(0)
  let usedBuffer = Atomic<Int>(0)
  let isDone = Atomic<Bool>(false)
  let faults = Atomic<Int>(0)
}

@Suite(.serialized) struct Barriers {
  private static let bufferCount: UInt32 = 20_000
  private static let patience = 60

  /// Serves the queue whenever notified, until told to stop: answers a 4-byte number with its complement.
  private static func serve(
    _ memory: GuestMemory, _ addresses: QueueAddresses, _ features: Features, _ signals: Signals
  ) {
    var queue = DeviceVirtqueue(maximumSize: 8, memory: memory)
    do throws(DriverFault) {
      try queue.makeReady(size: 8, at: addresses, features: features)
      var seen = 0
      var hasMore = false
      while true {
        if !hasMore {
          let isAwake = spin(seconds: patience) {
            signals.availableBuffer.load(ordering: .acquiring) != seen
              || signals.isDone.load(ordering: .acquiring)
          }
          if !isAwake || signals.isDone.load(ordering: .acquiring) { return }
          seen = signals.availableBuffer.load(ordering: .acquiring)
        }
        while var chain = try queue.next() {
          var number = ByteArray<4>()
          try chain.read(&number, queue)
          for i in 0..<4 { number[i] = ~number[i] }
          try chain.write(number, queue)
          try queue.use(chain, written: 4)
        }
        hasMore = queue.endService()
        if queue.notificationIsDue {
          queue.notificationIsDue = false
          signals.usedBuffer.add(1, ordering: .releasing)
        }
      }
    } catch {
      signals.faults.add(1, ordering: .relaxed)
    }
  }

  /// Whether the driver gets every buffer back, with the right answer, waiting only for notifications.
  private static func drive(
    _ queue: inout DriverVirtqueue, _ data: borrowing DMABuffer, _ signals: Signals
  ) throws -> Bool {
    var next: UInt32 = 0
    var returned: UInt32 = 0
    var free = Array(0..<4 as Range<UInt32>)
    var numbers = [UInt32](repeating: 0, count: 4)
    while returned < bufferCount {
      while next < bufferCount, let slot = free.popLast() {
        let offset = Int(slot) * 16
        data.store(next, at: offset)
        data.store(UInt32(0), at: offset + 8)
        numbers[Int(slot)] = next
        let segments: [2 of DMASegment] = [
          data.segment(at: offset, byteCount: 4), data.segment(at: offset + 8, byteCount: 4),
        ]
        guard queue.submit(segments.span, readableCount: 1, token: slot) else { return false }
        next += 1
        if next % 3 == 0 { break }
      }
      let seen = signals.usedBuffer.load(ordering: .acquiring)
      if queue.publish() { signals.availableBuffer.add(1, ordering: .releasing) }
      while let used = try queue.reclaim() {
        let answer = data.load(UInt32.self, at: Int(used.token) * 16 + 8)
        guard used.byteCount == 4, answer == ~numbers[Int(used.token)] else { return false }
        free.append(used.token)
        returned += 1
      }
      if queue.inFlight != 0 && (free.isEmpty || next == bufferCount) && !queue.enableNotifications() {
        // Nothing is used yet and a notification was asked for: it has to come.
        guard spin(seconds: patience, until: { signals.usedBuffer.load(ordering: .acquiring) != seen }) else {
          return false
        }
      }
    }
    return true
  }

  @Test(arguments: [.none, .eventIndex, .eventIndex | .inOrder] as [Features])
  func `2.7.13 two threads lose no buffer, no byte and no notification`(_ features: Features) throws {
    try Self.run(features)
  }

  @Test(arguments: [.ringPacked, .ringPacked | .eventIndex] as [Features])
  func `2.8.21 two threads lose no buffer, no byte and no notification`(_ features: Features) throws {
    try Self.run(features)
  }

  @Test(arguments: [.eventIndex | .orderPlatform, .ringPacked | .eventIndex | .orderPlatform] as [Features])
  func `6.1 with ORDER_PLATFORM two threads lose no buffer, no byte and no notification`(
    _ features: Features
  ) throws {
    try Self.run(features)
  }

  private static func run(_ features: Features) throws {
    let memory = TestMemory()
    let signals = Signals()
    var arena = memory.arena()
    var queue = DriverVirtqueue(index: 0, size: 8, features: features | .version1, from: &arena)!
    let data = arena.allocateShared(byteCount: 64, alignment: 64)!
    let addresses = queue.addresses
    let negotiated = features | .version1
    nonisolated(unsafe) let guest = memory.guest
    let device = PeerThread { Self.serve(unsafe guest, addresses, negotiated, signals) }
    let isComplete = try Self.drive(&queue, data, signals)
    signals.isDone.store(true, ordering: .releasing)
    device.join()
    #expect(isComplete && signals.faults.load(ordering: .relaxed) == 0)
    withExtendedLifetime(memory) {}
  }
}
