// The entropy driver on QEMU's entropy device.

import DeviceTypes
import QTestSupport
import TestSupport
import Testing
import Virtio
import Wire

@Suite(.serialized) struct `Entropy on QEMU` {
  @Test(arguments: ringFeatureMatrix)
  func `every byte of the host's source arrives once and in order`(_ features: Features) throws {
    let truth = (0..<20_000).map { UInt8(truncatingIfNeeded: ($0 &* 31) ^ ($0 >> 8)) }
    let file = try HostFile(truth)
    let qemu = try QEMU(Machine.entropy(file: file.path, options: Machine.allRingFeatures))
    let drawn = try qemu.run { qemu in
      var arena = qemu.ram.arena()
      var driver = try unwrap(
        try EntropyDriver(
          MMIODriverTransport(QTestRegisters(qemu)), memory: &arena, bufferByteCount: 1024,
          ringFeatures: features))
      #expect(driver.transport.features == features | .version1)
      var drawn: [UInt8] = []
      var wanted = 1
      while drawn.count < 12_000 {
        let isStarted = try driver.request(byteCount: wanted)
        #expect(isStarted)
        var chunk = ByteArray<1024>()
        var count = 0
        try qemu.wait(for: "entropy") {
          try driver.acknowledgeInterrupt()
          var bytes = chunk.mutableBytes
          guard let got = try driver.receive(into: &bytes) else { return false }
          count = got
          return true
        }
        #expect(count > 0 && count <= wanted)
        for i in 0..<count { drawn.append(chunk[i]) }
        wanted = wanted * 7 % 1021 + 1
      }
      try driver.shutDown()
      return drawn
    }
    #expect(drawn == Array(truth.prefix(drawn.count)))
  }
}
