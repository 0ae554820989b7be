// SCMI Voltage domain management protocol, platform side.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  mutating func voltage(
    _ message: UInt8, _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    switch message {
    case CommonMessage.version: return version(call, &reply)
    case CommonMessage.attributes:
      reply.store(UInt32(viewCount(.voltageDomain, call.agent)), at: 8)
      return 4
    case CommonMessage.messageAttributes: return try messageAttributes(call, request, &reply)
    case VoltageMessage.domainAttributes: return try voltageDomainAttributes(call, request, &reply)
    case VoltageMessage.describeLevels: return try describeVoltageLevels(call, request, &reply)
    case VoltageMessage.configSet: return try setVoltageMode(call, request)
    case VoltageMessage.configGet:
      let domain = VoltageDomainID(try index(.voltageDomain, call, request, at: 4))
      if voltageDomains[domain.index].votes.state(for: call.agent) != nil {
        reply.store(UInt32(voltageDomains[domain.index].modes[call.agent]), at: 8)
      } else {
        reply.store(try backend.mode(of: domain), at: 8)
      }
      return 4
    case VoltageMessage.levelSet: return try setVoltageLevel(call, request)
    case VoltageMessage.levelGet:
      let domain = VoltageDomainID(try index(.voltageDomain, call, request, at: 4))
      reply.store(try backend.level(of: domain), at: 8)
      return 4
    default:
      return reply.write(
        backend.name(of: VoltageDomainID(try index(.voltageDomain, call, request, at: 4))))
    }
  }

  private mutating func voltageDomainAttributes(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let domain = VoltageDomainID(try index(.voltageDomain, call, request, at: 4))
    let name = backend.name(of: domain)
    var attributes: UInt32 = name.isExtended ? 1 << 30 : 0
    if backend.voltageDomain(domain).isAsynchronous
      && agents[call.agent].description.hasPlatformToAgentChannel
    {
      attributes |= 1 << 31
    }
    reply.store(attributes, at: 8)
    name.write(to: &reply, at: 12, size: 16)
    return 20
  }

  /// VOLTAGE_DESCRIBE_LEVELS: a range is three entries, in one response.
  private mutating func describeVoltageLevels(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let domain = VoltageDomainID(try index(.voltageDomain, call, request, at: 4))
    let first: UInt32 = request.load(at: 8)
    switch backend.voltageDomain(domain).levels {
    case .range(let lowest, let highest, let step):
      guard first == 0 else { throw .outOfRange }
      reply.store(3 | 1 << 12 as UInt32, at: 8)
      reply.store(lowest, at: 12)
      reply.store(highest, at: 16)
      reply.store(step, at: 20)
      return 16
    case .list(let total):
      guard first < UInt32(total) else { throw .outOfRange }
      let count = min(total - Int(first), (reply.byteCount - 12) / 4)
      for i in 0..<count {
        reply.store(backend.supportedLevel(Int(first) + i, of: domain), at: 12 + 4 * i)
      }
      reply.store(UInt32(count) | UInt32(total - Int(first) - count) << 16, at: 8)
      return 4 + 4 * count
    }
  }

  /// VOLTAGE_CONFIG_SET. The domain goes off with the last agent that wants it in another mode.
  private mutating func setVoltageMode(_ call: Call, _ request: RawSpan) throws(SCMIStatus) -> Int {
    let grant = try find(.voltageDomain, request.load(at: 4), call)
    let domain = VoltageDomainID(Int(grant.resource))
    let mode: UInt32 = request.load(at: 8)
    guard mode < 16, backend.supportsMode(mode, of: domain) else { throw .invalidParameters }
    guard grant.rights.contains(.state) else { throw .denied }
    let isOff = mode == VoltageMessage.off
    if !isOff || voltageDomains[domain.index].votes.isDecidedBy(call.agent) {
      try backend.setMode(mode, of: domain)
    }
    voltageDomains[domain.index].votes.set(call.agent, !isOff)
    voltageDomains[domain.index].modes[call.agent] = UInt8(mode)
    return 0
  }

  /// VOLTAGE_LEVEL_SET: to a level that the domain has.
  private mutating func setVoltageLevel(_ call: Call, _ request: RawSpan) throws(SCMIStatus) -> Int {
    let identifier: UInt32 = request.load(at: 4)
    let grant = try find(.voltageDomain, identifier, call)
    let domain = VoltageDomainID(Int(grant.resource))
    let isAsynchronous = try flag(request.load(at: 8))
    let level: Int32 = request.load(at: 12)
    let description = backend.voltageDomain(domain)
    guard hasLevel(level, description.levels, domain) else { throw .invalidParameters }
    guard grant.rights.contains(.value) else { throw .denied }
    if isAsynchronous {
      guard description.isAsynchronous else { throw .notSupported }
      let operation = try begin(
        call, resource: domain.index, identifier: identifier, isSilent: false)
      do throws(SCMIStatus) {
        if case .finished = try backend.setLevel(level, of: domain, operation: operation) {
          finish(operation)
        }
      } catch {
        abandon(operation)
        throw error
      }
    } else {
      _ = try backend.setLevel(level, of: domain, operation: nil)
    }
    voltageDomains[domain.index].changers.insert(call.agent)
    return 0
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

  /// What an agent held or changed of the voltage domains that it sees.
  mutating func releaseVoltageDomains(_ agent: Int) {
    for i in 0..<viewCount(.voltageDomain, agent) {
      let index = resource(.voltageDomain, i, agent)
      let domain = VoltageDomainID(index)
      if voltageDomains[index].votes.release(agent) { try? backend.setMode(VoltageMessage.off, of: domain) }
      if voltageDomains[index].changers.contains(agent) {
        voltageDomains[index].changers.remove(agent)
        if !isShared(.voltageDomain, index, besides: agent) { backend.restore(domain) }
      }
    }
  }
}
