// SCMI Clock management protocol, platform side: descriptions, rates, state.

import SCMI
import Testing
import Wire

/// Clock 0 has a list of rates, clock 1 a range; clock 2 has them as parents, a duty cycle and a long name.
func clockBench(profile: SCMIProfile = .version32) -> (Bench, AgentID, AgentID) {
  let board = TestBoard(clocks: [
    TestClock(name: SCMIName("list"), rates: [100, 200, 400], rate: 200, isOn: true, latency: 77),
    TestClock(
      name: SCMIName("range"), range: .range(lowest: 1 << 33, highest: 3 << 33, step: 1 << 20),
      rate: 1 << 33, notifies: false),
    TestClock(
      name: SCMIName("a clock with a long name"), rates: [5], rate: 5, parents: [0, 1], parent: 1, duty: 50),
  ])
  let bench = Bench(board)
  let first = bench.platform.addAgent(AgentDescription(name: SCMIName("first"), profile: profile))
  let second = bench.platform.addAgent(AgentDescription(name: SCMIName("second"), profile: profile))
  for i in 0..<3 { bench.platform.grant(.clock, i, to: first) }
  // The second agent's numbers are its own: its clock 0 is the list again, its clock 1 the long name.
  bench.platform.grant(.clock, 0, to: second, rights: .state)
  bench.platform.grant(.clock, 2, to: second, rights: .none)
  return (bench, first, second)
}

@Suite struct `SCMI Clock descriptions` {
  @Test func `protocol attributes count the agent's clocks and its asynchronous commands`() {
    let (bench, first, second) = clockBench()
    #expect(bench.send(.clock, 0, from: first) == .words(0x30000))
    #expect(bench.send(.clock, 1, from: first) == .words(0x0008_0003))
    #expect(bench.send(.clock, 1, from: second) == .words(0x0008_0002))
    let silent = bench.platform.addAgent(
      AgentDescription(name: SCMIName("s"), hasPlatformToAgentChannel: false))
    bench.platform.grant(.clock, 1, to: silent)
    #expect(bench.send(.clock, 1, from: silent) == .words(1))
  }

  @Test func `messages by profile and by channel`() {
    let (bench, first, _) = clockBench()
    let (old, oldAgent, _) = clockBench(profile: .version20)
    let silent = bench.platform.addAgent(
      AgentDescription(name: SCMIName("s"), hasPlatformToAgentChannel: false))
    bench.platform.grant(.clock, 1, to: silent)
    for message in 0...15 as ClosedRange<UInt32> {
      #expect(bench.send(.clock, 2, message, from: first) == .words(0))
      let isOld = message < 8
      #expect(old.send(.clock, 2, message, from: oldAgent) == (isOld ? .words(0) : .failure(.notFound)))
      let notifies = message == 9 || message == 10
      #expect(bench.send(.clock, 2, message, from: silent) == (notifies ? .failure(.notFound) : .words(0)))
    }
    #expect(bench.send(.clock, 9, 0, 1, from: silent) == .failure(.notSupported))
    #expect(old.send(.clock, 8, 0, from: oldAgent) == .failure(.notFound))
  }

