// SCMI Power domain management protocol, platform side.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  mutating func power(
    _ message: UInt8, _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    switch message {
    case CommonMessage.version: return version(call, &reply)
    case CommonMessage.attributes:
      reply.store(UInt32(viewCount(.powerDomain, call.agent)), at: 8)
      writeStatistics(.power, call, &reply, at: 12)
      return 16
    case CommonMessage.messageAttributes: return try messageAttributes(call, request, &reply)
    case PowerMessage.domainAttributes: return try powerDomainAttributes(call, request, &reply)
    case PowerMessage.stateSet: return try setPowerState(call, request)
    case PowerMessage.stateGet:
      let domain = PowerDomainID(try index(.powerDomain, call, request, at: 4))
      var isOn = powerDomains[domain.index].votes.state(for: call.agent)
      if isOn == nil { isOn = try backend.isOn(domain) }
      reply.store(isOn == true ? PowerMessage.on : PowerMessage.off, at: 8)
      return 4
    case PowerMessage.stateNotify, PowerMessage.stateChangeRequestedNotify:
      return try subscribeToPower(message, call, request)
    default:
      return reply.write(
        backend.name(of: PowerDomainID(try index(.powerDomain, call, request, at: 4))))
    }
  }

  /// Address and length of the statistics that an agent can read, 12 bytes; all zero when there are none.
  mutating func writeStatistics(
    _ protocolID: ProtocolID, _ call: Call, _ reply: inout MutableRawSpan, at offset: Int
  ) {
    let region = backend.statistics(of: protocolID, for: AgentID(UInt8(call.agent + 1)))
    reply.store(region?.address ?? 0, at: offset)
    reply.store(region?.byteCount ?? 0, at: offset + 8)
  }

  private mutating func powerDomainAttributes(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let domain = PowerDomainID(try index(.powerDomain, call, request, at: 4))
    let (name, description) = (backend.name(of: domain), backend.powerDomain(domain))
    var attributes: UInt32 = 0
    if description.isSynchronous { attributes |= PowerAttribute.isSynchronous }
    if description.isAsynchronous { attributes |= PowerAttribute.isAsynchronous }
    if description.notifiesChanges && agents[call.agent].description.hasPlatformToAgentChannel {
      attributes |= PowerAttribute.notifiesChanges | PowerAttribute.notifiesChangeRequests
    }
    if name.isExtended && !call.isLegacy { attributes |= PowerAttribute.hasExtendedName }
    reply.store(attributes, at: 8)
    name.write(to: &reply, at: 12, size: 16)
    return 20
  }

  /// POWER_STATE_SET: on or off. The domain itself changes with the first that wants it on and the last.
  private mutating func setPowerState(_ call: Call, _ request: RawSpan) throws(SCMIStatus) -> Int {
    let grant = try find(.powerDomain, request.load(at: 8), call)
    let domain = PowerDomainID(Int(grant.resource))
    let isAsynchronous = try flag(request.load(at: 4))
    let state: UInt32 = request.load(at: 12)
    guard state == PowerMessage.on || state == PowerMessage.off else { throw .invalidParameters }
    let description = backend.powerDomain(domain)
    guard isAsynchronous ? description.isAsynchronous : description.isSynchronous else {
      throw .notSupported
    }
    guard grant.rights.contains(.state) else { throw .denied }
    let isOn = state == PowerMessage.on
    powerDomains[domain.index].isOnRequested = isOn
    announce(.power, to: powerDomains[domain.index].requested.raise(UInt8(call.agent + 1)))
    if powerDomains[domain.index].votes.isDecidedBy(call.agent) {
      let wasOn = try backend.isOn(domain)
      try backend.setOn(isOn, domain, isAsynchronous: isAsynchronous)
      if !isAsynchronous && wasOn != isOn { powerStateChanged(domain, by: AgentID(UInt8(call.agent + 1))) }
    }
    powerDomains[domain.index].votes.set(call.agent, isOn)
    return 0
  }

  /// Says that a power domain changed its state: by itself, or because an asynchronous command of `agent` is
  /// done. Traps when there is no such domain.
  public mutating func powerStateChanged(_ domain: PowerDomainID, by agent: AgentID = .platform) {
    announce(.power, to: powerDomains[domain.index].changed.raise(agent.rawValue))
  }

  /// POWER_STATE_NOTIFY and POWER_STATE_CHANGE_REQUESTED_NOTIFY.
  private mutating func subscribeToPower(
    _ message: UInt8, _ call: Call, _ request: RawSpan
  ) throws(SCMIStatus) -> Int {
    let domain = PowerDomainID(try index(.powerDomain, call, request, at: 4))
    let isEnabled = try flag(request.load(at: 8))
    guard backend.powerDomain(domain).notifiesChanges else { throw .notSupported }
    if message == PowerMessage.stateNotify {
      powerDomains[domain.index].changed.subscribe(call.agent, isEnabled)
    } else {
      powerDomains[domain.index].requested.subscribe(call.agent, isEnabled)
    }
    return 0
  }

  /// POWER_STATE_CHANGED or POWER_STATE_CHANGE_REQUESTED, for the next domain that has one.
  mutating func nextPowerEvent(_ agent: Int, _ buffer: inout MutableRawSpan) -> Int {
    let start = agents[agent].cursor
    for step in 0..<viewCount(.powerDomain, agent) {
      let (identifier, index) = searched(.powerDomain, start + step, agent)
      var isOn = powerDomains[index].isOnRequested
      if powerDomains[index].requested.pending.contains(agent) {
        powerDomains[index].requested.pending.remove(agent)
        agents[agent].cursor = identifier
        startNotification(
          .power, PowerMessage.stateChangeRequested, cause: powerDomains[index].requested.cause, &buffer)
      } else if powerDomains[index].changed.pending.contains(agent) {
        powerDomains[index].changed.pending.remove(agent)
        agents[agent].cursor = identifier + 1
        do throws(SCMIStatus) { isOn = try backend.isOn(PowerDomainID(index)) } catch { continue }
        startNotification(
          .power, PowerMessage.stateChanged, cause: powerDomains[index].changed.cause, &buffer)
      } else {
        continue
      }
      buffer.store(UInt32(identifier), at: 8)
      buffer.store(isOn ? PowerMessage.on : PowerMessage.off, at: 12)
      return 16
    }
    return 0
  }

  /// What an agent held or asked of the power domains that it sees.
  mutating func releasePowerDomains(_ agent: Int) {
    for i in 0..<viewCount(.powerDomain, agent) {
      let index = resource(.powerDomain, i, agent)
      powerDomains[index].changed.forget(agent)
      powerDomains[index].requested.forget(agent)
      guard powerDomains[index].votes.release(agent) else { continue }
      let domain = PowerDomainID(index)
      let isAsynchronous = !backend.powerDomain(domain).isSynchronous
      // A domain that cannot be turned off stays on, for nobody: there is no one to tell.
      do throws(SCMIStatus) {
        try backend.setOn(false, domain, isAsynchronous: isAsynchronous)
        if !isAsynchronous { powerStateChanged(domain) }
      } catch {}
    }
  }
}
