// A device that looks at the ring by itself for a while: the driver sends no notifications then, and none is
// missed after it.

import TestSupport
import Testing
import Virtio

@Suite struct `A polled queue` {
  /// A driver and a device over one memory; the device does what the test says.
  private final class Pair {
    private let memory = TestMemory()
    private var driver: DriverVirtqueue
    private var device: DeviceVirtqueue
    private let data: DMABuffer

    init(_ features: Features) throws {
      var arena = memory.arena()
      driver = DriverVirtqueue(index: 0, size: 4, features: features, indirectCapacity: 4, from: &arena)!
      data = arena.allocateShared(byteCount: 64, alignment: 16)!
      device = DeviceVirtqueue(maximumSize: 4, memory: memory.guest)
      try device.makeReady(size: 4, at: driver.addresses, features: features)
    }

    /// Submits `count` buffers. Whether the driver would notify the device of them.
    func submit(_ count: UInt32 = 1) -> Bool {
      let segment = data.segment(at: 0, byteCount: 16)
      for token in 0..<count { _ = driver.submit(segment, deviceWritable: true, token: token) }
      return driver.publish()
    }

    /// Uses all that is there, and lets the driver take it back. Whether the device has more to do.
    func serve() throws -> Bool {
      while let chain = try device.next() { try device.use(chain, written: 1) }
      let hasMore = device.endService()
      while try driver.reclaim() != nil {}
      return hasMore
    }

    var sees: Bool { device.seesAvailable }
    func stop() { device.stopNotifications() }
    func start() -> Bool { device.startNotifications() }
    func reset() { device.reset() }
  }

  @Test(arguments: [.none, .ringPacked] as [Features])
  func `sends no notifications while it is polled, and misses nothing after it`(_ format: Features) throws {
    let pair = try Pair(format | .eventIndex)
    _ = pair.submit()
    #expect(try !pair.serve())
    #expect(pair.submit())
    #expect(try !pair.serve())
    // All the way around the ring, several times.
    for round in 0..<20 {
      pair.stop()
      for count in [1, 3, 4, 2] as [UInt32] {
        #expect(!pair.sees)
        #expect(!pair.submit(count), "round \(round)")
        #expect(pair.sees)
        #expect(try !pair.serve())
      }
      // Nothing came meanwhile: the next one is announced.
      #expect(!pair.start())
      #expect(!pair.start())
      #expect(pair.submit(), "round \(round)")
      #expect(try !pair.serve())
      // Something came: nobody announces it.
      pair.stop()
      #expect(!pair.submit())
      #expect(pair.start())
      #expect(try !pair.serve())
    }
  }

  @Test func `is notified as ever without EVENT_IDX, and when it was reset meanwhile`() throws {
    let pair = try Pair(.none)
    pair.stop()
    #expect(pair.submit())
    #expect(pair.sees)
    #expect(!pair.start())
    let other = try Pair(.eventIndex)
    other.stop()
    other.reset()
    #expect(!other.sees)
    #expect(!other.start())
  }
}