  @Test func `attributes and names`() {
    let (bench, first, second) = clockBench()
    #expect(
      bench.send(.clock, 3, 0, from: first).bytes == littleEndian([0xC000_0001]) + name("list") + [
        77, 0, 0, 0,
      ])
    #expect(bench.send(.clock, 3, 1, from: first).bytes == littleEndian([0]) + name("range") + [0, 0, 0, 0])
    let long = "a clock with a long name"
    #expect(
      bench.send(.clock, 3, 2, from: first).bytes == littleEndian([0xF800_0000]) + name(long) + [0, 0, 0, 0])
    #expect(bench.send(.clock, 3, 1, from: second).words.first == 0xF800_0002)
    #expect(bench.send(.clock, 8, 1, from: second).bytes == [0, 0, 0, 0] + name(long, 64))
    #expect(bench.send(.clock, 8, 0, from: first).bytes == [0, 0, 0, 0] + name("list", 64))
  }

  @Test func `SCMI 2_0 attributes have no later bit and no latency`() {
    let (bench, first, _) = clockBench(profile: .version20)
    #expect(bench.send(.clock, 0, from: first) == .words(0x10000))
    #expect(
      bench.send(.clock, 3, 2, from: first).bytes == littleEndian([0]) + name("a clock with a long name"))
    #expect(bench.send(.clock, 3, 0, from: first).bytes == littleEndian([1]) + name("list"))
  }

  @Test func `rates of a list come in as many parts as they need`() {
    let (bench, first, _) = clockBench()
    #expect(bench.send(.clock, 4, 0, 0, from: first) == .words(3, 100, 0, 200, 0, 400, 0))
    #expect(bench.send(.clock, 4, 0, 2, from: first) == .words(1, 400, 0))
    #expect(bench.send(.clock, 4, 0, 3, from: first) == .failure(.outOfRange))
    #expect(bench.send(.clock, 4, 0, .max, from: first) == .failure(.outOfRange))
    bench.board.clocks[0].rates = (1...40).map { $0 }
    bench.capacity = 44
    #expect(bench.send(.clock, 4, 0, 0, from: first) == .words(4 | 36 << 16, 1, 0, 2, 0, 3, 0, 4, 0))
    #expect(bench.send(.clock, 4, 0, 37, from: first) == .words(3, 38, 0, 39, 0, 40, 0))
  }

  @Test func `rates of a range are one triplet`() {
    let (bench, first, _) = clockBench()
    #expect(bench.send(.clock, 4, 1, 0, from: first) == .words(0x1003, 0, 2, 0, 6, 1 << 20, 0))
    #expect(bench.send(.clock, 4, 1, 1, from: first) == .failure(.outOfRange))
  }

  @Test func `an identifier beyond the view is not found, in every message`() {
    let (bench, first, second) = clockBench()
    let lengths: [UInt8: Int] = [
      3: 1, 4: 2, 6: 1, 7: 3, 8: 1, 9: 2, 10: 2, 11: 2, 12: 2, 13: 2, 14: 1, 15: 1,
    ]
    for (message, length) in lengths {
      for (agent, bad) in [(first, 3 as UInt32), (second, 2), (first, .max)] {
        let header = MessageHeader(.clock, message).word
        let request = [header, bad] + Array(repeating: 0, count: length - 1)
        let reply = bench.exchange(littleEndian(request), from: agent)
        #expect(words(reply) == [header, UInt32(bitPattern: -4)], "\(message)")
      }
      let short = littleEndian([MessageHeader(.clock, message).word] + Array(repeating: 0, count: length - 1))
      #expect(words(bench.exchange(short, from: first))[1] == UInt32(bitPattern: -10))
      #expect(words(bench.exchange(short + [0, 0, 0, 0, 0], from: first))[1] == UInt32(bitPattern: -10))
    }
    #expect(bench.send(.clock, 5, 0, 3, 100, 0, from: first) == .failure(.notFound))
  }
}

@Suite struct `SCMI Clock rates` {
  @Test func `a rate is read by the agent's own number`() {
    let (bench, first, second) = clockBench()
    #expect(bench.send(.clock, 6, 0, from: first) == .words(200, 0))
    #expect(bench.send(.clock, 6, 1, from: first) == .words(0, 2))
    #expect(bench.send(.clock, 6, 1, from: second) == .words(5, 0))
  }

  @Test(
    arguments: [
      (0, 100, 100), (0, 399, 200), (4, 399, 400), (4, 101, 200), (8, 299, 200), (8, 301, 400), (8, 300, 200),
      (12, 301, 400), (0, 400, 400), (2, 100, 100),
    ] as [(UInt32, UInt32, UInt64)])
  func `a rate of a list is rounded`(_ flags: UInt32, _ wanted: UInt32, _ rate: UInt64) {
    let (bench, first, _) = clockBench()
    #expect(bench.send(.clock, 5, flags, 0, wanted, 0, from: first) == .done)
    #expect(bench.board.clocks[0].rate == rate)
  }

