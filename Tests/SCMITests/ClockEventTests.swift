// SCMI Clock management protocol, platform side: delayed responses and notifications.

import SCMI
import Testing
import Wire

@Suite struct `SCMI delayed responses` {
  private func delayed(_ token: UInt16) -> UInt32 {
    MessageHeader(.clock, 5, type: MessageType.delayedResponse, token: token).word
  }

  @Test func `come after the response, with its token and the rate`() {
    let (bench, first, _) = clockBench()
    #expect(bench.send(.clock, 5, 1, 0, 399, 0, from: first) == .done)
    #expect(bench.hasMessage(for: first))
    #expect(bench.nextWords(for: first) == [delayed(1), 0, 0, 200, 0])
    #expect(bench.next(for: first).isEmpty && !bench.hasMessage(for: first))
  }

  @Test func `come when the board is done, in that order`() {
    let (bench, first, _) = clockBench()
    bench.board.isSlow = true
    #expect(bench.send(.clock, 5, 1, 0, 100, 0, from: first) == .done)
    #expect(bench.send(.clock, 5, 1, 2, 5, 0, from: first) == .done)
    #expect(bench.next(for: first).isEmpty)
    let pending = bench.board.pending
    bench.platform.finish(pending[1], .hardwareError)
    bench.platform.finish(pending[0])
    // What is finished is not finished again.
    bench.platform.finish(pending[0], .busy)
    #expect(bench.nextWords(for: first) == [delayed(2), UInt32(bitPattern: -9)])
    #expect(bench.nextWords(for: first) == [delayed(1), 0, 0, 100, 0])
    #expect(bench.next(for: first).isEmpty)
    bench.platform.finish(pending[0])
    #expect(bench.next(for: first).isEmpty)
  }

  @Test func `are never lost: too many commands are refused`() {
    let (bench, first, second) = clockBench()
    for _ in 0..<TestPlatform.operationLimit {
      #expect(bench.send(.clock, 5, 1, 0, 100, 0, from: first) == .done)
    }
    #expect(bench.send(.clock, 5, 1, 0, 400, 0, from: first) == .failure(.busy))
    #expect(bench.board.clocks[0].rate == 100)
    // Another agent, and synchronous commands, go on.
    #expect(bench.send(.clock, 6, 0, from: second).status == .success)
    #expect(bench.send(.clock, 5, 0, 0, 400, 0, from: first) == .done)
    for i in 1...UInt16(TestPlatform.operationLimit) {
      #expect(bench.nextWords(for: first).prefix(3) == [delayed(i), 0, 0])
    }
    #expect(bench.next(for: first).isEmpty)
    #expect(bench.send(.clock, 5, 1, 0, 200, 0, from: first) == .done)
  }

  @Test func `wait for a buffer that is large enough`() {
    let (bench, first, _) = clockBench()
    #expect(bench.send(.clock, 5, 1, 0, 100, 0, from: first) == .done)
    var short = ByteArray<64>()
    var target = short.mutableBytes
    let count = bench.platform.nextMessage(for: first, into: &target)
    #expect(count == 0)
    #expect(bench.nextWords(for: first).count == 5)
  }

  @Test func `are not sent when ignored, when the command was refused, or after a reset`() {
    let (bench, first, _) = clockBench()
    #expect(bench.send(.clock, 5, 3, 0, 100, 0, from: first) == .done)
    #expect(bench.board.clocks[0].rate == 100)
    bench.board.fault = .busy
    #expect(bench.send(.clock, 5, 1, 0, 100, 0, from: first) == .failure(.busy))
    bench.board.fault = nil
    bench.board.isSlow = true
    #expect(bench.send(.clock, 5, 1, 0, 400, 0, from: first) == .done)
    bench.platform.resetAgent(first)
    bench.platform.finish(bench.board.pending[0])
    #expect(bench.next(for: first).isEmpty)
  }

