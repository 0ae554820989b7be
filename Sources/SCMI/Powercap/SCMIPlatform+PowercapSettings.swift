// SCMI Powercap management protocol, platform side: caps, averaging intervals and FastChannels.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  /// POWERCAP_CAP_SET. A cap of 0 takes the agent's cap away.
  mutating func setCap() throws(SCMIStatus) -> Int {
    let grant = try find(.powercapDomain, call[0])
    let (flags, cap) = (call[1], call[2])
    guard flags < 4 else { throw .invalidParameters }
    try checkCap(cap, grant)
    let domain = PowercapDomainID(Int(grant.resource))
    if flags & PowercapFlag.isAsynchronous != 0 {
      guard backend.powercapDomain(domain).isAsynchronous else { throw .notSupported }
      let isSilent = flags & PowercapFlag.ignoresDelayedResponse != 0
      try begin(resource: domain.index, identifier: call[0], isSilent: isSilent)
    }
    return conclude(try setCap(cap, domain, call.agent, operation: call.operation))
  }

  private mutating func checkCap(_ cap: UInt32, _ grant: Grant) throws(SCMIStatus) {
    let description = backend.powercapDomain(PowercapDomainID(Int(grant.resource)))
    guard canSetCap(grant, description) else { throw .denied }
    guard cap == 0 || description.cap.contains(cap) else { throw .invalidParameters }
  }

  /// One agent's cap. The board is told when the lowest of all changes.
  private mutating func setCap(
    _ cap: UInt32, _ domain: PowercapDomainID, _ agent: Int, operation: OperationID?
  ) throws(SCMIStatus) -> Progress {
    let old = lowestCap(domain)
    let own = powercapDomains[domain.index].caps[agent]
    powercapDomains[domain.index].caps[agent] = cap
    let new = lowestCap(domain)
    if new == old { return .finished }
    do throws(SCMIStatus) {
      let progress = try backend.setCap(new, of: domain, operation: operation)
      if operation == nil { capChanged(domain, AgentID(UInt8(truncatingIfNeeded: agent + 1))) }
      return progress
    } catch {
      powercapDomains[domain.index].caps[agent] = own
      throw error
    }
  }

  /// The lowest cap that an agent wants, or the domain's own.
  private mutating func lowestCap(_ domain: PowercapDomainID) -> UInt32 {
    var lowest: UInt32 = .max
    for agent in 0..<agentCount {
      // A cap of 0 is none, and wraps to the highest.
      lowest = min(lowest, powercapDomains[domain.index].caps[agent] &- 1)
    }
    return lowest == .max ? backend.powercapDomain(domain).defaultCap : lowest + 1
  }

  /// An asynchronous cap is set: the delayed response reports what holds.
  mutating func completeCapSet(_ operation: Operation, _ agent: AgentID) -> UInt64 {
    let domain = PowercapDomainID(Int(operation.resource))
    capChanged(domain, agent)
    do throws(SCMIStatus) { return UInt64(try backend.cap(of: domain)) } catch { return 0 }
  }

  private mutating func capChanged(_ domain: PowercapDomainID, _ agent: AgentID) {
    raise(PowercapMessage.capChanged, .powercapDomain, domain.index, by: agent)
  }

  /// POWERCAP_PAI_SET.
  mutating func setInterval() throws(SCMIStatus) -> Int {
    let grant = try find(.powercapDomain, call[0])
    guard call[1] == 0 else { throw .invalidParameters }
    try setInterval(call[2], grant)
    return 0
  }

  private mutating func setInterval(_ interval: UInt32, _ grant: Grant) throws(SCMIStatus) {
    let domain = PowercapDomainID(Int(grant.resource))
    let description = backend.powercapDomain(domain)
    guard canSetInterval(grant, description) else { throw .denied }
    guard description.interval.contains(interval) else { throw .invalidParameters }
    try backend.setInterval(interval, of: domain)
    resources[.powercapDomain, domain.index].changers.insert(call.agent)
    capChanged(domain, call.agentID)
  }

  /// An agent has written `value` to a FastChannel of POWERCAP_CAP_SET or POWERCAP_PAI_SET. `identifier` is
  /// what the agent calls the domain. The same is checked as for the command; what is refused is reported as
  /// an error and changes nothing. Traps for another message, and when there is no such agent.
  public mutating func powercapChannelWritten(
    _ message: UInt8, _ identifier: UInt32, _ value: UInt32, by agent: AgentID
  ) {
    precondition(
      message == PowercapMessage.capSet || message == PowercapMessage.intervalSet,
      "no FastChannel that agents write")
    let header = MessageHeader(.powercap, message)
    take(header, of: index(of: agent))
    do throws(SCMIStatus) {
      let grant = try find(.powercapDomain, identifier)
      if message == PowercapMessage.capSet {
        try checkCap(value, grant)
        _ = try setCap(value, PowercapDomainID(Int(grant.resource)), call.agent, operation: nil)
      } else {
        try setInterval(value, grant)
      }
    } catch {
      reportError(header, error, of: agent)
    }
  }

  /// An agent's cap goes, and with the last agent that could change it the interval that it set.
  mutating func releaseCap(_ domain: PowercapDomainID, _ agent: Int, restoresInterval: Bool) {
    if powercapDomains[domain.index].caps[agent] != 0 {
      _ = try? setCap(0, domain, agent, operation: nil)
      powercapDomains[domain.index].caps[agent] = 0
    }
    if restoresInterval {
      try? backend.setInterval(backend.powercapDomain(domain).defaultInterval, of: domain)
    }
  }
}

func canSetCap(_ grant: Grant, _ description: PowercapDomainDescription) -> Bool {
  grant.rights.contains(.value) && description.cap.lowest != description.cap.highest
}

func canSetInterval(_ grant: Grant, _ description: PowercapDomainDescription) -> Bool {
  grant.rights.contains(.limits) && description.interval.lowest != description.interval.highest
}
