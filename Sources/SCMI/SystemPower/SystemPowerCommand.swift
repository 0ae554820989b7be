// SCMI System power management protocol, agent side.

/// Commands of the System power protocol.
public enum SystemPowerCommand {
  /// SYSTEM_POWER_STATE_SET: asks the other agents first if `isGraceful`.
  public static func stateSet(_ state: SystemPowerState, isGraceful: Bool) -> AgentCommand<NoValues> {
    AgentCommand(.systemPower, SystemPowerMessage.stateSet).with(UInt32(isGraceful ? 1 : 0)).with(
      state.rawValue)
  }

  /// SYSTEM_POWER_STATE_GET: a raw value of `SystemPowerState`.
  public static var stateGet: AgentCommand<UInt32> {
    AgentCommand(.systemPower, SystemPowerMessage.stateGet)
  }

  /// SYSTEM_POWER_STATE_NOTIFY. Notifications are a `StateNotification`.
  public static func stateNotify(_ isEnabled: Bool) -> AgentCommand<NoValues> {
    AgentCommand(.systemPower, SystemPowerMessage.stateNotify).enabling(isEnabled)
  }

  /// SYSTEM_POWER_STATE_NOTIFIER.
  public struct StateNotification: MessageValues, Equatable, Sendable {
    /// The agent that asked for it.
    public let agent: UInt32
    /// Whether agents have time to prepare.
    public let isGraceful: Bool
    /// The state that the system goes to.
    public let state: SystemPowerState
    /// How long agents have, in milliseconds; 0 also where SCMI 2.0 has no such value.
    public let timeoutMilliseconds: UInt32

    /// Reads three words and, where it is there, the time.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      agent = try reader.next()
      isGraceful = try reader.next(UInt32.self) & 1 != 0
      state = SystemPowerState(rawValue: try reader.next())
      timeoutMilliseconds = reader.byteCount >= 4 ? try reader.next() : 0
    }
  }
}
