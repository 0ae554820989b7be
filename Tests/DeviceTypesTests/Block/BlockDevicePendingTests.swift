// Requests that stay with the backend for a while: out of order, in order, called off, too many.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

@Suite struct BlockDevicePendingTests {
  /// Heads of the used ring of queue 0, in order.
  private func heads(_ rig: BlockRig) -> [UInt32] {
    (0..<rig.driver.usedIndex(0)).map { rig.driver.used(0, $0).id }
  }

  private func busyRig(_ more: Features = .none, queueCount: Int = 1) -> BlockRig {
    var rig = BlockRig(queueCount: queueCount)
    rig.start(more: more, queues: 0..<queueCount)
    rig.script.answer = .wait
    return rig
  }

  @Test func `requests end in any order`() {
    var rig = busyRig()
    for n in 0..<3 { rig.send(0, sector: UInt64(n), writable: 512, n: n) }
    rig.bench.transport.poll()
    #expect(heads(rig) == [])
    #expect((0..<3).map { rig.status($0) } == [0xee, 0xee, 0xee])
    rig.script.end(2)
    rig.bench.transport.poll()
    #expect(heads(rig) == [8])
    rig.script.end(0, fault: .inputOutput)
    rig.bench.transport.poll()
    #expect(heads(rig) == [8, 0])
    #expect((0..<3).map { rig.status($0) } == [1, 0xee, 0])
    #expect(rig.data(512, 2) == ScriptedDisk.original(2))
    rig.script.end()
    rig.bench.transport.poll()
    #expect(heads(rig) == [8, 0, 4])
    #expect(rig.driver.used(0, 2).byteCount == 513)
  }

  @Test func `with IN_ORDER what ends early waits for what came before`() {
    var rig = busyRig(.inOrder)
    #expect(rig.bench.transport.driverFeatures.contains(.inOrder))
    for n in 0..<3 { rig.send(0, sector: UInt64(n), writable: 512, n: n) }
    // This one ends at once, and yet comes last.
    rig.script.answer = .finish
    rig.send(0, sector: 3, writable: 512, n: 3)
    #expect(rig.data(512, 3) == ScriptedDisk.original(3))
    rig.script.end(1)
    rig.bench.transport.poll()
    #expect(heads(rig) == [])
    #expect((0..<4).map { rig.status($0) } == [0xee, 0xee, 0xee, 0xee])
    rig.script.end(0)
    rig.bench.transport.poll()
    #expect(heads(rig) == [0, 4])
    rig.script.end(0)
    rig.bench.transport.poll()
    #expect(heads(rig) == [0, 4, 8, 12])
    #expect((0..<4).map { rig.status($0) } == [0, 0, 0, 0])
    // Nothing is held any more: the next one goes straight through.
    rig.send(0, sector: 4, writable: 512, n: 4)
    #expect(heads(rig) == [0, 4, 8, 12, 16])
  }

  @Test func `with IN_ORDER the queues do not wait for each other`() {
    var rig = busyRig(.inOrder, queueCount: 2)
    rig.send(0, writable: 512, n: 0, queue: 0)
    rig.send(0, writable: 512, n: 1, queue: 1)
    rig.script.end(1)
    rig.bench.transport.poll()
    #expect(rig.driver.usedIndex(0) == 0)
    #expect(rig.driver.usedIndex(1) == 1)
  }

  @Test(arguments: [.none, .ringPacked] as [Features])
  func `a busy backend is asked again when it has news`(format: Features) throws {
    let memory = TestMemory()
    let script = DiskScript()
    let bench = BlockRig.TestBench(BlockDevice(backend: ScriptedDisk(script)), memory)
    var arena = memory.arena()
    var transport = try MMIODriverTransport(bench.registers)
    let features = try transport.negotiate(supported: format)
    var queue = DriverVirtqueue(index: 0, size: 16, features: features, from: &arena)!
    try transport.enable(queue)
    try transport.start()
    let buffer = arena.allocateShared(byteCount: 4096, alignment: 16)!
    script.answer = .busy
    let segments: [3 of DMASegment] = [
      buffer.segment(at: 0, byteCount: 16), buffer.segment(at: 512, byteCount: 512),
      buffer.segment(at: 16, byteCount: 1),
    ]
    for token in 0..<2 as Range<UInt32> {
      _ = queue.submit(segments.span, readableCount: 1, token: token)
      if queue.publish() { transport.notify(queue) }
    }
    for _ in 0..<3 {
      bench.transport.poll()
      // Waiting for the backend is no work for the embedder.
      let hasWork = bench.transport.hasWork
      #expect(!hasWork)
      let none = try queue.reclaim()
      #expect(none == nil)
    }
    script.answer = .finish
    bench.transport.poll()
    let first = try queue.reclaim()
    let second = try queue.reclaim()
    #expect(first?.token == 0 && second?.token == 1)
    #expect(script.log == [.read(0), .read(0)])
  }

  @Test func `more requests than can be held stay in the ring`() {
    var rig = busyRig(queueCount: 4)
    for n in 0..<64 { rig.send(0, sector: UInt64(n), writable: 512, n: n % 16, queue: n / 16) }
    #expect(rig.script.waiting.count == 64)
    rig.send(0, sector: 1, writable: 512, n: 0, queue: 0)
    #expect(rig.script.waiting.count == 64)
    let hasWork = rig.bench.transport.hasWork
    #expect(!hasWork)
    rig.script.end(63)
    rig.bench.transport.poll()
    #expect(rig.driver.usedIndex(3) == 1)
    #expect(rig.script.waiting.count == 64)
    while !rig.script.waiting.isEmpty { rig.script.end() }
    rig.bench.transport.poll()
    #expect((0..<4).map { rig.driver.usedIndex($0) } == [17, 16, 16, 16])
    #expect(rig.bench.transport.fault == nil)
  }

