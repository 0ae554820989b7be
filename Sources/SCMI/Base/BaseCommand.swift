// SCMI Base protocol, agent side.

/// Commands of the Base protocol.
public enum BaseCommand {
  private static func command<Values: MessageValues>(_ message: UInt8) -> AgentCommand<Values> {
    AgentCommand(.base, message)
  }

  /// BASE_DISCOVER_VENDOR.
  public static var discoverVendor: AgentCommand<SCMIName> { command(BaseMessage.discoverVendor) }

  /// BASE_DISCOVER_SUB_VENDOR.
  public static var discoverSubVendor: AgentCommand<SCMIName> { command(BaseMessage.discoverSubVendor) }

  /// BASE_DISCOVER_IMPLEMENTATION_VERSION.
  public static var discoverImplementationVersion: AgentCommand<UInt32> {
    command(BaseMessage.discoverImplementationVersion)
  }

  /// BASE_DISCOVER_LIST_PROTOCOLS, after the first `skip`.
  public static func discoverListProtocols(skip: UInt32) -> AgentCommand<Protocols> {
    command(BaseMessage.discoverListProtocols).with(skip)
  }

  /// BASE_DISCOVER_AGENT: of an agent, the platform (0), or the caller (0xffffffff).
  public static func discoverAgent(_ agent: UInt32) -> AgentCommand<Agent> {
    command(BaseMessage.discoverAgent).with(agent)
  }

  /// BASE_NOTIFY_ERRORS.
  public static func notifyErrors(_ isEnabled: Bool) -> AgentCommand<NoValues> {
    command(BaseMessage.notifyErrors).enabling(isEnabled)
  }

  /// BASE_SET_DEVICE_PERMISSIONS.
  public static func setDevicePermissions(
    agent: UInt32, device: UInt32, isAllowed: Bool
  ) -> AgentCommand<NoValues> {
    command(BaseMessage.setDevicePermissions).with(agent).with(device).with(UInt32(isAllowed ? 1 : 0))
  }

  /// BASE_SET_PROTOCOL_PERMISSIONS.
  public static func setProtocolPermissions(
    agent: UInt32, device: UInt32, _ protocolID: ProtocolID, isAllowed: Bool
  ) -> AgentCommand<NoValues> {
    command(BaseMessage.setProtocolPermissions).with(agent).with(device).with(UInt32(protocolID.rawValue))
      .with(UInt32(isAllowed ? 1 : 0))
  }

  /// BASE_RESET_AGENT_CONFIGURATION.
  public static func resetAgentConfiguration(
    agent: UInt32, resetsPermissions: Bool
  ) -> AgentCommand<NoValues> {
    command(BaseMessage.resetAgentConfiguration).with(agent).with(UInt32(resetsPermissions ? 1 : 0))
  }

  /// Protocols as BASE_DISCOVER_LIST_PROTOCOLS has them: `list` yields a `UInt8` for each.
  public struct Protocols: MessageValues, Sendable {
    /// The identifiers. How many there are in all is in the attributes of the protocol.
    public var list: ListPart

    /// Reads the number of protocols, and checks that they are there, in whole words.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      let count: UInt32 = try reader.next()
      guard count <= 256, reader.byteCount >= (Int(count) + 3) & ~3 else { throw .malformed }
      list = try ListPart(reader, count: count, remaining: 0, byteCount: 1)
    }
  }

  /// An agent as BASE_DISCOVER_AGENT has it.
  public struct Agent: MessageValues, Sendable {
    /// Its number.
    public let identifier: UInt32
    /// Its name.
    public let name: SCMIName

    /// Reads number and name.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      identifier = try reader.next()
      name = try reader.nextName(16)
    }
  }

  /// BASE_ERROR_EVENT: `reports` yields a `Report` for each error.
  public struct ErrorEvent: MessageValues, Sendable {
    /// The agent at fault.
    public let agent: UInt32
    /// Whether the agent is out of order.
    public let isFatal: Bool
    /// The errors.
    public var reports: ListPart

    /// Reads the numbers, and checks that the reports are there.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      agent = try reader.next()
      let status: UInt32 = try reader.next()
      isFatal = status >> 31 != 0
      reports = try ListPart(reader, count: status & 0xFFFF, remaining: 0, byteCount: 8)
    }
  }

  /// One error of BASE_ERROR_EVENT.
  public struct Report: MessageValues, Equatable, Sendable {
    /// The command at fault.
    public let header: MessageHeader
    /// What was wrong.
    public let status: SCMIStatus

    /// Reads two words.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      header = MessageHeader(word: try reader.next())
      status = SCMIStatus(rawValue: try reader.next())
    }
  }
}
