// Our entropy driver on our entropy device, in every combination of ring features.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

@Suite struct EntropyLoopbackTests {
  @Test(arguments: ringFeatureMatrix)
  func `bytes arrive in order, with an interrupt for each request`(_ features: Features) throws {
    let memory = TestMemory()
    let bench = EntropyBench(EntropyDevice(backend: CountingEntropy()), memory)
    var arena = memory.arena()
    var driver = try EntropyDriver(
      try MMIODriverTransport(bench.registers), memory: &arena, bufferByteCount: 64, ringFeatures: features)!
    #expect(bench.transport.driverFeatures == features | .version1)
    var expected: UInt8 = 1
    for round in 1...60 {
      // Every third request waits for its bytes.
      bench.transport.device.backend.remaining = round % 3 == 0 ? 0 : 1000
      let isStarted = try driver.request(byteCount: round)
      #expect(isStarted)
      bench.transport.device.backend.remaining = 1000
      bench.transport.poll()
      #expect(bench.transport.line.eventCount == round)
      try driver.acknowledgeInterrupt()
      let isAsserted = bench.transport.line.isAsserted
      #expect(!isAsserted)
      var bytes = ByteArray<64>()
      var target = bytes.mutableBytes
      let count = try driver.receive(into: &target)
      #expect(count == round)
      for i in 0..<round {
        #expect(bytes[i] == expected)
        expected = expected == 255 ? 1 : expected + 1
      }
    }
    #expect(bench.transport.fault == nil)
    try driver.shutDown()
    #expect(bench.transport.status == .reset)
  }
}
