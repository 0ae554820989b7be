// SCMI Powercap management protocol, platform side.

import SCMI
import Testing
import Wire

/// Domain 0 is shared; domain 1 within it is the first agent's, asynchronous and with one interval.
private func powercapBench() -> (Bench, AgentID, AgentID) {
  let whole = PowercapDomainDescription(
    interval: Adjustment(lowest: 1000, highest: 5000, step: 500),
    cap: Adjustment(lowest: 10, highest: 110, step: 20), sustainablePower: 100, accuracy: 7)
  var part = PowercapDomainDescription(
    interval: Adjustment(lowest: 1000, highest: 1000), cap: Adjustment(lowest: 1, highest: 50),
    sustainablePower: 40, unit: .microwatts, parent: PowercapDomainID(0), isMeasured: false,
    isAsynchronous: true)
  part.defaultCap = 50
  let bench = Bench(
    TestBoard(powercaps: [
      TestPowercap(description: whole),
      TestPowercap(name: SCMIName("a part with a long name"), description: part, cap: 50),
    ]))
  let first = bench.platform.addAgent(AgentDescription(name: SCMIName("first")))
  let second = bench.platform.addAgent(AgentDescription(name: SCMIName("second")))
  bench.platform.grant(.powercapDomain, 0, to: first)
  bench.platform.grant(.powercapDomain, 1, to: first)
  bench.platform.grant(.powercapDomain, 0, to: second, rights: .value)
  return (bench, first, second)
}

private let capEvent = notification(.powercap, 0)
private let powerEvent = notification(.powercap, 1)

