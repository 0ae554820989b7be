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
    let count = nextDelayedResponse(agent, &buffer)
    if count > 0 { return count }
    while agents[agent].pendingProtocols != 0 {
      let place = agents[agent].pendingProtocols.trailingZeroBitCount
      let count = nextNotification(ProtocolID(rawValue: UInt8(0x10 + place)), agent, &buffer)
      if count > 0 { return count }
      agents[agent].pendingProtocols &= ~(1 << UInt16(place))
    }
    return 0
  }

  private mutating func nextNotification(
    _ protocolID: ProtocolID, _ agent: Int, _ buffer: inout MutableRawSpan
  ) -> Int {
    switch protocolID {
    case .base: nextErrorEvent(agent, &buffer)
    case .power: nextPowerEvent(agent, &buffer)
    case .systemPower: nextSystemPowerEvent(agent, &buffer)
    case .performance: nextPerformanceEvent(agent, &buffer)
    case .clock: nextClockEvent(agent, &buffer)
    case .sensor: nextSensorEvent(agent, &buffer)
    case .reset: nextResetEvent(agent, &buffer)
    case .powercap: nextPowercapEvent(agent, &buffer)
    default: 0
    }
  }

  /// Remembers that a protocol has a notification for each of `subscribers`.
  mutating func announce(_ protocolID: ProtocolID, to subscribers: AgentSet) {
    if subscribers.isEmpty { return }
    for agent in 0..<agentCount where subscribers.contains(agent) {
      agents[agent].pendingProtocols |= protocolID.bit
    }
  }

  /// Starts a notification: header, and the agent that caused it or the platform.
  mutating func startNotification(
    _ protocolID: ProtocolID, _ event: UInt8, cause: UInt8, _ buffer: inout MutableRawSpan
  ) {
    let header = MessageHeader(protocolID, event, type: MessageType.notification)
    buffer.store(header.word, at: 0)
    buffer.store(UInt32(cause), at: 4)
  }

  /// Of the resources in an agent's view, the one at `position`, counted on from the end to the start.
  mutating func searched(
    _ kind: ResourceKind, _ position: Int, _ agent: Int
  ) -> (identifier: Int, index: Int) {
    let place = Int(kind.rawValue)
    let identifier = position % agents[agent].views[place].count
    return (identifier, Int(agents[agent].views[place].grants[identifier].resource))
  }
}
