// The platform's side of an agent's shared memory channels, polled or with doorbells. The agent is not
// trusted.

import Wire

/// What became of a doorbell.
public enum ChannelService: Equatable, Sendable {
  /// There was no command.
  case idle
  /// A command was answered, or refused because it could not be read. The flag says whether the agent wants
  /// an interrupt; everything that it will read is in memory by now.
  case answered(wantsInterrupt: Bool)
}

/// The channels of one agent over shared memory: one for commands, and perhaps one for notifications and
/// delayed responses.
///
/// The embedder calls `serve` when the agent rings, or now and then when it does not, and `sendEvent` after
/// that and whenever the platform may have an event for the agent.
public struct PlatformChannel: ~Copyable {
  private let commands: MessageArea
  private let events: MessageArea?
  private var request = MessageBytes()
  private var reply = MessageBytes()

  /// Channels over an area for commands and, for platform-to-agent messages, another one. Marks both as free.
  public init(commands: SharedArea, events: SharedArea? = nil) {
    self.commands = MessageArea(commands)
    self.commands.initialize()
    if let events {
      let area = MessageArea(events)
      area.initialize()
      self.events = area
    } else {
      self.events = nil
    }
  }

  /// The agent starts over: what is in the areas is forgotten, and both are free.
  public mutating func restart() {
    commands.initialize()
    events?.initialize()
  }

  /// Whether the agent has handed a command over.
  public var hasCommand: Bool { !commands.isFree }

  /// Whether an event can be sent: there is a channel, and the agent has taken the one before.
  public var canSendEvent: Bool { events?.isFree ?? false }

  /// Answers a command, if there is one, with what `respond` writes to the start of its second argument.
  ///
  /// `respond` gets the command, of at least 4 bytes, in memory that the agent cannot write, and the room for
  /// the response, at least 8 bytes. It returns the length of the response.
  @inline(__always)
  public mutating func serve(
    _ respond: (RawSpan, inout MutableRawSpan) -> Int
  ) -> ChannelService {
    switch commands.take(&request) {
    case .message(let byteCount, let wantsInterrupt):
      // Views of our own memory throughout: borrowing the arrays themselves would copy them.
      let command = request.view(byteCount)
      var bytes = reply.mutableBytes
      var room = bytes._mutatingExtracting(0..<commands.capacity)
      let count = respond(command, &room)
      commands.answer(bytes.bytes, byteCount: count)
      return .answered(wantsInterrupt: wantsInterrupt)
    case .malformed(let wantsInterrupt):
      // There is no header that a status could be sent with.
      commands.refuse()
      return .answered(wantsInterrupt: wantsInterrupt)
    case .nothing, .error:
      return .idle
    }
  }

  /// Sends one notification or delayed response that `next` writes to the start of its argument, if the agent
  /// has taken the one before.
  ///
  /// `next` returns the length, at least 4 bytes, or 0 without an event. With `wantsInterrupt` the agent
  /// rings once it has taken the event. Returns whether one was sent: the agent is to be interrupted then.
  public mutating func sendEvent(
    wantsInterrupt: Bool, _ next: (inout MutableRawSpan) -> Int
  ) -> Bool {
    guard canSendEvent, let events else { return false }
    var bytes = reply.mutableBytes
    var room = bytes._mutatingExtracting(0..<events.capacity)
    let count = next(&room)
    return count != 0 && events.post(reply, byteCount: count, wantsInterrupt: wantsInterrupt)
  }
}

extension PlatformChannel {
  /// Answers a command of `agent` by `platform`, if there is one.
  @inline(__always)
  public mutating func serve<
    Backend: PlatformBackend & ~Copyable, let agentLimit: Int, let resourceLimit: Int
  >(
    _ agent: AgentID, _ platform: inout SCMIPlatform<Backend, agentLimit, resourceLimit>
  ) -> ChannelService {
    // A request and room of these lengths always have an answer.
    serve { platform.handle($0, from: agent, into: &$1) }
  }

  /// Sends the next event that `platform` has for `agent`, if the agent has taken the one before. Returns
  /// whether the agent is to be interrupted.
  public mutating func sendEvent<
    Backend: PlatformBackend & ~Copyable, let agentLimit: Int, let resourceLimit: Int
  >(
    _ agent: AgentID, _ platform: inout SCMIPlatform<Backend, agentLimit, resourceLimit>,
    wantsInterrupt: Bool
  ) -> Bool {
    guard platform.hasMessage(for: agent) else { return false }
    return sendEvent(wantsInterrupt: wantsInterrupt) { platform.nextMessage(for: agent, into: &$0) }
  }
}
