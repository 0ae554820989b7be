// SCMI Reset domain management protocol, platform side.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  mutating func reset(
    _ message: UInt8, _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    switch message {
    case CommonMessage.version: return version(call, &reply)
    case CommonMessage.attributes:
      reply.store(UInt32(viewCount(.resetDomain, call.agent)), at: 8)
      return 4
    case CommonMessage.messageAttributes: return try messageAttributes(call, request, &reply)
    case ResetMessage.domainAttributes: return try resetDomainAttributes(call, request, &reply)
    case ResetMessage.reset: return try resetDomain(call, request)
    case ResetMessage.notify:
      let domain = ResetDomainID(try index(.resetDomain, call, request, at: 4))
      let isEnabled = try flag(request.load(at: 8))
      guard backend.resetDomain(domain).notifiesResets else { throw .notSupported }
      resetDomains[domain.index].issued.subscribe(call.agent, isEnabled)
      return 0
    default:
      return reply.write(
        backend.name(of: ResetDomainID(try index(.resetDomain, call, request, at: 4))))
    }
  }

  private mutating func resetDomainAttributes(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let domain = ResetDomainID(try index(.resetDomain, call, request, at: 4))
    let (name, description) = (backend.name(of: domain), backend.resetDomain(domain))
    var attributes: UInt32 = 0
    if agents[call.agent].description.hasPlatformToAgentChannel {
      if description.isAsynchronous { attributes |= 1 << 31 }
      if description.notifiesResets { attributes |= 1 << 30 }
    }
    if name.isExtended && !call.isLegacy { attributes |= 1 << 29 }
    reply.store(attributes, at: 8)
    reply.store(description.latencyMicroseconds ?? .max, at: 12)
    name.write(to: &reply, at: 16, size: 16)
    return 24
  }

  /// RESET: by the platform, or by the agent with two commands.
  private mutating func resetDomain(_ call: Call, _ request: RawSpan) throws(SCMIStatus) -> Int {
    let identifier: UInt32 = request.load(at: 4)
    let grant = try find(.resetDomain, identifier, call)
    let domain = ResetDomainID(Int(grant.resource))
    let flags: UInt32 = request.load(at: 8)
    let state: UInt32 = request.load(at: 12)
    let isAutonomous = flags & ResetFlag.isAutonomous != 0
    let isAsynchronous = flags & ResetFlag.isAsynchronous != 0
    guard flags < 8, isAutonomous || !isAsynchronous, backend.supportsReset(state, of: domain) else {
      throw .invalidParameters
    }
    guard grant.rights.contains(.state) else { throw .denied }
    if !isAutonomous {
      return try setReset(flags & ResetFlag.asserts != 0, domain, state, call.agent)
    }
    // Somebody else is using it.
    guard resetDomains[domain.index].votes.isDecidedBy(call.agent) else { throw .genericError }
    if !isAsynchronous {
      _ = try backend.reset(domain, state, operation: nil)
      issued(domain, state, call.agent)
      return 0
    }
    guard backend.resetDomain(domain).isAsynchronous else { throw .notSupported }
    let operation = try begin(
      call, resource: domain.index, identifier: identifier, isSilent: false)
    resetDomains[domain.index].state = state
    do throws(SCMIStatus) {
      if case .finished = try backend.reset(domain, state, operation: operation) { finish(operation) }
    } catch {
      abandon(operation)
      throw error
    }
    return 0
  }

  /// Asserts or deasserts. The signal is asserted only when nobody uses the domain.
  private mutating func setReset(
    _ isAsserted: Bool, _ domain: ResetDomainID, _ state: UInt32, _ agent: Int
  ) throws(SCMIStatus) -> Int {
    if resetDomains[domain.index].votes.isDecidedBy(agent) {
      try backend.setAsserted(isAsserted, domain, state)
      if isAsserted { issued(domain, state, agent) }
    }
    resetDomains[domain.index].votes.set(agent, !isAsserted)
    return 0
  }

  /// An asynchronous reset is done.
  mutating func completeReset(_ operation: Operation, _ agent: Int) {
    let index = Int(operation.resource)
    issued(ResetDomainID(index), resetDomains[index].state, agent)
  }

  private mutating func issued(_ domain: ResetDomainID, _ state: UInt32, _ agent: Int) {
    resetDomains[domain.index].state = state
    announce(.reset, to: resetDomains[domain.index].issued.raise(UInt8(agent + 1)))
  }

  /// RESET_ISSUED, for the next domain that has one.
  mutating func nextResetEvent(_ agent: Int, _ buffer: inout MutableRawSpan) -> Int {
    let start = agents[agent].cursor
    for step in 0..<viewCount(.resetDomain, agent) {
      let (identifier, index) = searched(.resetDomain, start + step, agent)
      guard resetDomains[index].issued.pending.contains(agent) else { continue }
      resetDomains[index].issued.pending.remove(agent)
      agents[agent].cursor = identifier + 1
      startNotification(.reset, ResetMessage.issued, cause: resetDomains[index].issued.cause, &buffer)
      buffer.store(UInt32(identifier), at: 8)
      buffer.store(resetDomains[index].state, at: 12)
      return 16
    }
    return 0
  }

  /// What an agent used or asked of the reset domains that it sees.
  mutating func releaseResetDomains(_ agent: Int) {
    for i in 0..<viewCount(.resetDomain, agent) {
      let index = resource(.resetDomain, i, agent)
      resetDomains[index].issued.forget(agent)
      let hadDecided = resetDomains[index].votes.state(for: agent) != nil
      _ = resetDomains[index].votes.release(agent)
      if hadDecided && resetDomains[index].votes.holders.isEmpty { backend.restore(ResetDomainID(index)) }
    }
  }
}
