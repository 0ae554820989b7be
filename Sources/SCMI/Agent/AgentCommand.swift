// A command as an agent sends it, and what is read from the answer.

import Wire

/// What an agent's call can fail with.
public enum AgentFault: Error, Equatable, Sendable {
  /// The platform's answer: a status other than SUCCESS.
  case status(SCMIStatus)
  /// The answer or event is shorter than its message asks for, or contradicts itself.
  case malformed
  /// No answer came in time. If it comes later, it is ignored.
  case timedOut
  /// The channel is busy, or too many asynchronous commands are under way.
  case busy
  /// The channel carries no notification and no delayed response, so that none may be asked for.
  case noEventChannel
  /// The channel is at fault.
  case channel(ChannelFault)
}

/// Reads return values or the payload of an event, field by field.
public struct MessageReader: Sendable {
  private var bytes: MessageBytes
  private var offset: Int
  private let end: Int

  /// The bytes of `message` from `offset` up to `byteCount`, which is the other side's word: what is beyond
  /// our memory does not count.
  init(_ message: borrowing MessageBytes, from offset: Int, byteCount: Int) {
    bytes = copy message
    self.offset = offset
    end = min(byteCount, MemoryLayout<MessageBytes>.size)
  }

  /// Bytes that are left.
  public var byteCount: Int { max(end - offset, 0) }

  /// The next little-endian field. Throws `.malformed` when it is not there.
  public mutating func next<T: FixedWidthInteger & BitwiseCopyable>(
    _: T.Type = T.self
  ) throws(AgentFault) -> T {
    guard byteCount >= MemoryLayout<T>.size else { throw .malformed }
    defer { offset += MemoryLayout<T>.size }
    return bytes.load(at: offset)
  }

  /// A number sent as two words, the low one first.
  public mutating func nextPair() throws(AgentFault) -> UInt64 { try next() }

  /// The next `byteCount` bytes as a name, which ends at its first NUL.
  public mutating func nextName(_ byteCount: Int) throws(AgentFault) -> SCMIName {
    guard self.byteCount >= byteCount else { throw .malformed }
    defer { offset += byteCount }
    return SCMIName(bytes: bytes.bytes.extracting(offset..<(offset + byteCount)))
  }
}

/// What an answer or an event says, as values.
public protocol MessageValues {
  /// Reads the values. Throws `.malformed` when they are not all there or contradict each other.
  init(_ reader: inout MessageReader) throws(AgentFault)
}

/// The values of an answer that has none but its status.
public struct NoValues: MessageValues, Equatable, Sendable {
  /// Nothing to read.
  public init(_ reader: inout MessageReader) throws(AgentFault) {}
}

extension UInt32: MessageValues {
  /// One word.
  public init(_ reader: inout MessageReader) throws(AgentFault) { self = try reader.next() }
}

extension Int32: MessageValues {
  /// One word.
  public init(_ reader: inout MessageReader) throws(AgentFault) { self = try reader.next() }
}

extension UInt64: MessageValues {
  /// Two words, the low one first.
  public init(_ reader: inout MessageReader) throws(AgentFault) { self = try reader.nextPair() }
}

extension SCMIName: MessageValues {
  /// A field of 16 bytes.
  public init(_ reader: inout MessageReader) throws(AgentFault) { self = try reader.nextName(16) }
}

/// A name as the NAME_GET commands answer it: flags, and up to 63 characters.
public struct ExtendedName: MessageValues, Sendable {
  /// The name.
  public let name: SCMIName

  /// Reads flags, which are reserved, and the name.
  public init(_ reader: inout MessageReader) throws(AgentFault) {
    let _: UInt32 = try reader.next()
    name = try reader.nextName(64)
  }
}

/// A command with its parameters. `Values` is what its answer says.
public struct AgentCommand<Values: MessageValues>: Sendable {
  var bytes = MessageBytes()
  var byteCount = MessageHeader.byteCount
  /// Whether it asks for notifications, or for a delayed response.
  var needsEvents = false
  /// Whether it asks for a delayed response.
  var isAsynchronous = false

  /// Message `message` of a protocol, for messages that this module does not know.
  public init(_ protocolID: ProtocolID, _ message: UInt8) {
    bytes.store(MessageHeader(protocolID, message).word, at: 0)
  }

  /// The command with one more parameter. Traps beyond 256 bytes.
  public func with<T: FixedWidthInteger & BitwiseCopyable>(_ parameter: T) -> AgentCommand {
    var command = self
    command.bytes.store(parameter, at: byteCount)
    command.byteCount += MemoryLayout<T>.size
    return command
  }

  /// The command as one that asks for notifications if `isEnabled`, which is also its next parameter.
  func enabling(_ isEnabled: Bool) -> AgentCommand {
    var command = with(UInt32(isEnabled ? 1 : 0))
    command.needsEvents = isEnabled
    return command
  }

  /// The command as one that asks for a delayed response, if `isAsynchronous`.
  func asynchronous(_ isAsynchronous: Bool) -> AgentCommand {
    var command = self
    command.isAsynchronous = isAsynchronous
    command.needsEvents = isAsynchronous
    return command
  }
}