  @Test func `a rate of a range is rounded to a step within it`() {
    let (bench, first, _) = clockBench()
    let step = 1 << 20 as UInt32
    #expect(bench.send(.clock, 5, 0, 1, step + 5, 2, from: first) == .done)
    #expect(bench.board.clocks[1].rate == 2 << 32 + UInt64(step))
    #expect(bench.send(.clock, 5, 4, 1, step + 5, 2, from: first) == .done)
    #expect(bench.board.clocks[1].rate == 2 << 32 + 2 * UInt64(step))
    #expect(bench.send(.clock, 5, 8, 1, step + 5, 2, from: first) == .done)
    #expect(bench.board.clocks[1].rate == 2 << 32 + UInt64(step))
    // The highest rate is not a step away from the lowest one: nothing lies above the last step.
    bench.board.clocks[1].range = .range(lowest: 10, highest: 25, step: 10)
    #expect(bench.send(.clock, 5, 4, 1, 24, 0, from: first) == .done)
    #expect(bench.board.clocks[1].rate == 20)
  }

  @Test func `a rate outside the range, unknown flags and a missing right`() {
    let (bench, first, second) = clockBench()
    for rate in [0, 99, 401, .max] as [UInt32] {
      #expect(bench.send(.clock, 5, 8, 0, rate, 0, from: first) == .failure(.invalidParameters))
    }
    #expect(bench.send(.clock, 5, 0, 0, 100, 1, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.clock, 5, 0, 1, 0, 1, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.clock, 5, 4, 1, 1, 6, from: first) == .failure(.invalidParameters))
    for flag in 4...31 as ClosedRange<UInt32> {
      #expect(bench.send(.clock, 5, 1 << flag, 0, 100, 0, from: first) == .failure(.invalidParameters))
    }
    #expect(bench.send(.clock, 5, 0, 0, 100, 0, from: second) == .failure(.denied))
    bench.board.fault = .hardwareError
    #expect(bench.send(.clock, 5, 0, 0, 100, 0, from: first) == .failure(.hardwareError))
    #expect(bench.board.clocks[0].rate == 200)
  }
}

@Suite struct `SCMI Clock state` {
  @Test func `a shared clock is on until both release it`() {
    let (bench, first, second) = clockBench()
    bench.board.clocks[0].isOn = false
    #expect(bench.send(.clock, 7, 0, 1, 0, from: first) == .done)
    #expect(bench.send(.clock, 7, 0, 1, 0, from: second) == .done)
    #expect(bench.board.clocks[0].switches == 1)
    #expect(bench.send(.clock, 7, 0, 0, 0, from: first) == .done)
    #expect(bench.board.clocks[0].isOn)
    // Each agent sees what it asked for.
    #expect(bench.send(.clock, 11, 0, 0, from: first) == .words(0, 0, 0))
    #expect(bench.send(.clock, 11, 0, 0, from: second) == .words(0, 1, 0))
    #expect(bench.send(.clock, 3, 0, from: first).words[0] & 1 == 0)
    #expect(bench.send(.clock, 7, 0, 0, 0, from: second) == .done)
    #expect(!bench.board.clocks[0].isOn)
    #expect(bench.board.clocks[0].switches == 2)
  }

  @Test func `turning on twice is one hold, and a clock that was on at first can be turned off`() {
    let (bench, first, _) = clockBench()
    #expect(bench.send(.clock, 11, 0, 0, from: first) == .words(0, 1, 0))
    #expect(bench.send(.clock, 7, 0, 1, 0, from: first) == .done)
    #expect(bench.send(.clock, 7, 0, 1, 0, from: first) == .done)
    #expect(bench.send(.clock, 7, 0, 0, 0, from: first) == .done)
    #expect(!bench.board.clocks[0].isOn)
  }

  @Test func `a clock that does not turn on is not held`() {
    let (bench, first, _) = clockBench()
    bench.board.fault = .hardwareError
    #expect(bench.send(.clock, 7, 1, 1, 0, from: first) == .failure(.hardwareError))
    bench.board.fault = nil
    #expect(bench.send(.clock, 11, 1, 0, from: first) == .words(0, 0, 0))
  }

  @Test func `SCMI 2_0 sends 8 bytes and bit 0 alone`() {
    let (bench, first, _) = clockBench(profile: .version20)
    #expect(bench.send(.clock, 7, 1, 1, from: first) == .done)
    #expect(bench.board.clocks[1].isOn)
    #expect(bench.send(.clock, 7, 1, 1, 0, from: first) == .failure(.protocolError))
    for bit in 1...31 as ClosedRange<UInt32> {
      #expect(bench.send(.clock, 7, 1, 1 << bit, from: first) == .failure(.invalidParameters))
    }
  }

