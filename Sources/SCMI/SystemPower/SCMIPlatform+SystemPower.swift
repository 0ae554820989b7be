// SCMI System power management protocol, platform side.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  mutating func systemPower() throws(SCMIStatus) -> Int {
    switch call.header.message {
    case CommonMessage.attributes:
      output.store(0 as UInt32, at: 8)
      return 4
    case SystemPowerMessage.stateSet: return try setSystemState()
    case SystemPowerMessage.stateGet:
      guard agents[call.agent].description.systemPower == .controls else { throw .notSupported }
      let state = try backend.systemPowerState(agents[call.agent].description.system)
      output.store(state.rawValue, at: 8)
      return 4
    default:
      let isEnabled = try flag(call[0])
      agents[call.agent].systemPower.isSubscribed = isEnabled
      if !isEnabled { agents[call.agent].systemPower.isPending = false }
      return 0
    }
  }

  /// PROTOCOL_MESSAGE_ATTRIBUTES: of SYSTEM_POWER_STATE_SET, which of the optional states there are.
  mutating func systemAttributes(of message: UInt8) -> UInt32 {
    guard message == SystemPowerMessage.stateSet else { return 0 }
    let system = agents[call.agent].description.system
    var attributes: UInt32 = 0
    if backend.supports(.warmReset, system: system) { attributes |= 1 << 31 }
    if backend.supports(.suspend, system: system) { attributes |= 1 << 30 }
    return attributes
  }

  /// SYSTEM_POWER_STATE_SET: a forced state is set; a graceful one is for the agents of the system to bring
  /// about, who are told.
  private mutating func setSystemState() throws(SCMIStatus) -> Int {
    let isGraceful = try flag(call[0])
    let state = SystemPowerState(rawValue: call[1])
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
  mutating func nextSystemPowerEvent() -> Int {
    let notice = agents[call.agent].systemPower
    guard notice.isPending else { return 0 }
    agents[call.agent].systemPower.isPending = false
    startNotification(SystemPowerMessage.stateNotifier, cause: UInt32(notice.cause))
    output.store(notice.isGraceful ? 1 : 0 as UInt32, at: 8)
    output.store(notice.state.rawValue, at: 12)
    if call.isLegacy { return 16 }
    output.store(notice.timeoutMilliseconds, at: 16)
    return 20
  }
}
