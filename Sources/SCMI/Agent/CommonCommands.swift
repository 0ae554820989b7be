// SCMI, agent side: the commands that every protocol has.

/// Commands of every protocol.
public enum CommonCommand {
  /// PROTOCOL_VERSION: major in the upper half, minor in the lower.
  public static func version(_ protocolID: ProtocolID) -> AgentCommand<UInt32> {
    AgentCommand(protocolID, CommonMessage.version)
  }

  /// PROTOCOL_ATTRIBUTES of a protocol whose attributes are one word.
  public static func attributes(_ protocolID: ProtocolID) -> AgentCommand<UInt32> {
    AgentCommand(protocolID, CommonMessage.attributes)
  }

  /// PROTOCOL_ATTRIBUTES of a protocol with a statistics region.
  public static func attributesAndRegion(_ protocolID: ProtocolID) -> AgentCommand<AttributesAndRegion> {
    AgentCommand(protocolID, CommonMessage.attributes)
  }

  /// PROTOCOL_MESSAGE_ATTRIBUTES of `message`.
  public static func messageAttributes(_ protocolID: ProtocolID, _ message: UInt8) -> AgentCommand<UInt32> {
    AgentCommand(protocolID, CommonMessage.messageAttributes).with(UInt32(message))
  }

  /// NEGOTIATE_PROTOCOL_VERSION: asks for `version`.
  public static func negotiate(_ protocolID: ProtocolID, version: UInt32) -> AgentCommand<NoValues> {
    AgentCommand(protocolID, CommonMessage.negotiateVersion).with(version)
  }
}

/// The attributes of a protocol that has a statistics region.
public struct AttributesAndRegion: MessageValues, Equatable, Sendable {
  /// The attributes.
  public let attributes: UInt32
  /// Address of the statistics region. Over virtio the region is a shared memory region instead.
  public let regionAddress: UInt64
  /// Length of the region in bytes; 0 when there is none.
  public let regionByteCount: UInt32

  /// Reads four words.
  public init(_ reader: inout MessageReader) throws(AgentFault) {
    attributes = try reader.next()
    regionAddress = try reader.nextPair()
    regionByteCount = try reader.next()
  }
}

/// A part of a list that may not fit one answer: `next` has its entries one by one.
public struct ListPart: Sendable {
  /// Entries in this part.
  public let count: Int
  /// Entries after this part: ask again from `count` further on.
  public let remaining: Int
  private var reader: MessageReader

  init(_ reader: MessageReader, count: UInt32, remaining: UInt32) {
    self.reader = reader
    self.count = Int(count)
    self.remaining = Int(remaining)
  }

  /// Entries of `byteCount` bytes. Throws `.malformed` when `count` of them are not there.
  init(_ reader: MessageReader, count: UInt32, remaining: UInt32, byteCount: Int) throws(AgentFault) {
    guard reader.byteCount / byteCount >= Int(count) else { throw .malformed }
    self.init(reader, count: count, remaining: remaining)
  }

  /// The next entry, a little-endian number. Throws `.malformed` beyond the last.
  public mutating func next<T: FixedWidthInteger & BitwiseCopyable>(
    _: T.Type = T.self
  ) throws(AgentFault) -> T {
    try reader.next()
  }

  /// The next entry, of several fields. Throws `.malformed` beyond the last.
  public mutating func next<Values: MessageValues>(
    _: Values.Type = Values.self
  ) throws(AgentFault) -> Values {
    try Values(&reader)
  }
}
