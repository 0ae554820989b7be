// SCMI Power domain management protocol, agent side.

/// Commands of the Power domain protocol. Domains are numbered as this agent sees them.
public enum PowerCommand {
  private static func command<Values: MessageValues>(
    _ message: UInt8, _ domain: UInt32
  ) -> AgentCommand<Values> {
    AgentCommand(.power, message).with(domain)
  }

  /// POWER_DOMAIN_ATTRIBUTES: bits of `PowerAttribute`.
  public static func domainAttributes(_ domain: UInt32) -> AgentCommand<NamedAttributes> {
    command(PowerMessage.domainAttributes, domain)
  }

  /// POWER_STATE_SET, for example to `PowerMessage.on`. If `isAsynchronous`, it is answered before that
  /// state is reached; of which POWER_STATE_CHANGED tells, and no delayed response.
  public static func stateSet(
    _ domain: UInt32, _ state: UInt32, isAsynchronous: Bool = false
  ) -> AgentCommand<NoValues> {
    AgentCommand(.power, PowerMessage.stateSet).with(UInt32(isAsynchronous ? 1 : 0)).with(domain).with(state)
  }

  /// POWER_STATE_GET.
  public static func stateGet(_ domain: UInt32) -> AgentCommand<UInt32> {
    command(PowerMessage.stateGet, domain)
  }

  /// POWER_STATE_NOTIFY. Notifications are a `ResourceNotification` with the state.
  public static func stateNotify(_ domain: UInt32, _ isEnabled: Bool) -> AgentCommand<NoValues> {
    command(PowerMessage.stateNotify, domain).enabling(isEnabled)
  }

  /// POWER_STATE_CHANGE_REQUESTED_NOTIFY. Notifications are a `ResourceNotification` with the state.
  public static func stateChangeRequestedNotify(
    _ domain: UInt32, _ isEnabled: Bool
  ) -> AgentCommand<NoValues> {
    command(PowerMessage.stateChangeRequestedNotify, domain).enabling(isEnabled)
  }

  /// POWER_DOMAIN_NAME_GET.
  public static func domainNameGet(_ domain: UInt32) -> AgentCommand<ExtendedName> {
    command(PowerMessage.domainNameGet, domain)
  }
}
