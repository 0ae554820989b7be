// SCMI Power domain management protocol, platform side.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  mutating func power() throws(SCMIStatus) -> Int {
    switch call.header.message {
    case CommonMessage.attributes:
      output.store(UInt32(viewCount(.powerDomain, call.agent)), at: 8)
      writeStatistics()
      return 16
    case PowerMessage.domainAttributes: return try powerDomainAttributes()
    case PowerMessage.stateSet: return try setPowerState()
    case PowerMessage.stateGet: return try powerState()
    case PowerMessage.stateNotify: return try subscribeToPower(PowerMessage.stateChanged)
    case PowerMessage.stateChangeRequestedNotify:
      return try subscribeToPower(PowerMessage.stateChangeRequested)
    default: return try nameGet(.powerDomain)
    }
  }

  /// Address and length of the statistics of the protocol that an agent can read, 12 bytes; all zero when
  /// there are none.
  mutating func writeStatistics() {
    let region = backend.statistics(of: call.header.protocolID, for: call.agentID)
    output.store(region?.address ?? 0, at: 12)
    output.store(region?.byteCount ?? 0, at: 20)
  }

  private mutating func powerDomainAttributes() throws(SCMIStatus) -> Int {
    let index = try index(.powerDomain)
    let description = backend.powerDomain(PowerDomainID(index))
    var attributes: UInt32 = 0
    if description.isSynchronous { attributes |= PowerAttribute.isSynchronous }
    if description.isAsynchronous { attributes |= PowerAttribute.isAsynchronous }
    if description.notifiesChanges && call.hasChannel {
      attributes |= PowerAttribute.notifiesChanges | PowerAttribute.notifiesChangeRequests
    }
    let isExtended = writeName(of: .powerDomain, index, at: 12)
    if isExtended && !call.isLegacy { attributes |= PowerAttribute.hasExtendedName }
    output.store(attributes, at: 8)
    return 20
  }

  /// POWER_STATE_GET: what the agent last made of it, or what it found.
  private mutating func powerState() throws(SCMIStatus) -> Int {
    let index = try index(.powerDomain)
    var isOn = resources[.powerDomain, index].votes.state(for: call.agent)
    if isOn == nil { isOn = try backend.isOn(PowerDomainID(index)) }
    output.store(isOn == true ? PowerMessage.on : PowerMessage.off, at: 8)
    return 4
  }

  /// POWER_STATE_SET: on or off. The domain itself changes with the first that wants it on and the last.
  private mutating func setPowerState() throws(SCMIStatus) -> Int {
    let grant = try find(.powerDomain, call[1])
    let domain = PowerDomainID(Int(grant.resource))
    let isAsynchronous = try flag(call[0])
    let state = call[2]
    guard state == PowerMessage.on || state == PowerMessage.off else { throw .invalidParameters }
    let description = backend.powerDomain(domain)
    guard isAsynchronous ? description.isAsynchronous : description.isSynchronous else {
      throw .notSupported
    }
    guard grant.rights.contains(.state) else { throw .denied }
    let isOn = state == PowerMessage.on
    requestedPower[domain.index] = isOn
    raise(PowerMessage.stateChangeRequested, .powerDomain, domain.index, by: call.agentID)
    if resources[.powerDomain, domain.index].votes.isDecidedBy(call.agent) {
      let wasOn = try backend.isOn(domain)
      try backend.setOn(isOn, domain, isAsynchronous: isAsynchronous)
      if !isAsynchronous && wasOn != isOn { powerStateChanged(domain, by: call.agentID) }
    }
    resources[.powerDomain, domain.index].votes.set(call.agent, isOn)
    return 0
  }

  /// Says that a power domain changed its state: by itself, or because an asynchronous command of `agent` is
  /// done. Traps when there is no such domain.
  public mutating func powerStateChanged(_ domain: PowerDomainID, by agent: AgentID = .platform) {
    raise(PowerMessage.stateChanged, .powerDomain, domain.index, by: agent)
  }

  private mutating func subscribeToPower(_ event: UInt8) throws(SCMIStatus) -> Int {
    let index = try index(.powerDomain)
    let isOffered = backend.powerDomain(PowerDomainID(index)).notifiesChanges
    return try subscribe(to: event, .powerDomain, index, isOffered: isOffered)
  }

  /// POWER_STATE_CHANGED or POWER_STATE_CHANGE_REQUESTED.
  mutating func writePowerEvent(_ event: UInt8, _ domain: PowerDomainID) throws(SCMIStatus) -> Int {
    let isRequest = event == PowerMessage.stateChangeRequested
    let isOn = isRequest ? requestedPower[domain.index] : try backend.isOn(domain)
    output.store(isOn ? PowerMessage.on : PowerMessage.off, at: 12)
    return 16
  }

  /// The last agent that held the domain on gave it up.
  mutating func releasePowerDomain(_ domain: PowerDomainID) {
    let isAsynchronous = !backend.powerDomain(domain).isSynchronous
    do throws(SCMIStatus) {
      try backend.setOn(false, domain, isAsynchronous: isAsynchronous)
      if !isAsynchronous { powerStateChanged(domain) }
    } catch {}
  }
}
