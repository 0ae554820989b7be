// SCMI Performance domain management protocol, platform side.

import SCMI
import Testing
import Wire

/// Domain 0 has levels 10, 20 and 30 by value; domain 1 the same by index. Both agents see domain 0.
private func performanceBench(profile: SCMIProfile = .version32) -> (Bench, AgentID, AgentID) {
  let levels = [10, 20, 30].map { (value: UInt32) in
    PerformanceLevel(
      value: value, power: value * 100, latencyMicroseconds: UInt16(value / 10),
      frequencyKilohertz: value * 10)
  }
  let bench = Bench(
    TestBoard(performance: [
      TestPerformance(levels: levels),
      TestPerformance(
        name: SCMIName("a domain by level index"), levels: levels, isIndexed: true, notifies: false),
    ]))
  let first = bench.platform.addAgent(AgentDescription(name: SCMIName("first"), profile: profile))
  let second = bench.platform.addAgent(AgentDescription(name: SCMIName("second"), profile: profile))
  bench.platform.grant(.performanceDomain, 0, to: first)
  bench.platform.grant(.performanceDomain, 1, to: first)
  bench.platform.grant(.performanceDomain, 0, to: second, rights: .limits)
  return (bench, first, second)
}

private let limitsEvent = notification(.performance, 0)
private let levelEvent = notification(.performance, 1)

