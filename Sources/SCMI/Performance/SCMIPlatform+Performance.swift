// SCMI Performance domain management protocol, platform side: descriptions and notifications.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  mutating func performance(
    _ message: UInt8, _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    switch message {
    case CommonMessage.version: return version(call, &reply)
    case CommonMessage.attributes:
      // SCMI 2.0 has no microwatts, only milliwatts.
      let unit = backend.performancePowerUnit
      let sent = unit == .microwatts && call.isLegacy ? .milliwatts : unit
      reply.store(UInt32(viewCount(.performanceDomain, call.agent)) | sent.rawValue << 16, at: 8)
      writeStatistics(.performance, call, &reply, at: 12)
      return 16
    case CommonMessage.messageAttributes:
      return try performanceMessageAttributes(call, request, &reply)
    case PerformanceMessage.domainAttributes:
      return try performanceDomainAttributes(call, request, &reply)
    case PerformanceMessage.describeLevels: return try describeLevels(call, request, &reply)
    case PerformanceMessage.limitsSet: return try setLimits(call, request)
    case PerformanceMessage.limitsGet: return try limits(call, request, &reply)
    case PerformanceMessage.levelSet: return try setLevel(call, request)
    case PerformanceMessage.levelGet:
      let domain = PerformanceDomainID(try index(.performanceDomain, call, request, at: 4))
      let level = try backend.level(of: domain)
      reply.store(sent(level, domain, isLegacy: call.isLegacy), at: 8)
      return 4
    case PerformanceMessage.notifyLimits, PerformanceMessage.notifyLevel:
      return try subscribeToPerformance(message, call, request)
    case PerformanceMessage.describeFastChannel:
      return try describePerformanceChannel(call, request, &reply)
    default:
      return reply.write(
        backend.name(of: PerformanceDomainID(try index(.performanceDomain, call, request, at: 4))))
    }
  }

  private mutating func performanceDomainAttributes(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let grant = try find(.performanceDomain, request.load(at: 4), call)
    let domain = PerformanceDomainID(Int(grant.resource))
    let (name, description) = (backend.name(of: domain), backend.performanceDomain(domain))
    var attributes: UInt32 = 0
    if grant.rights.contains(.limits) { attributes |= PerformanceAttribute.canSetLimits }
    if grant.rights.contains(.value) { attributes |= PerformanceAttribute.canSetLevel }
    if description.notifiesChanges && agents[call.agent].description.hasPlatformToAgentChannel {
      attributes |= PerformanceAttribute.notifiesLimitChanges | PerformanceAttribute.notifiesLevelChanges
    }
    for message in PerformanceMessage.limitsSet...PerformanceMessage.levelGet
    where performanceChannel(message, grant, call) != nil {
      attributes |= PerformanceAttribute.hasFastChannel
    }
    if !call.isLegacy {
      if name.isExtended { attributes |= PerformanceAttribute.hasExtendedName }
      if description.usesLevelIndices { attributes |= PerformanceAttribute.usesLevelIndices }
    }
    reply.store(attributes, at: 8)
    reply.store(description.rateLimitMicroseconds & 0xF_FFFF, at: 12)
    reply.store(description.sustainedFrequencyKilohertz, at: 16)
    reply.store(description.sustainedLevel, at: 20)
    name.write(to: &reply, at: 24, size: 16)
    return 32
  }

  /// PERFORMANCE_DESCRIBE_LEVELS: five words for each level, three in SCMI 2.0.
  private mutating func describeLevels(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let domain = PerformanceDomainID(try index(.performanceDomain, call, request, at: 4))
    let first: UInt32 = request.load(at: 8)
    let total = backend.performanceDomain(domain).levelCount
    guard first < UInt32(total) else { throw call.isLegacy ? .invalidParameters : .outOfRange }
    let size = call.isLegacy ? 12 : 20
    let isConverted = call.isLegacy && backend.performancePowerUnit == .microwatts
    let count = min(total - Int(first), (reply.byteCount - 12) / size)
    for i in 0..<count {
      let level = backend.level(Int(first) + i, of: domain)
      let offset = 12 + size * i
      reply.store(level.value, at: offset)
      reply.store(isConverted ? level.power / 1000 : level.power, at: offset + 4)
      reply.store(UInt32(level.latencyMicroseconds), at: offset + 8)
      if !call.isLegacy {
        reply.store(level.frequencyKilohertz, at: offset + 12)
        reply.store(first + UInt32(i), at: offset + 16)
      }
    }
    reply.store(UInt32(count) | UInt32(total - Int(first) - count) << 16, at: 8)
    return 4 + size * count
  }

  /// PERFORMANCE_NOTIFY_LIMITS and PERFORMANCE_NOTIFY_LEVEL.
  private mutating func subscribeToPerformance(
    _ message: UInt8, _ call: Call, _ request: RawSpan
  ) throws(SCMIStatus) -> Int {
    let domain = PerformanceDomainID(try index(.performanceDomain, call, request, at: 4))
    let isEnabled = try flag(request.load(at: 8))
    guard backend.performanceDomain(domain).notifiesChanges else { throw .notSupported }
    if message == PerformanceMessage.notifyLimits {
      performanceDomains[domain.index].limitsChanged.subscribe(call.agent, isEnabled)
    } else {
      performanceDomains[domain.index].levelChanged.subscribe(call.agent, isEnabled)
    }
    return 0
  }

  /// PERFORMANCE_LIMITS_CHANGED or PERFORMANCE_LEVEL_CHANGED, for the next domain that has one.
  mutating func nextPerformanceEvent(_ agent: Int, _ buffer: inout MutableRawSpan) -> Int {
    let start = agents[agent].cursor
    let isLegacy = agents[agent].legacyProtocols & ProtocolID.performance.bit != 0
    for step in 0..<viewCount(.performanceDomain, agent) {
      let (identifier, index) = searched(.performanceDomain, start + step, agent)
      let domain = PerformanceDomainID(index)
      if performanceDomains[index].limitsChanged.pending.contains(agent) {
        performanceDomains[index].limitsChanged.pending.remove(agent)
        agents[agent].cursor = identifier
        let limits = performanceDomains[index].limits(
          levelCount: backend.performanceDomain(domain).levelCount)
        startNotification(
          .performance, PerformanceMessage.limitsChanged,
          cause: performanceDomains[index].limitsChanged.cause, &buffer)
        buffer.store(UInt32(identifier), at: 8)
        buffer.store(sent(limits.highest, domain, isLegacy: isLegacy), at: 12)
        buffer.store(sent(limits.lowest, domain, isLegacy: isLegacy), at: 16)
        return 20
      }
      guard performanceDomains[index].levelChanged.pending.contains(agent) else { continue }
      performanceDomains[index].levelChanged.pending.remove(agent)
      agents[agent].cursor = identifier + 1
      var level = 0
      do throws(SCMIStatus) { level = try backend.level(of: domain) } catch { continue }
      startNotification(
        .performance, PerformanceMessage.levelChanged,
        cause: performanceDomains[index].levelChanged.cause, &buffer)
      buffer.store(UInt32(identifier), at: 8)
      buffer.store(sent(level, domain, isLegacy: isLegacy), at: 12)
      return 16
    }
    return 0
  }
}
