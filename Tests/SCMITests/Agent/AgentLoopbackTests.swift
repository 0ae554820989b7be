// Every command of Base and Clock, our agent on our platform over shared memory.

import SCMI
import Testing
import Wire

/// An agent, and the first of the platform's two agents that it is.
final class Loopback {
  let wires: Wires
  let bench: Bench
  var agent: LoopbackAgent

  init(
    _ board: TestBoard = .clocks, isTrusted: Bool = false, hasEvents: Bool = true,
    wantsInterrupt: Bool = false, isImmediate: Bool = true
  ) {
    bench = Bench(board)
    let first = bench.platform.addAgent(
      AgentDescription(
        name: SCMIName("first"), hasPlatformToAgentChannel: hasEvents, isTrusted: isTrusted,
        systemPower: board.systemStates.isEmpty ? .none : .controls))
    _ = bench.platform.addAgent(AgentDescription(name: SCMIName("second")))
    for i in 0..<board.clocks.count { bench.platform.grant(.clock, i, to: first) }
    for i in 0..<board.domains.count { bench.platform.grant(.powerDomain, i, to: first) }
    for i in 0..<board.performance.count { bench.platform.grant(.performanceDomain, i, to: first) }
    for i in 0..<board.resets.count { bench.platform.grant(.resetDomain, i, to: first) }
    for i in 0..<board.voltages.count { bench.platform.grant(.voltageDomain, i, to: first) }
    for i in 0..<board.sensors.count { bench.platform.grant(.sensor, i, to: first) }
    for i in 0..<board.powercaps.count { bench.platform.grant(.powercapDomain, i, to: first) }
    for i in 0..<board.pinCount { bench.platform.grant(.pin, i, to: first) }
    for i in 0..<board.pinGroupCount { bench.platform.grant(.pinGroup, i, to: first) }
    for i in 0..<board.pinFunctionCount { bench.platform.grant(.pinFunction, i, to: first) }
    wires = Wires(bench, hasEvents: hasEvents)
    wires.isImmediate = isImmediate
    agent = wires.makeAgent(wantsInterrupt: wantsInterrupt)
  }

  func call<Values: MessageValues>(_ command: AgentCommand<Values>) throws(AgentFault) -> Values {
    try agent.call(command)
  }
}

extension TestBoard {
  /// Two clocks: one with many rates, one with all else that a clock can have.
  static var clocks: TestBoard {
    var board = TestBoard()
    board.clocks = [
      TestClock(name: SCMIName("list"), rates: (1...40).map { 100 * $0 }, rate: 200, isOn: true, latency: 77),
      TestClock(
        name: SCMIName("a clock with a long name"), rates: [5, 6], rate: 5, parents: [0, 1], parent: 1,
        duty: 50),
    ]
    return board
  }
}

@Suite struct `Our agent on our platform` {
  let it = Loopback()

  @Test func `Base`() throws {
    #expect(try it.call(CommonCommand.version(.base)) == 0x20001)
    #expect(try it.call(CommonCommand.attributes(.base)) == 0x0201)
    #expect(try it.call(CommonCommand.messageAttributes(.base, 6)) == 0)
    #expect(try it.call(BaseCommand.discoverVendor) == SCMIName("Vendor"))
    #expect(try it.call(BaseCommand.discoverSubVendor) == SCMIName("A sub-vendor of"))
    #expect(try it.call(BaseCommand.discoverImplementationVersion) == 0x0102_0304)
    var protocols = try it.call(BaseCommand.discoverListProtocols(skip: 0)).list
    #expect(protocols.count == 1)
    #expect(try protocols.next(UInt8.self) == 0x14)
    let other = try it.call(BaseCommand.discoverAgent(2))
    #expect(other.identifier == 2 && other.name == SCMIName("second"))
    #expect(try it.call(BaseCommand.discoverAgent(.max)).identifier == 1)
    #expect(throws: AgentFault.status(.notFound)) { try it.call(BaseCommand.discoverAgent(3)) }
    _ = try it.call(CommonCommand.negotiate(.clock, version: 0x10000))
    #expect(try it.call(CommonCommand.version(.clock)) == 0x10000)
    _ = try it.call(ClockCommand.legacyConfigSet(0, isEnabled: true))
  }

