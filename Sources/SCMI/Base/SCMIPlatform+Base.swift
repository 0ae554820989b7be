// SCMI Base protocol, platform side: what there is, and reports of errors.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  mutating func base(
    _ message: UInt8, _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    switch message {
    case CommonMessage.version: return version(call, &reply)
    case CommonMessage.attributes:
      reply.store(UInt32(protocolCount(call)) | UInt32(agentCount) << 8, at: 8)
      return 4
    case CommonMessage.messageAttributes: return try messageAttributes(call, request, &reply)
    case BaseMessage.discoverVendor:
      backend.vendor.write(to: &reply, at: 8, size: 16)
      return 16
    case BaseMessage.discoverSubVendor:
      backend.subVendor.write(to: &reply, at: 8, size: 16)
      return 16
    case BaseMessage.discoverImplementationVersion:
      reply.store(backend.implementationVersion, at: 8)
      return 4
    case BaseMessage.discoverListProtocols: return try listProtocols(call, request, &reply)
    case BaseMessage.discoverAgent: return try discoverAgent(call, request, &reply)
    case BaseMessage.notifyErrors: return try notifyErrors(call, request)
    case BaseMessage.setDevicePermissions: return try setDevicePermissions(call, request)
    case BaseMessage.setProtocolPermissions: return try setProtocolPermissions(call, request)
    default: return try resetAgentConfiguration(call, request)
    }
  }

  /// The protocols that an agent may use, one bit each; Base is not counted among them.
  private mutating func protocols(_ call: Call) -> UInt16 {
    agents[call.agent].visibleProtocols & ~agents[call.agent].deniedProtocols & ~1
  }

  private mutating func protocolCount(_ call: Call) -> Int { protocols(call).nonzeroBitCount }

  /// BASE_DISCOVER_LIST_PROTOCOLS: as many identifiers as fit, four to a word, in ascending order.
  private mutating func listProtocols(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let skip: UInt32 = request.load(at: 4)
    let total = protocolCount(call)
    guard skip <= UInt32(total) else { throw .invalidParameters }
    var left = protocols(call)
    for _ in 0..<skip { left &= left - 1 }
    let count = min(total - Int(skip), (reply.byteCount - 12) & ~3)
    let wordCount = (count + 3) / 4
    for i in 0..<4 * wordCount {
      var identifier: UInt8 = 0
      if i < count {
        identifier = UInt8(0x10 + left.trailingZeroBitCount)
        left &= left - 1
      }
      reply.store(identifier, at: 12 + i)
    }
    reply.store(UInt32(count), at: 8)
    return 4 + 4 * wordCount
  }

  /// BASE_DISCOVER_AGENT. Agent 0 is the platform.
  private mutating func discoverAgent(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    var agent: UInt32 = request.load(at: 4)
    if agent == BaseMessage.callingAgent { agent = UInt32(call.agent) + 1 }
    guard agent <= UInt32(agentCount) else { throw .notFound }
    reply.store(agent, at: 8)
    if agent == 0 {
      SCMIName("platform").write(to: &reply, at: 12, size: 16)
    } else {
      agents[Int(agent) - 1].description.name.write(to: &reply, at: 12, size: 16)
    }
    return 20
  }

  /// BASE_NOTIFY_ERRORS.
  private mutating func notifyErrors(_ call: Call, _ request: RawSpan) throws(SCMIStatus) -> Int {
    let isEnabled = try flag(request.load(at: 4))
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
  mutating func nextErrorEvent(_ agent: Int, _ buffer: inout MutableRawSpan) -> Int {
    let total = agents[agent].errorCount
    if total == 0 { return 0 }
    let first = agents[agent].errors[0]
    var count = 0
    while count < total {
      let report = agents[agent].errors[count]
      guard report.agent == first.agent, report.isFatal == first.isFatal else { break }
      buffer.store(report.header.word, at: 12 + 8 * count)
      buffer.store(report.status.rawValue, at: 16 + 8 * count)
      count += 1
    }
    for i in count..<total { agents[agent].errors[i - count] = agents[agent].errors[i] }
    agents[agent].errorCount = total - count
    startNotification(.base, BaseMessage.errorEvent, cause: first.agent, &buffer)
    buffer.store(UInt32(count) | (first.isFatal ? 1 << 31 : 0), at: 8)
    return 12 + 8 * count
  }
}

/// A word of which only bit 0 is defined. INVALID_PARAMETERS when any other is set.
@inline(__always)
func flag(_ word: UInt32) throws(SCMIStatus) -> Bool {
  guard word <= 1 else { throw .invalidParameters }
  return word == 1
}
