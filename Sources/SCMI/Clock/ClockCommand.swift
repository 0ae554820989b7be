// SCMI Clock management protocol, agent side.

/// Commands of the Clock protocol. Clocks are numbered as this agent sees them.
public enum ClockCommand {
  private static func command<Values: MessageValues>(
    _ message: UInt8, _ clock: UInt32
  ) -> AgentCommand<Values> {
    AgentCommand(.clock, message).with(clock)
  }

  /// CLOCK_ATTRIBUTES.
  public static func attributes(_ clock: UInt32) -> AgentCommand<Attributes> {
    command(ClockMessage.clockAttributes, clock)
  }

  /// CLOCK_DESCRIBE_RATES from rate `index` on.
  public static func describeRates(_ clock: UInt32, from index: UInt32) -> AgentCommand<Rates> {
    command(ClockMessage.describeRates, clock).with(index)
  }

  /// CLOCK_RATE_SET in Hz. `rounding` is 0 or of `ClockRateFlag`.
  public static func rateSet(
    _ clock: UInt32, _ rate: UInt64, rounding: UInt32 = 0
  ) -> AgentCommand<NoValues> {
    AgentCommand(.clock, ClockMessage.rateSet).with(rounding).with(clock).with(rate)
  }

  /// CLOCK_RATE_SET that is answered at once. The delayed response has a `RateChange`.
  public static func rateSetAsynchronously(
    _ clock: UInt32, _ rate: UInt64, rounding: UInt32 = 0
  ) -> AgentCommand<NoValues> {
    rateSet(clock, rate, rounding: rounding | ClockRateFlag.isAsynchronous).asynchronous(true)
  }

  /// CLOCK_RATE_GET in Hz.
  public static func rateGet(_ clock: UInt32) -> AgentCommand<UInt64> {
    command(ClockMessage.rateGet, clock)
  }

  /// CLOCK_CONFIG_SET of SCMI 3.2: on or off.
  public static func configSet(_ clock: UInt32, isEnabled: Bool) -> AgentCommand<NoValues> {
    command(ClockMessage.configSet, clock).with(UInt32(isEnabled ? 1 : 0)).with(UInt32(0))
  }

  /// CLOCK_CONFIG_SET of SCMI 3.2: extended configuration `type`, with the state left as it is.
  public static func configSet(_ clock: UInt32, type: UInt8, value: UInt32) -> AgentCommand<NoValues> {
    command(ClockMessage.configSet, clock).with(UInt32(type) << 16 | 3).with(value)
  }

  /// CLOCK_CONFIG_SET of SCMI 2.0.
  public static func legacyConfigSet(_ clock: UInt32, isEnabled: Bool) -> AgentCommand<NoValues> {
    command(ClockMessage.configSet, clock).with(UInt32(isEnabled ? 1 : 0))
  }

  /// CLOCK_NAME_GET.
  public static func nameGet(_ clock: UInt32) -> AgentCommand<ExtendedName> {
    command(ClockMessage.nameGet, clock)
  }

  /// CLOCK_RATE_NOTIFY. Notifications have a `RateChange`.
  public static func rateNotify(_ clock: UInt32, _ isEnabled: Bool) -> AgentCommand<NoValues> {
    command(ClockMessage.rateNotify, clock).enabling(isEnabled)
  }

  /// CLOCK_RATE_CHANGE_REQUESTED_NOTIFY. Notifications have a `RateChange`.
  public static func rateChangeRequestedNotify(
    _ clock: UInt32, _ isEnabled: Bool
  ) -> AgentCommand<NoValues> {
    command(ClockMessage.rateChangeRequestedNotify, clock).enabling(isEnabled)
  }

  /// CLOCK_CONFIG_GET, with extended configuration `type`, or 0 for none.
  public static func configGet(_ clock: UInt32, type: UInt8 = 0) -> AgentCommand<Configuration> {
    command(ClockMessage.configGet, clock).with(UInt32(type))
  }

