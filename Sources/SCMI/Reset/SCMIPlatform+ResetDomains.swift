// SCMI Reset domain management protocol, platform side.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  mutating func reset() throws(SCMIStatus) -> Int {
    switch call.header.message {
    case CommonMessage.attributes:
      output.store(UInt32(viewCount(.resetDomain, call.agent)), at: 8)
      return 4
    case ResetMessage.domainAttributes: return try resetDomainAttributes()
    case ResetMessage.reset: return try resetDomain()
    case ResetMessage.notify:
      let index = try index(.resetDomain)
      let isOffered = backend.resetDomain(ResetDomainID(index)).notifiesResets
      return try subscribe(to: ResetMessage.issued, .resetDomain, index, isOffered: isOffered)
    default: return try nameGet(.resetDomain)
    }
  }

  private mutating func resetDomainAttributes() throws(SCMIStatus) -> Int {
    let index = try index(.resetDomain)
    let description = backend.resetDomain(ResetDomainID(index))
    var attributes: UInt32 = 0
    if call.hasChannel {
      if description.isAsynchronous { attributes |= 1 << 31 }
      if description.notifiesResets { attributes |= 1 << 30 }
    }
    let isExtended = writeName(of: .resetDomain, index, at: 16)
    if isExtended && !call.isLegacy { attributes |= 1 << 29 }
    output.store(attributes, at: 8)
    output.store(description.latencyMicroseconds ?? .max, at: 12)
    return 24
  }

  /// RESET: by the platform, or by the agent with two commands.
  private mutating func resetDomain() throws(SCMIStatus) -> Int {
    let grant = try find(.resetDomain, call[0])
    let domain = ResetDomainID(Int(grant.resource))
    let (flags, state) = (call[1], call[2])
    let isAutonomous = flags & ResetFlag.isAutonomous != 0
    let isAsynchronous = flags & ResetFlag.isAsynchronous != 0
    guard flags < 8, isAutonomous || !isAsynchronous, backend.supportsReset(state, of: domain) else {
      throw .invalidParameters
    }
    guard grant.rights.contains(.state) else { throw .denied }
    if !isAutonomous { return try setReset(flags & ResetFlag.asserts != 0, domain, state) }
    // Somebody else is using it.
    guard resources[.resetDomain, domain.index].votes.isDecidedBy(call.agent) else { throw .genericError }
    if isAsynchronous {
      guard backend.resetDomain(domain).isAsynchronous else { throw .notSupported }
      try begin(resource: domain.index, identifier: call[0])
      resetStates[domain.index] = state
    }
    let progress = try backend.reset(domain, state, operation: call.operation)
    if !isAsynchronous { issued(domain, state, call.agentID) }
    return conclude(progress)
  }

  /// Asserts or deasserts. The signal is asserted only when nobody uses the domain.
  private mutating func setReset(
    _ isAsserted: Bool, _ domain: ResetDomainID, _ state: UInt32
  ) throws(SCMIStatus) -> Int {
    if resources[.resetDomain, domain.index].votes.isDecidedBy(call.agent) {
      try backend.setAsserted(isAsserted, domain, state)
      if isAsserted { issued(domain, state, call.agentID) }
    }
    resources[.resetDomain, domain.index].votes.set(call.agent, !isAsserted)
    return 0
  }

  /// An asynchronous reset is done.
  mutating func completeReset(_ operation: Operation, _ agent: AgentID) {
    let index = Int(operation.resource)
    issued(ResetDomainID(index), resetStates[index], agent)
  }

  private mutating func issued(_ domain: ResetDomainID, _ state: UInt32, _ agent: AgentID) {
    resetStates[domain.index] = state
    raise(ResetMessage.issued, .resetDomain, domain.index, by: agent)
  }

  /// RESET_ISSUED.
  mutating func writeResetEvent(_ index: Int) -> Int {
    output.store(resetStates[index], at: 12)
    return 16
  }
}
