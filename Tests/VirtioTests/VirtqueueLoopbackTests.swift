// Our driver on our device over one RAM, in every combination of ring features.

import Testing
import TestSupport
import Virtio
import Wire

/// Copies the device-readable bytes of each buffer, each plus one, to its device-writable part.
struct EchoDevice: VirtioDevice, ~Copyable {
  var deviceID: DeviceID { DeviceID(42) }
  var usesBuffersInOrder: Bool { true }
  func queueSizeMax(_ index: Int) -> UInt16 { index == 0 ? 64 : 0 }

  mutating func process(queue index: Int, _ context: inout DeviceContext) throws(DriverFault) {
    while var chain = try context.queues[index].next() {
      var bytes = ByteArray<4>()
      try chain.read(&bytes, context.queues[index])
      for i in 0..<4 { bytes[i] &+= 1 }
      try chain.write(bytes, context.queues[index])
      try context.queues[index].use(chain, written: 4)
    }
  }
}

@Suite struct VirtqueueLoopbackTests {
  @Test(arguments: ringFeatureMatrix)
  func echo(_ features: Features) throws {
    let memory = TestMemory()
    let bench = Bench<EchoDevice, 2>(EchoDevice(), memory)
    var arena = memory.arena()
    var transport = try MMIODriverTransport(bench.registers)
    let id = transport.deviceID
    #expect(id == DeviceID(42))
    let negotiated = try transport.negotiate(supported: features)
    #expect(negotiated == features | .version1)
    let size = try transport.queueSize(0, wanted: 16)
    let absent = transport.queueSizeMax(1)
    #expect(absent == 0)
    var queue = DriverVirtqueue(
      index: 0, size: size, features: negotiated, indirectCapacity: 4, from: &arena)!
    try transport.enable(queue)
    try transport.start()
    let data = arena.allocateShared(byteCount: 16 * 16, alignment: 16)!
    for round in 0..<100 {
      var submitted = 0
      // Three elements each: split reads and writes across descriptors.
      while queue.hasRoom(for: 3) && submitted < 16 {
        let base = submitted * 16
        data.store(UInt32(round * 64 + submitted), at: base)
        let segments: [3 of DMASegment] = [
          data.segment(at: base, byteCount: 4), data.segment(at: base + 4, byteCount: 1),
          data.segment(at: base + 5, byteCount: 3),
        ]
        let accepted = queue.submit(segments.span, readableCount: 1, token: UInt32(submitted))
        #expect(accepted)
        submitted += 1
      }
      #expect(submitted >= 5)
      if queue.publish() { transport.notify(queue) }
      var reclaimed = 0
      while let used = try queue.reclaim() {
        #expect(used.token == UInt32(reclaimed))
        #expect(used.byteCount == 4)
        let base = Int(used.token) * 16
        for i in 0..<4 {
          #expect(data.load(UInt8.self, at: base + 4 + i) == data.load(UInt8.self, at: base + i) &+ 1)
        }
        reclaimed += 1
      }
      #expect(reclaimed == submitted)
      let free = queue.freeCount
      #expect(free == size)
    }
    #expect(bench.transport.fault == nil)
    #expect(bench.transport.line.eventCount > 0)
  }
}
