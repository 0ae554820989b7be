// SCMI Reset and Voltage domain management protocols, platform side.

import SCMI
import Testing
import Wire

/// Domain 0 is shared; domain 1 is the first agent's own, asynchronous and without notifications.
private func resetBench(profile: SCMIProfile = .version32) -> (Bench, AgentID, AgentID) {
  let bench = Bench(
    TestBoard(resets: [
      TestReset(name: SCMIName("shared"), isAsserted: true),
      TestReset(
        name: SCMIName("a reset with a long name"),
        description: ResetDomainDescription(
          latencyMicroseconds: 50, isAsynchronous: true, notifiesResets: false)),
    ]))
  let first = bench.platform.addAgent(AgentDescription(name: SCMIName("first"), profile: profile))
  let second = bench.platform.addAgent(AgentDescription(name: SCMIName("second"), profile: profile))
  bench.platform.grant(.resetDomain, 0, to: first)
  bench.platform.grant(.resetDomain, 1, to: first)
  bench.platform.grant(.resetDomain, 0, to: second)
  return (bench, first, second)
}

@Suite struct `SCMI Reset domains` {
  @Test func `versions, messages and attributes in both profiles`() {
    let (bench, first, second) = resetBench()
    let (old, oldAgent, _) = resetBench(profile: .version20)
    #expect(bench.send(.reset, 0, from: first) == .words(0x30001))
    #expect(old.send(.reset, 0, from: oldAgent) == .words(0x10000))
    #expect(bench.send(.reset, 1, from: first) == .words(2))
    #expect(bench.send(.reset, 1, from: second) == .words(1))
    for message in 0...7 as ClosedRange<UInt32> {
      #expect(bench.send(.reset, 2, message, from: first) == (message < 7 ? .words(0) : .failure(.notFound)))
      #expect(old.send(.reset, 2, message, from: oldAgent) == (message < 6 ? .words(0) : .failure(.notFound)))
    }
    #expect(bench.send(.reset, 3, 0, from: first).bytes == littleEndian([1 << 30, .max]) + name("shared"))
    let long = "a reset with a long name"
    #expect(bench.send(.reset, 3, 1, from: first).bytes == littleEndian([5 << 29, 50]) + name(long))
    #expect(old.send(.reset, 3, 1, from: oldAgent).bytes == littleEndian([1 << 31, 50]) + name(long))
    #expect(bench.send(.reset, 6, 1, from: first).bytes == [0, 0, 0, 0] + name(long, 64))
    #expect(bench.send(.reset, 3, 1, from: second) == .failure(.notFound))
    #expect(bench.send(.reset, 6, 1, from: second) == .failure(.notFound))
  }

  @Test func `a domain that somebody else uses is not reset`() {
    let (bench, first, second) = resetBench()
    #expect(bench.send(.reset, 4, 0, 0, 0, from: first) == .done)
    #expect(!bench.board.resets[0].isAsserted)
    #expect(bench.send(.reset, 4, 0, 1, 0, from: second) == .failure(.genericError))
    // The second agent's assertion is its own affair until the first one agrees.
    #expect(bench.send(.reset, 4, 0, 2, 0, from: second) == .done)
    #expect(!bench.board.resets[0].isAsserted)
    #expect(bench.send(.reset, 4, 0, 1, 0, from: first) == .done)
    #expect(bench.board.resets[0].resets == 1)
    #expect(bench.send(.reset, 4, 0, 2, 0, from: first) == .done)
    #expect(bench.board.resets[0].isAsserted)
    #expect(bench.send(.reset, 4, 0, 0, 0, from: second) == .done)
    bench.platform.resetAgent(first)
    #expect(bench.board.resets[0].restores == 0)
    bench.platform.resetAgent(second)
    #expect(bench.board.resets[0].restores == 1)
  }

  @Test func `asynchronous resets have delayed responses`() {
    let (bench, first, _) = resetBench()
    bench.board.isSlow = true
    #expect(bench.send(.reset, 4, 1, 5, 0, from: first) == .done)
    #expect(bench.next(for: first).isEmpty)
    bench.platform.finish(bench.board.pending[0])
    #expect(bench.nextWords(for: first) == [MessageHeader(.reset, 4, type: 2, token: 1).word, 0, 1])
    #expect(bench.send(.reset, 4, 0, 5, 0, from: first) == .failure(.notSupported))
    bench.board.fault = .hardwareError
    #expect(bench.send(.reset, 4, 1, 5, 0, from: first) == .failure(.hardwareError))
    #expect(bench.next(for: first).isEmpty)
  }

