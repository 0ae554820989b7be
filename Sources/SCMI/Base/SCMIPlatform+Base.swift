// SCMI Base protocol, platform side: what there is, and reports of errors.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  mutating func base() throws(SCMIStatus) -> Int {
    switch call.header.message {
    case CommonMessage.attributes:
      output.store(UInt32(protocolCount()) | UInt32(agentCount) << 8, at: 8)
      return 4
    case BaseMessage.discoverVendor:
      output.write(backend.vendor, at: 8, size: 16)
      return 16
    case BaseMessage.discoverSubVendor:
      output.write(backend.subVendor, at: 8, size: 16)
      return 16
    case BaseMessage.discoverImplementationVersion:
      output.store(backend.implementationVersion, at: 8)
      return 4
    case BaseMessage.discoverListProtocols: return try listProtocols()
    case BaseMessage.discoverAgent: return try discoverAgent()
    case BaseMessage.notifyErrors: return try notifyErrors()
    case BaseMessage.setDevicePermissions: return try setDevicePermissions()
    case BaseMessage.setProtocolPermissions: return try setProtocolPermissions()
    default: return try resetAgentConfiguration()
    }
  }

  /// The protocols that an agent may use, one bit each; Base is not counted among them.
  private mutating func protocols() -> UInt16 {
    agents[call.agent].visibleProtocols & ~agents[call.agent].deniedProtocols & ~1
  }

  private mutating func protocolCount() -> Int { protocols().nonzeroBitCount }

  /// BASE_DISCOVER_LIST_PROTOCOLS: as many identifiers as fit, four to a word, in ascending order.
  private mutating func listProtocols() throws(SCMIStatus) -> Int {
    let skip = call[0]
    let total = protocolCount()
    guard skip <= UInt32(total) else { throw .invalidParameters }
    var left = protocols()
    for _ in 0..<skip { left &= left - 1 }
    let count = min(total - Int(skip), (call.room - 12) & ~3)
    let wordCount = (count + 3) / 4
    for i in 0..<4 * wordCount {
      var identifier: UInt8 = 0
      if i < count {
        identifier = UInt8(0x10 + left.trailingZeroBitCount)
        left &= left - 1
      }
      output.store(identifier, at: 12 + i)
    }
    output.store(UInt32(count), at: 8)
    return 4 + 4 * wordCount
  }

  /// BASE_DISCOVER_AGENT. Agent 0 is the platform.
  private mutating func discoverAgent() throws(SCMIStatus) -> Int {
    var agent = call[0]
    if agent == BaseMessage.callingAgent { agent = UInt32(call.agent) + 1 }
    guard agent <= UInt32(agentCount) else { throw .notFound }
    output.store(agent, at: 8)
    output.write(
      agent == 0 ? SCMIName("platform") : agents[Int(agent) - 1].description.name, at: 12, size: 16)
    return 20
  }

  /// BASE_NOTIFY_ERRORS.
  private mutating func notifyErrors() throws(SCMIStatus) -> Int {
    let isEnabled = try flag(call[0])
    agents[call.agent].wantsErrors = isEnabled
    if !isEnabled { agents[call.agent].errorCount = 0 }
    return 0
  }

  /// Reports an error that no response can carry: of a command without one, of a FastChannel, or of a
  /// channel. The agent at fault and trusted agents are told if they have asked for it with
  /// BASE_NOTIFY_ERRORS; beyond eight reports that wait, the newest are lost. Traps when there is no such
  /// agent.
  public mutating func reportError(
    _ header: MessageHeader, _ status: SCMIStatus, of agent: AgentID, isFatal: Bool = false
  ) {
    let culprit = index(of: agent)
    let report = ErrorReport(agent: agent.rawValue, isFatal: isFatal, header: header, status: status)
    for other in 0..<agentCount where other == culprit || agents[other].description.isTrusted {
      let count = agents[other].errorCount
      guard agents[other].wantsErrors, count < 8 else { continue }
      agents[other].errors[count] = report
      agents[other].errorCount = count + 1
      agents[other].pendingProtocols |= 1
    }
  }

  /// BASE_ERROR_EVENT: the reports about one agent that came one after the other.
  mutating func nextErrorEvent() -> Int {
    let agent = call.agent
    let total = agents[agent].errorCount
    if total == 0 { return 0 }
    let first = agents[agent].errors[0]
    var count = 0
    while count < total {
      let report = agents[agent].errors[count]
      guard report.agent == first.agent, report.isFatal == first.isFatal else { break }
      output.store(report.header.word, at: 12 + 8 * count)
      output.store(report.status.rawValue, at: 16 + 8 * count)
      count += 1
    }
    for i in count..<total { agents[agent].errors[i - count] = agents[agent].errors[i] }
    agents[agent].errorCount = total - count
    startNotification(BaseMessage.errorEvent, cause: UInt32(first.agent))
    output.store(UInt32(count) | (first.isFatal ? 1 << 31 : 0), at: 8)
    return 12 + 8 * count
  }
}

/// A word of which only bit 0 is defined. INVALID_PARAMETERS when any other is set.
@inline(__always)
func flag(_ word: UInt32) throws(SCMIStatus) -> Bool {
  guard word <= 1 else { throw .invalidParameters }
  return word == 1
}
