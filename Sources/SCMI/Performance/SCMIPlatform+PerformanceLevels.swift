// SCMI Performance domain management protocol, platform side: levels, limits and FastChannels.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  /// PERFORMANCE_LEVEL_SET.
  mutating func setLevel() throws(SCMIStatus) -> Int {
    let grant = try find(.performanceDomain, call[0])
    try setLevel(call[1], grant)
    return 0
  }

  /// PERFORMANCE_LIMITS_SET.
  mutating func setLimits() throws(SCMIStatus) -> Int {
    let grant = try find(.performanceDomain, call[0])
    try setLimits(highest: call[1], lowest: call[2], grant)
    return 0
  }

  /// An agent has written to a FastChannel: of PERFORMANCE_LEVEL_SET, whose level is `first`, or of
  /// PERFORMANCE_LIMITS_SET, whose highest level is `first` and lowest `second`. `identifier` is what the
  /// agent calls the domain. The same is checked as for the command; what is refused is reported as an error
  /// and changes nothing. Traps for another message, and when there is no such agent.
  public mutating func performanceChannelWritten(
    _ message: UInt8, _ identifier: UInt32, _ first: UInt32, _ second: UInt32 = 0, by agent: AgentID
  ) {
    precondition(
      message == PerformanceMessage.levelSet || message == PerformanceMessage.limitsSet,
      "no FastChannel that agents write")
    let header = MessageHeader(.performance, message)
    take(header, of: index(of: agent))
    do throws(SCMIStatus) {
      let grant = try find(.performanceDomain, identifier)
      if message == PerformanceMessage.levelSet {
        try setLevel(first, grant)
      } else {
        try setLimits(highest: first, lowest: second, grant)
      }
    } catch {
      reportError(header, error, of: agent)
    }
  }

  /// Says that the board changed the level of a domain by itself. Traps when there is no such domain.
  public mutating func levelChanged(_ domain: PerformanceDomainID) { levelChanged(domain, by: .platform) }

  private mutating func levelChanged(_ domain: PerformanceDomainID, by agent: AgentID) {
    raise(PerformanceMessage.levelChanged, .performanceDomain, domain.index, by: agent)
  }

  private mutating func setLevel(_ level: UInt32, _ grant: Grant) throws(SCMIStatus) {
    let domain = PerformanceDomainID(Int(grant.resource))
    guard grant.rights.contains(.value) else { throw .denied }
    let wanted = try levelIndex(level, domain)
    let limits = limits(of: domain)
    guard wanted >= limits.lowest, wanted <= limits.highest else { throw .outOfRange }
    try backend.setLevel(wanted, of: domain)
    levelChanged(domain, by: call.agentID)
  }

  /// The limits of all agents together.
  mutating func limits(of domain: PerformanceDomainID) -> LevelLimits {
    performanceDomains[domain.index].limits(levelCount: backend.performanceDomain(domain).levelCount)
  }

  /// One agent's limits. Since SCMI 3.1, 0 leaves a limit as it is.
  private mutating func setLimits(
    highest: UInt32, lowest: UInt32, _ grant: Grant
  ) throws(SCMIStatus) {
    let domain = PerformanceDomainID(Int(grant.resource))
    guard grant.rights.contains(.limits) else { throw .denied }
    let isIndexed = backend.performanceDomain(domain).usesLevelIndices
    // An index of 0 is the lowest level, and so no limit: it means the same whichever way it is read.
    guard call.isLegacy || isIndexed || highest != 0 || lowest != 0 else { throw .outOfRange }
    var new = performanceDomains[domain.index].limits[call.agent]
    if call.isLegacy || highest != 0 { new.highest = try levelIndex(highest, domain) }
    if call.isLegacy || lowest != 0 { new.lowest = try levelIndex(lowest, domain) }
    guard new.lowest <= new.highest else { throw .invalidParameters }
    try apply(new, domain, call.agent)
  }

  /// Sets an agent's limits, tells the board what all of them come to, and moves the level into them.
  private mutating func apply(
    _ limits: LevelLimits, _ domain: PerformanceDomainID, _ agent: Int
  ) throws(SCMIStatus) {
    let own = performanceDomains[domain.index].limits[agent]
    let old = self.limits(of: domain)
    performanceDomains[domain.index].limits[agent] = limits
    let new = self.limits(of: domain)
    if new == old { return }
    do throws(SCMIStatus) {
      try backend.setLimits(lowest: new.lowest, highest: new.highest, of: domain)
    } catch {
      performanceDomains[domain.index].limits[agent] = own
      throw error
    }
    let cause = AgentID(UInt8(truncatingIfNeeded: agent + 1))
    raise(PerformanceMessage.limitsChanged, .performanceDomain, domain.index, by: cause)
    let level = try backend.level(of: domain)
    let moved = min(max(level, new.lowest), new.highest)
    if moved == level { return }
    try backend.setLevel(moved, of: domain)
    levelChanged(domain, by: cause)
  }

  /// The index of the level that an agent names. OUT_OF_RANGE beyond the lowest and the highest one,
  /// INVALID_PARAMETERS between two.
  private mutating func levelIndex(
    _ level: UInt32, _ domain: PerformanceDomainID
  ) throws(SCMIStatus) -> Int {
    let description = backend.performanceDomain(domain)
    let count = description.levelCount
    if description.usesLevelIndices && !call.isLegacy {
      guard level < UInt32(count) else { throw .outOfRange }
      return Int(level)
    }
    guard level >= backend.level(0, of: domain).value, level <= backend.level(count - 1, of: domain).value
    else { throw .outOfRange }
    for i in 0..<count where backend.level(i, of: domain).value == level { return i }
    throw .invalidParameters
  }

  /// An agent's limits go. Limits that the board does not take back stay its own.
  mutating func releaseLimits(_ domain: PerformanceDomainID, _ agent: Int) {
    if performanceDomains[domain.index].limits[agent] != LevelLimits() {
      try? apply(LevelLimits(), domain, agent)
    }
  }
}