  /// CLOCK_POSSIBLE_PARENTS_GET, after the first `skip`.
  public static func possibleParentsGet(_ clock: UInt32, skip: UInt32) -> AgentCommand<Parents> {
    command(ClockMessage.possibleParentsGet, clock).with(skip)
  }

  /// CLOCK_PARENT_SET.
  public static func parentSet(_ clock: UInt32, _ parent: UInt32) -> AgentCommand<NoValues> {
    command(ClockMessage.parentSet, clock).with(parent)
  }

  /// CLOCK_PARENT_GET.
  public static func parentGet(_ clock: UInt32) -> AgentCommand<UInt32> {
    command(ClockMessage.parentGet, clock)
  }

  /// CLOCK_GET_PERMISSIONS: bit 31 state, 30 parent, 29 rate.
  public static func getPermissions(_ clock: UInt32) -> AgentCommand<UInt32> {
    command(ClockMessage.getPermissions, clock)
  }

  /// What CLOCK_ATTRIBUTES says.
  public struct Attributes: MessageValues, Sendable {
    /// Bits of `ClockAttribute`.
    public let attributes: UInt32
    /// The name, or the start of it.
    public let name: SCMIName
    /// The longest time to turn the clock on, in microseconds; 0 also where SCMI 2.0 has no such value.
    public let enableLatencyMicroseconds: UInt32

    /// Reads attributes, name and, where it is there, the latency.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      attributes = try reader.next()
      name = try reader.nextName(16)
      enableLatencyMicroseconds = reader.byteCount >= 4 ? try reader.next() : 0
    }
  }

  /// What CLOCK_DESCRIBE_RATES says: `list` yields a `UInt64` in Hz for each rate.
  public struct Rates: MessageValues, Sendable {
    /// Whether the list is lowest rate, highest rate and step.
    public let isRange: Bool
    /// The rates.
    public var list: ListPart

    /// Reads the number of rates, and checks that they are there.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      let flags: UInt32 = try reader.next()
      isRange = flags & 1 << 12 != 0
      guard !isRange || flags & 0xFFF == 3 else { throw .malformed }
      list = try ListPart(reader, count: flags & 0xFFF, remaining: flags >> 16, byteCount: 8)
    }
  }

  /// What CLOCK_CONFIG_GET says.
  public struct Configuration: MessageValues, Equatable, Sendable {
    /// Whether the clock is on, as far as this agent is concerned.
    public let isEnabled: Bool
    /// The extended configuration that was asked for.
    public let value: UInt32

    /// Reads three words.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      let _: UInt32 = try reader.next()
      isEnabled = try reader.next(UInt32.self) & 1 != 0
      value = try reader.next()
    }
  }

  /// What CLOCK_POSSIBLE_PARENTS_GET says: `list` yields a `UInt32` for each clock.
  public struct Parents: MessageValues, Sendable {
    /// The clocks.
    public var list: ListPart

    /// Reads the number of clocks, and checks that they are there.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      let flags: UInt32 = try reader.next()
      list = try ListPart(reader, count: flags & 0xFF, remaining: flags >> 24, byteCount: 4)
    }
  }

  /// CLOCK_RATE_CHANGED and CLOCK_RATE_CHANGE_REQUESTED.
  public struct RateNotification: MessageValues, Equatable, Sendable {
    /// The agent that caused it.
    public let agent: UInt32
    /// What was changed, or asked for.
    public let change: RateChange

    /// Reads agent, clock and rate.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      agent = try reader.next()
      change = try RateChange(&reader)
    }
  }

  /// A clock and its rate, as delayed responses have them.
  public struct RateChange: MessageValues, Equatable, Sendable {
    /// The clock.
    public let clock: UInt32
    /// The rate in Hz.
    public let rate: UInt64

    /// Reads clock and rate.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      clock = try reader.next()
      rate = try reader.nextPair()
    }
  }
}
