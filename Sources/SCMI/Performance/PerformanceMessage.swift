// SCMI Performance domain management protocol: messages.

/// Messages of the Performance protocol.
public enum PerformanceMessage {
  /// The version in SCMI 3.2.
  public static var version: UInt32 { 0x40000 }
  /// The version in SCMI 2.0.
  public static var legacyVersion: UInt32 { 0x20000 }

  /// PERFORMANCE_DOMAIN_ATTRIBUTES.
  public static var domainAttributes: UInt8 { 0x3 }
  /// PERFORMANCE_DESCRIBE_LEVELS.
  public static var describeLevels: UInt8 { 0x4 }
  /// PERFORMANCE_LIMITS_SET.
  public static var limitsSet: UInt8 { 0x5 }
  /// PERFORMANCE_LIMITS_GET.
  public static var limitsGet: UInt8 { 0x6 }
  /// PERFORMANCE_LEVEL_SET.
  public static var levelSet: UInt8 { 0x7 }
  /// PERFORMANCE_LEVEL_GET.
  public static var levelGet: UInt8 { 0x8 }
  /// PERFORMANCE_NOTIFY_LIMITS.
  public static var notifyLimits: UInt8 { 0x9 }
  /// PERFORMANCE_NOTIFY_LEVEL.
  public static var notifyLevel: UInt8 { 0xA }
  /// PERFORMANCE_DESCRIBE_FASTCHANNEL.
  public static var describeFastChannel: UInt8 { 0xB }
  /// PERFORMANCE_DOMAIN_NAME_GET.
  public static var domainNameGet: UInt8 { 0xC }

  /// PERFORMANCE_LIMITS_CHANGED, a notification.
  public static var limitsChanged: UInt8 { 0x0 }
  /// PERFORMANCE_LEVEL_CHANGED, a notification.
  public static var levelChanged: UInt8 { 0x1 }

  static func rule(_ message: UInt8) -> MessageRule {
    switch message {
    case CommonMessage.version: .both(0, reply: 4)
    case CommonMessage.attributes: .both(0, reply: 16)
    case CommonMessage.messageAttributes: .both(4, reply: 4)
    case domainAttributes: .both(4, reply: 32)
    case describeLevels: .both(8, reply: 24)
    case limitsSet: .both(12, traits: MessageRule.hasFastChannel)
    case limitsGet: .both(4, reply: 8, traits: MessageRule.hasFastChannel)
    case levelSet: .both(8, traits: MessageRule.hasFastChannel)
    case levelGet: .both(4, reply: 4, traits: MessageRule.hasFastChannel)
    case notifyLimits: .both(8, traits: MessageRule.notifies)
    case notifyLevel: .both(8, traits: MessageRule.notifies)
    case describeFastChannel: .both(8, reply: 44)
    case domainNameGet: .new(4, reply: 68)
    default: .absent
    }
  }
}

/// Bits of the attributes of a performance domain.
public enum PerformanceAttribute {
  /// Bit 25: levels are named by their index.
  public static var usesLevelIndices: UInt32 { 1 << 25 }
  /// Bit 26: its name is longer than 15 characters.
  public static var hasExtendedName: UInt32 { 1 << 26 }
  /// Bit 27: it has a FastChannel.
  public static var hasFastChannel: UInt32 { 1 << 27 }
  /// Bit 28: it gives notice of changes of its level.
  public static var notifiesLevelChanges: UInt32 { 1 << 28 }
  /// Bit 29: it gives notice of changes of its limits.
  public static var notifiesLimitChanges: UInt32 { 1 << 29 }
  /// Bit 30: the agent can set its level.
  public static var canSetLevel: UInt32 { 1 << 30 }
  /// Bit 31: the agent can set its limits.
  public static var canSetLimits: UInt32 { 1 << 31 }
}
