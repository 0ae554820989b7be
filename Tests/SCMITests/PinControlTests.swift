// SCMI Pin control protocol, platform side.

import SCMI
import Testing
import Wire

/// The first agent, which is trusted, sees everything; the second one pins 3, 1 and 2, group 1, function 0.
private func pinBench() -> (Bench, AgentID, AgentID) {
  let bench = Bench(TestBoard(pins: TestPins(isThere: true)))
  let first = bench.platform.addAgent(AgentDescription(name: SCMIName("first"), isTrusted: true))
  let second = bench.platform.addAgent(AgentDescription(name: SCMIName("second")))
  for i in 0..<4 { bench.platform.grant(.pin, i, to: first) }
  for i in 0..<2 {
    bench.platform.grant(.pinGroup, i, to: first)
    bench.platform.grant(.pinFunction, i, to: first)
  }
  for i in [3, 1, 2] { bench.platform.grant(.pin, i, to: second) }
  bench.platform.grant(.pinGroup, 1, to: second)
  bench.platform.grant(.pinFunction, 0, to: second)
  return (bench, first, second)
}

private let none: UInt32 = .max

@Suite struct `SCMI Pin control` {
  @Test func `version, messages and attributes; SCMI 2_0 does not have it`() {
    let (bench, first, second) = pinBench()
    #expect(bench.send(.pinControl, 0, from: first) == .words(0x10000))
    #expect(bench.send(.pinControl, 1, from: first) == .words(2 << 16 | 4, 2))
    #expect(bench.send(.pinControl, 1, from: second) == .words(1 << 16 | 3, 1))
    for message in 0...11 as ClosedRange<UInt32> {
      #expect(
        bench.send(.pinControl, 2, message, from: first) == (message < 11 ? .words(0) : .failure(.notFound)))
    }
    let old = bench.platform.addAgent(AgentDescription(name: SCMIName("old"), profile: .version20))
    bench.platform.grant(.pin, 0, to: old)
    #expect(bench.send(.pinControl, 0, from: old) == .failure(.notSupported))
  }

  @Test func `pins, groups and functions have names and elements`() {
    let (bench, first, second) = pinBench()
    #expect(bench.send(.pinControl, 3, 0, 0, from: first).bytes == littleEndian([1]) + name("pin 0"))
    let long = "a pin with a long name"
    #expect(bench.send(.pinControl, 3, 0, 0, from: second).bytes == littleEndian([1 << 31 | 1]) + name(long))
    #expect(bench.send(.pinControl, 3, 1, 1, from: first).bytes == littleEndian([3]) + name("group"))
    #expect(bench.send(.pinControl, 3, 0, 2, from: first).bytes == littleEndian([2]) + name("function"))
    #expect(
      bench.send(.pinControl, 3, 1, 2, from: first).bytes == littleEndian([0x3_0001]) + name("function"))
    #expect(bench.send(.pinControl, 3, 0, 2, from: second).words.first == 1)
    #expect(bench.send(.pinControl, 9, 0, 0, from: second).bytes == [0, 0, 0, 0] + name(long, 64))
    #expect(bench.send(.pinControl, 9, 1, 1, from: first).bytes == [0, 0, 0, 0] + name("group", 64))
    #expect(bench.send(.pinControl, 9, 1, 2, from: first).bytes == [0, 0, 0, 0] + name("function", 64))
    for message in [3, 9] as [UInt8] {
      #expect(bench.send(.pinControl, message, 4, 0, from: first) == .failure(.notFound))
      #expect(bench.send(.pinControl, message, 1, 1, from: second) == .failure(.notFound))
      for selector in [3, 4, .max] as [UInt32] {
        #expect(bench.send(.pinControl, message, 0, selector, from: first) == .failure(.invalidParameters))
      }
    }
  }

  @Test func `associations are in the agent's own numbers`() {
    let (bench, first, second) = pinBench()
    #expect(bench.send(.pinControl, 4, 1, 1, 0, from: first).bytes == littleEndian([3]) + [1, 0, 2, 0, 3, 0])
    #expect(
      bench.send(.pinControl, 4, 0, 1, 0, from: second).bytes == littleEndian([3]) + [1, 0, 2, 0, 0, 0])
    #expect(bench.send(.pinControl, 4, 0, 1, 2, from: second).bytes == littleEndian([1]) + [0, 0])
    #expect(bench.send(.pinControl, 4, 0, 2, 0, from: second).bytes == littleEndian([1]) + [0, 0])
    #expect(bench.send(.pinControl, 4, 1, 2, 0, from: first).bytes == littleEndian([1]) + [3, 0])
    bench.capacity = 16
    #expect(
      bench.send(.pinControl, 4, 1, 1, 0, from: first).bytes == littleEndian([1 << 16 | 2]) + [1, 0, 2, 0])
    #expect(bench.send(.pinControl, 4, 1, 1, 3, from: first) == .failure(.outOfRange))
    #expect(bench.send(.pinControl, 4, 0, 0, 0, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.pinControl, 4, 1, 1, 0, from: second) == .failure(.notFound))
  }

  @Test func `settings are read one by one, all, or not at all`() {
    let (bench, first, second) = pinBench()
    #expect(bench.send(.pinControl, 5, 0, 5, from: first) == .words(none, 1, 5, 50))
    #expect(bench.send(.pinControl, 5, 0, 1 << 18, from: first) == .words(none, 2, 1, 10, 5, 50))
    #expect(bench.send(.pinControl, 5, 0, 1 << 18 | 1 << 8, from: first) == .words(none, 1, 5, 50))
    #expect(bench.send(.pinControl, 5, 0, 2 << 18, from: first) == .words(none, 0))
    bench.capacity = 24
    #expect(bench.send(.pinControl, 5, 0, 1 << 18, from: first) == .words(none, 1 << 24 | 1, 1, 10))
    #expect(bench.send(.pinControl, 5, 0, 1 << 18 | 3 << 8, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.pinControl, 5, 0, 2, from: first) == .failure(.notSupported))
    #expect(bench.send(.pinControl, 5, 0, 3 << 18, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.pinControl, 5, 0, 1 << 20, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.pinControl, 5, 0, 2 << 16, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.pinControl, 5, 1, 1 << 16, from: second) == .failure(.notFound))
  }

  @Test func `functions and settings are set together`() {
    let (bench, first, second) = pinBench()
    let attributes: UInt32 = 1 << 10 | 2 << 2 | 1
    #expect(bench.send(.pinControl, 6, 0, 0, attributes, 1, 11, 5, 55, from: second) == .done)
    #expect(
      bench.board.pins.selected == ["group 1": 0] && bench.board.pins.settings == ["group 1": [11, 55]])
    #expect(bench.send(.pinControl, 5, 0, 1 << 18 | 1 << 16, from: second) == .words(0, 2, 1, 11, 5, 55))
    #expect(bench.send(.pinControl, 6, 3, 1, 1 << 10, from: first) == .done)
    #expect(bench.send(.pinControl, 5, 3, 2 << 18, from: first) == .words(1, 0))
    // A function that the agent does not see has no number.
    #expect(bench.send(.pinControl, 5, 0, 2 << 18, from: second) == .words(none, 0))
    #expect(bench.send(.pinControl, 6, 3, none, 1 << 10, from: first) == .done)
    #expect(bench.board.pins.selected["pin 3"] == nil)
    bench.platform.resetAgent(first)
    bench.platform.resetAgent(second)
    #expect(bench.board.pins.restores == ["pin 3", "group 1"])
  }

  @Test func `bad settings change nothing`() {
    let (bench, first, second) = pinBench()
    #expect(
      bench.send(.pinControl, 6, 0, 0, 1 << 10 | 1 << 2 | 1, 2, 1, from: first) == .failure(.notSupported))
    #expect(
      bench.send(.pinControl, 6, 0, 0, 1 << 10 | 1 << 2 | 1, 1, 101, from: first) == .failure(.notSupported))
    #expect(bench.send(.pinControl, 6, 0, 0, 1 << 2, 0x101, 1, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.pinControl, 6, 0, 1, 1 << 10 | 1, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.pinControl, 6, 0, 1, 1 << 10, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.pinControl, 6, 0, 0, 1 << 10, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.pinControl, 6, 0, 9, 1 << 10 | 1, from: first) == .failure(.notFound))
    #expect(bench.send(.pinControl, 6, 0, 0, 1 << 11, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.pinControl, 6, 0, 0, 2, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.pinControl, 6, 9, 0, 0, from: first) == .failure(.notFound))
    // The number of settings and the length say the same.
    #expect(bench.send(.pinControl, 6, 0, 0, 1 << 2, from: first) == .failure(.protocolError))
    #expect(bench.send(.pinControl, 6, 0, 0, 0, 1, 1, from: first) == .failure(.protocolError))
    #expect(bench.send(.pinControl, 6, 0, 0, 0xFF << 2, 1, 1, from: first) == .failure(.protocolError))
    #expect(bench.send(.pinControl, 6, 0, from: first) == .failure(.protocolError))
    bench.board.fault = .hardwareError
    #expect(bench.send(.pinControl, 6, 0, 0, 1 << 2, 1, 1, from: second) == .failure(.hardwareError))
    #expect(bench.board.pins.selected.isEmpty && bench.board.pins.settings.isEmpty)
  }

  @Test func `what an agent requests is its own until it releases it`() {
    let (bench, first, second) = pinBench()
    #expect(bench.send(.pinControl, 7, 0, 1, from: second) == .done)
    #expect(bench.send(.pinControl, 7, 0, 1, from: second) == .done)
    #expect(bench.send(.pinControl, 7, 3, 0, from: first) == .failure(.inUse))
    #expect(bench.send(.pinControl, 7, 0, 1, from: first) == .failure(.inUse))
    #expect(bench.send(.pinControl, 6, 3, 0, 0, from: first) == .failure(.denied))
    #expect(bench.send(.pinControl, 6, 0, 0, 1, from: first) == .failure(.denied))
    #expect(bench.send(.pinControl, 7, 0, 0, from: first) == .done)
    // A pin that is requested by itself outlives its group.
    #expect(bench.send(.pinControl, 7, 0, 0, from: second) == .done)
    #expect(bench.send(.pinControl, 8, 0, 1, from: second) == .done)
    #expect(bench.send(.pinControl, 8, 0, 1, from: second) == .failure(.invalidParameters))
    #expect(bench.send(.pinControl, 7, 3, 0, from: first) == .failure(.inUse))
    #expect(bench.send(.pinControl, 7, 0, 1, from: first) == .done)
    #expect(bench.send(.pinControl, 7, 1, 0, from: second) == .failure(.inUse))
    bench.platform.resetAgent(first)
    #expect(bench.send(.pinControl, 7, 1, 0, from: second) == .done)
    #expect(bench.send(.pinControl, 8, 2, 0, from: second) == .failure(.invalidParameters))
    for message in [7, 8] as [UInt8] {
      #expect(bench.send(.pinControl, message, 0, 2, from: first) == .failure(.invalidParameters))
      #expect(bench.send(.pinControl, message, 9, 0, from: first) == .failure(.notFound))
    }
    let reader = bench.platform.addAgent(AgentDescription(name: SCMIName("reader")))
    bench.platform.grant(.pin, 0, to: reader, rights: .none)
    #expect(bench.send(.pinControl, 7, 0, 0, from: reader) == .failure(.denied))
    #expect(bench.send(.pinControl, 6, 0, 0, 0, from: reader) == .failure(.denied))
  }

  @Test func `a trusted agent sets permissions`() {
    let (bench, first, second) = pinBench()
    // Pin 3 is 0 to the second agent.
    #expect(bench.send(.pinControl, 10, 2, 3, 0, from: first) == .done)
    #expect(bench.send(.pinControl, 3, 0, 0, from: second) == .failure(.denied))
    #expect(bench.send(.pinControl, 3, 1, 0, from: second).status == .success)
    #expect(bench.send(.pinControl, 10, 2, 3, 4, from: first) == .done)
    #expect(bench.send(.pinControl, 3, 0, 0, from: second).status == .success)
    #expect(bench.send(.pinControl, 10, 2, 0, 4, from: first) == .failure(.notFound))
    #expect(bench.send(.pinControl, 10, 3, 3, 4, from: first) == .failure(.notFound))
    #expect(bench.send(.pinControl, 10, 2, 9, 4, from: first) == .failure(.notFound))
    #expect(bench.send(.pinControl, 10, 2, 3, 8, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.pinControl, 10, 2, 3, 3, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.pinControl, 10, 1, 0, 4, from: second) == .failure(.denied))
  }
}
