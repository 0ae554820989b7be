// SCMI Power domain and System power management protocols, platform side.

import SCMI
import Testing
import Wire

private let on = PowerMessage.on
private let off = PowerMessage.off

/// Domain 0 is shared; the second agent's domain 0 is the board's domain 1, its domain 1 the shared one.
private func powerBench(profile: SCMIProfile = .version32) -> (Bench, AgentID, AgentID) {
  let board = TestBoard(domains: [
    TestPower(name: SCMIName("shared")),
    TestPower(
      name: SCMIName("a power domain of its own"),
      description: PowerDomainDescription(
        isSynchronous: false, isAsynchronous: true, notifiesChanges: false)),
  ])
  let bench = Bench(board)
  let first = bench.platform.addAgent(AgentDescription(name: SCMIName("first"), profile: profile))
  let second = bench.platform.addAgent(AgentDescription(name: SCMIName("second"), profile: profile))
  bench.platform.grant(.powerDomain, 0, to: first)
  bench.platform.grant(.powerDomain, 1, to: second)
  bench.platform.grant(.powerDomain, 0, to: second)
  return (bench, first, second)
}

@Suite struct `SCMI Power domains` {
  @Test func `versions, messages and attributes in both profiles`() {
    let (bench, first, second) = powerBench()
    let (old, oldAgent, _) = powerBench(profile: .version20)
    #expect(bench.send(.power, 0, from: first) == .words(0x30001))
    #expect(old.send(.power, 0, from: oldAgent) == .words(0x20000))
    #expect(bench.send(.power, 1, from: first) == .words(1, 0x2345_6011, 1, 64))
    #expect(bench.send(.power, 1, from: second) == .words(2, 0, 0, 0))
    for message in 0...10 as ClosedRange<UInt32> {
      #expect(bench.send(.power, 2, message, from: first) == (message < 9 ? .words(0) : .failure(.notFound)))
      #expect(old.send(.power, 2, message, from: oldAgent) == (message < 8 ? .words(0) : .failure(.notFound)))
    }
    #expect(bench.send(.power, 3, 0, from: first).bytes == littleEndian([0xB000_0000]) + name("shared"))
    let long = "a power domain of its own"
    #expect(bench.send(.power, 3, 0, from: second).bytes == littleEndian([0x4800_0000]) + name(long))
    #expect(bench.send(.power, 8, 0, from: second).bytes == [0, 0, 0, 0] + name(long, 64))
    #expect(bench.send(.power, 3, 1, from: first) == .failure(.notFound))
    #expect(bench.send(.power, 8, 2, from: second) == .failure(.notFound))
  }

  @Test func `a shared domain is on until both release it`() {
    let (bench, first, second) = powerBench()
    #expect(bench.send(.power, 5, 0, from: first) == .words(off))
    #expect(bench.send(.power, 4, 0, 0, on, from: first) == .done)
    #expect(bench.send(.power, 4, 0, 1, on, from: second) == .done)
    #expect(bench.board.domains[0].isOn && bench.board.domains[0].switches == 1)
    #expect(bench.send(.power, 4, 0, 0, off, from: first) == .done)
    #expect(bench.board.domains[0].isOn)
    #expect(bench.send(.power, 5, 0, from: first) == .words(off))
    #expect(bench.send(.power, 5, 1, from: second) == .words(on))
    bench.platform.resetAgent(second)
    #expect(!bench.board.domains[0].isOn)
  }

  @Test func `what a domain cannot do, and bad parameters`() {
    let (bench, first, second) = powerBench()
    #expect(bench.send(.power, 4, 1, 0, on, from: first) == .failure(.notSupported))
    #expect(bench.send(.power, 4, 0, 0, on, from: second) == .failure(.notSupported))
    #expect(bench.send(.power, 4, 1, 0, on, from: second) == .done)
    #expect(bench.send(.power, 4, 2, 0, on, from: first) == .failure(.invalidParameters))
    for state in [1, 2, 1 << 31, off | 1, .max] as [UInt32] {
      #expect(bench.send(.power, 4, 0, 0, state, from: first) == .failure(.invalidParameters))
    }
    #expect(bench.send(.power, 4, 0, 1, on, from: first) == .failure(.notFound))
    #expect(bench.send(.power, 5, 1, from: first) == .failure(.notFound))
    #expect(bench.send(.power, 4, 0, 0, from: first) == .failure(.protocolError))
    bench.board.fault = .hardwareError
    #expect(bench.send(.power, 4, 0, 0, on, from: first) == .failure(.hardwareError))
    #expect(bench.send(.power, 5, 0, from: first) == .words(off))
    let reader = bench.platform.addAgent(AgentDescription(name: SCMIName("reader")))
    bench.platform.grant(.powerDomain, 0, to: reader, rights: .none)
    #expect(bench.send(.power, 4, 0, 0, on, from: reader) == .failure(.denied))
  }

