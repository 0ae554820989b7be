// SCMI Reset domain management protocol, agent side.

/// Commands of the Reset protocol. Domains are numbered as this agent sees them.
public enum ResetCommand {
  private static func command<Values: MessageValues>(
    _ message: UInt8, _ domain: UInt32
  ) -> AgentCommand<Values> {
    AgentCommand(.reset, message).with(domain)
  }

  /// RESET_DOMAIN_ATTRIBUTES.
  public static func domainAttributes(_ domain: UInt32) -> AgentCommand<Attributes> {
    command(ResetMessage.domainAttributes, domain)
  }

  /// RESET with flags of `ResetFlag` other than the asynchronous one. `state` is 0 for a cold reset.
  public static func reset(
    _ domain: UInt32, flags: UInt32 = ResetFlag.isAutonomous, state: UInt32 = 0
  ) -> AgentCommand<NoValues> {
    command(ResetMessage.reset, domain).with(flags).with(state)
  }

  /// An autonomous RESET that is answered at once. The delayed response has the domain, a `UInt32`.
  public static func resetAsynchronously(_ domain: UInt32, state: UInt32 = 0) -> AgentCommand<NoValues> {
    reset(domain, flags: ResetFlag.isAutonomous | ResetFlag.isAsynchronous, state: state).asynchronous(true)
  }

  /// RESET_NOTIFY. Notifications are a `ResourceNotification` with the reset state.
  public static func notify(_ domain: UInt32, _ isEnabled: Bool) -> AgentCommand<NoValues> {
    command(ResetMessage.notify, domain).enabling(isEnabled)
  }

  /// RESET_DOMAIN_NAME_GET.
  public static func domainNameGet(_ domain: UInt32) -> AgentCommand<ExtendedName> {
    command(ResetMessage.domainNameGet, domain)
  }

  /// What RESET_DOMAIN_ATTRIBUTES says.
  public struct Attributes: MessageValues, Sendable {
    /// Bit 31: it can be reset asynchronously. Bit 30: it gives notice of resets. Bit 29: its name is longer.
    public let attributes: UInt32
    /// The longest time that a reset takes, in microseconds; the largest value for unknown.
    public let latencyMicroseconds: UInt32
    /// The name, or the start of it.
    public let name: SCMIName

    /// Reads two words and a name.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      attributes = try reader.next()
      latencyMicroseconds = try reader.next()
      name = try reader.nextName(16)
    }
  }
}
