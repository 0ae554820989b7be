// SCMI Clock management protocol, platform side: descriptions, state and permissions.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  mutating func clock(
    _ message: UInt8, _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    switch message {
    case ClockMessage.rateGet: return try clockRate(call, request, &reply)
    case CommonMessage.version: return version(call, &reply)
    case CommonMessage.attributes:
      reply.store(UInt32(viewCount(.clock, call.agent)) | operationLimit(call) << 16, at: 8)
      return 4
    case CommonMessage.messageAttributes: return try messageAttributes(call, request, &reply)
    case ClockMessage.clockAttributes: return try clockAttributes(call, request, &reply)
    case ClockMessage.describeRates: return try describeClockRates(call, request, &reply)
    case ClockMessage.rateSet: return try setClockRate(call, request)
    case ClockMessage.configSet: return try setClockConfiguration(call, request)
    case ClockMessage.nameGet:
      return reply.write(backend.name(of: ClockID(try index(.clock, call, request, at: 4))))
    case ClockMessage.rateNotify, ClockMessage.rateChangeRequestedNotify:
      return try subscribeToClock(message, call, request)
    case ClockMessage.configGet: return try clockConfiguration(call, request, &reply)
    case ClockMessage.possibleParentsGet: return try possibleClockParents(call, request, &reply)
    case ClockMessage.parentSet: return try setClockParent(call, request)
    case ClockMessage.parentGet: return try clockParent(call, request, &reply)
    default: return try clockPermissions(call, request, &reply)
    }
  }

  /// CLOCK_RATE_GET.
  @inline(__always)
  mutating func clockRate(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let clock = try find(.clock, request.load(at: 4), call)
    reply.store(try backend.rate(of: ClockID(Int(clock.resource))), at: 8)
    return 8
  }

  /// CLOCK_ATTRIBUTES. SCMI 2.0 has bit 0 and the name alone.
  private mutating func clockAttributes(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let grant = try find(.clock, request.load(at: 4), call)
    let clock = ClockID(Int(grant.resource))
    let name = backend.name(of: clock)
    var attributes = try isClockOn(clock, call.agent) ? ClockAttribute.isEnabled : 0
    name.write(to: &reply, at: 12, size: 16)
    if !call.isLegacy {
      let description = backend.clock(clock)
      if grant.rights != .all { attributes |= ClockAttribute.isRestricted }
      if description.hasExtendedConfiguration { attributes |= ClockAttribute.hasExtendedConfiguration }
      if description.parentCount > 0 { attributes |= ClockAttribute.hasParents }
      if name.isExtended { attributes |= ClockAttribute.hasExtendedName }
      if description.notifiesRateChanges && agents[call.agent].description.hasPlatformToAgentChannel {
        attributes |= ClockAttribute.notifiesRateChanges | ClockAttribute.notifiesRateChangeRequests
      }
      reply.store(description.enableLatencyMicroseconds, at: 28)
    }
    reply.store(attributes, at: 8)
    return call.isLegacy ? 20 : 24
  }

  /// What the agent last made of the clock, or what it found.
  private mutating func isClockOn(_ clock: ClockID, _ agent: Int) throws(SCMIStatus) -> Bool {
    if let isOn = clocks[clock.index].votes.state(for: agent) { return isOn }
    return try backend.isEnabled(clock)
  }

  /// CLOCK_DESCRIBE_RATES: a range is three entries, in one response.
  private mutating func describeClockRates(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let clock = ClockID(try index(.clock, call, request, at: 4))
    let first: UInt32 = request.load(at: 8)
    switch backend.clock(clock).rates {
    case .range(let lowest, let highest, let step):
      guard first == 0 else { throw .outOfRange }
      reply.store(3 | 1 << 12 as UInt32, at: 8)
      reply.store(lowest, at: 12)
      reply.store(highest, at: 20)
      reply.store(step, at: 28)
      return 28
    case .list(let total):
      guard first < UInt32(total) else { throw .outOfRange }
      let count = min(total - Int(first), (reply.byteCount - 12) / 8)
      for i in 0..<count {
        reply.store(backend.supportedRate(Int(first) + i, of: clock), at: 12 + 8 * i)
      }
      reply.store(UInt32(count) | UInt32(total - Int(first) - count) << 16, at: 8)
      return 4 + 8 * count
    }
  }

  /// CLOCK_CONFIG_SET: on or off, and an extended configuration. SCMI 2.0 has bit 0 alone.
  private mutating func setClockConfiguration(_ call: Call, _ request: RawSpan) throws(SCMIStatus) -> Int {
    let grant = try find(.clock, request.load(at: 4), call)
    let clock = ClockID(Int(grant.resource))
    let attributes: UInt32 = request.load(at: 8)
    let type = UInt8(truncatingIfNeeded: attributes >> 16)
    let state = attributes & 3
    let defined: UInt32 = call.isLegacy ? 1 : 0xFF_0003
    guard attributes & ~defined == 0, state != 2, state != 3 || type != 0 else { throw .invalidParameters }
    guard grant.rights.contains(.state) else { throw .denied }
    if type != 0 {
      guard backend.clock(clock).hasExtendedConfiguration else { throw .invalidParameters }
      try backend.setConfiguration(request.load(at: 12), type, of: clock)
      clocks[clock.index].changers.insert(call.agent)
    }
    if state != 3 { try setClockOn(clock, state == 1, call.agent) }
    return 0
  }

  /// One agent's wish. The clock itself changes with the first that holds it and with the last.
  private mutating func setClockOn(_ clock: ClockID, _ isOn: Bool, _ agent: Int) throws(SCMIStatus) {
    if clocks[clock.index].votes.isDecidedBy(agent) { try backend.setEnabled(isOn, clock) }
    clocks[clock.index].votes.set(agent, isOn)
  }

  /// CLOCK_CONFIG_GET.
  private mutating func clockConfiguration(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let clock = ClockID(try index(.clock, call, request, at: 4))
    let flags: UInt32 = request.load(at: 8)
    guard let type = UInt8(exactly: flags) else { throw .invalidParameters }
    var value: UInt32 = 0
    if type != 0 {
      guard backend.clock(clock).hasExtendedConfiguration else { throw .invalidParameters }
      value = try backend.configuration(type, of: clock)
    }
    let isOn = try isClockOn(clock, call.agent)
    reply.store(0 as UInt32, at: 8)
    reply.store(isOn ? 1 : 0 as UInt32, at: 12)
    reply.store(value, at: 16)
    return 12
  }

  /// CLOCK_GET_PERMISSIONS.
  private mutating func clockPermissions(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let rights = try find(.clock, request.load(at: 4), call).rights
    var permissions: UInt32 = 0
    if rights.contains(.state) { permissions |= 1 << 31 }
    if rights.contains(.parent) { permissions |= 1 << 30 }
    if rights.contains(.value) { permissions |= 1 << 29 }
    reply.store(permissions, at: 8)
    return 4
  }

  /// What an agent held, changed or asked of the clocks that it sees.
  mutating func releaseClocks(_ agent: Int) {
    for i in 0..<viewCount(.clock, agent) {
      let index = resource(.clock, i, agent)
      // A clock that cannot be turned off stays on, for nobody: there is no one to tell.
      if clocks[index].votes.release(agent) { try? backend.setEnabled(false, ClockID(index)) }
      if clocks[index].changers.contains(agent) && !isShared(.clock, index, besides: agent) {
        backend.restore(ClockID(index))
      }
      clocks[index].forget(agent)
    }
  }
}
