// Random requests to a platform with every protocol: each is answered, and nothing traps.

import SCMI
import Testing
import Wire

/// A board with two resources of each kind, all of them with every feature that leads to more code.
func wholeBoard() -> TestBoard {
  let quantity = SensorQuantity(type: 2, exponent: -3)
  let level = PerformanceLevel(value: 10, power: 5, latencyMicroseconds: 1, frequencyKilohertz: 100)
  let high = PerformanceLevel(value: 20, power: 9, latencyMicroseconds: 1, frequencyKilohertz: 200)
  let cap = PowercapDomainDescription(
    interval: Adjustment(lowest: 1, highest: 9), cap: Adjustment(lowest: 1, highest: 3),
    sustainablePower: 3, isAsynchronous: true)
  let intervals = [UpdateInterval(1, exponent: -16), UpdateInterval(3, exponent: 15)]
  var sensor = TestSensor(
    description: SensorDescription(
      quantity: quantity, axisCount: 2, intervalCount: 2, timeStampExponent: -3, isAsynchronous: true,
      hasTripPoints: true, notifiesUpdates: true))
  sensor.axes = [quantity, quantity]
  sensor.axisNames = [SCMIName("x"), SCMIName("y")]
  sensor.values = [1, -1]
  sensor.intervals = intervals
  let clock = TestClock(rates: [1, 2, 3], rate: 1, parents: [0, 1], duty: 5)
  let range = TestClock(range: .range(lowest: 0, highest: .max, step: 1), rate: 1, parents: [1], duty: 5)
  let power = TestPower(description: PowerDomainDescription(isAsynchronous: true))
  var performance = TestPerformance(levels: [level, high])
  performance.channels = [5: FastChannel(address: 1), 6: FastChannel(address: 2)]
  var indexed = performance
  indexed.isIndexed = true
  let reset = TestReset(description: ResetDomainDescription(isAsynchronous: true))
  let voltage = TestVoltage(range: .range(lowest: .min, highest: .max, step: 1), isAsynchronous: true)
  return TestBoard(
    clocks: [clock, range], domains: [power, power], systemStates: [.shutdown, .coldReset],
    performance: [performance, indexed], resets: [reset, reset],
    voltages: [TestVoltage(levels: [1, 2], isAsynchronous: true), voltage], sensors: [sensor, sensor],
    powercaps: [TestPowercap(description: cap), TestPowercap(description: cap)],
    pins: TestPins(isThere: true))
}

/// Every kind of resource, with as many as an agent is given of it.
let wholeView: [(kind: ResourceKind, count: Int)] = [
  (.powerDomain, 2), (.performanceDomain, 2), (.clock, 2), (.sensor, 2), (.resetDomain, 2),
  (.voltageDomain, 2), (.powercapDomain, 2), (.pin, 4), (.pinGroup, 2), (.pinFunction, 2),
]

@Suite struct `SCMI noise` {
  private func wholeBench() -> (Bench, [AgentID]) {
    let bench = Bench(wholeBoard())
    let agents = [SCMIProfile.version32, .version20, .version32].enumerated().map { index, profile in
      bench.platform.addAgent(
        AgentDescription(
          name: SCMIName("agent"), profile: profile, hasPlatformToAgentChannel: index < 2,
          isTrusted: index == 0, systemPower: .controls))
    }
    for agent in agents {
      for (kind, count) in wholeView {
        for i in 0..<count { bench.platform.grant(kind, i, to: agent) }
      }
    }
    return (bench, agents)
  }

  /// A word that means something more often than not.
  private func word(_ random: inout Seeded) -> UInt32 {
    switch random.next(6) {
    case 0: UInt32(truncatingIfNeeded: random.next(1 << 31)) &* 2 &+ UInt32(random.next(2))
    case 1: 1 << UInt32(random.next(32))
    case 2: .max
    default: UInt32(random.next(4))
    }
  }

  /// A command, now and then cut short.
  private func request(_ random: inout Seeded) -> [UInt8] {
    let header = MessageHeader(
      ProtocolID(rawValue: UInt8(0x10 + random.next(11))), UInt8(random.next(18)),
      token: UInt16(random.next(1024)))
    var request = [header.word]
    for _ in 0..<random.next(6) { request.append(word(&random)) }
    var bytes = littleEndian(request)
    if random.next(16) == 0 { bytes.removeLast(random.next(5)) }
    return bytes
  }

