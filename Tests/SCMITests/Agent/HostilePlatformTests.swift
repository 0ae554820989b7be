// The agent against a platform that answers what it likes.

import SCMI
import Testing
import Wire

private let commandHeader: UInt32 = 0x0000_5006  // CLOCK_RATE_GET, token 0

/// An agent over a lying channel, on the heap so that `#expect` can reach it.
final class LiedTo {
  var agent = SCMIAgent(LyingChannel())

  func call<Values: MessageValues>(_ command: AgentCommand<Values>) throws(AgentFault) -> Values {
    try agent.call(command)
  }
}

@Suite struct HostilePlatformTests {
  let it = LiedTo()

  /// CLOCK_RATE_GET's answer with a header.
  private func rate(_ header: UInt32 = commandHeader) -> [UInt8] { littleEndian([header, 0, 5, 0]) }

  @Test func `an answer is what the command asked for`() throws {
    it.agent.channel.responses = [nil, nil, rate()]
    #expect(try it.call(ClockCommand.rateGet(3)) == 5)
    #expect(it.agent.channel.commands == [littleEndian([commandHeader, 3])])
    #expect(it.agent.channel.waitCount == 2)
  }

  @Test(arguments: [
    0x0004_5006, 0x0000_5007, 0x0000_5406, 0x0000_5106, 0x0000_5206, 0x0000_5306, 0x1000_5006, 0x8000_5006, 0,
  ])
  func `an answer with any other header is dropped, and the true one is found`(_ header: UInt32) throws {
    it.agent.channel.responses = [rate(header), rate()]
    #expect(try it.call(ClockCommand.rateGet(3)) == 5)
    let strayMessageCount = it.agent.strayMessageCount
    #expect(strayMessageCount == 1)
  }

  @Test(arguments: [0, 1, 3]) func `an answer without a whole header is dropped`(_ count: Int) {
    it.agent.channel.responses = [Array(rate().prefix(count))]
    #expect(throws: AgentFault.timedOut) { try it.call(ClockCommand.rateGet(3)) }
  }

  @Test(arguments: [4, 7, 8, 11, 12, 15]) func `an answer that is cut short is malformed`(_ count: Int) throws
  {
    it.agent.channel.responses = [Array(rate().prefix(count))]
    #expect(throws: AgentFault.malformed) { try it.call(ClockCommand.rateGet(3)) }
    // The next good message works.
    it.agent.channel.responses = [rate(commandHeader | 1 << 18)]
    #expect(try it.call(ClockCommand.rateGet(3)) == 5)
  }

  @Test(arguments: [257, 100_000, .max]) func `a length beyond any memory reads nothing beyond ours`(
    _ claim: Int
  ) {
    // All names, to the last byte that could be there.
    it.agent.channel.responses = [littleEndian([0x4006, 0, 0xFFF]) + [UInt8](repeating: 0x11, count: 244)]
    it.agent.channel.claims = [claim]
    #expect(throws: AgentFault.malformed) { try it.call(BaseCommand.discoverListProtocols(skip: 0)) }
  }

  @Test(arguments: [-1, -2, -3, -10, -11, -12, 1, .min, .max] as [Int32])
  func `a status is passed on, known or not`(_ status: Int32) {
    it.agent.channel.responses = [littleEndian([commandHeader, UInt32(bitPattern: status), 5, 0])]
    #expect(throws: AgentFault.status(SCMIStatus(rawValue: status))) { try it.call(ClockCommand.rateGet(3)) }
  }

  @Test func `a platform that never answers is given up, and its late answer ignored`() throws {
    #expect(throws: AgentFault.timedOut) { try it.call(ClockCommand.rateGet(3)) }
    it.agent.channel.responses = [rate(), rate(commandHeader | 1 << 18)]
    #expect(try it.call(ClockCommand.rateGet(3)) == 5)
    let strayMessageCount = it.agent.strayMessageCount
    #expect(strayMessageCount == 1)
  }

