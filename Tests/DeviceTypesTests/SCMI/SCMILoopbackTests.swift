// Our SCMI driver on our SCMI device, in every combination of ring features.

import DeviceTypes
import TestSupport
import Testing
import Virtio
import Wire

@Suite struct SCMILoopbackTests {
  @Test(arguments: ringFeatureMatrix)
  func `commands, responses and events arrive`(_ features: Features) throws {
    let memory = TestMemory()
    let bench = SCMIBench(SCMIDevice(backend: ScriptedPlatform()), memory)
    var arena = memory.arena()
    var driver = try SCMIDriver(
      try MMIODriverTransport(bench.registers), memory: &arena, ringFeatures: features)!
    #expect(bench.transport.driverFeatures == features | SCMIFeature.platformToAgent | .version1)
    #expect(bench.transport.device.backend.starts == [true])
    bench.transport.device.backend.echoesEvents = true
    var target = ByteArray<136>()
    for round in 0..<60 as Range<UInt8> {
      let payload = [UInt8](repeating: round, count: Int(round))
      var numbers: [UInt32] = []
      for _ in 0..<(1 + round % 8) {
        let number = try unsafe driver.send(scmiMessage(payload).span.bytes)  // bytes have no padding
        numbers.append(try #require(number))
      }
      #expect(bench.transport.line.isAsserted)
      try driver.acknowledgeInterrupt()
      for number in numbers {
        var span = target.mutableBytes
        let response = try driver.receive(into: &span)
        #expect(response?.command == number && response?.byteCount == 8 + payload.count)
        #expect((8..<8 + payload.count).allSatisfy { target[$0] == round })
        var eventSpan = target.mutableBytes
        let count = try driver.receiveEvent(into: &eventSpan)
        #expect(count == 4 + payload.count && target[1] == 3)
      }
      var span = target.mutableBytes
      #expect(try driver.receive(into: &span) == nil)
      #expect(try driver.receiveEvent(into: &span) == nil)
    }
    #expect(bench.transport.fault == nil)
    let resetCount = bench.transport.device.backend.resetCount
    try driver.shutDown()
    #expect(bench.transport.device.backend.resetCount == resetCount + 1)
  }

  @Test(arguments: ringFeatureMatrix)
  func `events in excess of buffers are delivered as buffers come back`(_ features: Features) throws {
    let memory = TestMemory()
    let bench = SCMIBench(SCMIDevice(backend: ScriptedPlatform()), memory)
    var arena = memory.arena()
    var driver = try SCMIDriver(
      try MMIODriverTransport(bench.registers), memory: &arena, ringFeatures: features)!
    bench.transport.device.backend.events = (0..<100).map { scmiMessage(type: 2, [0, 0, 0, 0, $0]) }
    bench.transport.poll()
    #expect(bench.transport.device.backend.events.count == 92)
    var target = ByteArray<136>()
    for round in 0..<100 as Range<UInt8> {
      var span = target.mutableBytes
      let count = try driver.receiveEvent(into: &span)
      #expect(count == 9 && target[8] == round)
    }
    #expect(bench.transport.device.backend.events.isEmpty)
  }
}