  @Test func `bad parameters`() {
    let (bench, first, second) = resetBench()
    for flags in [4, 6, 8, 9, 1 << 31] as [UInt32] {
      #expect(bench.send(.reset, 4, 0, flags, 0, from: first) == .failure(.invalidParameters))
    }
    for state in [1, 0x7FFF_FFFF, 1 << 31 | 1] as [UInt32] {
      #expect(bench.send(.reset, 4, 0, 1, state, from: first) == .failure(.invalidParameters))
    }
    #expect(bench.send(.reset, 4, 0, 1, 1 << 31, from: first) == .done)
    #expect(bench.send(.reset, 4, 1, 1, 0, from: second) == .failure(.notFound))
    #expect(bench.send(.reset, 4, 0, 1, from: first) == .failure(.protocolError))
    bench.board.fault = .hardwareError
    #expect(bench.send(.reset, 4, 0, 0, 0, from: first) == .failure(.hardwareError))
    let reader = bench.platform.addAgent(AgentDescription(name: SCMIName("reader")))
    bench.platform.grant(.resetDomain, 0, to: reader, rights: .none)
    #expect(bench.send(.reset, 4, 0, 1, 0, from: reader) == .failure(.denied))
  }

  @Test func `resets are told`() {
    let (bench, first, second) = resetBench()
    #expect(bench.send(.reset, 5, 0, 1, from: second) == .done)
    #expect(bench.send(.reset, 5, 0, 2, from: second) == .failure(.invalidParameters))
    #expect(bench.send(.reset, 5, 1, 1, from: first) == .failure(.notSupported))
    #expect(bench.send(.reset, 4, 0, 1, 1 << 31, from: first) == .done)
    #expect(bench.nextWords(for: second) == [notification(.reset, 0), 1, 0, 1 << 31])
    #expect(bench.send(.reset, 4, 0, 2, 0, from: first) == .done)
    #expect(bench.nextWords(for: second) == [notification(.reset, 0), 1, 0, 0])
    #expect(bench.send(.reset, 4, 0, 0, 0, from: first) == .done)
    #expect(bench.next(for: second).isEmpty)
  }
}

/// Domain 0 is shared and has a list of levels, domain 1 the first agent's with a range from below zero.
private func voltageBench(profile: SCMIProfile = .version32) -> (Bench, AgentID, AgentID) {
  let bench = Bench(
    TestBoard(voltages: [
      TestVoltage(levels: [800_000, 900_000], level: 900_000, mode: 0),
      TestVoltage(
        name: SCMIName("a voltage with a long name"), range: .range(lowest: -100, highest: 100, step: 40),
        isAsynchronous: true, level: -100),
    ]))
  let first = bench.platform.addAgent(AgentDescription(name: SCMIName("first"), profile: profile))
  let second = bench.platform.addAgent(AgentDescription(name: SCMIName("second"), profile: profile))
  bench.platform.grant(.voltageDomain, 0, to: first)
  bench.platform.grant(.voltageDomain, 1, to: first)
  bench.platform.grant(.voltageDomain, 0, to: second, rights: .state)
  return (bench, first, second)
}

@Suite struct `SCMI Voltage domains` {
  private let minus100 = UInt32(bitPattern: -100)

