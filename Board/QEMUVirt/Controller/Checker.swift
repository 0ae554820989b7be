// The first agent: tries the controller out, step by step, and says of each whether it went as it should.

import Machine
import SCMI
import Wire

struct Checker: ~Copyable {
  var agent: Agent
  private var isGood = true

  init(_ agent: consuming Agent) { self.agent = agent }

  /// Everything in turn. Returns whether all was well.
  mutating func run() -> Bool {
    base()
    clocks()
    ticker()
    check("errors.status") { checker throws(AgentFault) in try checker.refusals() }
    check("errors.length") { checker throws(AgentFault) in try checker.wrongLengths() }
    check("clock.delayed") { checker throws(AgentFault) in try checker.delayedResponse() }
    neighbour()
    check("polled") { checker throws(AgentFault) in try checker.measure() }
    return isGood
  }

  /// Reports one step.
  mutating func check(
    _ key: FixedText, _ body: (inout Checker) throws(AgentFault) -> Bool
  ) {
    var result = false
    do throws(AgentFault) { result = try body(&self) } catch { result = false }
    Report.line(key, result)
    isGood = isGood && result
  }

  // MARK: Base

  private mutating func base() {
    check("base.version") { checker throws(AgentFault) in
      try checker.agent.call(CommonCommand.version(.base)) == 0x20001
    }
    check("base.identity") { checker throws(AgentFault) in
      let vendor = try checker.agent.call(BaseCommand.discoverVendor)
      let subVendor = try checker.agent.call(BaseCommand.discoverSubVendor)
      return vendor == SCMIName("Vireo") && subVendor == SCMIName("QEMU virt")
    }
    check("base.protocols") { checker throws(AgentFault) in
      var list = try checker.agent.call(BaseCommand.discoverListProtocols(skip: 0)).list
      let first: UInt8 = try list.next()
      return list.count == 1 && first == ProtocolID.clock.rawValue
    }
    check("base.agents") { checker throws(AgentFault) in
      let me = try checker.agent.call(BaseCommand.discoverAgent(.max))
      let other = try checker.agent.call(BaseCommand.discoverAgent(2))
      return me.identifier == 1 && me.name == SCMIName("checker") && other.name == SCMIName("neighbour")
    }
  }

  // MARK: Clock

  private mutating func clocks() {
    check("clock.count") { checker throws(AgentFault) in
      try checker.agent.call(CommonCommand.attributes(.clock)) & 0xFFFF == 2
    }
    check("clock.names") { checker throws(AgentFault) in
      let counter = try checker.agent.call(ClockCommand.attributes(0)).name
      let ticker = try checker.agent.call(ClockCommand.nameGet(1)).name
      return counter == SCMIName("system counter") && ticker == SCMIName("ticker of the controller")
    }
    check("clock.counter") { checker throws(AgentFault) in
      try checker.agent.call(ClockCommand.rateGet(0)) == Clock.ticksPerSecond
    }
    check("clock.rates") { checker throws(AgentFault) in
      var list = try checker.agent.call(ClockCommand.describeRates(1, from: 0)).list
      var sum: UInt64 = 0
      for _ in 0..<list.count { sum += try list.next() }
      return list.count == 7 && list.remaining == 0 && sum == 1880
    }
    check("clock.rounding") { checker throws(AgentFault) in
      _ = try checker.agent.call(ClockCommand.rateSet(1, 60))
      let down = try checker.agent.call(ClockCommand.rateGet(1))
      _ = try checker.agent.call(ClockCommand.rateSet(1, 60, rounding: ClockRateFlag.roundsUp))
      let up = try checker.agent.call(ClockCommand.rateGet(1))
      return down == 50 && up == 100
    }
  }

  /// The ticker ticks when its clock is on, and as fast as that says.
  private mutating func ticker() {
    check("ticker.off") { checker throws(AgentFault) in
      try !checker.agent.call(ClockCommand.configGet(1)).isEnabled && Self.isStill()
    }
    check("ticker.fast") { checker throws(AgentFault) in
      _ = try checker.agent.call(ClockCommand.rateSet(1, 1000))
      _ = try checker.agent.call(ClockCommand.configSet(1, isEnabled: true))
      return Self.count(100, atLeast: 98)
    }
    check("ticker.slow") { checker throws(AgentFault) in
      _ = try checker.agent.call(ClockCommand.rateSet(1, 100))
      return Self.count(20, atLeast: 180)
    }
  }

  /// Whether that many ticks come, and do not take less than that many milliseconds.
  private static func count(_ ticks: UInt32, atLeast milliseconds: UInt64) -> Bool {
    let (first, start) = (SharedMemory.ticks, Clock.ticks)
    let end = Deadline.after(milliseconds: Agents.patience)
    while SharedMemory.ticks &- first < ticks { if end.hasPassed { return false } }
    return Clock.milliseconds(from: start, to: Clock.ticks) >= milliseconds
  }

