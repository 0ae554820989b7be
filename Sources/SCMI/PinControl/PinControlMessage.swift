// SCMI Pin control protocol: messages. SCMI 2.0 does not have it.

/// Messages of the Pin control protocol.
public enum PinControlMessage {
  /// The version in SCMI 3.2.
  public static var version: UInt32 { 0x10000 }

  /// PINCTRL_ATTRIBUTES.
  public static var pinAttributes: UInt8 { 0x3 }
  /// PINCTRL_LIST_ASSOCIATIONS.
  public static var listAssociations: UInt8 { 0x4 }
  /// PINCTRL_SETTINGS_GET.
  public static var settingsGet: UInt8 { 0x5 }
  /// PINCTRL_SETTINGS_CONFIGURE.
  public static var settingsConfigure: UInt8 { 0x6 }
  /// PINCTRL_REQUEST.
  public static var request: UInt8 { 0x7 }
  /// PINCTRL_RELEASE.
  public static var release: UInt8 { 0x8 }
  /// PINCTRL_NAME_GET.
  public static var nameGet: UInt8 { 0x9 }
  /// PINCTRL_SET_PERMISSIONS.
  public static var setPermissions: UInt8 { 0xA }

  /// What function_id is when there is none.
  public static var noFunction: UInt32 { 0xFFFF_FFFF }

  static func rule(_ message: UInt8) -> MessageRule {
    switch message {
    case CommonMessage.version: .new(0, reply: 4)
    case CommonMessage.attributes: .new(0, reply: 8)
    case CommonMessage.messageAttributes: .new(4, reply: 4)
    case pinAttributes: .new(8, reply: 20)
    case listAssociations: .new(12, reply: 8)
    case settingsGet: .new(8, reply: 16)
    case settingsConfigure: .new(12, traits: MessageRule.isVariable)
    case request: .new(8)
    case release: .new(8)
    case nameGet: .new(8, reply: 68)
    case setPermissions: .new(12)
    default: .absent
    }
  }
}

/// Bits of the attributes of a pin, a group or a function. The number of elements is in bits 0 to 15.
public enum PinAttribute {
  /// Bit 16: the function is one of single pins, not of groups.
  public static var isPinFunction: UInt32 { 1 << 16 }
  /// Bit 17: the function is general-purpose input and output.
  public static var isGPIO: UInt32 { 1 << 17 }
  /// Bit 31: its name is longer than 15 characters.
  public static var hasExtendedName: UInt32 { 1 << 31 }
}
