// Queues whose buffers wait until the device has a use for them, such as receive queues.

import Testing
import TestSupport
import Virtio

/// Both sides of one queue of 8 descriptors over one RAM.
private struct Pair: ~Copyable {
  let memory = TestMemory()
  var driver: DriverVirtqueue
  var device: DeviceVirtqueue
  let data: DMABuffer

  init(_ features: Features) throws {
    var arena = memory.arena()
    driver = DriverVirtqueue(index: 0, size: 8, features: features, indirectCapacity: 4, from: &arena)!
    data = arena.allocateShared(byteCount: 64, alignment: 16)!
    device = DeviceVirtqueue(maximumSize: 8, memory: memory.guest)
    try device.makeReady(size: 8, at: driver.addresses, features: features)
  }

  /// Adds `count` buffers; whether the device would be notified.
  mutating func add(_ count: Int) -> Bool {
    for i in 0..<count {
      let accepted = driver.submit(
        data.segment(at: 8 * i, byteCount: 8), deviceWritable: true, token: UInt32(i))
      #expect(accepted)
    }
    return driver.publish()
  }

  /// Takes up to `count` buffers and puts them back; how many there were.
  mutating func tryToTake(_ count: Int) throws -> Int {
    if count == 0 { return 0 }
    guard let chain = try device.next() else { return 0 }
    let parked = try device.park(chain)
    let more = try tryToTake(count - 1)
    device.giveBack(parked)
    return more + 1
  }
}

@Suite struct OnDemandQueueTests {
  @Test(arguments: ringFeatureMatrix)
  func `buffers that wait are no work`(_ features: Features) throws {
    var pair = try Pair(features)
    _ = pair.add(3)
    let untouched = pair.device.endService()
    #expect(!untouched)
    let taken = try pair.tryToTake(2)
    #expect(taken == 2)
    let stopped = pair.device.endService()
    #expect(!stopped)
  }

  @Test(arguments: ringFeatureMatrix)
  func `the next buffer after running short is notified`(_ features: Features) throws {
    var pair = try Pair(features)
    // Around the ring several times, so that wrap counters change.
    for _ in 0..<9 {
      _ = pair.add(2)
      let taken = try pair.tryToTake(3)
      #expect(taken == 2)
      let pending = pair.device.endService()
      #expect(!pending)
      let isNotified = pair.add(1)
      #expect(isNotified)
      for _ in 0..<3 {
        let chain = try pair.device.next()!
        try pair.device.use(chain, written: 1)
      }
      _ = pair.device.endService()
      for _ in 0..<3 {
        let used = try pair.driver.reclaim()
        #expect(used?.byteCount == 1)
      }
    }
  }

  @Test(arguments: ringFeatureMatrix)
  func `a buffer that came while running short is work`(_ features: Features) throws {
    var pair = try Pair(features)
    _ = pair.add(2)
    let taken = try pair.tryToTake(3)
    #expect(taken == 2)
    _ = pair.add(1)
    let pending = pair.device.endService()
    #expect(pending)
  }

  @Test(arguments: ringFeatureMatrix)
  func `used buffer notifications come when they are asked for, and only then`(_ features: Features) throws {
    var pair = try Pair(features)
    for round in 0..<20 {
      let isWanted = round & 1 == 0
      if isWanted {
        let isUsed = pair.driver.enableNotifications()
        #expect(!isUsed)
      } else {
        pair.driver.disableNotifications()
      }
      _ = pair.add(1)
      let chain = try pair.device.next()!
      try pair.device.use(chain, written: 1)
      pair.device.notificationIsDue = false
      _ = pair.device.endService()
      #expect(pair.device.notificationIsDue == isWanted)
      let used = try pair.driver.reclaim()
      #expect(used != nil)
    }
  }
}
