// SCMI, agent side: values that messages of several protocols have in common.

/// A notification about one resource with one value: the new power state, performance level, reset state,
/// power or trip point.
public struct ResourceNotification: MessageValues, Equatable, Sendable {
  /// The agent that caused it; 0 is the platform.
  public let agent: UInt32
  /// The resource.
  public let identifier: UInt32
  /// The value.
  public let value: UInt32

  /// Reads three words.
  public init(_ reader: inout MessageReader) throws(AgentFault) {
    agent = try reader.next()
    identifier = try reader.next()
    value = try reader.next()
  }
}

/// A notification about one resource with two values: performance limits, or a power cap and its interval.
public struct ResourcePairNotification: MessageValues, Equatable, Sendable {
  /// The agent that caused it; 0 is the platform.
  public let agent: UInt32
  /// The resource.
  public let identifier: UInt32
  /// The values.
  public let first: UInt32
  /// See `first`.
  public let second: UInt32

  /// Reads four words.
  public init(_ reader: inout MessageReader) throws(AgentFault) {
    agent = try reader.next()
    identifier = try reader.next()
    first = try reader.next()
    second = try reader.next()
  }
}

/// What a delayed response says that reports a value: a voltage in microvolts, or a power cap.
public struct ResourceValue: MessageValues, Equatable, Sendable {
  /// The resource.
  public let identifier: UInt32
  /// The value.
  public let value: Int32

  /// Reads two words.
  public init(_ reader: inout MessageReader) throws(AgentFault) {
    identifier = try reader.next()
    value = try reader.next()
  }
}

/// Attributes, and a name or the start of it.
public struct NamedAttributes: MessageValues, Sendable {
  /// The attributes.
  public let attributes: UInt32
  /// The name.
  public let name: SCMIName

  /// Reads a word and a field of 16 bytes.
  public init(_ reader: inout MessageReader) throws(AgentFault) {
    attributes = try reader.next()
    name = try reader.nextName(16)
  }
}

/// A FastChannel as an agent is told of it. Nothing here is checked against the memory of the agent.
public struct FastChannelValues: MessageValues, Equatable, Sendable {
  /// Bit 0: there is a doorbell. Bits 1 and 2: its width, 8 << n bits.
  public let attributes: UInt32
  /// The least time between two writes, in microseconds; 0 for unknown.
  public let rateLimitMicroseconds: UInt32
  /// Address and length of the channel.
  public let address: UInt64
  /// See `address`.
  public let byteCount: UInt32
  /// Address of the doorbell, the bits to set there, and those to leave as they are.
  public let doorbellAddress: UInt64
  /// See `doorbellAddress`.
  public let doorbellSetMask: UInt64
  /// See `doorbellAddress`.
  public let doorbellPreserveMask: UInt64

  /// Reads eleven words.
  public init(_ reader: inout MessageReader) throws(AgentFault) {
    attributes = try reader.next()
    rateLimitMicroseconds = try reader.next() & 0xF_FFFF
    address = try reader.nextPair()
    byteCount = try reader.next()
    doorbellAddress = try reader.nextPair()
    doorbellSetMask = try reader.nextPair()
    doorbellPreserveMask = try reader.nextPair()
  }
}
