// SCMI: what the platform sends on its own: delayed responses, which are never lost, and notifications, of
// which only the newest of each resource is kept.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  /// A buffer of this many bytes takes any delayed response and any notification.
  public static var messageByteLimit: Int { 128 }

  /// Whether `nextMessage` may have something for the agent. Traps when there is no such agent.
  public mutating func hasMessage(for agent: AgentID) -> Bool {
    let agent = index(of: agent)
    return agents[agent].finishedCount > 0 || agents[agent].pendingProtocols != 0
  }

  /// Writes the next delayed response or notification for an agent, with its header, to the start of
  /// `buffer`, and returns its length in bytes; 0 when there is none or `buffer` is shorter than
  /// `messageByteLimit`. Then nothing is lost. Traps when there is no such agent.
  ///
  /// A channel calls it only when it can send: what waits here is the flow control. It must have sent the
  /// response of a command before it asks for more messages.
  public mutating func nextMessage(for agent: AgentID, into buffer: inout MutableRawSpan) -> Int {
    let agent = index(of: agent)
    guard buffer.byteCount >= Self.messageByteLimit else { return 0 }
    var count = nextDelayedResponse(agent)
    while count == 0 && agents[agent].pendingProtocols != 0 {
      let place = agents[agent].pendingProtocols.trailingZeroBitCount
      let protocolID = ProtocolID(rawValue: UInt8(0x10 + place))
      take(MessageHeader(protocolID, 0, type: MessageType.notification), of: agent)
      count = nextNotification()
      if count == 0 { agents[agent].pendingProtocols &= ~protocolID.bit }
    }
    buffer.copy(output.view(count), from: 0)
    return count
  }

  private mutating func nextNotification() -> Int {
    switch call.header.protocolID {
    case .base: nextErrorEvent()
    case .power: nextEvent(.powerDomain)
    case .systemPower: nextSystemPowerEvent()
    case .performance: nextEvent(.performanceDomain)
    case .clock: nextEvent(.clock)
    case .sensor: nextEvent(.sensor)
    case .reset: nextEvent(.resetDomain)
    default: nextEvent(.powercapDomain)
    }
  }

  /// Writes the start of a notification: header, and the agent that caused it or the platform.
  mutating func startNotification(_ event: UInt8, cause: UInt32) {
    output.store(call.header.word | UInt32(event), at: 0)
    output.store(cause, at: 4)
  }

  /// Writes the next notification about a resource of a kind. The search starts after the one before, so that
  /// no resource keeps others waiting.
  private mutating func nextEvent(_ kind: ResourceKind) -> Int {
    let count = 2 * viewCount(kind, call.agent)
    let start = agents[call.agent].cursor
    for step in 0..<count {
      let place = (start + step) % count
      // A request is told before the change that it led to.
      let event = kind == .clock || kind == .powerDomain ? 1 - place % 2 : place % 2
      let identifier = place / 2
      let index = resource(kind, identifier, call.agent)
      guard resources[kind, index].notices[event].pending.contains(call.agent) else { continue }
      resources[kind, index].notices[event].pending.remove(call.agent)
      agents[call.agent].cursor = place + 1
      startNotification(UInt8(event), cause: resources[kind, index].notices[event].cause)
      output.store(UInt32(identifier), at: 8)
      // What the board cannot say is not told.
      do throws(SCMIStatus) { return try writeEvent(UInt8(event), kind, index) } catch {}
    }
    return 0
  }

  /// Writes what follows the identifier. Returns the length of the notification.
  private mutating func writeEvent(
    _ event: UInt8, _ kind: ResourceKind, _ index: Int
  ) throws(SCMIStatus) -> Int {
    switch kind {
    case .powerDomain: return try writePowerEvent(event, PowerDomainID(index))
    case .performanceDomain: return try writePerformanceEvent(event, PerformanceDomainID(index))
    case .clock: return try writeClockEvent(event, ClockID(index))
    case .sensor: return try writeSensorEvent(event, SensorID(index))
    case .resetDomain: return writeResetEvent(index)
    default: return try writePowercapEvent(event, PowercapDomainID(index))
    }
  }

  /// Something happened to a resource, because of an agent or the platform: those who asked will be told.
  @inline(never)
  mutating func raise(_ event: UInt8, _ kind: ResourceKind, _ index: Int, by cause: AgentID) {
    let subscribers = resources[kind, index].notices[Int(event)].raise(cause)
    for agent in 0..<agentCount where subscribers.contains(agent) {
      agents[agent].pendingProtocols |= kind.protocolID.bit
    }
  }

  /// Something happened to a resource that one agent will be told of.
  mutating func raise(_ event: UInt8, _ kind: ResourceKind, _ index: Int, for agent: Int) {
    resources[kind, index].notices[Int(event)].pending.insert(agent)
    agents[agent].pendingProtocols |= kind.protocolID.bit
  }

  /// A command that asks for a notification about a resource, or for an end to it, as its second parameter
  /// says. NOT_SUPPORTED when the resource does not give it.
  @inline(never)
  mutating func subscribe(
    to event: UInt8, _ kind: ResourceKind, _ index: Int, isOffered: Bool
  ) throws(SCMIStatus) -> Int {
    let isEnabled = try flag(call[1])
    guard isOffered else { throw .notSupported }
    resources[kind, index].notices[Int(event)].subscribe(call.agent, isEnabled)
    return 0
  }
}
