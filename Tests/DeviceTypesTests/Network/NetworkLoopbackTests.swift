// Our network driver on our network device, in every combination of ring features.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

@Suite struct NetworkLoopbackTests {
  private func makeDriver(
    _ bench: NetworkBench, _ memory: TestMemory, _ features: Features, _ settings: NetworkDriverSettings
  ) throws -> LoopbackNetworkDriver<1> {
    var arena = memory.arena()
    return try LoopbackNetworkDriver<1>(
      try MMIODriverTransport(bench.registers), memory: &arena, settings: settings, ringFeatures: features)!
  }

  private func settings(mergeable: Bool) -> NetworkDriverSettings {
    let features = NetworkDriverSettings.simpleFeatures
    return NetworkDriverSettings(
      features: mergeable ? features : features.subtracting(NetworkFeature.mergeableBuffers),
      receiveBufferCount: 32, receiveBufferByteCount: 64)
  }

  @Test(arguments: ringFeatureMatrix, [false, true])
  func `frames arrive whole and in order`(_ features: Features, _ mergeable: Bool) throws {
    let memory = TestMemory()
    let link = TestLink()
    let bench = NetworkBench(makeNetworkDevice(link), memory)
    var driver = try makeDriver(bench, memory, features, settings(mergeable: mergeable))
    #expect(bench.transport.driverFeatures.contains(features))
    #expect(driver.address == deviceMAC)
    for round in 0..<60 {
      let lengths = [60, 14 + round, 1514, 100 + 20 * round]
      // Out.
      for (index, length) in lengths.enumerated() {
        let submission = try driver.transmit(frame(byteCount: length, seed: round + index))
        #expect(submission == .accepted)
      }
      #expect(link.sent.count == 4)
      for (index, length) in lengths.enumerated() {
        #expect(link.sent[index].bytes == frame(byteCount: length, seed: round + index))
        #expect(link.sent[index].offload == .complete)
      }
      link.sent = []
      let isIdle = try driver.transmissionIsComplete()
      #expect(isIdle)
      // In, also what does not fit the ring at once.
      for (index, length) in lengths.enumerated() {
        link.offer(frame(byteCount: length, seed: round - index))
      }
      bench.transport.poll()
      for (index, length) in lengths.enumerated() {
        let received = try driver.receive()
        #expect(received?.bytes == frame(byteCount: length, seed: round - index))
        #expect(received?.offload == NetworkOffload())
      }
      let none = try driver.receive()
      #expect(none == nil)
    }
    #expect(bench.transport.fault == nil)
    #expect(bench.transport.device.droppedReceiveCount == 0)
    try driver.shutDown()
    #expect(bench.transport.status == .reset)
  }
}