  @Test func `reserved bits and states, extended configurations`() {
    let (bench, first, second) = clockBench()
    for bit in [1, 2, 3, 8, 15, 24, 31] as [UInt32] {
      #expect(bench.send(.clock, 7, 1, 1 << bit, 0, from: first) == .failure(.invalidParameters))
    }
    #expect(bench.send(.clock, 7, 2, 3, 0, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.clock, 7, 2, 1 << 16 | 3, 70, from: first) == .done)
    #expect(bench.board.clocks[2].duty == 70 && bench.board.clocks[2].switches == 0)
    #expect(bench.send(.clock, 7, 2, 1 << 16 | 1, 80, from: first) == .done)
    #expect(bench.send(.clock, 11, 2, 1, from: first) == .words(0, 1, 80))
    #expect(bench.send(.clock, 7, 2, 1 << 16 | 1, 101, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.clock, 7, 2, 2 << 16 | 1, 5, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.clock, 7, 0, 1 << 16 | 1, 5, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.clock, 11, 2, 2, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.clock, 11, 0, 1, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.clock, 11, 0, 0x100, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.clock, 7, 1, 1, 0, from: second) == .failure(.denied))
  }

  @Test func `permissions and parents`() {
    let (bench, first, second) = clockBench()
    #expect(bench.send(.clock, 15, 0, from: first) == .words(0xE000_0000))
    #expect(bench.send(.clock, 15, 0, from: second) == .words(0x8000_0000))
    #expect(bench.send(.clock, 15, 1, from: second) == .words(0))
    #expect(bench.send(.clock, 12, 2, 0, from: first) == .words(2, 0, 1))
    #expect(bench.send(.clock, 12, 2, 1, from: first) == .words(1, 1))
    #expect(bench.send(.clock, 12, 2, 2, from: first) == .words(0))
    #expect(bench.send(.clock, 12, 2, 3, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.clock, 12, 0, 0, from: first) == .failure(.notSupported))
    // The second agent does not see clock 1.
    #expect(bench.send(.clock, 12, 1, 0, from: second) == .words(1, 0))
    #expect(bench.send(.clock, 14, 1, from: second) == .failure(.denied))
    #expect(bench.send(.clock, 14, 2, from: first) == .words(1))
    #expect(bench.send(.clock, 14, 0, from: first) == .failure(.notSupported))
    #expect(bench.send(.clock, 13, 2, 0, from: first) == .done)
    #expect(bench.send(.clock, 14, 2, from: first) == .words(0))
    #expect(bench.send(.clock, 13, 2, 2, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.clock, 13, 2, 3, from: first) == .failure(.notFound))
    #expect(bench.send(.clock, 13, 0, 1, from: first) == .failure(.notSupported))
    #expect(bench.send(.clock, 13, 1, 0, from: second) == .failure(.denied))
    bench.capacity = 16
    #expect(bench.send(.clock, 12, 2, 0, from: first) == .words(1 | 1 << 24, 0))
  }

  @Test func `a reset releases what the agent held, and restores what was its own`() {
    let (bench, first, second) = clockBench()
    for clock in 0...2 as ClosedRange<UInt32> {
      #expect(bench.send(.clock, 7, clock, 1, 0, from: first) == .done)
    }
    #expect(bench.send(.clock, 7, 0, 1, 0, from: second) == .done)
    #expect(bench.send(.clock, 5, 0, 0, 100, 0, from: first) == .done)
    #expect(bench.send(.clock, 5, 0, 1, 0, 3, from: first) == .done)
    #expect(bench.send(.clock, 9, 0, 1, from: first) == .done)
    bench.platform.resetAgent(first)
    #expect(bench.board.clocks.map { $0.isOn } == [true, false, false])
    #expect(bench.board.clocks.map { $0.restores } == [0, 1, 0])
    bench.platform.rateChanged(ClockID(0))
    #expect(bench.next(for: first).isEmpty)
    bench.platform.resetAgent(second)
    #expect(!bench.board.clocks[0].isOn)
  }
}
