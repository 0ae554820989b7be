import DeviceTypes
import Host
import QTestSupport
import TestSupport
import Testing
import Virtio
import Wire

@Suite(.serialized) struct `Entropy over vhost-user` {
  @Test(arguments: [Features.none, .eventIndex, .ringPacked, .ringPacked | .eventIndex])
  func `bytes arrive, and never the same twice`(_ features: Features) throws {
    let served = try ServedDevice { EntropyDevice(backend: SystemEntropy()) }
    let devices = Machine.vhostUser(
      "vhost-user-rng", path: served.path, options: Machine.allRingFeatures)
    // The machine is gone before we wait for the end of its connection.
    try QEMU(devices).run { qemu in
      var arena = qemu.ram.arena()
      var driver = try unwrap(
        try EntropyDriver(
          MMIODriverTransport(QTestRegisters(qemu)), memory: &arena, bufferByteCount: 64,
          ringFeatures: features))
      var seen: Set<[UInt8]> = []
      for _ in 0..<20 {
        let isStarted = try driver.request(byteCount: 64)
        #expect(isStarted)
        var chunk = ByteArray<64>()
        var count = 0
        try qemu.wait(for: "entropy") {
          try driver.acknowledgeInterrupt()
          var bytes = chunk.mutableBytes
          guard let got = try driver.receive(into: &bytes) else { return false }
          count = got
          return true
        }
        #expect(count == 64)
        seen.insert((0..<64).map { chunk[$0] })
      }
      #expect(seen.count == 20)
      try driver.shutDown()
    }
    served.join()
  }
}
