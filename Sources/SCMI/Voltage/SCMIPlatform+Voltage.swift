// SCMI Voltage domain management protocol, platform side.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  mutating func voltage() throws(SCMIStatus) -> Int {
    switch call.header.message {
    case CommonMessage.attributes:
      output.store(UInt32(viewCount(.voltageDomain, call.agent)), at: 8)
      return 4
    case VoltageMessage.domainAttributes: return try voltageDomainAttributes()
    case VoltageMessage.describeLevels: return try describeVoltageLevels()
    case VoltageMessage.configSet: return try setVoltageMode()
    case VoltageMessage.configGet:
      let index = try index(.voltageDomain)
      let isDecided = resources[.voltageDomain, index].votes.deciders.contains(call.agent)
      let mode =
        isDecided
        ? UInt32(voltageModes[index][call.agent]) : try backend.mode(of: VoltageDomainID(index))
      output.store(mode, at: 8)
      return 4
    case VoltageMessage.levelSet: return try setVoltageLevel()
    case VoltageMessage.levelGet:
      output.store(try backend.level(of: VoltageDomainID(try index(.voltageDomain))), at: 8)
      return 4
    default: return try nameGet(.voltageDomain)
    }
  }

  private mutating func voltageDomainAttributes() throws(SCMIStatus) -> Int {
    let index = try index(.voltageDomain)
    let isExtended = writeName(of: .voltageDomain, index, at: 12)
    var attributes: UInt32 = isExtended ? 1 << 30 : 0
    if backend.voltageDomain(VoltageDomainID(index)).isAsynchronous && call.hasChannel {
      attributes |= 1 << 31
    }
    output.store(attributes, at: 8)
    return 20
  }

  /// VOLTAGE_DESCRIBE_LEVELS: a range is three entries, in one response.
  private mutating func describeVoltageLevels() throws(SCMIStatus) -> Int {
    let domain = VoltageDomainID(try index(.voltageDomain))
    switch backend.voltageDomain(domain).levels {
    case .range(let lowest, let highest, let step):
      return try writeRange(lowest, highest, Int32(bitPattern: step))
    case .list(let total):
      var offset = 12
      for i in try part(of: total, size: 4) {
        output.store(backend.supportedLevel(i, of: domain), at: offset)
        offset += 4
      }
      return offset - 8
    }
  }

  /// VOLTAGE_CONFIG_SET. The domain goes off with the last agent that wants it in another mode.
  private mutating func setVoltageMode() throws(SCMIStatus) -> Int {
    let grant = try find(.voltageDomain, call[0])
    let domain = VoltageDomainID(Int(grant.resource))
    let mode = call[1]
    guard mode < 16, backend.supportsMode(mode, of: domain) else { throw .invalidParameters }
    guard grant.rights.contains(.state) else { throw .denied }
    let isOff = mode == VoltageMessage.off
    if !isOff || resources[.voltageDomain, domain.index].votes.isDecidedBy(call.agent) {
      try backend.setMode(mode, of: domain)
    }
    resources[.voltageDomain, domain.index].votes.set(call.agent, !isOff)
    voltageModes[domain.index][call.agent] = UInt8(mode)
    return 0
  }

  /// VOLTAGE_LEVEL_SET: to a level that the domain has.
  private mutating func setVoltageLevel() throws(SCMIStatus) -> Int {
    let grant = try find(.voltageDomain, call[0])
    let domain = VoltageDomainID(Int(grant.resource))
    let isAsynchronous = try flag(call[1])
    let level = Int32(bitPattern: call[2])
    let description = backend.voltageDomain(domain)
    guard hasLevel(level, description.levels, domain) else { throw .invalidParameters }
    guard grant.rights.contains(.value) else { throw .denied }
    if isAsynchronous {
      guard description.isAsynchronous else { throw .notSupported }
      try begin(resource: domain.index, identifier: call[0])
    }
    let progress = try backend.setLevel(level, of: domain, operation: call.operation)
    resources[.voltageDomain, domain.index].changers.insert(call.agent)
    return conclude(progress)
  }

  private mutating func hasLevel(
    _ level: Int32, _ levels: VoltageLevels, _ domain: VoltageDomainID
  ) -> Bool {
    switch levels {
    case .range(let lowest, let highest, let step):
      return level >= lowest && level <= highest && (Int64(level) - Int64(lowest)) % Int64(step) == 0
    case .list(let count):
      for i in 0..<count where backend.supportedLevel(i, of: domain) == level { return true }
      return false
    }
  }

  /// The level is set: the delayed response reports it.
  mutating func completeVoltageLevelSet(_ operation: Operation) -> UInt64 {
    let domain = VoltageDomainID(Int(operation.resource))
    do throws(SCMIStatus) {
      return UInt64(UInt32(bitPattern: try backend.level(of: domain)))
    } catch {
      return 0
    }
  }
}