  @Test func `need a channel`() {
    let bench = Bench(TestBoard(clocks: [TestClock(rates: [1], rate: 1)]))
    let agent = bench.platform.addAgent(
      AgentDescription(name: SCMIName("a"), hasPlatformToAgentChannel: false))
    bench.platform.grant(.clock, 0, to: agent)
    #expect(bench.send(.clock, 5, 1, 0, 1, 0, from: agent) == .failure(.notSupported))
    #expect(bench.send(.clock, 5, 0, 0, 1, 0, from: agent) == .done)
  }

  @Test func `an ignored command that fails later is reported as an error`() {
    let (bench, first, _) = clockBench()
    bench.board.isSlow = true
    #expect(bench.send(.base, 8, 1, from: first) == .done)
    #expect(bench.send(.clock, 5, 3, 0, 100, 0, from: first) == .done)
    bench.platform.finish(bench.board.pending[0], .hardwareError)
    let command = MessageHeader(.clock, 5, token: 2).word
    #expect(bench.nextWords(for: first) == [notification(.base, 0), 1, 1, command, UInt32(bitPattern: -9)])
  }
}

@Suite struct `SCMI Clock notifications` {
  private let changed = notification(.clock, 0)
  private let requested = notification(.clock, 1)

  @Test func `tell the newest rate, who changed it, and the subscriber's number for the clock`() {
    let (bench, first, second) = clockBench()
    #expect(bench.send(.clock, 9, 0, 1, from: second) == .done)
    #expect(bench.send(.clock, 5, 0, 0, 100, 0, from: first) == .done)
    #expect(bench.send(.clock, 5, 0, 0, 400, 0, from: first) == .done)
    #expect(bench.next(for: first).isEmpty)
    #expect(bench.nextWords(for: second) == [changed, 1, 0, 400, 0])
    #expect(bench.next(for: second).isEmpty)
    bench.platform.rateChanged(ClockID(0))
    #expect(bench.nextWords(for: second) == [changed, 0, 0, 400, 0])
    #expect(bench.send(.clock, 9, 0, 0, from: second) == .done)
    bench.platform.rateChanged(ClockID(0))
    #expect(bench.next(for: second).isEmpty)
  }

  @Test func `tell requests, also those that come to nothing`() {
    let (bench, first, second) = clockBench()
    #expect(bench.send(.clock, 10, 0, 1, from: second) == .done)
    bench.board.fault = .hardwareError
    #expect(bench.send(.clock, 5, 0, 0, 399, 0, from: first) == .failure(.hardwareError))
    #expect(bench.nextWords(for: second) == [requested, 1, 0, 200, 0])
    #expect(bench.send(.clock, 10, 0, 1, from: second) == .done)
    #expect(bench.send(.clock, 5, 0, 0, 100, 0, from: first) == .failure(.hardwareError))
    #expect(bench.send(.clock, 10, 0, 0, from: second) == .done)
    #expect(bench.next(for: second).isEmpty)
  }

  @Test func `come after delayed responses, and no clock keeps another waiting`() {
    let (bench, first, _) = clockBench()
    #expect(bench.send(.clock, 9, 0, 1, from: first) == .done)
    #expect(bench.send(.clock, 9, 2, 1, from: first) == .done)
    #expect(bench.send(.clock, 5, 1, 0, 100, 0, from: first) == .done)
    bench.platform.rateChanged(ClockID(2))
    #expect(bench.nextWords(for: first)[0] == MessageHeader(.clock, 5, type: 2, token: 3).word)
    #expect(bench.nextWords(for: first)[2] == 0)
    bench.platform.rateChanged(ClockID(0))
    #expect(bench.nextWords(for: first)[2] == 2)
    #expect(bench.nextWords(for: first)[2] == 0)
  }

  @Test func `are refused where the clock has none, and with reserved bits`() {
    let (bench, first, _) = clockBench()
    #expect(bench.send(.clock, 9, 1, 1, from: first) == .failure(.notSupported))
    #expect(bench.send(.clock, 10, 1, 1, from: first) == .failure(.notSupported))
    #expect(bench.send(.clock, 9, 0, 2, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.clock, 10, 0, 3, from: first) == .failure(.invalidParameters))
  }
}
