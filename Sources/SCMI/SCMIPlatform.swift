// The SCMI platform: bytes of a command in, bytes of the response out, the agent named by the channel. Agents
// are not trusted; the bytes were fetched once, into memory that no agent can write.

import Wire

/// An SCMI platform for up to `agentLimit` agents (at most 32) and `resourceLimit` resources of each kind.
///
/// A channel gives every command to `handle`, sends the response, and then sends what `nextMessage` has as
/// long as there is room. One call does work bounded by `resourceLimit` and by the length of the response.
public struct SCMIPlatform<
  Backend: PlatformBackend & ~Copyable, let agentLimit: Int, let resourceLimit: Int
>: ~Copyable {
  /// What is being worked on, and the response or the notification that comes of it, header first.
  var call = Call()
  var output = MessageBytes()
  static var outputLimit: Int { MemoryLayout<MessageBytes>.size }
  /// The board.
  public var backend: Backend
  /// How many agents there are.
  public internal(set) var agentCount = 0
  var agents = [agentLimit of AgentState<resourceLimit>] { _ in AgentState() }
  var resources = ResourceTable<resourceLimit>()
  /// What was requested last: whether a power domain is on, the rate of a clock, the state after a reset.
  var requestedPower = [resourceLimit of Bool](repeating: false)
  var requestedRates = [resourceLimit of UInt64](repeating: 0)
  var resetStates = [resourceLimit of UInt32](repeating: 0)
  var performanceDomains = [resourceLimit of PerformanceDomainState<agentLimit>] { _ in
    PerformanceDomainState()
  }
  var sensors = [resourceLimit of SensorState<agentLimit>] { _ in SensorState() }
  /// The mode of a voltage domain that each agent set last.
  var voltageModes = [resourceLimit of [agentLimit of UInt8]] { _ in InlineArray(repeating: 0) }
  var powercapDomains = [resourceLimit of PowercapDomainState<agentLimit>] { _ in PowercapDomainState() }
  var pins = [resourceLimit of PinState] { _ in PinState() }
  /// The agents, counted from 1, that have a group of pins to themselves.
  var groupOwners = [resourceLimit of UInt8](repeating: 0)

  /// A platform without agents.
  @_optimize(size)
  @inline(never)
  public init(backend: consuming Backend) {
    precondition(agentLimit > 0 && agentLimit <= 32, "a platform has 1 to 32 agents")
    precondition(resourceLimit > 0 && resourceLimit <= 1024, "a kind has 1 to 1024 resources")
    self.backend = backend
  }

  deinit {}

  /// Answers one command: writes the response with its header to the start of `reply` and returns its length
  /// in bytes, which is at least 8. Returns 0, and writes nothing, for a request without a whole header or
  /// without room for a status: the channel then reports the error its own way.
  ///
  /// `request` starts with the message header. It must not change during the call. Traps when there is no
  /// such agent.
  public mutating func handle(
    _ request: RawSpan, from agent: AgentID, into reply: inout MutableRawSpan
  ) -> Int {
    guard request.byteCount >= MessageHeader.byteCount, reply.byteCount >= 8 else { return 0 }
    let header = MessageHeader(word: request.load(at: 0))
    reply.store(header.word, at: 0)
    do throws(SCMIStatus) {
      let count = try respond(header, index(of: agent), request, &reply)
      reply.store(SCMIStatus.success.rawValue, at: 4)
      return 8 + count
    } catch {
      reply.store(error.rawValue, at: 4)
      return 8
    }
  }

  /// The place of an agent of our own in `agents`.
  @inline(__always)
  mutating func index(of agent: AgentID) -> Int {
    let index = Int(agent.rawValue) - 1
    // As an unsigned number, -1 is too large.
    precondition(UInt(bitPattern: index) < UInt(bitPattern: agentCount), "there is no such agent")
    return index
  }

  /// Checks what the message tables say and calls the protocol. Returns the bytes after the status.
  @inline(__always)
  private mutating func respond(
    _ header: MessageHeader, _ agent: Int, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    guard let place = header.place else { return try respondToUnusual(header, agent, request) }
    let rule = agents[agent].rules[place]
    guard rule.isThere else { return try respondToUnusual(header, agent, request) }
    let given = request.byteCount - MessageHeader.byteCount
    guard given == rule.length || (rule.has(MessageRule.isVariable) && given > rule.length),
      reply.byteCount - 8 >= rule.replyLength
    else { throw .protocolError }
    // Agents ask for rates more often than for anything else.
    if place == 16 * ProtocolID.clock.index + Int(ClockMessage.rateGet) {
      let clock = try find(.clock, request.load(at: 4), agent)
      reply.store(try backend.rate(of: ClockID(Int(clock.resource))), at: 8)
      return 8
    }
    return try dispatch(header, agent, request, &reply)
  }

  /// Calls the protocol of a command that has passed the message tables.
  @inline(never)
  private mutating func dispatch(
    _ header: MessageHeader, _ agent: Int, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    take(header, of: agent)
    call.room = min(reply.byteCount, Self.outputLimit)
    call.read(request)
    var count = 0
    do throws(SCMIStatus) {
      count = try answer(request)
    } catch {
      abandon()
      throw error
    }
    reply.copy(output.view(8 + count), from: 8)
    return count
  }

  /// Writes what comes after the status of a response and returns its length.
  @inline(__always)
  private mutating func answer(_ request: RawSpan) throws(SCMIStatus) -> Int {
    let rule = call.header.protocolID.rule(call.header.message)
    guard !rule.has(MessageRule.isConditional) || isOffered(rule) else { throw .notSupported }
    switch call.header.message {
    case CommonMessage.version: return version()
    case CommonMessage.messageAttributes: return try messageAttributes()
    default: break
    }
    // Of a kind of resource that a board does not have, nothing is left in an image.
    switch call.header.protocolID {
    case .base: return try base()
    case .power where backend.powerDomainCount > 0: return try power()
    case .systemPower: return try systemPower()
    case .performance where backend.performanceDomainCount > 0: return try performance()
    case .clock where backend.clockCount > 0: return try clock()
    case .sensor where backend.sensorCount > 0: return try sensor()
    case .reset where backend.resetDomainCount > 0: return try reset()
    case .voltage where backend.voltageDomainCount > 0: return try voltage()
    case .powercap where backend.powercapDomainCount > 0: return try powercap()
    case .pinControl where backend.pinCount > 0: return try pinControl(request)
    default: throw .notSupported
    }
  }

  /// What is no command, or none that the agent has: says why not. The exception is version negotiation,
  /// whose number lies beyond the tables.
  @inline(never)
  private mutating func respondToUnusual(
    _ header: MessageHeader, _ agent: Int, _ request: RawSpan
  ) throws(SCMIStatus) -> Int {
    guard header.isCommand else { throw .protocolError }
    let protocolID = header.protocolID
    guard protocolID.index < ProtocolID.count, agents[agent].visibleProtocols & protocolID.bit != 0 else {
      throw .notSupported
    }
    guard agents[agent].deniedProtocols & protocolID.bit == 0 else { throw .denied }
    guard header.message >= 16 else { throw .notFound }
    take(header, of: agent)
    return try negotiate(request)
  }

  /// Whether a message that not every agent has is there for this one.
  mutating func isOffered(_ rule: MessageRule) -> Bool {
    rule.has(MessageRule.notifies) ? call.hasChannel : backend.hasDevices
  }
}
