// SCMI Powercap management protocol: messages. SCMI 2.0 does not have it.

/// Messages of the Powercap protocol.
public enum PowercapMessage {
  /// The version in SCMI 3.2.
  public static var version: UInt32 { 0x20000 }

  /// POWERCAP_DOMAIN_ATTRIBUTES.
  public static var domainAttributes: UInt8 { 0x3 }
  /// POWERCAP_CAP_GET.
  public static var capGet: UInt8 { 0x4 }
  /// POWERCAP_CAP_SET.
  public static var capSet: UInt8 { 0x5 }
  /// POWERCAP_PAI_GET.
  public static var intervalGet: UInt8 { 0x6 }
  /// POWERCAP_PAI_SET.
  public static var intervalSet: UInt8 { 0x7 }
  /// POWERCAP_DOMAIN_NAME_GET.
  public static var domainNameGet: UInt8 { 0x8 }
  /// POWERCAP_MEASUREMENTS_GET.
  public static var measurementsGet: UInt8 { 0x9 }
  /// POWERCAP_CAP_NOTIFY.
  public static var capNotify: UInt8 { 0xA }
  /// POWERCAP_MEASUREMENTS_NOTIFY.
  public static var measurementsNotify: UInt8 { 0xB }
  /// POWERCAP_DESCRIBE_FASTCHANNEL.
  public static var describeFastChannel: UInt8 { 0xC }

  /// POWERCAP_CAP_CHANGED, a notification.
  public static var capChanged: UInt8 { 0x0 }
  /// POWERCAP_MEASUREMENTS_CHANGED, a notification.
  public static var measurementsChanged: UInt8 { 0x1 }

  /// What parent_id of a domain without a parent is.
  public static var noParent: UInt32 { 0xFFFF_FFFF }

  static func rule(_ message: UInt8) -> MessageRule {
    switch message {
    case CommonMessage.version: .new(0, reply: 4)
    case CommonMessage.attributes: .new(0, reply: 4)
    case CommonMessage.messageAttributes: .new(4, reply: 4)
    case domainAttributes: .new(4, reply: 56)
    case capGet: .new(4, reply: 4, traits: MessageRule.hasFastChannel)
    case capSet: .new(12, traits: MessageRule.hasFastChannel)
    case intervalGet: .new(4, reply: 4, traits: MessageRule.hasFastChannel)
    case intervalSet: .new(12, traits: MessageRule.hasFastChannel)
    case domainNameGet: .new(4, reply: 68)
    case measurementsGet: .new(4, reply: 8)
    case capNotify: .new(8, traits: MessageRule.notifies)
    case measurementsNotify: .new(16, traits: MessageRule.notifies)
    case describeFastChannel: .new(8, reply: 44)
    default: .absent
    }
  }
}

/// Bits of the attributes of a powercap domain.
public enum PowercapAttribute {
  /// Bit 22: it has a FastChannel.
  public static var hasFastChannel: UInt32 { 1 << 22 }
  /// Bits 23 and 24: power is in microwatts.
  public static var microwatts: UInt32 { 1 << 23 }
  /// Bits 23 and 24: power is in milliwatts.
  public static var milliwatts: UInt32 { 2 << 23 }
  /// Bit 25: the agent can set the averaging interval.
  public static var canSetInterval: UInt32 { 1 << 25 }
  /// Bit 26: its power is measured.
  public static var isMeasured: UInt32 { 1 << 26 }
  /// Bit 27: the agent can set the cap.
  public static var canSetCap: UInt32 { 1 << 27 }
  /// Bit 28: its name is longer than 15 characters.
  public static var hasExtendedName: UInt32 { 1 << 28 }
  /// Bit 29: the cap can be set asynchronously.
  public static var isAsynchronous: UInt32 { 1 << 29 }
  /// Bit 30: it gives notice when measurements cross thresholds.
  public static var notifiesMeasurements: UInt32 { 1 << 30 }
  /// Bit 31: it gives notice of changes of the cap and the interval.
  public static var notifiesCapChanges: UInt32 { 1 << 31 }
}

/// Bits of the flags of POWERCAP_CAP_SET.
public enum PowercapFlag {
  /// Bit 0: with bit 1, without a delayed response.
  public static var ignoresDelayedResponse: UInt32 { 1 }
  /// Bit 1: answer at once, and with a delayed response when done.
  public static var isAsynchronous: UInt32 { 2 }
}
