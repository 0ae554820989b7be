// SCMI message header: the first word of every message, whatever the transport.

/// What kind of message a header starts.
public enum MessageType {
  /// A command from an agent, and the platform's response to it.
  public static var command: UInt8 { 0 }
  /// A delayed response of the platform to an asynchronous command.
  public static var delayedResponse: UInt8 { 2 }
  /// A notification of the platform.
  public static var notification: UInt8 { 3 }
}

/// The message header.
@frozen
public struct MessageHeader: Equatable, Sendable {
  /// The header as it is sent: message in bits 0 to 7, type in 8 and 9, protocol in 10 to 17, token in 18 to
  /// 27, and zeros.
  public var word: UInt32

  /// Length of the header in bytes.
  public static var byteCount: Int { 4 }

  /// A received header, whatever its bits.
  @inline(__always)
  public init(word: UInt32) { self.word = word }

  /// A header with fields; `token` is taken modulo 1024.
  public init(
    _ protocolID: ProtocolID, _ message: UInt8, type: UInt8 = MessageType.command, token: UInt16 = 0
  ) {
    word =
      UInt32(message) | UInt32(type & 3) << 8 | UInt32(protocolID.rawValue) << 10
      | UInt32(token & 0x3FF) << 18
  }

  /// message_id.
  public var message: UInt8 { UInt8(truncatingIfNeeded: word) }
  /// message_type, one of `MessageType` or 1, which is reserved.
  public var type: UInt8 { UInt8(truncatingIfNeeded: word >> 8) & 3 }
  /// protocol_id.
  public var protocolID: ProtocolID { ProtocolID(rawValue: UInt8(truncatingIfNeeded: word >> 10)) }
  /// token: the agent's own mark, which a response repeats.
  public var token: UInt16 { UInt16(truncatingIfNeeded: word >> 18) & 0x3FF }

  /// Where the message tables have a command, or nil when they do not: 16 messages for each protocol.
  @inline(__always)
  var place: Int? {
    // Below 16 and a command, with nothing reserved.
    guard word & 0xF000_03F0 == 0 else { return nil }
    let place = (word >> 6 & 0xFF0 | word & 0xF) &- 0x100
    return place < 160 ? Int(place) : nil
  }

  /// Whether this starts a well-formed command: its type is right and the reserved bits are zero.
  var isCommand: Bool { word & 0xF000_0300 == 0 }
}
