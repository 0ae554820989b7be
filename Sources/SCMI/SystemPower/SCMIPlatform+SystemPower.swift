// SCMI System power management protocol, platform side.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  mutating func systemPower(
    _ message: UInt8, _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    switch message {
    case CommonMessage.version: return version(call, &reply)
    case CommonMessage.attributes:
      reply.store(0 as UInt32, at: 8)
      return 4
    case CommonMessage.messageAttributes: return try systemMessageAttributes(call, request, &reply)
    case SystemPowerMessage.stateSet: return try setSystemState(call, request)
    case SystemPowerMessage.stateGet:
      guard agents[call.agent].description.systemPower == .controls else { throw .notSupported }
      let state = try backend.systemPowerState(agents[call.agent].description.system)
      reply.store(state.rawValue, at: 8)
      return 4
    default:
      let isEnabled = try flag(request.load(at: 4))
      agents[call.agent].systemPower.isSubscribed = isEnabled
      if !isEnabled { agents[call.agent].systemPower.isPending = false }
      return 0
    }
  }

  /// PROTOCOL_MESSAGE_ATTRIBUTES: of SYSTEM_POWER_STATE_SET, which of the optional states there are.
  private mutating func systemMessageAttributes(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let count = try messageAttributes(call, request, &reply)
    if request.load(at: 4) == UInt32(SystemPowerMessage.stateSet) {
      let system = agents[call.agent].description.system
      var attributes: UInt32 = 0
      if backend.supports(.warmReset, system: system) { attributes |= 1 << 31 }
      if backend.supports(.suspend, system: system) { attributes |= 1 << 30 }
      reply.store(attributes, at: 8)
    }
    return count
  }

  /// SYSTEM_POWER_STATE_SET: a forced state is set; a graceful one is for the agents of the system to bring
  /// about, who are told.
  private mutating func setSystemState(_ call: Call, _ request: RawSpan) throws(SCMIStatus) -> Int {
    let isGraceful = try flag(request.load(at: 4))
    let state = SystemPowerState(rawValue: request.load(at: 8))
    let system = agents[call.agent].description.system
    guard state.rawValue <= SystemPowerState.suspend.rawValue || state.rawValue >= 1 << 31 else {
      throw .invalidParameters
    }
    guard agents[call.agent].description.systemPower == .controls else { throw .denied }
    guard backend.supports(state, system: system) else { throw .notSupported }
    if !isGraceful { try backend.setSystemPowerState(state, system: system) }
    notifySystemPower(state, isGraceful: isGraceful, system: system, cause: call.agent)
    return 0
  }

  /// The board asks the agents of a system to take it to a state gracefully, or tells them that it goes there
  /// by force.
  public mutating func requestSystemPower(_ state: SystemPowerState, isGraceful: Bool, system: UInt8) {
    notifySystemPower(state, isGraceful: isGraceful, system: system, cause: -1)
  }

  /// Tells those who asked, but not who caused it.
  private mutating func notifySystemPower(
    _ state: SystemPowerState, isGraceful: Bool, system: UInt8, cause: Int
  ) {
    let timeout = isGraceful ? backend.gracefulTimeout(state, system: system) : 0
    for agent in 0..<agentCount where agent != cause {
      guard agents[agent].description.system == system, agents[agent].systemPower.isSubscribed else {
        continue
      }
      agents[agent].systemPower.isPending = true
      agents[agent].systemPower.isGraceful = isGraceful
      agents[agent].systemPower.cause = UInt8(cause + 1)
      agents[agent].systemPower.state = state
      agents[agent].systemPower.timeoutMilliseconds =
        isGraceful && state == .shutdown ? timeout : 0
      agents[agent].pendingProtocols |= ProtocolID.systemPower.bit
    }
  }

  /// SYSTEM_POWER_STATE_NOTIFIER. SCMI 2.0 has no time-out.
  mutating func nextSystemPowerEvent(_ agent: Int, _ buffer: inout MutableRawSpan) -> Int {
    let notice = agents[agent].systemPower
    guard notice.isPending else { return 0 }
    agents[agent].systemPower.isPending = false
    startNotification(.systemPower, SystemPowerMessage.stateNotifier, cause: notice.cause, &buffer)
    buffer.store(notice.isGraceful ? 1 : 0 as UInt32, at: 8)
    buffer.store(notice.state.rawValue, at: 12)
    if agents[agent].legacyProtocols & ProtocolID.systemPower.bit != 0 { return 16 }
    buffer.store(notice.timeoutMilliseconds, at: 16)
    return 20
  }
}