  @Test func `the commands of a trusted agent`() throws {
    let it = Loopback(isTrusted: true)
    _ = try it.call(BaseCommand.setDevicePermissions(agent: 1, device: 7, isAllowed: false))
    #expect(throws: AgentFault.status(.denied)) { try it.call(ClockCommand.rateGet(0)) }
    #expect(try it.call(ClockCommand.rateGet(1)) == 5)
    _ = try it.call(BaseCommand.setDevicePermissions(agent: 1, device: 7, isAllowed: true))
    #expect(try it.call(ClockCommand.rateGet(0)) == 200)
    _ = try it.call(BaseCommand.setProtocolPermissions(agent: 1, device: 7, .clock, isAllowed: false))
    #expect(throws: AgentFault.status(.denied)) { try it.call(ClockCommand.rateGet(0)) }
    _ = try it.call(BaseCommand.resetAgentConfiguration(agent: 1, resetsPermissions: true))
    #expect(try it.call(ClockCommand.rateGet(0)) == 200)
  }

  @Test func `Clock`() throws {
    #expect(try it.call(CommonCommand.attributes(.clock)) & 0xFFFF == 2)
    let attributes = try it.call(ClockCommand.attributes(1))
    #expect(attributes.attributes & ClockAttribute.hasParents != 0)
    #expect(attributes.name == SCMIName("a clock with a "))
    #expect(try it.call(ClockCommand.nameGet(1)).name == SCMIName("a clock with a long name"))
    #expect(try it.call(ClockCommand.attributes(0)).enableLatencyMicroseconds == 77)

    _ = try it.call(ClockCommand.rateSet(0, 400))
    #expect(try it.call(ClockCommand.rateGet(0)) == 400)
    _ = try it.call(ClockCommand.configSet(0, isEnabled: true))
    #expect(try it.call(ClockCommand.configGet(0)).isEnabled)
    _ = try it.call(ClockCommand.configSet(0, isEnabled: false))
    #expect(try !it.call(ClockCommand.configGet(0)).isEnabled)
    _ = try it.call(ClockCommand.configSet(1, type: 1, value: 33))
    #expect(try it.call(ClockCommand.configGet(1, type: 1)).value == 33)

    var parents = try it.call(ClockCommand.possibleParentsGet(1, skip: 0)).list
    #expect(parents.count == 2 && parents.remaining == 0)
    let first: UInt32 = try parents.next()
    _ = try it.call(ClockCommand.parentSet(1, first))
    #expect(try it.call(ClockCommand.parentGet(1)) == first)
    #expect(try it.call(ClockCommand.getPermissions(0)) == 0xE000_0000)
  }

  @Test func `a list comes in as many parts as the area asks for`() throws {
    var rates: [UInt64] = []
    while true {
      var part = try it.call(ClockCommand.describeRates(0, from: UInt32(rates.count))).list
      // The area holds 104 bytes, of which 92 are rates.
      #expect(part.count == min(11, 40 - rates.count))
      for _ in 0..<part.count { rates.append(try part.next()) }
      #expect(part.remaining == 40 - rates.count)
      if part.remaining == 0 { break }
    }
    #expect(rates == (1...40).map { 100 * $0 })
    #expect(it.wires.commands.isIntact)
  }