  @Test func `a platform that floods with answers is given up too`() {
    it.agent.channel.responses = Array(repeating: rate(7), count: 1000)
    #expect(throws: AgentFault.timedOut) { try it.call(ClockCommand.rateGet(3)) }
  }

  @Test func `a channel that is busy for ever is given up`() throws {
    it.agent.channel.busyCount = 3
    it.agent.channel.responses = [rate()]
    #expect(try it.call(ClockCommand.rateGet(3)) == 5)
    it.agent.channel.busyCount = .max
    #expect(throws: AgentFault.timedOut) { try it.call(ClockCommand.rateGet(3)) }
  }

  @Test(arguments: [ChannelFault.malformed, .refused, .broken])
  func `a fault of the channel is the call's`(_ fault: ChannelFault) throws {
    it.agent.channel.fault = fault
    #expect(throws: AgentFault.channel(fault)) { try it.call(ClockCommand.rateGet(3)) }
    it.agent.channel.fault = nil
    it.agent.channel.responses = [rate()]
    #expect(try it.call(ClockCommand.rateGet(3)) == 5)
  }

  @Test func `tokens repeat after all 1024`() throws {
    it.agent.channel.answer = { littleEndian([words($0)[0], 0, 5, 0]) }
    for round in 0..<1030 as Range<UInt32> {
      #expect(try it.call(ClockCommand.rateGet(3)) == 5)
      #expect(words(it.agent.channel.commands.last!)[0] == commandHeader | (round & 0x3FF) << 18)
    }
  }

  // MARK: Lists

  @Test(arguments: [(0, 1), (1, 2), (30, 31), (30, 0xFFF)] as [(Int, UInt32)])
  func `a list with fewer entries than it says is malformed`(_ count: Int, _ claimed: UInt32) {
    it.agent.channel.responses = [
      littleEndian([0x5004, 0, claimed]) + [UInt8](repeating: 1, count: 8 * count)
    ]
    #expect(throws: AgentFault.malformed) { try it.call(ClockCommand.describeRates(0, from: 0)) }
  }

  @Test func `a range has three entries`() {
    it.agent.channel.responses = [littleEndian([0x5004, 0, 1 << 12 | 2]) + [UInt8](repeating: 1, count: 64)]
    #expect(throws: AgentFault.malformed) { try it.call(ClockCommand.describeRates(0, from: 0)) }
  }

  @Test func `nothing is read behind the last entry`() throws {
    it.agent.channel.responses = [littleEndian([0x5004, 0, 2 | 9 << 16, 7, 1, 8, 2])]
    var rates = try it.call(ClockCommand.describeRates(0, from: 0))
    #expect(rates.list.count == 2 && rates.list.remaining == 9 && !rates.isRange)
    #expect(try rates.list.next(UInt64.self) == 0x1_0000_0007)
    #expect(try rates.list.next(UInt64.self) == 0x2_0000_0008)
    #expect(throws: AgentFault.malformed) { try rates.list.next(UInt64.self) }
  }

  // MARK: Events

  @Test(arguments: [
    // A delayed response that nobody awaits, commands, the reserved type, and too little for a header.
    littleEndian([0x5205, 0, 0, 1, 0]), littleEndian([0x5005, 0]), littleEndian([0x5105, 0]), [], [0, 3, 0],
  ])
  func `an event that belongs to nothing is dropped`(_ bytes: [UInt8]) throws {
    it.agent.channel.events = [bytes]
    let event = try it.agent.nextEvent()
    #expect(event == nil)
    let strayMessageCount = it.agent.strayMessageCount
    #expect(strayMessageCount == 1)
  }

  @Test func `an event that is cut short is malformed`() throws {
    it.agent.channel.events = [littleEndian([0x5300, 1, 2, 3])]
    let event = try #require(try it.agent.nextEvent())
    #expect(event.isNotification)
    #expect(throws: AgentFault.malformed) { try event.notification(ClockCommand.RateNotification.self) }
    #expect(throws: AgentFault.status(SCMIStatus(rawValue: 1))) { try event.delayedResponse(NoValues.self) }
  }