  @Test(arguments: 1...16 as ClosedRange<UInt64>)
  func `every request is answered, and the next good one works`(_ seed: UInt64) {
    var random = Seeded(state: seed)
    let (bench, agents) = wholeBench()
    bench.board.isSlow = seed & 1 == 0
    for step in 0..<4000 {
      let agent = agents[random.next(3)]
      bench.capacity = random.next(4) == 0 ? 8 + random.next(129) : 136
      let bytes = request(&random)
      let reply = bench.exchange(bytes, from: agent)
      #expect(bytes.count < 4 ? reply.isEmpty : reply.count >= 8 && reply.count <= bench.capacity)
      if reply.count > 8 { #expect(words(reply)[1] == 0) }
      if random.next(3) == 0 { expectMessage(bench.next(for: agent)) }
      if random.next(8) == 0 { stir(bench, &random) }
      if step % 500 == 499 { bench.platform.resetAgent(agent) }
    }
    bench.capacity = 136
    for agent in agents { bench.platform.resetAgent(agent) }
    #expect(bench.send(.base, 11, 2, 1, from: agents[0]) == .done)
    #expect(bench.send(.clock, 1, from: agents[1]).status == .success)
    #expect(bench.send(.base, 0, from: agents[2]) == .words(0x20001))
  }

  /// Two platforms do the same, but in the second one another agent is sent something long each time.
  @Test(arguments: 1...4 as ClosedRange<UInt64>)
  func `nothing that is sent holds what another agent was sent`(_ seed: UInt64) {
    var random = Seeded(state: seed)
    let (alone, agents) = wholeBench()
    let (together, _) = wholeBench()
    let long = TestClock(rates: (0..<15).map { 0xA5A5_A5A5_A5A5_A500 + $0 }, rate: 0xA5A5_A5A5_A5A5_A500)
    var other = AgentID.platform
    for bench in [alone, together] {
      bench.board.clocks.append(long)
      other = bench.platform.addAgent(AgentDescription(name: SCMIName("other")))
      bench.platform.grant(.clock, 2, to: other)
    }
    for _ in 0..<4000 {
      let agent = agents[random.next(3)]
      let bytes = request(&random)
      #expect(together.send(.clock, 4, 0, 0, from: other).bytes.count == 124)
      #expect(together.exchange(bytes, from: agent) == alone.exchange(bytes, from: agent))
      var same = random
      stir(alone, &random)
      stir(together, &same)
      together.send(.clock, 4, 0, 0, from: other)
      #expect(together.next(for: agent) == alone.next(for: agent))
    }
  }

  /// What comes is a delayed response or a notification, whole.
  private func expectMessage(_ bytes: [UInt8]) {
    if bytes.isEmpty { return }
    let header = MessageHeader(word: words(bytes)[0])
    #expect(header.type == MessageType.delayedResponse || header.type == MessageType.notification)
    #expect(bytes.count >= 8 && bytes.count % 4 == 0)
  }

  /// Things that the board does by itself.
  private func stir(_ bench: Bench, _ random: inout Seeded) {
    let index = random.next(2)
    switch random.next(8) {
    case 0: bench.platform.rateChanged(ClockID(index))
    case 1: bench.platform.powerStateChanged(PowerDomainID(index))
    case 2: bench.platform.levelChanged(PerformanceDomainID(index))
    case 3:
      bench.board.sensors[index].values[0] = Int64(random.next(9)) - 4
      bench.platform.sensorUpdated(SensorID(index))
    case 4:
      bench.board.powercaps[index].power = UInt32(random.next(9))
      bench.platform.powerMeasured(PowercapDomainID(index))
    case 5: bench.platform.requestSystemPower(.shutdown, isGraceful: random.next(2) == 0, system: 0)
    case 6:
      bench.platform.performanceChannelWritten(
        random.next(2) == 0 ? 5 : 7, UInt32(random.next(4)), word(&random), word(&random), by: AgentID(1))
      bench.platform.powercapChannelWritten(
        random.next(2) == 0 ? 5 : 7, UInt32(random.next(4)), word(&random), by: AgentID(2))
    default:
      if let operation = bench.board.pending.popLast() {
        bench.platform.finish(operation, random.next(3) == 0 ? .hardwareError : .success)
      }
    }
  }
}
