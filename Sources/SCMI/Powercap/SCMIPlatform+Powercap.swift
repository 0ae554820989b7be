// SCMI Powercap management protocol, platform side: descriptions and notifications.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  mutating func powercap() throws(SCMIStatus) -> Int {
    switch call.header.message {
    case CommonMessage.attributes:
      output.store(UInt32(viewCount(.powercapDomain, call.agent)), at: 8)
      return 4
    case PowercapMessage.capSet: return try setCap()
    case PowercapMessage.intervalSet: return try setInterval()
    case PowercapMessage.domainNameGet: return try nameGet(.powercapDomain)
    case PowercapMessage.describeFastChannel: return try describeFastChannel(.powercapDomain)
    case PowercapMessage.domainAttributes: return try powercapDomainAttributes()
    default: return try powercapDomain(PowercapDomainID(try index(.powercapDomain)))
    }
  }

  /// The messages that every agent may send about a domain that it sees.
  private mutating func powercapDomain(_ domain: PowercapDomainID) throws(SCMIStatus) -> Int {
    let description = backend.powercapDomain(domain)
    switch call.header.message {
    case PowercapMessage.capGet:
      output.store(try backend.cap(of: domain), at: 8)
      return 4
    case PowercapMessage.intervalGet:
      output.store(try backend.interval(of: domain), at: 8)
      return 4
    case PowercapMessage.measurementsGet:
      guard description.isMeasured else { throw .notSupported }
      output.store(try backend.power(of: domain), at: 8)
      output.store(try backend.interval(of: domain), at: 12)
      return 8
    case PowercapMessage.capNotify:
      return try subscribe(
        to: PowercapMessage.capChanged, .powercapDomain, domain.index,
        isOffered: description.notifiesChanges)
    default:
      return try subscribeToMeasurements(
        domain.index, isOffered: description.notifiesChanges && description.isMeasured)
    }
  }

  /// POWERCAP_DOMAIN_ATTRIBUTES. What the agent cannot set has one value to it: the one that holds.
  private mutating func powercapDomainAttributes() throws(SCMIStatus) -> Int {
    let grant = try find(.powercapDomain, call[0])
    let domain = PowercapDomainID(Int(grant.resource))
    let description = backend.powercapDomain(domain)
    var (interval, cap) = (description.interval, description.cap)
    var attributes = powercapAttributes(grant, description)
    if attributes & PowercapAttribute.canSetInterval == 0 {
      let value = max(1, try backend.interval(of: domain))
      interval = Adjustment(lowest: value, highest: value)
    }
    if attributes & PowercapAttribute.canSetCap == 0 {
      let value = try backend.cap(of: domain)
      cap = Adjustment(lowest: value == 0 ? cap.highest : value, highest: value == 0 ? cap.highest : value)
    }
    let isExtended = writeName(of: .powercapDomain, domain.index, at: 12)
    if isExtended { attributes |= PowercapAttribute.hasExtendedName }
    output.store(attributes, at: 8)
    output.write(interval, at: 28)
    output.write(cap, at: 40)
    output.store(description.sustainablePower, at: 52)
    output.store(description.accuracy, at: 56)
    var parent: UInt32?
    if let it = description.parent { parent = identifier(of: .powercapDomain, it.index, call.agent) }
    output.store(parent ?? PowercapMessage.noParent, at: 60)
    return 56
  }

  private mutating func powercapAttributes(
    _ grant: Grant, _ description: PowercapDomainDescription
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
    if call.hasChannel {
      if description.isAsynchronous { attributes |= PowercapAttribute.isAsynchronous }
      if description.notifiesChanges {
        attributes |= PowercapAttribute.notifiesCapChanges
        if description.isMeasured { attributes |= PowercapAttribute.notifiesMeasurements }
      }
    }
    if hasFastChannel(PowercapMessage.capGet, PowercapMessage.intervalSet, .powercapDomain, grant) {
      attributes |= PowercapAttribute.hasFastChannel
    }
    return attributes
  }

  /// POWERCAP_MEASUREMENTS_NOTIFY, with thresholds.
  private mutating func subscribeToMeasurements(
    _ index: Int, isOffered: Bool
  ) throws(SCMIStatus) -> Int {
    let isEnabled = call[1] == 1
    guard !isEnabled || !isOffered || call[2] <= call[3] else { throw .invalidParameters }
    let count = try subscribe(
      to: PowercapMessage.measurementsChanged, .powercapDomain, index, isOffered: isOffered)
    if isEnabled {
      powercapDomains[index].thresholds[call.agent] = PowerThresholds(low: call[2], high: call[3])
    }
    return count
  }

  /// Says that the power of a domain was measured anew: those are told whose thresholds it crossed. Traps
  /// when there is no such domain.
  public mutating func powerMeasured(_ domain: PowercapDomainID) {
    var new: UInt32 = 0
    do throws(SCMIStatus) { new = try backend.power(of: domain) } catch { return }
    let index = domain.index
    let old = powercapDomains[index].power
    powercapDomains[index].power = new
    let event = PowercapMessage.measurementsChanged
    let subscribers = resources[.powercapDomain, index].notices[Int(event)].subscribers
    for agent in 0..<agentCount
    where subscribers.contains(agent) && powercapDomains[index].thresholds[agent].isCrossed(old, new) {
      raise(event, .powercapDomain, index, for: agent)
    }
  }

  /// POWERCAP_CAP_CHANGED or POWERCAP_MEASUREMENTS_CHANGED.
  mutating func writePowercapEvent(
    _ event: UInt8, _ domain: PowercapDomainID
  ) throws(SCMIStatus) -> Int {
    if event == PowercapMessage.measurementsChanged {
      output.store(powercapDomains[domain.index].power ?? 0, at: 12)
      return 16
    }
    output.store(try backend.cap(of: domain), at: 12)
    output.store(try backend.interval(of: domain), at: 16)
    return 20
  }
}

extension ByteArray {
  /// Lowest and highest value and step, 12 bytes; a single value has no step.
  fileprivate mutating func write(_ adjustment: Adjustment, at offset: Int) {
    store(adjustment.lowest, at: offset)
    store(adjustment.highest, at: offset + 4)
    store(adjustment.lowest == adjustment.highest ? 0 : adjustment.step, at: offset + 8)
  }
}
