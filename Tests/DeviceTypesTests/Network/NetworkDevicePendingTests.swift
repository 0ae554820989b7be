// Frames of the network device that its backend sends later than it takes them.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

@Suite struct NetworkDevicePendingTests {
  private func rig(_ features: Features = .none) -> NetworkRig {
    var rig = NetworkRig()
    rig.start(features)
    rig.link.isSlow = true
    return rig
  }

  private func send(_ rig: inout NetworkRig, _ count: Int) {
    for seed in 0..<count { rig.transmit(.with(), frame(seed: seed)) }
  }

  private func usedCount(_ rig: NetworkRig) -> UInt16 { rig.driver.usedIndex(NetworkRig.transmitQueue) }

  @Test func `a buffer is used when its frame was sent`() {
    var rig = rig()
    send(&rig, 3)
    #expect(rig.link.sent.count == 3 && usedCount(rig) == 0)
    let tags = rig.link.pending
    #expect(Set(tags).count == 3 && tags.allSatisfy { $0 < 64 })
    rig.bench.transport.poll()
    #expect(usedCount(rig) == 0)
    let events = rig.bench.transport.line.eventCount
    rig.link.finish(tags[0])
    rig.bench.transport.poll()
    #expect(usedCount(rig) == 1 && rig.bench.transport.line.eventCount == events + 1)
    #expect(rig.driver.used(1, 0).byteCount == 0)
    rig.link.finish(tags[1])
    rig.link.finish(tags[2])
    rig.bench.transport.poll()
    #expect(usedCount(rig) == 3)
  }

  @Test func `buffers are used in their order whatever that of the ends is`() {
    for features in [Features.none, .inOrder] {
      var rig = rig(features)
      send(&rig, 4)
      let tags = rig.link.pending
      for (index, expected) in [(3, 0), (1, 0), (0, 2), (2, 4)] as [(Int, UInt16)] {
        rig.link.finish(tags[index])
        rig.bench.transport.poll()
        #expect(usedCount(rig) == expected)
      }
      for position in 0..<4 as Range<UInt16> {
        #expect(rig.driver.used(1, position).id == UInt32(position))
      }
    }
  }

  @Test func `with IN_ORDER a frame that was sent at once waits for those before it`() {
    for (features, before) in [(Features.none, 2), (.inOrder, 0)] as [(Features, UInt16)] {
      var rig = rig(features)
      send(&rig, 1)
      rig.link.isSlow = false
      send(&rig, 1)
      // One that is malformed is done at once too.
      rig.transmit(.with(flags: 1), frame())
      #expect(usedCount(rig) == before)
      rig.link.finish(rig.link.pending[0])
      rig.bench.transport.poll()
      #expect(usedCount(rig) == 3 && rig.fault == nil)
    }
  }

  @Test func `a tag that ends twice, or of no frame, changes nothing`() {
    var rig = rig()
    send(&rig, 2)
    let tags = rig.link.pending
    for tag in [tags[1], tags[1], 63, 64, .max] { rig.link.finish(tag) }
    rig.bench.transport.poll()
    #expect(usedCount(rig) == 0)
    rig.link.finish(tags[0])
    rig.bench.transport.poll()
    #expect(usedCount(rig) == 2)
  }

  @Test func `beyond 64 frames the queue waits`() throws {
    let memory = TestMemory()
    let link = TestLink()
    link.isSlow = true
    let bench = NetworkBench(makeNetworkDevice(link), memory)
    var arena = memory.arena()
    var driver = try LoopbackNetworkDriver<1>(
      try MMIODriverTransport(bench.registers), memory: &arena,
      settings: NetworkDriverSettings(transmitBufferCount: 128))!
    for seed in 0..<100 {
      let submission = try driver.transmit(frame(seed: seed))
      #expect(submission == .accepted)
    }
    #expect(link.sent.count == 64)
    while let tag = link.pending.first {
      link.finish(tag)
      bench.transport.poll()
    }
    #expect(link.sent.map { $0.bytes } == (0..<100).map { frame(seed: $0) })
    let isIdle = try driver.transmissionIsComplete()
    #expect(isIdle)
  }

  @Test(arguments: [Features.none, .inOrder])
  func `a reset completes once the backend let go`(_ features: Features) {
    var rig = rig(features)
    send(&rig, 3)
    let tags = rig.link.pending
    rig.link.finish(tags[1])
    rig.bench.registers.write32(0, MMIORegister.status)
    #expect(rig.bench.registers.read32(MMIORegister.status) != 0)
    #expect(rig.link.cancelled == tags)
    rig.link.finish(tags[2])
    #expect(rig.bench.registers.read32(MMIORegister.status) != 0)
    rig.link.finish(tags[0])
    #expect(rig.bench.registers.read32(MMIORegister.status) == 0)
    #expect(usedCount(rig) == 0)
    // As new.
    rig.link.isSlow = false
    rig.start(features)
    let before = rig.link.sent.count
    send(&rig, 2)
    #expect(rig.link.sent.count == before + 2 && usedCount(rig) == 2)
  }

  @Test(arguments: [Features.none, .inOrder])
  func `a queue reset forgets the frames of its queue`(_ features: Features) {
    var rig = rig(features | .ringReset)
    send(&rig, 2)
    let tags = rig.link.pending
    rig.bench.registers.write32(1, MMIORegister.queueSelect)
    rig.bench.registers.write32(1, MMIORegister.queueReset)
    #expect(rig.bench.registers.read32(MMIORegister.queueReset) == 1)
    for tag in tags.reversed() { rig.link.finish(tag) }
    #expect(rig.bench.registers.read32(MMIORegister.queueReset) == 0)
    #expect(usedCount(rig) == 0 && rig.fault == nil)
  }

  @Test func `a notification takes no frame beyond the limit of bytes, and the rest later`() throws {
    let memory = TestMemory(byteCount: 1 << 22)
    let link = TestLink()
    let bench = NetworkBench(makeNetworkDevice(link), memory)
    var arena = memory.arena()
    var driver = try LoopbackNetworkDriver<1>(
      try MMIODriverTransport(bench.registers), memory: &arena,
      settings: NetworkDriverSettings(transmitBufferCount: 24, transmitByteCount: 65535))!
    bench.transport.defersNotifications = true
    for _ in 0..<20 {
      let submission = try driver.transmit(frame(byteCount: 65535))
      #expect(submission == .accepted)
    }
    let isLeft = bench.transport.run()
    #expect(isLeft && link.sent.count == 17)
    let isStillLeft = bench.transport.run()
    #expect(!isStillLeft && link.sent.count == 20)
  }
}
