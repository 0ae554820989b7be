// What is known of each message: one table per protocol drives length checks and message attributes alike.

/// The lengths and traits of one message of one protocol, in one word so that a look-up is one load.
struct MessageRule {
  private let bits: UInt32

  /// The length of a message that is not there.
  static var none: UInt8 { 0xFF }
  static var absent: MessageRule { MessageRule(none, legacy: none) }

  /// The length is the least; the command checks the rest.
  static var isVariable: UInt8 { 1 }
  /// The message asks for notifications and needs a channel for them.
  static var notifies: UInt8 { 2 }
  /// The message may have FastChannels.
  static var hasFastChannel: UInt8 { 4 }
  /// The message sets permissions, for boards that have devices.
  static var setsPermissions: UInt8 { 8 }

  /// A message with `length` parameter bytes in SCMI 3.2 and `legacy` in SCMI 2.0, which needs room for at
  /// least `reply` bytes after the status of its response.
  @inline(__always)
  init(_ length: UInt8, legacy: UInt8, reply: UInt8 = 0, traits: UInt8 = 0) {
    bits = UInt32(length) | UInt32(legacy) << 8 | UInt32(reply) << 16 | UInt32(traits) << 24
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

  /// Parameter bytes of the command, or `none` where there is no such message.
  func length(isLegacy: Bool) -> UInt8 {
    UInt8(truncatingIfNeeded: isLegacy ? bits >> 8 : bits)
  }

  func has(_ trait: UInt8) -> Bool { bits & UInt32(trait) << 24 != 0 }

  /// Not every agent has the message.
  static var isConditional: UInt8 { notifies | setsPermissions }

  /// The rule as an agent of one profile has it.
  func rule(isLegacy: Bool) -> AgentRule {
    AgentRule(bits: bits & 0xFFFF_0000 | UInt32(length(isLegacy: isLegacy)))
  }
}

/// A message rule as one agent has it now: what it cannot send, for whatever reason, is not there.
struct AgentRule {
  let bits: UInt32

  static var absent: AgentRule { AgentRule(bits: UInt32(MessageRule.none)) }

  @inline(__always)
  var isThere: Bool { bits & 0xFF != UInt32(MessageRule.none) }

  /// Parameter bytes of the command.
  @inline(__always)
  var length: Int { Int(bits & 0xFF) }

  /// The fewest bytes that the response needs after its status.
  @inline(__always)
  var replyLength: Int { Int(bits >> 16 & 0xFF) }

  @inline(__always)
  func has(_ trait: UInt8) -> Bool { bits & UInt32(trait) << 24 != 0 }
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
