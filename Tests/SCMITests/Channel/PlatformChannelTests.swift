// The platform's side of shared memory channels against an agent that writes what it likes.

import SCMI
import Testing
import Wire

/// CLOCK_RATE_GET of clock 0 with a token, and its answer for 0x1122334455667788 Hz.
private let rateGet: [UInt8] = [6, 0x50, 0x1C, 0, 0, 0, 0, 0]
private let rate: [UInt8] = [6, 0x50, 0x1C, 0, 0, 0, 0, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]

@Suite struct PlatformChannelTests {
  let memory = SharedBytes()
  let events = SharedBytes()
  let bench: Bench
  let agent: AgentID

  init() {
    var board = TestBoard()
    board.clocks = [TestClock(rates: [1, 2], rate: 0x1122_3344_5566_7788)]
    bench = Bench(board)
    agent = bench.platform.addAgent(AgentDescription(name: SCMIName("agent")))
    bench.platform.grant(.clock, 0, to: agent)
  }

  @Test(arguments: [false, true])
  func `a command is answered in the area, and asks for an interrupt or not`(_ wantsInterrupt: Bool) {
    var channel = PlatformChannel(commands: memory.area)
    #expect(channel.serve(agent, &bench.platform) == .idle)
    memory.post(rateGet, flags: wantsInterrupt ? 1 : 0)
    #expect(channel.serve(agent, &bench.platform) == .answered(wantsInterrupt: wantsInterrupt))
    #expect(memory[0x04] == 1)
    #expect(memory[0x14] == 16)
    #expect(memory.message(16) == rate)
    #expect(channel.serve(agent, &bench.platform) == .idle)
    #expect(memory.isIntact)
  }

  @Test(arguments: [0, 3, 105, 256, .max] as [UInt32])
  func `a length that no command has is an error of the channel, and the next works`(_ length: UInt32) {
    var channel = PlatformChannel(commands: memory.area)
    memory.post(rateGet, length: length, flags: 1)
    #expect(channel.serve(agent, &bench.platform) == .answered(wantsInterrupt: true))
    #expect(memory[0x04] == 3)
    memory.post(rateGet)
    #expect(channel.serve(agent, &bench.platform) == .answered(wantsInterrupt: false))
    #expect(memory[0x04] == 1 && memory.message(16) == rate)
  }

  @Test func `what the agent changes while it is served has no effect`() {
    var channel = PlatformChannel(commands: memory.area)
    memory.post(rateGet)
    let memory = memory
    let service = channel.serve { command, room in
      // Header, parameter, length and status, between the fetch and the answer.
      for offset in stride(from: 0, to: 128, by: 4) { memory[offset] = 0xFFFF_FFFF }
      #expect(command.array == rateGet)
      return bench.platform.handle(command, from: agent, into: &room)
    }
    #expect(service == .answered(wantsInterrupt: false))
    #expect(memory[0x04] == 1 && memory[0x14] == 16)
    #expect(memory.message(16) == rate)
  }

  @Test func `the answer has no more room than the area, and nothing behind it is written`() {
    let small = SharedBytes(0x18 + 12)
    var channel = PlatformChannel(commands: small.area)
    small.post(rateGet)
    #expect(channel.serve(agent, &bench.platform) == .answered(wantsInterrupt: false))
    #expect(small[0x14] == 8)
    #expect(small.message(8) == Array(rateGet.prefix(4)) + [0xF6, 0xFF, 0xFF, 0xFF])
    #expect(small.isIntact)
  }

  @Test func `a stale answer is not sent along`() {
    var channel = PlatformChannel(commands: memory.area)
    memory.post(rateGet)
    _ = channel.serve(agent, &bench.platform)
    memory.setMessage([UInt8](repeating: 0, count: 32))
    memory.post([6, 0x50, 0, 0, 9, 0, 0, 0])
    _ = channel.serve(agent, &bench.platform)
    #expect(memory.message(16) == [6, 0x50, 0, 0, 0xFC, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0])
  }

  @Test func `a repeated token is another command each time`() {
    var channel = PlatformChannel(commands: memory.area)
    // CLOCK_CONFIG_SET with the token of CLOCK_RATE_GET.
    for state in [1, 0, 0, 1] as [UInt8] {
      let header: [UInt8] = [7, 0x50, 0x1C, 0]
      memory.post(header + [0, 0, 0, 0, state, 0, 0, 0, 0, 0, 0, 0])
      #expect(channel.serve(agent, &bench.platform) == .answered(wantsInterrupt: false))
      #expect(memory[0x14] == 8 && memory.message(8) == header + [0, 0, 0, 0])
      #expect(bench.board.clocks[0].isOn == (state == 1))
      memory.post(rateGet)
      #expect(channel.serve(agent, &bench.platform) == .answered(wantsInterrupt: false))
      #expect(memory[0x14] == 16 && memory.message(16) == rate)
    }
  }

  // MARK: Events

  @Test func `an event waits until the one before was taken`() {
    var channel = PlatformChannel(commands: memory.area, events: events.area)
    var messages: [[UInt8]] = [[1, 3, 0, 0, 7], [2, 3, 0, 0]]
    var isSent = channel.sendEvent(wantsInterrupt: true) { $0.put(first: &messages) }
    #expect(isSent && events[0x04] == 0 && events[0x10] == 1 && events[0x14] == 5)
    #expect(events.message(5) == [1, 3, 0, 0, 7])
    isSent = channel.sendEvent(wantsInterrupt: true) { $0.put(first: &messages) }
    #expect(!isSent && messages.count == 1)
    events[0x04] = 1
    isSent = channel.sendEvent(wantsInterrupt: false) { $0.put(first: &messages) }
    #expect(isSent && events[0x10] == 0 && events.message(4) == [2, 3, 0, 0])
    events[0x04] = 3
    isSent = channel.sendEvent(wantsInterrupt: false) { $0.put(first: &messages) }
    #expect(!isSent && events[0x04] == 3)
  }

  @Test func `without a channel for events there is none`() {
    var channel = PlatformChannel(commands: memory.area)
    let isSent = channel.sendEvent(wantsInterrupt: false) { _ in
      Issue.record("asked for an event that cannot be sent")
      return 0
    }
    #expect(!isSent)
    let canSendEvent = channel.canSendEvent
    #expect(!canSendEvent)
  }
}
