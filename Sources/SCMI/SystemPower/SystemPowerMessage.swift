// SCMI System power management protocol: messages.

/// Messages of the System power protocol.
public enum SystemPowerMessage {
  /// The version in SCMI 3.2.
  public static var version: UInt32 { 0x20001 }
  /// The version in SCMI 2.0.
  public static var legacyVersion: UInt32 { 0x10000 }

  /// SYSTEM_POWER_STATE_SET.
  public static var stateSet: UInt8 { 0x3 }
  /// SYSTEM_POWER_STATE_GET.
  public static var stateGet: UInt8 { 0x4 }
  /// SYSTEM_POWER_STATE_NOTIFY.
  public static var stateNotify: UInt8 { 0x5 }

  /// SYSTEM_POWER_STATE_NOTIFIER, a notification.
  public static var stateNotifier: UInt8 { 0x0 }

  static func rule(_ message: UInt8) -> MessageRule {
    switch message {
    case CommonMessage.version: .both(0, reply: 4)
    case CommonMessage.attributes: .both(0, reply: 4)
    case CommonMessage.messageAttributes: .both(4, reply: 4)
    case stateSet: .both(8)
    case stateGet: .both(0, reply: 4)
    case stateNotify: .both(4, traits: MessageRule.notifies)
    default: .absent
    }
  }
}

/// A power state of a system.
@frozen
public struct SystemPowerState: Equatable, Sendable {
  /// The state as it is sent. From 0x8000_0000 on, the board defines it.
  public let rawValue: UInt32

  /// Any state, known or not.
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Off.
  public static var shutdown: SystemPowerState { SystemPowerState(rawValue: 0) }
  /// Reset, with everything lost.
  public static var coldReset: SystemPowerState { SystemPowerState(rawValue: 1) }
  /// Reset, with some context kept.
  public static var warmReset: SystemPowerState { SystemPowerState(rawValue: 2) }
  /// On.
  public static var powerUp: SystemPowerState { SystemPowerState(rawValue: 3) }
  /// Suspended.
  public static var suspend: SystemPowerState { SystemPowerState(rawValue: 4) }
}