  /// Whether no tick comes within five periods of the slowest rate that is used here.
  private static func isStill() -> Bool {
    let first = SharedMemory.ticks
    return !Interrupts.wait(until: .after(milliseconds: 250)) { SharedMemory.ticks != first }
  }

  // MARK: Errors

  private mutating func refusals() throws(AgentFault) -> Bool {
    let unknownProtocol = AgentCommand<UInt32>(ProtocolID(rawValue: 0x7F), 0)
    let tooLong = AgentCommand<UInt64>(.clock, ClockMessage.rateGet).with(UInt32(1)).with(UInt32(0))
    let unknownMessage = AgentCommand<UInt32>(.base, 0xF)
    let results: [5 of Bool] = [
      agent.isRefused(ClockCommand.rateGet(2), .notFound),
      // The board lets nobody change the counter.
      agent.isRefused(ClockCommand.rateSet(0, 1), .denied),
      agent.isRefused(unknownProtocol, .notSupported),
      agent.isRefused(unknownMessage, .notFound),
      agent.isRefused(tooLong, .protocolError),
    ]
    for index in 0..<5 where !results[index] { return false }
    return try agent.call(ClockCommand.rateGet(1)) == 100
  }

  /// Lengths that no command has are an error of the channel, and the next good command works.
  private mutating func wrongLengths() throws(AgentFault) -> Bool {
    let lengths: [5 of UInt32] = [0, 3, 105, 0x8000_0008, .max]
    for index in 0..<5 {
      SharedMemory.poke(lengths[index], at: 0x14, of: 0)
      SharedMemory.poke(0, at: 0x04, of: 0)
      Cores.ring(0)
      let isFree = Interrupts.wait(until: .after(milliseconds: Agents.patience)) {
        SharedMemory.peek(at: 0x04, of: 0) & 1 != 0
      }
      guard isFree, SharedMemory.peek(at: 0x04, of: 0) == 3 else { return false }
      guard try agent.call(ClockCommand.rateGet(1)) == 100 else { return false }
    }
    return true
  }

  // MARK: Events

  /// The next event, if the controller sends one.
  private mutating func event() throws(AgentFault) -> AgentEvent? {
    guard agent.channel.doorbell.waitForEvent() else { return nil }
    return try agent.nextEvent()
  }

  /// A rate that takes effect between two ticks is answered at once, and again when it has.
  private mutating func delayedResponse() throws(AgentFault) -> Bool {
    let pending = try agent.callAsynchronously(ClockCommand.rateSetAsynchronously(1, 200))
    guard let event = try event(), event.answers(pending) else { return false }
    let change: ClockCommand.RateChange = try event.delayedResponse()
    let rate = try agent.call(ClockCommand.rateGet(1))
    return change.clock == 1 && change.rate == 200 && rate == 200
  }

  // MARK: The other agent

  private mutating func neighbour() {
    check("notification") { checker throws(AgentFault) in
      _ = try checker.agent.call(ClockCommand.rateNotify(1, true))
      SharedMemory.phase = Phase.neighbourTakesTicker
      Agents.wait(for: Phase.neighbourHasTicker)
      guard let event = try checker.event(), event.isNotification else { return false }
      let news: ClockCommand.RateNotification = try event.notification()
      _ = try checker.agent.call(ClockCommand.rateNotify(1, false))
      // The neighbour calls it clock 0; here it is 1.
      return news.agent == 2 && news.change.clock == 1 && news.change.rate == 20
    }
    check("shared.kept") { checker throws(AgentFault) in
      _ = try checker.agent.call(ClockCommand.configSet(1, isEnabled: false))
      return Self.count(3, atLeast: 90)
    }
    check("shared.released") { checker throws(AgentFault) in
      SharedMemory.phase = Phase.neighbourReleases
      Agents.wait(for: Phase.neighbourHasReleased)
      return Self.isStill()
    }
    check("isolated") { checker throws(AgentFault) in
      SharedMemory.phase = Phase.neighbourMisbehaves
      // Whatever the neighbour does meanwhile, this agent is served.
      var calls = 0
      while SharedMemory.phase != Phase.neighbourIsDone || calls < 500 {
        guard try checker.agent.call(ClockCommand.rateGet(0)) == Clock.ticksPerSecond else { return false }
        calls += 1
      }
      return true
    }
  }

  // MARK: Polling

  /// The same without interrupts, and how long a command takes either way.
  private mutating func measure() throws(AgentFault) -> Bool {
    Report.line("roundtrip.interrupt.ns", try time(200))
    agent.channel.wantsInterrupt = false
    agent.channel.doorbell.polls = true
    Report.line("roundtrip.polled.ns", try time(1000))
    return agent.strayMessageCount == 0
  }

  private mutating func time(_ count: UInt64) throws(AgentFault) -> UInt64 {
    let start = Clock.ticks
    for _ in 0..<count { _ = try agent.call(ClockCommand.rateGet(1)) }
    return (Clock.ticks - start) * 1_000_000 / (Clock.ticksPerSecond / 1000) / count
  }
}