  @Test func `5.17.6.1.2 driver: asks for no event over a channel that carries none`() {
    it.agent.channel.receivesEvents = false
    #expect(throws: AgentFault.noEventChannel) { try it.call(ClockCommand.rateNotify(0, true)) }
    #expect(throws: AgentFault.noEventChannel) { try it.call(BaseCommand.notifyErrors(true)) }
    #expect(throws: AgentFault.noEventChannel) {
      try it.agent.callAsynchronously(ClockCommand.rateSetAsynchronously(0, 1))
    }
    #expect(it.agent.channel.commands.isEmpty)
    // To end notifications asks for none.
    it.agent.channel.responses = [littleEndian([0x5009, 0])]
    #expect(throws: Never.self) { try it.call(ClockCommand.rateNotify(0, false)) }
  }

  // MARK: Asynchronous commands

  /// Accepts every command, with its own header.
  private func accept() { it.agent.channel.answer = { littleEndian([words($0)[0], 0]) } }

  @Test func `a delayed response is taken once, for its own command`() throws {
    accept()
    let first = try it.agent.callAsynchronously(ClockCommand.rateSetAsynchronously(1, 10))
    let second = try it.agent.callAsynchronously(ClockCommand.rateSetAsynchronously(2, 20))
    #expect(first != second)
    let header = 0x0000_5205 as UInt32
    it.agent.channel.events = [
      littleEndian([header | 1 << 18, 0, 2, 20, 0]), littleEndian([header | 1 << 18, 0, 2, 20, 0]),
      littleEndian([header, UInt32(bitPattern: -9)]),
    ]
    let event = try #require(try it.agent.nextEvent())
    #expect(event.answers(second) && !event.answers(first) && !event.isNotification)
    let change = try event.delayedResponse(ClockCommand.RateChange.self)
    #expect(change.clock == 2 && change.rate == 20)
    let again = try it.agent.nextEvent()
    #expect(again == nil)
    let failed = try #require(try it.agent.nextEvent())
    #expect(failed.answers(first))
    #expect(throws: AgentFault.status(.hardwareError)) {
      try failed.delayedResponse(ClockCommand.RateChange.self)
    }
  }

  @Test func `a delayed response may come before the answer`() throws {
    let command = ClockCommand.rateSetAsynchronously(1, 10)
    try it.agent.begin(command)
    it.agent.channel.events = [littleEndian([0x5205, 0, 1, 10, 0]), littleEndian([0x5205, 0, 1, 10, 0])]
    let event = try it.agent.nextEvent()
    #expect(event != nil)
    it.agent.channel.responses = [littleEndian([0x5005, 0])]
    #expect(try it.agent.finish(command) != nil)
    let again = try it.agent.nextEvent()
    #expect(again == nil)
  }

  @Test func `no more asynchronous commands than can be remembered`() throws {
    accept()
    for _ in 0..<8 { _ = try it.agent.callAsynchronously(ClockCommand.rateSetAsynchronously(1, 10)) }
    #expect(throws: AgentFault.busy) {
      try it.agent.callAsynchronously(ClockCommand.rateSetAsynchronously(1, 10))
    }
    it.agent.channel.events = [littleEndian([0x5205 | 4 << 18, 0, 1, 10, 0])]
    let event = try it.agent.nextEvent()
    #expect(event != nil)
    _ = try it.agent.callAsynchronously(ClockCommand.rateSetAsynchronously(1, 10))
  }

  // MARK: Halves of a call

  @Test func `begin and finish are the halves of a call`() throws {
    let command = ClockCommand.rateGet(3)
    try it.agent.begin(command)
    #expect(throws: AgentFault.busy) { try it.agent.begin(command) }
    #expect(try it.agent.finish(command) == nil)
    it.agent.channel.responses = [rate()]
    #expect(try it.agent.finish(command) == 5)
    try it.agent.begin(command)
    it.agent.abandon()
    it.agent.channel.busyCount = 1
    #expect(throws: AgentFault.busy) { try it.agent.begin(command) }
  }
}
