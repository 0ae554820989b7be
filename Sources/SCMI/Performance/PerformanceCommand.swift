// SCMI Performance domain management protocol, agent side.

/// Commands of the Performance protocol. Domains are numbered as this agent sees them; levels are values, or
/// indices where the attributes of the domain say so.
public enum PerformanceCommand {
  private static func command<Values: MessageValues>(
    _ message: UInt8, _ domain: UInt32
  ) -> AgentCommand<Values> {
    AgentCommand(.performance, message).with(domain)
  }

  /// PERFORMANCE_DOMAIN_ATTRIBUTES.
  public static func domainAttributes(_ domain: UInt32) -> AgentCommand<Attributes> {
    command(PerformanceMessage.domainAttributes, domain)
  }

  /// PERFORMANCE_DESCRIBE_LEVELS from level `index` on, of version 4.0 of the protocol.
  public static func describeIndexedLevels(
    _ domain: UInt32, from index: UInt32
  ) -> AgentCommand<IndexedLevels> {
    command(PerformanceMessage.describeLevels, domain).with(index)
  }

  /// PERFORMANCE_DESCRIBE_LEVELS from level `index` on, of versions before 4.0.
  public static func describeLevels(_ domain: UInt32, from index: UInt32) -> AgentCommand<Levels> {
    command(PerformanceMessage.describeLevels, domain).with(index)
  }

  /// PERFORMANCE_LIMITS_SET.
  public static func limitsSet(
    _ domain: UInt32, highest: UInt32, lowest: UInt32
  ) -> AgentCommand<NoValues> {
    command(PerformanceMessage.limitsSet, domain).with(highest).with(lowest)
  }

  /// PERFORMANCE_LIMITS_GET.
  public static func limitsGet(_ domain: UInt32) -> AgentCommand<Limits> {
    command(PerformanceMessage.limitsGet, domain)
  }

  /// PERFORMANCE_LEVEL_SET.
  public static func levelSet(_ domain: UInt32, _ level: UInt32) -> AgentCommand<NoValues> {
    command(PerformanceMessage.levelSet, domain).with(level)
  }

  /// PERFORMANCE_LEVEL_GET.
  public static func levelGet(_ domain: UInt32) -> AgentCommand<UInt32> {
    command(PerformanceMessage.levelGet, domain)
  }

  /// PERFORMANCE_NOTIFY_LIMITS. Notifications are a `ResourcePairNotification`, the highest level first.
  public static func notifyLimits(_ domain: UInt32, _ isEnabled: Bool) -> AgentCommand<NoValues> {
    command(PerformanceMessage.notifyLimits, domain).enabling(isEnabled)
  }

  /// PERFORMANCE_NOTIFY_LEVEL. Notifications are a `ResourceNotification` with the level.
  public static func notifyLevel(_ domain: UInt32, _ isEnabled: Bool) -> AgentCommand<NoValues> {
    command(PerformanceMessage.notifyLevel, domain).enabling(isEnabled)
  }

  /// PERFORMANCE_DESCRIBE_FASTCHANNEL, for a message of this protocol.
  public static func describeFastChannel(
    _ domain: UInt32, _ message: UInt8
  ) -> AgentCommand<FastChannelValues> {
    command(PerformanceMessage.describeFastChannel, domain).with(UInt32(message))
  }

  /// PERFORMANCE_DOMAIN_NAME_GET.
  public static func domainNameGet(_ domain: UInt32) -> AgentCommand<ExtendedName> {
    command(PerformanceMessage.domainNameGet, domain)
  }

  /// What PERFORMANCE_DOMAIN_ATTRIBUTES says.
  public struct Attributes: MessageValues, Sendable {
    /// Bits of `PerformanceAttribute`.
    public let attributes: UInt32
    /// The least time between two requests, in microseconds; 0 for unknown.
    public let rateLimitMicroseconds: UInt32
    /// The frequency that can be sustained, in kilohertz, and the level that stands for it.
    public let sustainedFrequencyKilohertz: UInt32
    /// See `sustainedFrequencyKilohertz`.
    public let sustainedLevel: UInt32
    /// The name, or the start of it.
    public let name: SCMIName

    /// Reads four words and a name.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      attributes = try reader.next()
      rateLimitMicroseconds = try reader.next() & 0xF_FFFF
      sustainedFrequencyKilohertz = try reader.next()
      sustainedLevel = try reader.next()
      name = try reader.nextName(16)
    }
  }

  /// The limits of a domain.
  public struct Limits: MessageValues, Equatable, Sendable {
    /// The highest level.
    public let highest: UInt32
    /// The lowest level.
    public let lowest: UInt32

    /// Reads two words. Throws `.malformed` when they are not in order.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      highest = try reader.next()
      lowest = try reader.next()
      guard lowest <= highest else { throw .malformed }
    }
  }

  /// What PERFORMANCE_DESCRIBE_LEVELS says: `list` yields a `Level` for each.
  public struct Levels: MessageValues, Sendable {
    /// The levels.
    public var list: ListPart

    /// Reads the number of levels, and checks that they are there.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      let flags: UInt32 = try reader.next()
      list = try ListPart(reader, count: flags & 0xFFF, remaining: flags >> 16, byteCount: 12)
    }
  }

  /// The same in version 4.0, with an `IndexedLevel` for each.
  public struct IndexedLevels: MessageValues, Sendable {
    /// The levels.
    public var list: ListPart

    /// Reads the number of levels, and checks that they are there.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      let flags: UInt32 = try reader.next()
      list = try ListPart(reader, count: flags & 0xFFF, remaining: flags >> 16, byteCount: 20)
    }
  }

  /// A performance level.
  public struct Level: MessageValues, Equatable, Sendable {
    /// Its value.
    public let value: UInt32
    /// The power that it takes, in the unit of the protocol's attributes.
    public let power: UInt32
    /// The longest time to get there, in microseconds.
    public let latencyMicroseconds: UInt16

    /// Reads an entry.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      value = try reader.next()
      power = try reader.next()
      latencyMicroseconds = try reader.next()
      let _: UInt16 = try reader.next()
    }
  }

  /// A performance level as version 4.0 describes it.
  public struct IndexedLevel: MessageValues, Equatable, Sendable {
    /// Value, power and latency.
    public let level: Level
    /// The frequency that it stands for, in kilohertz.
    public let frequencyKilohertz: UInt32
    /// Its index.
    public let index: UInt32

    /// Reads an entry.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      level = try Level(&reader)
      frequencyKilohertz = try reader.next()
      index = try reader.next()
    }
  }
}