@Suite struct `SCMI Powercap` {
  @Test func `version, messages and attributes; SCMI 2_0 does not have it`() {
    let (bench, first, second) = powercapBench()
    #expect(bench.send(.powercap, 0, from: first) == .words(0x20000))
    #expect(bench.send(.powercap, 1, from: first) == .words(2))
    for message in 0...13 as ClosedRange<UInt32> {
      #expect(
        bench.send(.powercap, 2, message, from: first) == (message < 13 ? .words(0) : .failure(.notFound)))
    }
    #expect(
      bench.send(.powercap, 3, 0, from: first).bytes
        == littleEndian([0xCE00_0000 | 2 << 23]) + name("package")
        + littleEndian([1000, 5000, 500, 10, 110, 20, 100, 7, .max]))
    let long = "a part with a long name"
    #expect(
      bench.send(.powercap, 3, 1, from: first).bytes
        == littleEndian([0xB800_0000 | 1 << 23]) + name(long)
        + littleEndian([1000, 1000, 0, 1, 50, 1, 40, 0, 0]))
    // Without a right to the interval it has one value.
    bench.board.powercaps[0].interval = 2000
    #expect(
      bench.send(.powercap, 3, 0, from: second).words.suffix(9) == [2000, 2000, 0, 10, 110, 20, 100, 7, .max])
    #expect(bench.send(.powercap, 8, 1, from: first).bytes == [0, 0, 0, 0] + name(long, 64))
    let old = bench.platform.addAgent(AgentDescription(name: SCMIName("old"), profile: .version20))
    bench.platform.grant(.powercapDomain, 0, to: old)
    #expect(bench.send(.powercap, 0, from: old) == .failure(.notSupported))
  }

  @Test func `a reader sees one value for what it cannot set`() {
    let (bench, _, _) = powercapBench()
    let reader = bench.platform.addAgent(
      AgentDescription(name: SCMIName("reader"), hasPlatformToAgentChannel: false))
    bench.platform.grant(.powercapDomain, 0, to: reader, rights: .none)
    bench.platform.grant(.powercapDomain, 1, to: reader, rights: .none)
    #expect(bench.send(.powercap, 3, 0, from: reader).words[0] == 0x0400_0000 | 2 << 23)
    #expect(bench.send(.powercap, 3, 0, from: reader).words.suffix(6).prefix(3) == [110, 110, 0])
    #expect(bench.send(.powercap, 3, 1, from: reader).words.suffix(6).prefix(3) == [50, 50, 0])
    #expect(bench.send(.powercap, 5, 0, 0, 30, from: reader) == .failure(.denied))
    #expect(bench.send(.powercap, 7, 0, 0, 1500, from: reader) == .failure(.denied))
  }

  @Test func `the lowest cap counts`() {
    let (bench, first, second) = powercapBench()
    #expect(bench.send(.powercap, 4, 0, from: first) == .words(0))
    #expect(bench.send(.powercap, 5, 0, 0, 50, from: first) == .done)
    #expect(bench.send(.powercap, 5, 0, 0, 70, from: second) == .done)
    #expect(bench.send(.powercap, 4, 0, from: second) == .words(50))
    #expect(bench.send(.powercap, 5, 0, 0, 0, from: first) == .done)
    #expect(bench.send(.powercap, 4, 0, from: first) == .words(70))
    bench.platform.resetAgent(second)
    #expect(bench.send(.powercap, 4, 0, from: first) == .words(0))
    #expect(bench.send(.powercap, 5, 1, 0, 20, from: first) == .done)
    bench.platform.resetAgent(first)
    #expect(bench.board.powercaps[1].cap == 50)
    for cap in [1, 9, 11, 111, 130, .max] as [UInt32] {
      #expect(bench.send(.powercap, 5, 0, 0, cap, from: first) == .failure(.invalidParameters))
    }
    #expect(bench.send(.powercap, 5, 0, 4, 30, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.powercap, 5, 2, 0, 30, from: first) == .failure(.notFound))
    bench.board.fault = .hardwareError
    #expect(bench.send(.powercap, 5, 0, 0, 30, from: first) == .failure(.hardwareError))
    bench.board.fault = nil
    #expect(bench.send(.powercap, 5, 0, 0, 110, from: second) == .done)
    #expect(bench.send(.powercap, 4, 0, from: first) == .words(110))
  }

  @Test func `asynchronous caps have delayed responses unless they are ignored`() {
    let (bench, first, _) = powercapBench()
    bench.board.isSlow = true
    #expect(bench.send(.powercap, 5, 1, 2, 20, from: first) == .done)
    bench.platform.finish(bench.board.pending[0])
    let header = MessageHeader(.powercap, 5, type: 2, token: 1).word
    #expect(bench.nextWords(for: first) == [header, 0, 1, 20])
    #expect(bench.send(.powercap, 5, 1, 3, 30, from: first) == .done)
    bench.platform.finish(bench.board.pending[1])
    #expect(bench.next(for: first).isEmpty && bench.board.powercaps[1].cap == 30)
    #expect(bench.send(.powercap, 5, 0, 2, 30, from: first) == .failure(.notSupported))
  }

  @Test func `intervals and measurements`() {
    let (bench, first, second) = powercapBench()
    #expect(bench.send(.powercap, 7, 0, 0, 2500, from: first) == .done)
    #expect(bench.send(.powercap, 6, 0, from: second) == .words(2500))
    #expect(bench.send(.powercap, 9, 0, from: second) == .words(50, 2500))
    #expect(bench.send(.powercap, 9, 1, from: first) == .failure(.notSupported))
    #expect(bench.send(.powercap, 7, 0, 1, 2500, from: first) == .failure(.invalidParameters))
    for interval in [0, 500, 1001, 5500] as [UInt32] {
      #expect(bench.send(.powercap, 7, 0, 0, interval, from: first) == .failure(.invalidParameters))
    }
    #expect(bench.send(.powercap, 7, 1, 0, 1000, from: first) == .failure(.denied))
    #expect(bench.send(.powercap, 7, 0, 0, 2500, from: second) == .failure(.denied))
    for message in [3, 4, 6, 8, 9] as [UInt8] {
      #expect(bench.send(.powercap, message, 1, from: second) == .failure(.notFound))
      #expect(bench.send(.powercap, message, from: second) == .failure(.protocolError))
    }
  }

  @Test func `notifications of caps, intervals and thresholds`() {
    let (bench, first, second) = powercapBench()
    #expect(bench.send(.powercap, 10, 0, 1, from: second) == .done)
    #expect(bench.send(.powercap, 10, 0, 2, from: second) == .failure(.invalidParameters))
    #expect(bench.send(.powercap, 5, 0, 0, 50, from: first) == .done)
    #expect(bench.nextWords(for: second) == [capEvent, 1, 0, 50, 1000])
    #expect(bench.send(.powercap, 7, 0, 0, 2000, from: first) == .done)
    #expect(bench.nextWords(for: second) == [capEvent, 1, 0, 50, 2000])
    #expect(bench.send(.powercap, 11, 0, 1, 60, 40, from: second) == .failure(.invalidParameters))
    #expect(bench.send(.powercap, 11, 1, 1, 0, 40, from: first) == .failure(.notSupported))
    #expect(bench.send(.powercap, 11, 0, 1, 20, 60, from: second) == .done)
    func measure(_ power: UInt32) {
      bench.board.powercaps[0].power = power
      bench.platform.powerMeasured(PowercapDomainID(0))
    }
    measure(50)
    #expect(bench.next(for: second).isEmpty)
    measure(60)
    #expect(bench.nextWords(for: second) == [powerEvent, 0, 0, 60])
    measure(70)
    #expect(bench.next(for: second).isEmpty)
    measure(20)
    measure(30)
    #expect(bench.nextWords(for: second) == [powerEvent, 0, 0, 30])
    measure(60)
    #expect(bench.send(.powercap, 11, 0, 0, 0, 0, from: second) == .done)
    #expect(bench.next(for: second).isEmpty)
  }

  @Test func `FastChannels are described, and what they carry is checked`() {
    let (bench, first, second) = powercapBench()
    bench.board.powercaps[0].channels = [5: FastChannel(address: 0x1000), 7: FastChannel(address: 0x1008)]
    #expect(bench.send(.powercap, 2, 5, from: first) == .words(1))
    #expect(bench.send(.powercap, 2, 5, from: second) == .words(0))
    #expect(bench.send(.powercap, 3, 0, from: first).words[0] & 1 << 22 != 0)
    #expect(bench.send(.powercap, 12, 0, 5, from: first) == .words(0, 0, 0x1000, 0, 4, 0, 0, 0, 0, 0, 0))
    #expect(bench.send(.powercap, 12, 0, 4, from: first) == .failure(.notSupported))
    #expect(bench.send(.powercap, 12, 0, 3, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.powercap, 12, 9, 5, from: first) == .failure(.notFound))
    #expect(bench.send(.base, 8, 1, from: first) == .done)
    bench.platform.powercapChannelWritten(5, 0, 30, by: first)
    bench.platform.powercapChannelWritten(7, 0, 3000, by: first)
    #expect(bench.board.powercaps[0].cap == 30 && bench.board.powercaps[0].interval == 3000)
    bench.platform.powercapChannelWritten(5, 0, 31, by: first)
    #expect(bench.board.powercaps[0].cap == 30)
    let header = MessageHeader(.powercap, 5).word
    #expect(bench.nextWords(for: first) == [notification(.base, 0), 1, 1, header, UInt32(bitPattern: -2)])
  }
}
