// SCMI Voltage domain management protocol: messages. SCMI 2.0 does not have it.

/// Messages of the Voltage domain protocol.
public enum VoltageMessage {
  /// The version in SCMI 3.2.
  public static var version: UInt32 { 0x20001 }

  /// VOLTAGE_DOMAIN_ATTRIBUTES.
  public static var domainAttributes: UInt8 { 0x3 }
  /// VOLTAGE_DESCRIBE_LEVELS.
  public static var describeLevels: UInt8 { 0x4 }
  /// VOLTAGE_CONFIG_SET.
  public static var configSet: UInt8 { 0x5 }
  /// VOLTAGE_CONFIG_GET.
  public static var configGet: UInt8 { 0x6 }
  /// VOLTAGE_LEVEL_SET.
  public static var levelSet: UInt8 { 0x7 }
  /// VOLTAGE_LEVEL_GET.
  public static var levelGet: UInt8 { 0x8 }
  /// VOLTAGE_DOMAIN_NAME_GET.
  public static var domainNameGet: UInt8 { 0x9 }

  /// The mode of a domain that is off.
  public static var off: UInt32 { 0 }
  /// The mode of a domain that is on. From 8 on, the board defines modes.
  public static var on: UInt32 { 7 }

  static func rule(_ message: UInt8) -> MessageRule {
    switch message {
    case CommonMessage.version: .new(0, reply: 4)
    case CommonMessage.attributes: .new(0, reply: 4)
    case CommonMessage.messageAttributes: .new(4, reply: 4)
    case domainAttributes: .new(4, reply: 20)
    case describeLevels: .new(8, reply: 16)
    case configSet: .new(8)
    case configGet: .new(4, reply: 4)
    case levelSet: .new(12)
    case levelGet: .new(4, reply: 4)
    case domainNameGet: .new(4, reply: 68)
    default: .absent
    }
  }
}
