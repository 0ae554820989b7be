// SCMI Performance domain management protocol, platform side: levels, limits and FastChannels.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  /// PERFORMANCE_LEVEL_SET.
  mutating func setLevel(_ call: Call, _ request: RawSpan) throws(SCMIStatus) -> Int {
    let grant = try find(.performanceDomain, request.load(at: 4), call)
    try setLevel(request.load(at: 8), grant, call)
    return 0
  }

  /// PERFORMANCE_LIMITS_SET.
  mutating func setLimits(_ call: Call, _ request: RawSpan) throws(SCMIStatus) -> Int {
    let grant = try find(.performanceDomain, request.load(at: 4), call)
    try setLimits(highest: request.load(at: 8), lowest: request.load(at: 12), grant, call)
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
    let place = index(of: agent)
    let isLegacy = agents[place].legacyProtocols & ProtocolID.performance.bit != 0
    let call = Call(agent: place, header: header, isLegacy: isLegacy)
    do throws(SCMIStatus) {
      let grant = try find(.performanceDomain, identifier, call)
      if message == PerformanceMessage.levelSet {
        try setLevel(first, grant, call)
      } else {
        try setLimits(highest: first, lowest: second, grant, call)
      }
    } catch {
      reportError(header, error, of: agent)
    }
  }

  /// Says that the board changed the level of a domain by itself. Traps when there is no such domain.
  public mutating func levelChanged(_ domain: PerformanceDomainID) {
    announce(
      .performance, to: performanceDomains[domain.index].levelChanged.raise(AgentID.platform.rawValue))
  }

  private mutating func setLevel(
    _ level: UInt32, _ grant: Grant, _ call: Call
  ) throws(SCMIStatus) {
    let domain = PerformanceDomainID(Int(grant.resource))
    guard grant.rights.contains(.value) else { throw .denied }
    let wanted = try levelIndex(level, domain, isLegacy: call.isLegacy)
    let limits = performanceDomains[domain.index].limits(
      levelCount: backend.performanceDomain(domain).levelCount)
    guard wanted >= limits.lowest, wanted <= limits.highest else { throw .outOfRange }
    try backend.setLevel(wanted, of: domain)
    announce(
      .performance, to: performanceDomains[domain.index].levelChanged.raise(UInt8(call.agent + 1)))
  }

  /// One agent's limits. Since SCMI 3.1, 0 leaves a limit as it is.
  private mutating func setLimits(
    highest: UInt32, lowest: UInt32, _ grant: Grant, _ call: Call
  ) throws(SCMIStatus) {
    let domain = PerformanceDomainID(Int(grant.resource))
    guard grant.rights.contains(.limits) else { throw .denied }
    let isIndexed = backend.performanceDomain(domain).usesLevelIndices
    // An index of 0 is the lowest level, and so no limit: it means the same whichever way it is read.
    guard call.isLegacy || isIndexed || highest != 0 || lowest != 0 else { throw .outOfRange }
    let state = performanceDomains[domain.index]
    var low = Int(state.lowest[call.agent])
    var high = Int(state.highest[call.agent])
    if call.isLegacy || highest != 0 { high = try levelIndex(highest, domain, isLegacy: call.isLegacy) }
    if call.isLegacy || lowest != 0 { low = try levelIndex(lowest, domain, isLegacy: call.isLegacy) }
    guard low <= high else { throw .invalidParameters }
    try apply(lowest: low, highest: high, domain, call.agent)
  }

  /// Sets an agent's limits, tells the board what all of them come to, and moves the level into them.
  private mutating func apply(
    lowest: Int, highest: Int, _ domain: PerformanceDomainID, _ agent: Int
  ) throws(SCMIStatus) {
    let levelCount = backend.performanceDomain(domain).levelCount
    let old = performanceDomains[domain.index].limits(levelCount: levelCount)
    var state = performanceDomains[domain.index]
    state.lowest[agent] = UInt16(lowest)
    state.highest[agent] = UInt16(highest)
    let new = state.limits(levelCount: levelCount)
    if new != old { try backend.setLimits(lowest: new.lowest, highest: new.highest, of: domain) }
    performanceDomains[domain.index] = state
    if new == old { return }
    let cause = UInt8(agent + 1)
    announce(.performance, to: performanceDomains[domain.index].limitsChanged.raise(cause))
    let level = try backend.level(of: domain)
    let moved = min(max(level, new.lowest), new.highest)
    if moved == level { return }
    try backend.setLevel(moved, of: domain)
    announce(.performance, to: performanceDomains[domain.index].levelChanged.raise(cause))
  }

  /// PERFORMANCE_LIMITS_GET: of all agents together.
  mutating func limits(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let domain = PerformanceDomainID(try index(.performanceDomain, call, request, at: 4))
    let limits = performanceDomains[domain.index].limits(
      levelCount: backend.performanceDomain(domain).levelCount)
    reply.store(sent(limits.highest, domain, isLegacy: call.isLegacy), at: 8)
    reply.store(sent(limits.lowest, domain, isLegacy: call.isLegacy), at: 12)
    return 8
  }

  /// The index of the level that an agent names. OUT_OF_RANGE beyond the lowest and the highest one,
  /// INVALID_PARAMETERS between two.
  private mutating func levelIndex(
    _ level: UInt32, _ domain: PerformanceDomainID, isLegacy: Bool
  ) throws(SCMIStatus) -> Int {
    let description = backend.performanceDomain(domain)
    let count = description.levelCount
    if description.usesLevelIndices && !isLegacy {
      guard level < UInt32(count) else { throw .outOfRange }
      return Int(level)
    }
    guard level >= backend.level(0, of: domain).value, level <= backend.level(count - 1, of: domain).value
    else { throw .outOfRange }
    for i in 0..<count where backend.level(i, of: domain).value == level { return i }
    throw .invalidParameters
  }

  /// How a level is sent: by its index where the domain does so, and by its value elsewhere.
  mutating func sent(_ level: Int, _ domain: PerformanceDomainID, isLegacy: Bool) -> UInt32 {
    let isIndexed = backend.performanceDomain(domain).usesLevelIndices && !isLegacy
    return isIndexed ? UInt32(level) : backend.level(level, of: domain).value
  }

  /// The FastChannel for a message that an agent may send.
  mutating func performanceChannel(_ message: UInt8, _ grant: Grant, _ call: Call) -> FastChannel? {
    if message == PerformanceMessage.levelSet && !grant.rights.contains(.value) { return nil }
    if message == PerformanceMessage.limitsSet && !grant.rights.contains(.limits) { return nil }
    return backend.fastChannel(
      message, of: PerformanceDomainID(Int(grant.resource)), for: AgentID(UInt8(call.agent + 1)))
  }

  /// PERFORMANCE_DESCRIBE_FASTCHANNEL: limits take 8 bytes, levels 4.
  mutating func describePerformanceChannel(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let grant = try find(.performanceDomain, request.load(at: 4), call)
    let message: UInt32 = request.load(at: 8)
    guard message < 16, PerformanceMessage.rule(UInt8(message)).has(MessageRule.hasFastChannel) else {
      throw .invalidParameters
    }
    guard let channel = performanceChannel(UInt8(message), grant, call) else { throw .notSupported }
    return reply.write(channel, size: message < UInt32(PerformanceMessage.levelSet) ? 8 : 4)
  }

  /// PROTOCOL_MESSAGE_ATTRIBUTES: whether some domain has a FastChannel for the message.
  mutating func performanceMessageAttributes(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let message: UInt32 = request.load(at: 4)
    var hasChannels = false
    if message >= UInt32(PerformanceMessage.limitsSet) && message <= UInt32(PerformanceMessage.levelGet) {
      let place = Int(ResourceKind.performanceDomain.rawValue)
      for i in 0..<agents[call.agent].views[place].count where !hasChannels {
        let grant = agents[call.agent].views[place].grants[i]
        hasChannels = performanceChannel(UInt8(message), grant, call) != nil
      }
    }
    return try messageAttributes(call, request, &reply, hasFastChannels: hasChannels)
  }

  /// What an agent asked of the performance domains that it sees, and its limits.
  mutating func releasePerformanceDomains(_ agent: Int) {
    for i in 0..<viewCount(.performanceDomain, agent) {
      let index = resource(.performanceDomain, i, agent)
      performanceDomains[index].limitsChanged.forget(agent)
      performanceDomains[index].levelChanged.forget(agent)
      // Limits that the board does not take back stay its own; nobody is left to tell.
      try? apply(
        lowest: 0, highest: Int(PerformanceDomainState<agentLimit>.none), PerformanceDomainID(index), agent)
    }
  }
}
