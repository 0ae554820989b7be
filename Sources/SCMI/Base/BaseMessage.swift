// SCMI Base protocol: messages.

/// Messages of the Base protocol.
public enum BaseMessage {
  /// The version in SCMI 3.2.
  public static var version: UInt32 { 0x20001 }
  /// The version in SCMI 2.0.
  public static var legacyVersion: UInt32 { 0x20000 }

  /// BASE_DISCOVER_VENDOR.
  public static var discoverVendor: UInt8 { 0x3 }
  /// BASE_DISCOVER_SUB_VENDOR.
  public static var discoverSubVendor: UInt8 { 0x4 }
  /// BASE_DISCOVER_IMPLEMENTATION_VERSION.
  public static var discoverImplementationVersion: UInt8 { 0x5 }
  /// BASE_DISCOVER_LIST_PROTOCOLS.
  public static var discoverListProtocols: UInt8 { 0x6 }
  /// BASE_DISCOVER_AGENT.
  public static var discoverAgent: UInt8 { 0x7 }
  /// BASE_NOTIFY_ERRORS.
  public static var notifyErrors: UInt8 { 0x8 }
  /// BASE_SET_DEVICE_PERMISSIONS.
  public static var setDevicePermissions: UInt8 { 0x9 }
  /// BASE_SET_PROTOCOL_PERMISSIONS.
  public static var setProtocolPermissions: UInt8 { 0xA }
  /// BASE_RESET_AGENT_CONFIGURATION.
  public static var resetAgentConfiguration: UInt8 { 0xB }

  /// BASE_ERROR_EVENT, a notification.
  public static var errorEvent: UInt8 { 0x0 }

  /// What agent_id of BASE_DISCOVER_AGENT means the caller.
  public static var callingAgent: UInt32 { 0xFFFF_FFFF }

  static func rule(_ message: UInt8) -> MessageRule {
    switch message {
    case CommonMessage.version: .both(0, reply: 4)
    case CommonMessage.attributes: .both(0, reply: 4)
    case CommonMessage.messageAttributes: .both(4, reply: 4)
    case discoverVendor: .both(0, reply: 16)
    case discoverSubVendor: .both(0, reply: 16)
    case discoverImplementationVersion: .both(0, reply: 4)
    case discoverListProtocols: .both(4, reply: 8)
    case discoverAgent: .both(4, reply: 20)
    case notifyErrors: .both(4, traits: MessageRule.notifies)
    case setDevicePermissions: .both(12, traits: MessageRule.setsPermissions)
    case setProtocolPermissions: .both(16, traits: MessageRule.setsPermissions)
    case resetAgentConfiguration: .both(8)
    default: .absent
    }
  }
}
