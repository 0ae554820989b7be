// SCMI Powercap management protocol, platform side: descriptions and notifications.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  mutating func powercap(
    _ message: UInt8, _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    switch message {
    case CommonMessage.version: return version(call, &reply)
    case CommonMessage.attributes:
      reply.store(UInt32(viewCount(.powercapDomain, call.agent)), at: 8)
      return 4
    case CommonMessage.messageAttributes: return try powercapMessageAttributes(call, request, &reply)
    case PowercapMessage.capSet: return try setCap(call, request)
    case PowercapMessage.intervalSet: return try setInterval(call, request)
    case PowercapMessage.describeFastChannel: return try describePowercapChannel(call, request, &reply)
    case PowercapMessage.domainAttributes: return try powercapDomainAttributes(call, request, &reply)
    default: break
    }
    let domain = PowercapDomainID(try index(.powercapDomain, call, request, at: 4))
    switch message {
    case PowercapMessage.capGet:
      reply.store(try backend.cap(of: domain), at: 8)
      return 4
    case PowercapMessage.intervalGet:
      reply.store(try backend.interval(of: domain), at: 8)
      return 4
    case PowercapMessage.measurementsGet:
      guard backend.powercapDomain(domain).isMeasured else { throw .notSupported }
      reply.store(try backend.power(of: domain), at: 8)
      reply.store(try backend.interval(of: domain), at: 12)
      return 8
    case PowercapMessage.capNotify:
      let isEnabled = try flag(request.load(at: 8))
      guard backend.powercapDomain(domain).notifiesChanges else { throw .notSupported }
      powercapDomains[domain.index].capChanged.subscribe(call.agent, isEnabled)
      return 0
    case PowercapMessage.measurementsNotify: return try subscribeToMeasurements(domain, call, request)
    default: return reply.write(backend.name(of: domain))
    }
  }

  /// POWERCAP_DOMAIN_ATTRIBUTES. What the agent cannot set has one value to it: the one that holds.
  private mutating func powercapDomainAttributes(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let grant = try find(.powercapDomain, request.load(at: 4), call)
    let domain = PowercapDomainID(Int(grant.resource))
    let (name, description) = (backend.name(of: domain), backend.powercapDomain(domain))
    var (interval, cap) = (description.interval, description.cap)
    var attributes = powercapAttributes(grant, description, call)
    if attributes & PowercapAttribute.canSetInterval == 0 {
      let value = max(1, try backend.interval(of: domain))
      interval = Adjustment(lowest: value, highest: value)
    }
    if attributes & PowercapAttribute.canSetCap == 0 {
      let value = try backend.cap(of: domain)
      cap = Adjustment(lowest: value == 0 ? cap.highest : value, highest: value == 0 ? cap.highest : value)
    }
    if name.isExtended { attributes |= PowercapAttribute.hasExtendedName }
    reply.store(attributes, at: 8)
    name.write(to: &reply, at: 12, size: 16)
    reply.write(interval, at: 28)
    reply.write(cap, at: 40)
    reply.store(description.sustainablePower, at: 52)
    reply.store(description.accuracy, at: 56)
    var parent: UInt32?
    if let it = description.parent { parent = identifier(of: .powercapDomain, it.index, call.agent) }
    reply.store(parent ?? PowercapMessage.noParent, at: 60)
    return 56
  }

  private mutating func powercapAttributes(
    _ grant: Grant, _ description: PowercapDomainDescription, _ call: Call
  ) -> UInt32 {
    var attributes: UInt32 = 0
    switch description.unit {
    case .abstract: break
    case .microwatts: attributes = PowercapAttribute.microwatts
    case .milliwatts: attributes = PowercapAttribute.milliwatts
    }
    if description.isMeasured { attributes |= PowercapAttribute.isMeasured }
    if canSetInterval(grant, description) { attributes |= PowercapAttribute.canSetInterval }
    if canSetCap(grant, description) { attributes |= PowercapAttribute.canSetCap }
    if agents[call.agent].description.hasPlatformToAgentChannel {
      if description.isAsynchronous { attributes |= PowercapAttribute.isAsynchronous }
      if description.notifiesChanges {
        attributes |= PowercapAttribute.notifiesCapChanges
        if description.isMeasured { attributes |= PowercapAttribute.notifiesMeasurements }
      }
    }
    for message in PowercapMessage.capGet...PowercapMessage.intervalSet
    where powercapChannel(message, grant, call) != nil {
      attributes |= PowercapAttribute.hasFastChannel
    }
    return attributes
  }

  /// POWERCAP_MEASUREMENTS_NOTIFY, with thresholds.
  private mutating func subscribeToMeasurements(
    _ domain: PowercapDomainID, _ call: Call, _ request: RawSpan
  ) throws(SCMIStatus) -> Int {
    let isEnabled = try flag(request.load(at: 8))
    let thresholds = PowerThresholds(low: request.load(at: 12), high: request.load(at: 16))
    let description = backend.powercapDomain(domain)
    guard description.notifiesChanges, description.isMeasured else { throw .notSupported }
    guard !isEnabled || thresholds.low <= thresholds.high else { throw .invalidParameters }
    powercapDomains[domain.index].measured.subscribe(call.agent, isEnabled)
    if isEnabled { powercapDomains[domain.index].thresholds[call.agent] = thresholds }
    return 0
  }

  /// Says that the power of a domain was measured anew: those are told whose thresholds it crossed. Traps
  /// when there is no such domain.
  public mutating func powerMeasured(_ domain: PowercapDomainID) {
    var new: UInt32 = 0
    do throws(SCMIStatus) { new = try backend.power(of: domain) } catch { return }
    let index = domain.index
    let old = powercapDomains[index].power
    powercapDomains[index].power = new
    powercapDomains[index].measured.cause = AgentID.platform.rawValue
    for agent in 0..<agentCount where powercapDomains[index].measured.subscribers.contains(agent) {
      if powercapDomains[index].thresholds[agent].isCrossed(old, new) {
        powercapDomains[index].measured.pending.insert(agent)
        agents[agent].pendingProtocols |= ProtocolID.powercap.bit
      }
    }
  }

  /// POWERCAP_CAP_CHANGED or POWERCAP_MEASUREMENTS_CHANGED, for the next domain that has one.
  mutating func nextPowercapEvent(_ agent: Int, _ buffer: inout MutableRawSpan) -> Int {
    let start = agents[agent].cursor
    for step in 0..<viewCount(.powercapDomain, agent) {
      let (identifier, index) = searched(.powercapDomain, start + step, agent)
      let domain = PowercapDomainID(index)
      buffer.store(UInt32(identifier), at: 8)
      if powercapDomains[index].capChanged.pending.contains(agent) {
        powercapDomains[index].capChanged.pending.remove(agent)
        agents[agent].cursor = identifier
        do throws(SCMIStatus) {
          buffer.store(try backend.cap(of: domain), at: 12)
          buffer.store(try backend.interval(of: domain), at: 16)
        } catch { continue }
        startNotification(
          .powercap, PowercapMessage.capChanged, cause: powercapDomains[index].capChanged.cause, &buffer)
        return 20
      }
      guard powercapDomains[index].measured.pending.contains(agent) else { continue }
      powercapDomains[index].measured.pending.remove(agent)
      agents[agent].cursor = identifier + 1
      buffer.store(powercapDomains[index].power ?? 0, at: 12)
      startNotification(
        .powercap, PowercapMessage.measurementsChanged, cause: AgentID.platform.rawValue, &buffer)
      return 16
    }
    return 0
  }
}

extension MutableRawSpan {
  /// Lowest and highest value and step, 12 bytes; a single value has no step.
  @_lifetime(self: copy self)
  fileprivate mutating func write(_ adjustment: Adjustment, at offset: Int) {
    store(adjustment.lowest, at: offset)
    store(adjustment.highest, at: offset + 4)
    store(adjustment.lowest == adjustment.highest ? 0 : adjustment.step, at: offset + 8)
  }
}
