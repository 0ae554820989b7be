// The driver side's virtqueue on QEMU's device side, by way of its entropy device, in every combination of
// ring features.

import QTestSupport
import TestSupport
import Testing
import Virtio

@Suite(.serialized) struct `Virtqueues on QEMU` {
  @Test(arguments: ringFeatureMatrix)
  func `buffers of several segments come back filled`(_ features: Features) throws {
    let qemu = try QEMU(Machine.entropy(options: Machine.allRingFeatures))
    try qemu.run { qemu in
      var arena = qemu.ram.arena()
      var transport = try MMIODriverTransport(QTestRegisters(qemu))
      let negotiated = try transport.negotiate(supported: features)
      #expect(negotiated == features | .version1)
      var queue = DriverVirtqueue(
        index: 0, size: 8, features: negotiated, indirectCapacity: 4, from: &arena)!
      try transport.enable(queue)
      try transport.start()
      let data = arena.allocateShared(byteCount: 4096, alignment: 64)!
      // QEMU's rng answers one buffer of a batch after the other; the ring wraps several times.
      for round in 0..<20 {
        data.zero()
        for token in 0..<2 {
          let start = token * 64
          let segments: [3 of DMASegment] = [
            data.segment(at: start, byteCount: 16), data.segment(at: start + 16, byteCount: 8),
            data.segment(at: start + 24, byteCount: 40),
          ]
          let isAccepted = queue.submit(segments.span, readableCount: 0, token: UInt32(token))
          #expect(isAccepted)
        }
        if queue.publish() { transport.notify(queue) }
        for token in 0..<2 as Range<UInt32> {
          var used: UsedBuffer?
          try qemu.wait(for: "buffer \(token) of round \(round)") {
            _ = transport.takeInterrupts()
            used = try queue.reclaim()
            return used != nil
          }
          #expect(used?.token == token && used?.byteCount == 64)
        }
        let bytes = (0..<128).map { data.load(UInt8.self, at: $0) }
        #expect(bytes.filter { $0 != 0 }.count > 64)
      }
      let needsReset = transport.needsReset
      #expect(!needsReset)
      try transport.reset()
    }
  }
}
