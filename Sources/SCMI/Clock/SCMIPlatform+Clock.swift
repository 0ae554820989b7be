// SCMI Clock management protocol, platform side: descriptions, state and permissions.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  mutating func clock() throws(SCMIStatus) -> Int {
    switch call.header.message {
    case CommonMessage.attributes:
      output.store(UInt32(viewCount(.clock, call.agent)) | operationLimit() << 16, at: 8)
      return 4
    case ClockMessage.clockAttributes: return try clockAttributes()
    case ClockMessage.describeRates: return try describeClockRates()
    case ClockMessage.rateSet: return try setClockRate()
    case ClockMessage.configSet: return try setClockConfiguration()
    case ClockMessage.nameGet: return try nameGet(.clock)
    case ClockMessage.rateNotify: return try subscribeToClock(ClockMessage.rateChanged)
    case ClockMessage.rateChangeRequestedNotify:
      return try subscribeToClock(ClockMessage.rateChangeRequested)
    case ClockMessage.configGet: return try clockConfiguration()
    case ClockMessage.possibleParentsGet: return try possibleClockParents()
    case ClockMessage.parentSet: return try setClockParent()
    case ClockMessage.parentGet: return try clockParent()
    default: return try clockPermissions()
    }
  }

  /// CLOCK_ATTRIBUTES. SCMI 2.0 has bit 0 and the name alone.
  private mutating func clockAttributes() throws(SCMIStatus) -> Int {
    let grant = try find(.clock, call[0])
    let clock = ClockID(Int(grant.resource))
    var attributes = try isClockOn(clock) ? ClockAttribute.isEnabled : 0
    let isExtended = writeName(of: .clock, clock.index, at: 12)
    if !call.isLegacy {
      let description = backend.clock(clock)
      if grant.rights != .all { attributes |= ClockAttribute.isRestricted }
      if description.hasExtendedConfiguration { attributes |= ClockAttribute.hasExtendedConfiguration }
      if description.parentCount > 0 { attributes |= ClockAttribute.hasParents }
      if isExtended { attributes |= ClockAttribute.hasExtendedName }
      if description.notifiesRateChanges && call.hasChannel {
        attributes |= ClockAttribute.notifiesRateChanges | ClockAttribute.notifiesRateChangeRequests
      }
      output.store(description.enableLatencyMicroseconds, at: 28)
    }
    output.store(attributes, at: 8)
    return call.isLegacy ? 20 : 24
  }

  /// What the agent last made of the clock, or what it found.
  private mutating func isClockOn(_ clock: ClockID) throws(SCMIStatus) -> Bool {
    if let isOn = resources[.clock, clock.index].votes.state(for: call.agent) { return isOn }
    return try backend.isEnabled(clock)
  }

  /// CLOCK_DESCRIBE_RATES: a range is three entries, in one response.
  private mutating func describeClockRates() throws(SCMIStatus) -> Int {
    let clock = ClockID(try index(.clock))
    switch backend.clock(clock).rates {
    case .range(let lowest, let highest, let step):
      return try writeRange(lowest, highest, step)
    case .list(let total):
      var offset = 12
      for i in try part(of: total, size: 8) {
        output.store(backend.supportedRate(i, of: clock), at: offset)
        offset += 8
      }
      return offset - 8
    }
  }

  /// CLOCK_CONFIG_SET: on or off, and an extended configuration. SCMI 2.0 has bit 0 alone.
  private mutating func setClockConfiguration() throws(SCMIStatus) -> Int {
    let grant = try find(.clock, call[0])
    let clock = ClockID(Int(grant.resource))
    let attributes = call[1]
    let type = UInt8(truncatingIfNeeded: attributes >> 16)
    let state = attributes & 3
    let defined: UInt32 = call.isLegacy ? 1 : 0xFF_0003
    guard attributes & ~defined == 0, state != 2, state != 3 || type != 0 else { throw .invalidParameters }
    guard grant.rights.contains(.state) else { throw .denied }
    if type != 0 {
      guard backend.clock(clock).hasExtendedConfiguration else { throw .invalidParameters }
      try backend.setConfiguration(call[2], type, of: clock)
      resources[.clock, clock.index].changers.insert(call.agent)
    }
    if state != 3 { try setClockOn(clock, state == 1) }
    return 0
  }

  /// One agent's wish. The clock itself changes with the first that holds it and with the last.
  private mutating func setClockOn(_ clock: ClockID, _ isOn: Bool) throws(SCMIStatus) {
    if resources[.clock, clock.index].votes.isDecidedBy(call.agent) { try backend.setEnabled(isOn, clock) }
    resources[.clock, clock.index].votes.set(call.agent, isOn)
  }

  /// CLOCK_CONFIG_GET.
  private mutating func clockConfiguration() throws(SCMIStatus) -> Int {
    let clock = ClockID(try index(.clock))
    let flags = call[1]
    guard let type = UInt8(exactly: flags) else { throw .invalidParameters }
    var value: UInt32 = 0
    if type != 0 {
      guard backend.clock(clock).hasExtendedConfiguration else { throw .invalidParameters }
      value = try backend.configuration(type, of: clock)
    }
    let isOn = try isClockOn(clock)
    output.store(0 as UInt32, at: 8)
    output.store(isOn ? 1 : 0 as UInt32, at: 12)
    output.store(value, at: 16)
    return 12
  }

  /// CLOCK_GET_PERMISSIONS.
  private mutating func clockPermissions() throws(SCMIStatus) -> Int {
    let rights = try find(.clock, call[0]).rights
    var permissions: UInt32 = 0
    if rights.contains(.state) { permissions |= 1 << 31 }
    if rights.contains(.parent) { permissions |= 1 << 30 }
    if rights.contains(.value) { permissions |= 1 << 29 }
    output.store(permissions, at: 8)
    return 4
  }
}