  @Test func `notifications of changes and of requests`() {
    let (bench, first, second) = powerBench()
    #expect(bench.send(.power, 6, 1, 1, from: second) == .done)
    #expect(bench.send(.power, 7, 1, 1, from: second) == .done)
    #expect(bench.send(.power, 6, 0, 1, from: second) == .failure(.notSupported))
    #expect(bench.send(.power, 6, 1, 2, from: second) == .failure(.invalidParameters))
    #expect(bench.send(.power, 4, 0, 0, on, from: first) == .done)
    #expect(bench.nextWords(for: second) == [notification(.power, 1), 1, 1, on])
    #expect(bench.nextWords(for: second) == [notification(.power, 0), 1, 1, on])
    #expect(bench.next(for: second).isEmpty)
    // On again: a request, but no change.
    #expect(bench.send(.power, 4, 0, 0, on, from: first) == .done)
    #expect(bench.nextWords(for: second) == [notification(.power, 1), 1, 1, on])
    #expect(bench.next(for: second).isEmpty)
    bench.platform.powerStateChanged(PowerDomainID(0))
    #expect(bench.nextWords(for: second) == [notification(.power, 0), 0, 1, on])
    bench.platform.resetAgent(first)
    #expect(bench.nextWords(for: second) == [notification(.power, 0), 0, 1, off])
    bench.platform.resetAgent(second)
    bench.platform.powerStateChanged(PowerDomainID(0))
    #expect(bench.next(for: second).isEmpty)
  }
}

@Suite struct `SCMI System power` {
  /// A controller and an observer of system 3, and an observer of another one.
  private func systemBench(profile: SCMIProfile = .version32) -> (Bench, AgentID, AgentID, AgentID) {
    let bench = Bench(TestBoard(systemStates: [.shutdown, .coldReset, .warmReset]))
    func add(_ access: SystemPowerAccess, _ system: UInt8) -> AgentID {
      bench.platform.addAgent(
        AgentDescription(name: SCMIName("a"), profile: profile, systemPower: access, system: system))
    }
    return (bench, add(.controls, 3), add(.observes, 3), add(.observes, 4))
  }

  @Test func `versions, messages and attributes`() {
    let (bench, first, second, _) = systemBench()
    #expect(bench.send(.systemPower, 0, from: first) == .words(0x20001))
    #expect(bench.send(.systemPower, 1, from: first) == .words(0))
    #expect(bench.send(.systemPower, 2, 3, from: first) == .words(1 << 31))
    #expect(bench.send(.systemPower, 2, 4, from: first) == .words(0))
    #expect(bench.send(.systemPower, 2, 5, from: second) == .words(0))
    #expect(bench.send(.systemPower, 2, 6, from: second) == .failure(.notFound))
    bench.board.systemStates.append(.suspend)
    #expect(bench.send(.systemPower, 2, 3, from: first) == .words(3 << 30))
    let (old, oldAgent, _, _) = systemBench(profile: .version20)
    #expect(old.send(.systemPower, 0, from: oldAgent) == .words(0x10000))
    let stranger = bench.platform.addAgent(AgentDescription(name: SCMIName("s")))
    #expect(bench.send(.systemPower, 0, from: stranger) == .failure(.notSupported))
  }

  @Test func `a forced state is set and told to the others of the system`() {
    let (bench, first, second, third) = systemBench()
    for agent in [first, second, third] { #expect(bench.send(.systemPower, 5, 1, from: agent) == .done) }
    #expect(bench.send(.systemPower, 3, 0, 2, from: first) == .done)
    #expect(bench.board.systemSettings == [[3, 2]])
    #expect(bench.nextWords(for: second) == [notification(.systemPower, 0), 1, 0, 2, 0])
    #expect(bench.next(for: first).isEmpty && bench.next(for: third).isEmpty)
  }

  @Test func `a graceful state is asked for, with a time-out for a shutdown`() {
    let (bench, first, second, _) = systemBench()
    #expect(bench.send(.systemPower, 5, 1, from: first) == .done)
    #expect(bench.send(.systemPower, 5, 1, from: second) == .done)
    #expect(bench.send(.systemPower, 3, 1, 0, from: first) == .done)
    #expect(bench.board.systemSettings.isEmpty)
    #expect(bench.nextWords(for: second) == [notification(.systemPower, 0), 1, 1, 0, 5000])
    bench.platform.requestSystemPower(.coldReset, isGraceful: true, system: 3)
    #expect(bench.nextWords(for: first) == [notification(.systemPower, 0), 0, 1, 1, 0])
    bench.platform.requestSystemPower(.shutdown, isGraceful: true, system: 3)
    #expect(bench.send(.systemPower, 5, 0, from: second) == .done)
    #expect(bench.next(for: second).isEmpty)
    bench.platform.resetAgent(first)
    #expect(bench.next(for: first).isEmpty)
  }

  @Test func `SCMI 2_0 notifications have no time-out`() {
    let (bench, _, second, _) = systemBench(profile: .version20)
    #expect(bench.send(.systemPower, 5, 1, from: second) == .done)
    bench.platform.requestSystemPower(.shutdown, isGraceful: true, system: 3)
    #expect(bench.nextWords(for: second) == [notification(.systemPower, 0), 0, 1, 0])
  }

  @Test func `who may not, what there is not, and bad parameters`() {
    let (bench, first, second, _) = systemBench()
    #expect(bench.send(.systemPower, 3, 0, 0, from: second) == .failure(.denied))
    #expect(bench.send(.systemPower, 4, from: second) == .failure(.notSupported))
    #expect(bench.send(.systemPower, 4, from: first) == .words(3))
    #expect(bench.send(.systemPower, 3, 0, 4, from: first) == .failure(.notSupported))
    #expect(bench.send(.systemPower, 3, 0, 1 << 31, from: first) == .failure(.notSupported))
    for state in [5, 0x7FFF_FFFF] as [UInt32] {
      #expect(bench.send(.systemPower, 3, 0, state, from: first) == .failure(.invalidParameters))
    }
    #expect(bench.send(.systemPower, 3, 2, 0, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.systemPower, 5, 2, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.systemPower, 3, 0, from: first) == .failure(.protocolError))
    bench.board.fault = .busy
    #expect(bench.send(.systemPower, 3, 0, 0, from: first) == .failure(.busy))
  }
}