  @Test func `version, messages and attributes; SCMI 2_0 does not have it`() {
    let (bench, first, second) = voltageBench()
    #expect(bench.send(.voltage, 0, from: first) == .words(0x20001))
    #expect(bench.send(.voltage, 1, from: first) == .words(2))
    for message in 0...10 as ClosedRange<UInt32> {
      #expect(
        bench.send(.voltage, 2, message, from: first) == (message < 10 ? .words(0) : .failure(.notFound)))
    }
    #expect(bench.send(.voltage, 3, 0, from: first).bytes == [0, 0, 0, 0] + name("vdd"))
    let long = "a voltage with a long name"
    #expect(bench.send(.voltage, 3, 1, from: first).bytes == littleEndian([3 << 30]) + name(long))
    #expect(bench.send(.voltage, 9, 1, from: first).bytes == [0, 0, 0, 0] + name(long, 64))
    for message in [3, 6, 8, 9] as [UInt8] {
      #expect(bench.send(.voltage, message, 1, from: second) == .failure(.notFound))
    }
    #expect(bench.send(.voltage, 0x10, 0, from: first) == .failure(.notSupported))
    #expect(bench.send(.voltage, 0x10, 0x20000, from: first) == .done)
    let (old, oldAgent, _) = voltageBench(profile: .version20)
    #expect(old.send(.voltage, 0, from: oldAgent) == .failure(.notSupported))
    #expect(old.send(.base, 6, 0, from: oldAgent) == .words(0))
  }

  @Test func `levels as a list and as a range`() {
    let (bench, first, _) = voltageBench()
    #expect(bench.send(.voltage, 4, 0, 0, from: first) == .words(2, 800_000, 900_000))
    #expect(bench.send(.voltage, 4, 0, 1, from: first) == .words(1, 900_000))
    #expect(bench.send(.voltage, 4, 0, 2, from: first) == .failure(.outOfRange))
    #expect(bench.send(.voltage, 4, 1, 0, from: first) == .words(0x1003, minus100, 100, 40))
    #expect(bench.send(.voltage, 4, 1, 1, from: first) == .failure(.outOfRange))
    bench.board.voltages[0].levels = (1...40).map { $0 }
    bench.capacity = 24
    #expect(bench.send(.voltage, 4, 0, 0, from: first) == .words(3 | 37 << 16, 1, 2, 3))
  }

  @Test func `levels are set and read, also asynchronously`() {
    let (bench, first, second) = voltageBench()
    #expect(bench.send(.voltage, 7, 0, 0, 800_000, from: first) == .done)
    #expect(bench.send(.voltage, 8, 0, from: second) == .words(800_000))
    #expect(bench.send(.voltage, 8, 1, from: first) == .words(minus100))
    #expect(bench.send(.voltage, 7, 1, 1, UInt32(bitPattern: -60), from: first) == .done)
    let header = MessageHeader(.voltage, 7, type: 2, token: 4).word
    #expect(bench.nextWords(for: first) == [header, 0, 1, UInt32(bitPattern: -60)])
    #expect(bench.send(.voltage, 7, 0, 1, 800_000, from: first) == .failure(.notSupported))
    #expect(bench.send(.voltage, 7, 0, 2, 800_000, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.voltage, 7, 0, 0, 850_000, from: first) == .failure(.invalidParameters))
    for level in [-101, -99, 99, 140, .max, .min] as [Int32] {
      let reply = bench.send(.voltage, 7, 1, 0, UInt32(bitPattern: level), from: first)
      #expect(reply == .failure(.invalidParameters))
    }
    #expect(bench.send(.voltage, 7, 0, 0, 800_000, from: second) == .failure(.denied))
    #expect(bench.send(.voltage, 7, 2, 0, 800_000, from: first) == .failure(.notFound))
    bench.board.fault = .hardwareError
    #expect(bench.send(.voltage, 7, 1, 1, 100 - 40 * 2, from: first) == .failure(.hardwareError))
    #expect(bench.next(for: first).isEmpty)
    bench.platform.resetAgent(first)
    #expect(bench.board.voltages.map { $0.restores } == [0, 1])
  }

  @Test func `a shared domain is on until both release it`() {
    let (bench, first, second) = voltageBench()
    #expect(bench.send(.voltage, 6, 0, from: first) == .words(0))
    #expect(bench.send(.voltage, 5, 0, 7, from: first) == .done)
    #expect(bench.send(.voltage, 5, 0, 9, from: second) == .done)
    #expect(bench.send(.voltage, 6, 0, from: first) == .words(7))
    #expect(bench.send(.voltage, 6, 0, from: second) == .words(9))
    #expect(bench.send(.voltage, 5, 0, 0, from: first) == .done)
    #expect(bench.board.voltages[0].mode == 9)
    #expect(bench.send(.voltage, 6, 0, from: first) == .words(0))
    bench.platform.resetAgent(second)
    #expect(bench.board.voltages[0].mode == 0)
    for mode in [1, 8, 16, 0x17, .max] as [UInt32] {
      #expect(bench.send(.voltage, 5, 0, mode, from: first) == .failure(.invalidParameters))
    }
    bench.board.fault = .hardwareError
    #expect(bench.send(.voltage, 5, 0, 7, from: first) == .failure(.hardwareError))
    #expect(bench.send(.voltage, 6, 0, from: first) == .words(0))
  }

  @Test func `an agent without rights, and a wrong length`() {
    let (bench, first, _) = voltageBench()
    let reader = bench.platform.addAgent(AgentDescription(name: SCMIName("reader")))
    bench.platform.grant(.voltageDomain, 0, to: reader, rights: .none)
    #expect(bench.send(.voltage, 5, 0, 7, from: reader) == .failure(.denied))
    for message in [3, 4, 5, 6, 7, 8, 9] as [UInt8] {
      #expect(bench.send(.voltage, message, from: first) == .failure(.protocolError))
    }
  }
}
