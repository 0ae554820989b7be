// SCMI Clock management protocol, platform side: rates, parents and notifications.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  /// CLOCK_RATE_SET: the backend is given a rate that the clock has.
  mutating func setClockRate() throws(SCMIStatus) -> Int {
    let flags = call[0]
    let grant = try find(.clock, call[1])
    let clock = ClockID(Int(grant.resource))
    guard flags < 16 else { throw .invalidParameters }
    guard grant.rights.contains(.value) else { throw .denied }
    let rate = try roundedRate(call.wide(2), flags, clock)
    requestedRates[clock.index] = rate
    raise(ClockMessage.rateChangeRequested, .clock, clock.index, by: call.agentID)
    let isAsynchronous = flags & ClockRateFlag.isAsynchronous != 0
    if isAsynchronous {
      let isSilent = flags & ClockRateFlag.ignoresDelayedResponse != 0
      try begin(resource: clock.index, identifier: call[1], isSilent: isSilent)
    }
    let progress = try backend.setRate(rate, of: clock, operation: call.operation)
    if !isAsynchronous { changed(clock, call.agentID) }
    return conclude(progress)
  }

  /// The clock's rate next to `rate` as the flags say. INVALID_PARAMETERS outside its lowest and highest.
  private mutating func roundedRate(
    _ rate: UInt64, _ flags: UInt32, _ clock: ClockID
  ) throws(SCMIStatus) -> UInt64 {
    var (below, above): (UInt64, UInt64)
    switch backend.clock(clock).rates {
    case .range(let lowest, let highest, let step):
      guard rate >= lowest, rate <= highest else { throw .invalidParameters }
      below = rate - (rate - lowest) % step
      above = below == rate || highest - below < step ? below : below + step
    case .list(let count):
      var (first, end) = (0, count)
      // The first rate that is not below the wanted one.
      while first < end {
        let middle = (first + end) / 2
        if backend.supportedRate(middle, of: clock) < rate { first = middle + 1 } else { end = middle }
      }
      guard first < count else { throw .invalidParameters }
      above = backend.supportedRate(first, of: clock)
      guard above == rate || first > 0 else { throw .invalidParameters }
      below = above == rate ? above : backend.supportedRate(first - 1, of: clock)
    }
    if flags & ClockRateFlag.roundsToNearest != 0 { return rate - below <= above - rate ? below : above }
    return flags & ClockRateFlag.roundsUp != 0 ? above : below
  }

  /// The rate is set: the delayed response reports it.
  mutating func completeClockRateSet(_ operation: Operation, _ agent: AgentID) -> UInt64 {
    let clock = ClockID(Int(operation.resource))
    changed(clock, agent)
    do throws(SCMIStatus) { return try backend.rate(of: clock) } catch { return 0 }
  }

  mutating func subscribeToClock(_ event: UInt8) throws(SCMIStatus) -> Int {
    let index = try index(.clock)
    let isOffered = backend.clock(ClockID(index)).notifiesRateChanges
    return try subscribe(to: event, .clock, index, isOffered: isOffered)
  }

  /// Says that the board changed the rate of a clock by itself. Traps when there is no such clock.
  public mutating func rateChanged(_ clock: ClockID) {
    raise(ClockMessage.rateChanged, .clock, clock.index, by: .platform)
  }

  private mutating func changed(_ clock: ClockID, _ agent: AgentID) {
    resources[.clock, clock.index].changers.insert(Int(agent.rawValue) - 1)
    raise(ClockMessage.rateChanged, .clock, clock.index, by: agent)
  }

  /// CLOCK_RATE_CHANGED or CLOCK_RATE_CHANGE_REQUESTED.
  mutating func writeClockEvent(_ event: UInt8, _ clock: ClockID) throws(SCMIStatus) -> Int {
    let isRequest = event == ClockMessage.rateChangeRequested
    output.store(isRequest ? requestedRates[clock.index] : try backend.rate(of: clock), at: 12)
    return 20
  }

  /// CLOCK_POSSIBLE_PARENTS_GET: those that the agent sees.
  mutating func possibleClockParents() throws(SCMIStatus) -> Int {
    let clock = ClockID(try index(.clock))
    let skip = call[1]
    let total = backend.clock(clock).parentCount
    guard total > 0 else { throw .notSupported }
    let room = (call.room - 12) / 4
    var (seen, count): (UInt32, Int) = (0, 0)
    for i in 0..<total {
      guard let parent = identifier(of: .clock, backend.possibleParent(i, of: clock).index, call.agent)
      else { continue }
      if seen >= skip && count < room {
        output.store(parent, at: 12 + 4 * count)
        count += 1
      }
      seen += 1
    }
    guard skip <= seen else { throw .invalidParameters }
    output.store(UInt32(count) | (seen - skip - UInt32(count)) << 24, at: 8)
    return 4 + 4 * count
  }

  /// CLOCK_PARENT_SET.
  mutating func setClockParent() throws(SCMIStatus) -> Int {
    let grant = try find(.clock, call[0])
    let clock = ClockID(Int(grant.resource))
    let parent = ClockID(try index(.clock, 1))
    let total = backend.clock(clock).parentCount
    guard total > 0 else { throw .notSupported }
    guard grant.rights.contains(.parent) else { throw .denied }
    for i in 0..<total where backend.possibleParent(i, of: clock) == parent {
      try backend.setParent(parent, of: clock)
      resources[.clock, clock.index].changers.insert(call.agent)
      return 0
    }
    throw .invalidParameters
  }

  /// CLOCK_PARENT_GET: DENIED when the agent does not see the parent.
  mutating func clockParent() throws(SCMIStatus) -> Int {
    let clock = ClockID(try index(.clock))
    guard backend.clock(clock).parentCount > 0 else { throw .notSupported }
    let parent = try backend.parent(of: clock)
    guard let identifier = identifier(of: .clock, parent.index, call.agent) else { throw .denied }
    output.store(identifier, at: 8)
    return 4
  }
}