  @Test func `a reset waits for the backend, and nothing late reaches the driver`() {
    var rig = busyRig()
    rig.send(0, sector: 1, writable: 512, n: 0)
    rig.send(0, sector: 2, writable: 512, n: 1)
    let tags = rig.script.waiting.map(\.tag)
    rig.driver.registers.write32(0, MMIORegister.status)
    #expect(rig.script.cancelled == tags)
    #expect(rig.driver.status != .reset)
    rig.script.end()
    #expect(rig.driver.status != .reset)
    rig.script.end()
    // Reading the status looks for news of the backend.
    #expect(rig.driver.status == .reset)
    #expect(rig.data(512) == Array(repeating: 0, count: 512))
    #expect((0..<2).map { rig.status($0) } == [0xee, 0xee])
    rig.start()
    rig.script.answer = .finish
    rig.send(0, sector: 3, writable: 512)
    #expect(rig.driver.usedIndex(0) == 1)
    #expect(rig.data(512) == ScriptedDisk.original(3))
  }

  @Test func `completions of an earlier life, or of nothing, are ignored`() {
    var rig = busyRig()
    rig.send(0, sector: 1, writable: 512)
    let old = rig.script.waiting[0].tag
    rig.script.end()
    rig.bench.transport.poll()
    #expect(rig.driver.usedIndex(0) == 1)
    rig.send(0, sector: 2, writable: 512, n: 1)
    #expect(rig.script.waiting[0].tag != old)
    rig.script.strayTags = [old, 0, 63, 64, 255, .max]
    rig.bench.transport.poll()
    #expect(rig.driver.usedIndex(0) == 1)
    #expect(rig.status(1) == 0xee)
    rig.script.end()
    rig.bench.transport.poll()
    #expect(rig.driver.usedIndex(0) == 2)
  }

  @Test func `a reset of one queue leaves the others alone`() {
    var rig = busyRig(.ringReset, queueCount: 2)
    rig.send(0, sector: 1, writable: 512, n: 0, queue: 0)
    rig.send(0, sector: 2, writable: 512, n: 1, queue: 1)
    rig.driver.registers.write32(0, MMIORegister.queueSelect)
    rig.driver.registers.write32(1, MMIORegister.queueReset)
    #expect(rig.script.cancelled.count == 1)
    #expect(rig.driver.registers.read32(MMIORegister.queueReset) == 1)
    // The other queue's request ends meanwhile, and is used at the next poll.
    rig.script.end(1)
    #expect(rig.driver.registers.read32(MMIORegister.queueReset) == 1)
    rig.bench.transport.poll()
    #expect(rig.driver.usedIndex(1) == 1)
    #expect(rig.data(512, 1) == ScriptedDisk.original(2))
    rig.script.end(0)
    #expect(rig.driver.registers.read32(MMIORegister.queueReset) == 0)
    #expect(rig.data(512, 0) == Array(repeating: 0, count: 512))
    #expect(rig.status(0) == 0xee)
    rig.script.answer = .finish
    rig.driver.setUpQueue(0)
    rig.send(0, sector: 3, writable: 512, n: 0, queue: 0)
    #expect(rig.driver.usedIndex(0) == 1)
    #expect(rig.data(512, 0) == ScriptedDisk.original(3))
  }

  @Test func `what is done but held back is forgotten with its queue`() {
    var rig = busyRig(.inOrder | .ringReset)
    rig.send(0, sector: 1, writable: 512, n: 0)
    rig.send(0, sector: 2, writable: 512, n: 1)
    rig.script.end(1)
    rig.bench.transport.poll()
    rig.driver.registers.write32(1, MMIORegister.queueReset)
    rig.script.end(0)
    #expect(rig.driver.registers.read32(MMIORegister.queueReset) == 0)
    rig.driver.setUpQueue(0)
    rig.bench.transport.poll()
    #expect(rig.driver.usedIndex(0) == 0)
    #expect(rig.status(1) == 0xee)
    rig.script.answer = .finish
    rig.send(0, sector: 3, writable: 512, n: 0)
    #expect(heads(rig) == [0])
  }

  @Test func `after a fault of the driver the rest ends unseen`() {
    var rig = busyRig()
    rig.send(0, sector: 1, writable: 512, n: 0)
    rig.submit([Piece(BlockRig.header(1), 16)], first: 4)
    #expect(rig.driver.status.contains(.needsReset))
    rig.script.end()
    rig.bench.transport.poll()
    #expect(rig.driver.usedIndex(0) == 0)
    #expect(rig.status() == 0xee)
    rig.start()
    rig.script.answer = .finish
    rig.send(0, sector: 3, writable: 512)
    #expect(heads(rig) == [0])
  }

  @Test func `a suspension waits for what the backend has`() {
    var rig = busyRig(.suspend)
    rig.send(0, sector: 1, writable: 512, n: 0)
    rig.driver.registers.write32(31, MMIORegister.status)
    #expect(rig.driver.status.contains(.driverOK | .suspend))
    rig.script.end()
    rig.bench.transport.poll()
    #expect(heads(rig) == [0])
    #expect(!rig.driver.status.contains(.driverOK))
    // A completion with nobody waiting, and no ring touched while suspended.
    rig.bench.transport.poll()
    rig.driver.registers.write32(15, MMIORegister.status)
    rig.script.answer = .finish
    rig.send(0, sector: 2, writable: 512, n: 1)
    #expect(heads(rig) == [0, 4])
  }
}