  @Test(arguments: [false, true], [false, true])
  func `polled and with an interrupt, answered at once and later`(_ wantsInterrupt: Bool, _ isImmediate: Bool)
    throws
  {
    let it = Loopback(wantsInterrupt: wantsInterrupt, isImmediate: isImmediate)
    for _ in 0..<10 { #expect(try it.call(ClockCommand.rateGet(0)) == 200) }
    #expect(it.wires.interruptCount == (wantsInterrupt ? 10 : 0))
  }

  @Test func `notifications and delayed responses come over their own area`() throws {
    it.bench.platform.backend.isSlow = true
    _ = try it.call(ClockCommand.rateNotify(0, true))
    let pending = try it.agent.callAsynchronously(ClockCommand.rateSetAsynchronously(0, 400))
    let early = try it.agent.nextEvent()
    #expect(early == nil)
    it.bench.platform.finish(it.bench.platform.backend.pending[0], .success)
    it.wires.serve()
    let delayed = try #require(try it.agent.nextEvent())
    #expect(delayed.answers(pending))
    #expect(try delayed.delayedResponse(ClockCommand.RateChange.self).rate == 400)
    // Taking it rang, so the next one is there.
    let event = try #require(try it.agent.nextEvent())
    #expect(event.isNotification && event.header.protocolID == .clock)
    let notification = try event.notification(ClockCommand.RateNotification.self)
    #expect(notification.change.clock == 0 && notification.change.rate == 400)
    let none = try it.agent.nextEvent()
    #expect(none == nil)
    let strayMessageCount = it.agent.strayMessageCount
    #expect(strayMessageCount == 0)
    #expect(it.wires.eventInterruptCount == 2)
  }

  @Test func `an error of the platform's is reported`() throws {
    _ = try it.call(BaseCommand.notifyErrors(true))
    it.bench.platform.reportError(MessageHeader(.clock, 5), .hardwareError, of: AgentID(1), isFatal: true)
    it.wires.serve()
    let event = try #require(try it.agent.nextEvent())
    var error = try event.notification(BaseCommand.ErrorEvent.self)
    #expect(error.agent == 1 && error.isFatal && error.reports.count == 1)
    let report = try error.reports.next(BaseCommand.Report.self)
    #expect(report.header == MessageHeader(.clock, 5) && report.status == .hardwareError)
  }

  @Test func `5.17.6.1.2 driver: a command is sent when the answer to the one before is there`() throws {
    let it = Loopback(isImmediate: false)
    for round in 1...8 as ClosedRange<UInt64> {
      _ = try it.call(ClockCommand.rateSet(0, round * 100))
      // The platform has carried it out by now, whenever it looks at its doorbell.
      #expect(it.bench.platform.backend.clocks[0].rate == round * 100)
      #expect(try it.call(ClockCommand.rateGet(0)) == round * 100)
    }
  }

  @Test func `an area that is never freed is a channel that is busy`() throws {
    let it = Loopback(isImmediate: false)
    it.wires.commands[0x04] = 0
    // Nobody looks at the area: the platform's own doorbell would free it.
    #expect(throws: AgentFault.busy) { try it.agent.begin(ClockCommand.rateGet(0)) }
    it.wires.commands[0x04] = 1
    #expect(try it.call(ClockCommand.rateGet(0)) == 200)
  }

  @Test func `an error of the channel and a length that cannot be are faults of one call`() throws {
    let command = ClockCommand.rateGet(0)
    let it = Loopback(isImmediate: false)
    try it.agent.begin(command)
    it.wires.commands[0x04] = 3
    #expect(throws: AgentFault.channel(.refused)) { try it.agent.finish(command) }
    try it.agent.begin(command)
    it.wires.commands[0x14] = 105
    it.wires.commands[0x04] = 1
    #expect(throws: AgentFault.channel(.malformed)) { try it.agent.finish(command) }
    #expect(try it.call(command) == 200)
    let events = try #require(it.wires.events)
    events[0x14] = .max
    events[0x04] = 0
    #expect(throws: AgentFault.channel(.malformed)) { try it.agent.nextEvent() }
    #expect(events[0x04] == 3)
  }
}
