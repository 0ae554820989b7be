// What is known of each message: one table per protocol drives length checks and message attributes alike.

/// The lengths and traits of one message of one protocol.
struct MessageRule {
  /// Parameter bytes of the command in SCMI 3.2 and 2.0, or `none` where there is no such message.
  let length: UInt8
  let legacyLength: UInt8
  /// The fewest bytes that the response needs after its status.
  let replyLength: UInt8
  let traits: UInt8

  static var none: UInt8 { 0xFF }
  static var absent: MessageRule { MessageRule(none, legacy: none, reply: 0) }

  /// The length is the least; the command checks the rest.
  static var isVariable: UInt8 { 1 }
  /// The message asks for notifications and needs a channel for them.
  static var notifies: UInt8 { 2 }
  /// The message sets permissions, for boards that have devices.
  static var setsPermissions: UInt8 { 8 }
  /// Not every agent has the message.
  static var isConditional: UInt8 { notifies | setsPermissions }
  /// The message may have FastChannels.
  static var hasFastChannel: UInt8 { 4 }

  @inline(__always)
  init(_ length: UInt8, legacy: UInt8, reply: UInt8 = 0, traits: UInt8 = 0) {
    self.length = length
    legacyLength = legacy
    replyLength = reply
    self.traits = traits
  }

  /// A message of both profiles.
  @inline(__always)
  static func both(_ length: UInt8, reply: UInt8 = 0, traits: UInt8 = 0) -> MessageRule {
    MessageRule(length, legacy: length, reply: reply, traits: traits)
  }

  /// A message that SCMI 2.0 does not have.
  @inline(__always)
  static func new(_ length: UInt8, reply: UInt8 = 0, traits: UInt8 = 0) -> MessageRule {
    MessageRule(length, legacy: none, reply: reply, traits: traits)
  }
}

/// Messages that every protocol has.
public enum CommonMessage {
  /// PROTOCOL_VERSION.
  public static var version: UInt8 { 0x0 }
  /// PROTOCOL_ATTRIBUTES.
  public static var attributes: UInt8 { 0x1 }
  /// PROTOCOL_MESSAGE_ATTRIBUTES.
  public static var messageAttributes: UInt8 { 0x2 }
  /// NEGOTIATE_PROTOCOL_VERSION.
  public static var negotiateVersion: UInt8 { 0x10 }
}
