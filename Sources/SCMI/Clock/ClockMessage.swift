// SCMI Clock management protocol: messages.

/// Messages of the Clock protocol.
public enum ClockMessage {
  /// The version in SCMI 3.2.
  public static var version: UInt32 { 0x30000 }
  /// The version in SCMI 2.0.
  public static var legacyVersion: UInt32 { 0x10000 }

  /// CLOCK_ATTRIBUTES.
  public static var clockAttributes: UInt8 { 0x3 }
  /// CLOCK_DESCRIBE_RATES.
  public static var describeRates: UInt8 { 0x4 }
  /// CLOCK_RATE_SET.
  public static var rateSet: UInt8 { 0x5 }
  /// CLOCK_RATE_GET.
  public static var rateGet: UInt8 { 0x6 }
  /// CLOCK_CONFIG_SET.
  public static var configSet: UInt8 { 0x7 }
  /// CLOCK_NAME_GET.
  public static var nameGet: UInt8 { 0x8 }
  /// CLOCK_RATE_NOTIFY.
  public static var rateNotify: UInt8 { 0x9 }
  /// CLOCK_RATE_CHANGE_REQUESTED_NOTIFY.
  public static var rateChangeRequestedNotify: UInt8 { 0xA }
  /// CLOCK_CONFIG_GET.
  public static var configGet: UInt8 { 0xB }
  /// CLOCK_POSSIBLE_PARENTS_GET.
  public static var possibleParentsGet: UInt8 { 0xC }
  /// CLOCK_PARENT_SET.
  public static var parentSet: UInt8 { 0xD }
  /// CLOCK_PARENT_GET.
  public static var parentGet: UInt8 { 0xE }
  /// CLOCK_GET_PERMISSIONS.
  public static var getPermissions: UInt8 { 0xF }

  /// CLOCK_RATE_CHANGED, a notification.
  public static var rateChanged: UInt8 { 0x0 }
  /// CLOCK_RATE_CHANGE_REQUESTED, a notification.
  public static var rateChangeRequested: UInt8 { 0x1 }

  static func rule(_ message: UInt8) -> MessageRule {
    switch message {
    case CommonMessage.version: .both(0, reply: 4)
    case CommonMessage.attributes: .both(0, reply: 4)
    case CommonMessage.messageAttributes: .both(4, reply: 4)
    case clockAttributes: .both(4, reply: 24)
    case describeRates: .both(8, reply: 28)
    case rateSet: .both(16)
    case rateGet: .both(4, reply: 8)
    case configSet: MessageRule(12, legacy: 8)
    case nameGet: .new(4, reply: 68)
    case rateNotify: .new(8, traits: MessageRule.notifies)
    case rateChangeRequestedNotify: .new(8, traits: MessageRule.notifies)
    case configGet: .new(8, reply: 12)
    case possibleParentsGet: .new(8, reply: 8)
    case parentSet: .new(8)
    case parentGet: .new(4, reply: 4)
    case getPermissions: .new(4, reply: 4)
    default: .absent
    }
  }
}

/// Bits of the attributes of a clock.
public enum ClockAttribute {
  /// Bit 0: the clock is on, as far as the agent is concerned.
  public static var isEnabled: UInt32 { 1 }
  /// Bit 1: the agent may not change everything of it.
  public static var isRestricted: UInt32 { 1 << 1 }
  /// Bit 27: it has extended configurations.
  public static var hasExtendedConfiguration: UInt32 { 1 << 27 }
  /// Bit 28: it has parents.
  public static var hasParents: UInt32 { 1 << 28 }
  /// Bit 29: its name is longer than 15 characters.
  public static var hasExtendedName: UInt32 { 1 << 29 }
  /// Bit 30: it gives notice of requests to change its rate.
  public static var notifiesRateChangeRequests: UInt32 { 1 << 30 }
  /// Bit 31: it gives notice of changes of its rate.
  public static var notifiesRateChanges: UInt32 { 1 << 31 }
}

/// Bits of the flags of CLOCK_RATE_SET.
public enum ClockRateFlag {
  /// Bit 0: answer at once, and with a delayed response when done.
  public static var isAsynchronous: UInt32 { 1 }
  /// Bit 1: without that delayed response.
  public static var ignoresDelayedResponse: UInt32 { 2 }
  /// Bit 2: to the next higher rate, not the next lower one.
  public static var roundsUp: UInt32 { 4 }
  /// Bit 3: to the nearest rate.
  public static var roundsToNearest: UInt32 { 8 }
}
