// SCMI Power domain management protocol: messages.

/// Messages of the Power domain protocol.
public enum PowerMessage {
  /// The version in SCMI 3.2.
  public static var version: UInt32 { 0x30001 }
  /// The version in SCMI 2.0.
  public static var legacyVersion: UInt32 { 0x20000 }

  /// POWER_DOMAIN_ATTRIBUTES.
  public static var domainAttributes: UInt8 { 0x3 }
  /// POWER_STATE_SET.
  public static var stateSet: UInt8 { 0x4 }
  /// POWER_STATE_GET.
  public static var stateGet: UInt8 { 0x5 }
  /// POWER_STATE_NOTIFY.
  public static var stateNotify: UInt8 { 0x6 }
  /// POWER_STATE_CHANGE_REQUESTED_NOTIFY.
  public static var stateChangeRequestedNotify: UInt8 { 0x7 }
  /// POWER_DOMAIN_NAME_GET.
  public static var domainNameGet: UInt8 { 0x8 }

  /// POWER_STATE_CHANGED, a notification.
  public static var stateChanged: UInt8 { 0x0 }
  /// POWER_STATE_CHANGE_REQUESTED, a notification.
  public static var stateChangeRequested: UInt8 { 0x1 }

  /// The power state of a domain that is on.
  public static var on: UInt32 { 0 }
  /// The power state of a domain that is off and has lost its context.
  public static var off: UInt32 { 1 << 30 }

  static func rule(_ message: UInt8) -> MessageRule {
    switch message {
    case CommonMessage.version: .both(0, reply: 4)
    case CommonMessage.attributes: .both(0, reply: 16)
    case CommonMessage.messageAttributes: .both(4, reply: 4)
    case domainAttributes: .both(4, reply: 20)
    case stateSet: .both(12)
    case stateGet: .both(4, reply: 4)
    case stateNotify: .both(8, traits: MessageRule.notifies)
    case stateChangeRequestedNotify: .both(8, traits: MessageRule.notifies)
    case domainNameGet: .new(4, reply: 68)
    default: .absent
    }
  }
}

/// Bits of the attributes of a power domain.
public enum PowerAttribute {
  /// Bit 27: its name is longer than 15 characters.
  public static var hasExtendedName: UInt32 { 1 << 27 }
  /// Bit 28: it gives notice of requests to change its state.
  public static var notifiesChangeRequests: UInt32 { 1 << 28 }
  /// Bit 29: its state can be set synchronously.
  public static var isSynchronous: UInt32 { 1 << 29 }
  /// Bit 30: its state can be set asynchronously.
  public static var isAsynchronous: UInt32 { 1 << 30 }
  /// Bit 31: it gives notice of changes of its state.
  public static var notifiesChanges: UInt32 { 1 << 31 }
}
