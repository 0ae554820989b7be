// SCMI Performance domain management protocol, platform side: descriptions and notifications.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  mutating func performance() throws(SCMIStatus) -> Int {
    switch call.header.message {
    case CommonMessage.attributes:
      // SCMI 2.0 has no microwatts, only milliwatts.
      let unit = backend.performancePowerUnit
      let sent = unit == .microwatts && call.isLegacy ? .milliwatts : unit
      output.store(UInt32(viewCount(.performanceDomain, call.agent)) | sent.rawValue << 16, at: 8)
      writeStatistics()
      return 16
    case PerformanceMessage.domainAttributes: return try performanceDomainAttributes()
    case PerformanceMessage.describeLevels: return try describeLevels()
    case PerformanceMessage.limitsSet: return try setLimits()
    case PerformanceMessage.limitsGet:
      return try writeLimits(PerformanceDomainID(try index(.performanceDomain)), at: 8)
    case PerformanceMessage.levelSet: return try setLevel()
    case PerformanceMessage.levelGet:
      return try writeLevel(PerformanceDomainID(try index(.performanceDomain)), at: 8)
    case PerformanceMessage.notifyLimits:
      return try subscribeToPerformance(PerformanceMessage.limitsChanged)
    case PerformanceMessage.notifyLevel: return try subscribeToPerformance(PerformanceMessage.levelChanged)
    case PerformanceMessage.describeFastChannel: return try describeFastChannel(.performanceDomain)
    default: return try nameGet(.performanceDomain)
    }
  }

  private mutating func performanceDomainAttributes() throws(SCMIStatus) -> Int {
    let grant = try find(.performanceDomain, call[0])
    let domain = PerformanceDomainID(Int(grant.resource))
    let description = backend.performanceDomain(domain)
    let isExtended = writeName(of: .performanceDomain, domain.index, at: 24)
    var attributes: UInt32 = 0
    if grant.rights.contains(.limits) { attributes |= PerformanceAttribute.canSetLimits }
    if grant.rights.contains(.value) { attributes |= PerformanceAttribute.canSetLevel }
    if description.notifiesChanges && call.hasChannel {
      attributes |= PerformanceAttribute.notifiesLimitChanges | PerformanceAttribute.notifiesLevelChanges
    }
    if hasFastChannel(PerformanceMessage.limitsSet, PerformanceMessage.levelGet, .performanceDomain, grant) {
      attributes |= PerformanceAttribute.hasFastChannel
    }
    if !call.isLegacy {
      if isExtended { attributes |= PerformanceAttribute.hasExtendedName }
      if description.usesLevelIndices { attributes |= PerformanceAttribute.usesLevelIndices }
    }
    output.store(attributes, at: 8)
    output.store(description.rateLimitMicroseconds & 0xF_FFFF, at: 12)
    output.store(description.sustainedFrequencyKilohertz, at: 16)
    output.store(description.sustainedLevel, at: 20)
    return 32
  }

  /// PERFORMANCE_DESCRIBE_LEVELS: five words for each level, three in SCMI 2.0.
  private mutating func describeLevels() throws(SCMIStatus) -> Int {
    let domain = PerformanceDomainID(try index(.performanceDomain))
    let total = backend.performanceDomain(domain).levelCount
    guard !call.isLegacy || Int(call[1]) < total else { throw .invalidParameters }
    let size = call.isLegacy ? 12 : 20
    let isConverted = call.isLegacy && backend.performancePowerUnit == .microwatts
    var offset = 12
    for i in try part(of: total, size: size) {
      let level = backend.level(i, of: domain)
      output.store(level.value, at: offset)
      output.store(isConverted ? level.power / 1000 : level.power, at: offset + 4)
      output.store(UInt32(level.latencyMicroseconds), at: offset + 8)
      if !call.isLegacy {
        output.store(level.frequencyKilohertz, at: offset + 12)
        output.store(UInt32(i), at: offset + 16)
      }
      offset += size
    }
    return offset - 8
  }

  private mutating func subscribeToPerformance(_ event: UInt8) throws(SCMIStatus) -> Int {
    let index = try index(.performanceDomain)
    let isOffered = backend.performanceDomain(PerformanceDomainID(index)).notifiesChanges
    return try subscribe(to: event, .performanceDomain, index, isOffered: isOffered)
  }

  /// PERFORMANCE_LIMITS_CHANGED or PERFORMANCE_LEVEL_CHANGED.
  mutating func writePerformanceEvent(
    _ event: UInt8, _ domain: PerformanceDomainID
  ) throws(SCMIStatus) -> Int {
    let count =
      event == PerformanceMessage.limitsChanged
      ? try writeLimits(domain, at: 12) : try writeLevel(domain, at: 12)
    return 12 + count
  }

  /// The limits of all agents together, the highest level first. Returns their length.
  private mutating func writeLimits(_ domain: PerformanceDomainID, at offset: Int) throws(SCMIStatus) -> Int {
    let limits = limits(of: domain)
    output.store(sent(limits.highest, domain), at: offset)
    output.store(sent(limits.lowest, domain), at: offset + 4)
    return 8
  }

  /// The level that a domain has. Returns its length.
  private mutating func writeLevel(_ domain: PerformanceDomainID, at offset: Int) throws(SCMIStatus) -> Int {
    output.store(sent(try backend.level(of: domain), domain), at: offset)
    return 4
  }

  /// How a level is sent: by its index where the domain does so, and by its value elsewhere.
  private mutating func sent(_ level: Int, _ domain: PerformanceDomainID) -> UInt32 {
    let isIndexed = backend.performanceDomain(domain).usesLevelIndices && !call.isLegacy
    return isIndexed ? UInt32(level) : backend.level(level, of: domain).value
  }
}
