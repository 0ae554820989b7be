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
  /// The board.
  public var backend: Backend
  /// How many agents there are.
  public internal(set) var agentCount = 0
  var agents = [agentLimit of AgentState<resourceLimit>](repeating: AgentState())
  var powerDomains = [resourceLimit of PowerDomainState](repeating: PowerDomainState())
  var performanceDomains = [resourceLimit of PerformanceDomainState<agentLimit>](
    repeating: PerformanceDomainState())
  var clocks = [resourceLimit of ClockState](repeating: ClockState())
  var sensors = [resourceLimit of SensorState<agentLimit>](repeating: SensorState())
  var resetDomains = [resourceLimit of ResetDomainState](repeating: ResetDomainState())
  var voltageDomains = [resourceLimit of VoltageDomainState<agentLimit>](repeating: VoltageDomainState())
  var powercapDomains = [resourceLimit of PowercapDomainState<agentLimit>](
    repeating: PowercapDomainState())
  var pins = [resourceLimit of PinState](repeating: PinState())
  /// Agents that configured a pin or a group since their reset, and the agents, counted from 1, that have a
  /// group to themselves.
  var pinUsers = [resourceLimit of AgentSet](repeating: AgentSet())
  var groupUsers = [resourceLimit of AgentSet](repeating: AgentSet())
  var groupOwners = [resourceLimit of UInt8](repeating: 0)

  /// A platform without agents.
  @_optimize(size)
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
    precondition(index >= 0 && index < agentCount, "there is no such agent")
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
    let call = Call(agent: agent, header: header, isLegacy: rule.isLegacy)
    let given = request.byteCount - MessageHeader.byteCount
    guard given == rule.length || (rule.has(MessageRule.isVariable) && given > rule.length),
      reply.byteCount - 8 >= rule.replyLength
    else { throw .protocolError }
    // Agents ask for rates more often than for anything else.
    if place == 16 * ProtocolID.clock.index + Int(ClockMessage.rateGet) {
      return try clockRate(call, request, &reply)
    }
    return try dispatch(call, request, &reply)
  }

  /// Calls the protocol of a command that has passed the message tables.
  @inline(never)
  private mutating func dispatch(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let message = call.header.message
    let rule = call.header.protocolID.rule(message)
    guard !rule.has(MessageRule.isConditional) || isOffered(rule, call) else { throw .notSupported }
    switch call.header.protocolID {
    case .base: return try base(message, call, request, &reply)
    case .power: return try power(message, call, request, &reply)
    case .systemPower: return try systemPower(message, call, request, &reply)
    case .performance: return try performance(message, call, request, &reply)
    case .clock: return try clock(message, call, request, &reply)
    case .sensor: return try sensor(message, call, request, &reply)
    case .reset: return try reset(message, call, request, &reply)
    case .voltage: return try voltage(message, call, request, &reply)
    case .powercap: return try powercap(message, call, request, &reply)
    default: return try pinControl(message, call, request, &reply)
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
    let isLegacy = agents[agent].legacyProtocols & protocolID.bit != 0
    return try negotiate(Call(agent: agent, header: header, isLegacy: isLegacy), request)
  }

  /// Whether a message that not every agent has is there for this one.
  mutating func isOffered(_ rule: MessageRule, _ call: Call) -> Bool {
    if rule.has(MessageRule.notifies) {
      return agents[call.agent].description.hasPlatformToAgentChannel
    }
    return backend.hasDevices
  }
}