@Suite struct `SCMI Performance domains` {
  @Test func `versions, messages and attributes in both profiles`() {
    let (bench, first, second) = performanceBench()
    let (old, oldAgent, _) = performanceBench(profile: .version20)
    #expect(bench.send(.performance, 0, from: first) == .words(0x40000))
    #expect(old.send(.performance, 0, from: oldAgent) == .words(0x20000))
    #expect(bench.send(.performance, 1, from: first) == .words(0x1_0002, 0x2345_6013, 1, 64))
    #expect(bench.send(.performance, 1, from: second) == .words(0x1_0001, 0, 0, 0))
    for message in 0...13 as ClosedRange<UInt32> {
      #expect(
        bench.send(.performance, 2, message, from: first) == (message < 13 ? .words(0) : .failure(.notFound)))
      #expect(
        old.send(.performance, 2, message, from: oldAgent) == (message < 12 ? .words(0) : .failure(.notFound))
      )
    }
    #expect(
      bench.send(.performance, 3, 0, from: first).bytes
        == littleEndian([0xF000_0000, 9, 2_000_000, 20]) + name("cpu"))
    let long = "a domain by level index"
    #expect(
      bench.send(.performance, 3, 1, from: first).bytes
        == littleEndian([0xC600_0000, 9, 2_000_000, 20]) + name(long))
    #expect(old.send(.performance, 3, 1, from: oldAgent).words.first == 0xC000_0000)
    #expect(bench.send(.performance, 3, 0, from: second).words.first == 0xB000_0000)
    #expect(bench.send(.performance, 12, 1, from: first).bytes == [0, 0, 0, 0] + name(long, 64))
    #expect(bench.send(.performance, 12, 1, from: second) == .failure(.notFound))
  }

  @Test func `levels have five words, and three in SCMI 2_0`() {
    let (bench, first, _) = performanceBench()
    #expect(
      bench.send(.performance, 4, 0, 0, from: first)
        == .words(3, 10, 1000, 1, 100, 0, 20, 2000, 2, 200, 1, 30, 3000, 3, 300, 2))
    bench.capacity = 40
    #expect(bench.send(.performance, 4, 0, 1, from: first) == .words(0x1_0001, 20, 2000, 2, 200, 1))
    #expect(bench.send(.performance, 4, 0, 3, from: first) == .failure(.outOfRange))
    #expect(bench.send(.performance, 4, 2, 0, from: first) == .failure(.notFound))
    let (old, oldAgent, _) = performanceBench(profile: .version20)
    #expect(
      old.send(.performance, 4, 0, 0, from: oldAgent) == .words(3, 10, 1000, 1, 20, 2000, 2, 30, 3000, 3))
    #expect(old.send(.performance, 4, 0, 3, from: oldAgent) == .failure(.invalidParameters))
  }

  @Test func `microwatts are milliwatts in SCMI 2_0`() {
    let (bench, first, _) = performanceBench()
    bench.board.performancePowerUnit = .microwatts
    #expect(bench.send(.performance, 1, from: first).words.first == 0x2_0002)
    let (old, oldAgent, _) = performanceBench(profile: .version20)
    old.board.performancePowerUnit = .microwatts
    #expect(old.send(.performance, 1, from: oldAgent).words.first == 0x1_0002)
    #expect(old.send(.performance, 4, 0, 0, from: oldAgent) == .words(3, 10, 1, 1, 20, 2, 2, 30, 3, 3))
  }

  @Test func `a level is set by value or by index, within the limits`() {
    let (bench, first, second) = performanceBench()
    #expect(bench.send(.performance, 7, 0, 30, from: first) == .done)
    #expect(bench.board.performance[0].level == 2)
    #expect(bench.send(.performance, 8, 0, from: second) == .words(30))
    #expect(bench.send(.performance, 7, 1, 1, from: first) == .done)
    #expect(bench.send(.performance, 8, 1, from: first) == .words(1))
    #expect(bench.send(.performance, 7, 1, 3, from: first) == .failure(.outOfRange))
    #expect(bench.send(.performance, 7, 0, 31, from: first) == .failure(.outOfRange))
    #expect(bench.send(.performance, 7, 0, 9, from: first) == .failure(.outOfRange))
    #expect(bench.send(.performance, 7, 0, 15, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.performance, 7, 0, 10, from: second) == .failure(.denied))
    #expect(bench.send(.performance, 7, 1, 10, from: second) == .failure(.notFound))
    bench.board.fault = .hardwareError
    #expect(bench.send(.performance, 7, 0, 10, from: first) == .failure(.hardwareError))
    let (old, oldAgent, _) = performanceBench(profile: .version20)
    #expect(old.send(.performance, 7, 1, 20, from: oldAgent) == .done)
    #expect(old.send(.performance, 8, 1, from: oldAgent) == .words(20))
  }

  @Test func `limits of all agents count, and move the level`() {
    let (bench, first, second) = performanceBench()
    #expect(bench.send(.performance, 6, 0, from: first) == .words(30, 10))
    #expect(bench.send(.performance, 7, 0, 30, from: first) == .done)
    #expect(bench.send(.performance, 5, 0, 20, 0, from: second) == .done)
    #expect(bench.board.performance[0].level == 1 && bench.board.performance[0].limits == [0, 1])
    #expect(bench.send(.performance, 7, 0, 30, from: first) == .failure(.outOfRange))
    #expect(bench.send(.performance, 5, 0, 30, 30, from: first) == .done)
    // Limits that exclude each other: the highest level protects.
    #expect(bench.send(.performance, 6, 0, from: first) == .words(20, 20))
    bench.platform.resetAgent(second)
    #expect(bench.send(.performance, 6, 0, from: first) == .words(30, 30))
    #expect(bench.board.performance[0].level == 2)
    bench.platform.resetAgent(first)
    #expect(bench.send(.performance, 6, 0, from: first) == .words(30, 10))
  }

  @Test func `bad limits`() {
    let (bench, first, second) = performanceBench()
    #expect(bench.send(.performance, 5, 0, 0, 0, from: second) == .failure(.outOfRange))
    #expect(bench.send(.performance, 5, 0, 40, 10, from: second) == .failure(.outOfRange))
    #expect(bench.send(.performance, 5, 0, 10, 20, from: second) == .failure(.invalidParameters))
    #expect(bench.send(.performance, 5, 0, 25, 10, from: second) == .failure(.invalidParameters))
    #expect(bench.send(.performance, 5, 1, 0, 2, from: first) == .done)
    #expect(bench.send(.performance, 6, 1, from: first) == .words(2, 2))
    let reader = bench.platform.addAgent(AgentDescription(name: SCMIName("reader")))
    bench.platform.grant(.performanceDomain, 0, to: reader, rights: .none)
    #expect(bench.send(.performance, 5, 0, 20, 10, from: reader) == .failure(.denied))
    bench.board.fault = .busy
    #expect(bench.send(.performance, 5, 0, 20, 10, from: second) == .failure(.busy))
    #expect(bench.send(.performance, 6, 0, from: first) == .words(30, 10))
  }

  @Test func `notifications of limits and levels`() {
    let (bench, first, second) = performanceBench()
    #expect(bench.send(.performance, 9, 0, 1, from: first) == .done)
    #expect(bench.send(.performance, 10, 0, 1, from: first) == .done)
    #expect(bench.send(.performance, 10, 1, 1, from: first) == .failure(.notSupported))
    #expect(bench.send(.performance, 9, 0, 4, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.performance, 7, 0, 30, from: first) == .done)
    #expect(bench.nextWords(for: first) == [levelEvent, 1, 0, 30])
    #expect(bench.send(.performance, 5, 0, 20, 0, from: second) == .done)
    #expect(bench.nextWords(for: first) == [limitsEvent, 2, 0, 20, 10])
    #expect(bench.nextWords(for: first) == [levelEvent, 2, 0, 20])
    #expect(bench.next(for: first).isEmpty)
    bench.platform.levelChanged(PerformanceDomainID(0))
    #expect(bench.nextWords(for: first) == [levelEvent, 0, 0, 20])
    #expect(bench.send(.performance, 10, 0, 0, from: first) == .done)
    bench.platform.levelChanged(PerformanceDomainID(0))
    #expect(bench.next(for: first).isEmpty)
  }

  @Test func `FastChannels are described, and what they carry is checked`() {
    let (bench, first, second) = performanceBench()
    let doorbell = FastChannel.Doorbell(width: 2, address: 0x5_0000_0000, setMask: 1, preserveMask: 0xFFFE)
    bench.board.performance[0].channels = [
      7: FastChannel(address: 0x4_0000_0010, rateLimitMicroseconds: 3, doorbell: doorbell),
      6: FastChannel(address: 0x4_0000_0020),
    ]
    #expect(bench.send(.performance, 2, 7, from: first) == .words(1))
    #expect(bench.send(.performance, 2, 5, from: first) == .words(0))
    #expect(bench.send(.performance, 2, 7, from: second) == .words(0))
    #expect(bench.send(.performance, 3, 0, from: first).words.first == 0xF800_0000)
    #expect(
      bench.send(.performance, 11, 0, 7, from: first) == .words(5, 3, 0x10, 4, 4, 0, 5, 1, 0, 0xFFFE, 0))
    #expect(bench.send(.performance, 11, 0, 6, from: first) == .words(0, 0, 0x20, 4, 8, 0, 0, 0, 0, 0, 0))
    #expect(bench.send(.performance, 11, 0, 8, from: first) == .failure(.notSupported))
    #expect(bench.send(.performance, 11, 0, 7, from: second) == .failure(.notSupported))
    #expect(bench.send(.performance, 11, 0, 4, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.performance, 11, 0, 0x107, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.performance, 11, 5, 7, from: first) == .failure(.notFound))
    #expect(bench.send(.base, 8, 1, from: second) == .done)
    bench.platform.performanceChannelWritten(7, 0, 30, by: first)
    #expect(bench.board.performance[0].level == 2)
    bench.platform.performanceChannelWritten(5, 0, 20, 10, by: second)
    #expect(bench.board.performance[0].level == 1)
    bench.platform.performanceChannelWritten(7, 0, 10, by: second)
    let header = MessageHeader(.performance, 7).word
    #expect(bench.nextWords(for: second) == [notification(.base, 0), 2, 1, header, UInt32(bitPattern: -3)])
  }
}
