// SCMI Reset domain management protocol: messages.

/// Messages of the Reset domain protocol.
public enum ResetMessage {
  /// The version in SCMI 3.2.
  public static var version: UInt32 { 0x30001 }
  /// The version in SCMI 2.0.
  public static var legacyVersion: UInt32 { 0x10000 }

  /// RESET_DOMAIN_ATTRIBUTES.
  public static var domainAttributes: UInt8 { 0x3 }
  /// RESET.
  public static var reset: UInt8 { 0x4 }
  /// RESET_NOTIFY.
  public static var notify: UInt8 { 0x5 }
  /// RESET_DOMAIN_NAME_GET.
  public static var domainNameGet: UInt8 { 0x6 }

  /// RESET_ISSUED, a notification.
  public static var issued: UInt8 { 0x0 }

  static func rule(_ message: UInt8) -> MessageRule {
    switch message {
    case CommonMessage.version: .both(0, reply: 4)
    case CommonMessage.attributes: .both(0, reply: 4)
    case CommonMessage.messageAttributes: .both(4, reply: 4)
    case domainAttributes: .both(4, reply: 24)
    case reset: .both(12)
    case notify: .both(8, traits: MessageRule.notifies)
    case domainNameGet: .new(4, reply: 68)
    default: .absent
    }
  }
}

/// Bits of the flags of RESET.
public enum ResetFlag {
  /// Bit 0: the platform resets the domain, from assertion to deassertion.
  public static var isAutonomous: UInt32 { 1 }
  /// Bit 1: without bit 0, the reset signal is asserted, not deasserted.
  public static var asserts: UInt32 { 2 }
  /// Bit 2: with bit 0, answer at once, and with a delayed response when done.
  public static var isAsynchronous: UInt32 { 4 }
}
