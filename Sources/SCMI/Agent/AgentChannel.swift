// How an agent reaches its platform, whatever the transport.

/// What is wrong with a channel. The platform is not trusted.
public enum ChannelFault: Error, Equatable, Sendable {
  /// A message had a length that no message has. It is lost; the next may be good.
  case malformed
  /// The platform could not read the command. The next may be good.
  case refused
  /// The transport has failed for good.
  case broken
}

/// How an agent waits for its platform.
public protocol AgentPatience: ~Copyable {
  /// Lets some time pass, or waits for an interrupt, for the `attempt`th time since something is awaited.
  /// False when that was long enough: the agent gives up. It must be false at last.
  mutating func wait(attempt: Int) -> Bool
}

/// An agent's channels: one for commands and, if `receivesEvents`, one for notifications and delayed
/// responses.
public protocol AgentChannel: AgentPatience, ~Copyable {
  /// Bytes of the longest message that can be sent, header included; at most 256.
  var messageByteCountMax: Int { get }
  /// Whether notifications and delayed responses can come.
  var receivesEvents: Bool { get }
  /// Sends the first `byteCount` bytes of `command`. False, having done nothing, while the channel is busy.
  mutating func send(_ command: borrowing MessageBytes, byteCount: Int) throws(ChannelFault) -> Bool
  /// Takes the next response, as much of it as fits. Its length, at most 256; nil when there is none yet.
  mutating func receive(_ response: inout MessageBytes) throws(ChannelFault) -> Int?
  /// Takes the next notification or delayed response, as `receive` does.
  mutating func receiveEvent(_ event: inout MessageBytes) throws(ChannelFault) -> Int?
}
