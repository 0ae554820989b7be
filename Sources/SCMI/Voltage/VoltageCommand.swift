// SCMI Voltage domain management protocol, agent side.

/// Commands of the Voltage protocol. Domains are numbered as this agent sees them; levels are in microvolts.
public enum VoltageCommand {
  private static func command<Values: MessageValues>(
    _ message: UInt8, _ domain: UInt32
  ) -> AgentCommand<Values> {
    AgentCommand(.voltage, message).with(domain)
  }

  /// VOLTAGE_DOMAIN_ATTRIBUTES.
  public static func domainAttributes(_ domain: UInt32) -> AgentCommand<NamedAttributes> {
    command(VoltageMessage.domainAttributes, domain)
  }

  /// VOLTAGE_DESCRIBE_LEVELS from level `index` on.
  public static func describeLevels(_ domain: UInt32, from index: UInt32) -> AgentCommand<Levels> {
    command(VoltageMessage.describeLevels, domain).with(index)
  }

  /// VOLTAGE_CONFIG_SET, for example to `VoltageMessage.on`.
  public static func configSet(_ domain: UInt32, _ mode: UInt32) -> AgentCommand<NoValues> {
    command(VoltageMessage.configSet, domain).with(mode)
  }

  /// VOLTAGE_CONFIG_GET.
  public static func configGet(_ domain: UInt32) -> AgentCommand<UInt32> {
    command(VoltageMessage.configGet, domain)
  }

  /// VOLTAGE_LEVEL_SET.
  public static func levelSet(_ domain: UInt32, _ level: Int32) -> AgentCommand<NoValues> {
    command(VoltageMessage.levelSet, domain).with(UInt32(0)).with(level)
  }

  /// VOLTAGE_LEVEL_SET that is answered at once. The delayed response is a `ResourceValue` with the level.
  public static func levelSetAsynchronously(_ domain: UInt32, _ level: Int32) -> AgentCommand<NoValues> {
    command(VoltageMessage.levelSet, domain).with(UInt32(1)).with(level).asynchronous(true)
  }

  /// VOLTAGE_LEVEL_GET.
  public static func levelGet(_ domain: UInt32) -> AgentCommand<Int32> {
    command(VoltageMessage.levelGet, domain)
  }

  /// VOLTAGE_DOMAIN_NAME_GET.
  public static func domainNameGet(_ domain: UInt32) -> AgentCommand<ExtendedName> {
    command(VoltageMessage.domainNameGet, domain)
  }

  /// What VOLTAGE_DESCRIBE_LEVELS says: `list` yields an `Int32` in microvolts for each level.
  public struct Levels: MessageValues, Sendable {
    /// Whether the list is lowest level, highest level and step.
    public let isRange: Bool
    /// The levels.
    public var list: ListPart

    /// Reads the number of levels, and checks that they are there.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      let flags: UInt32 = try reader.next()
      isRange = flags & 1 << 12 != 0
      guard !isRange || flags & 0xFFF == 3 else { throw .malformed }
      list = try ListPart(reader, count: flags & 0xFFF, remaining: flags >> 16, byteCount: 4)
    }
  }
}
