// SCMI Clock management protocol, platform side: rates, parents and notifications.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  /// CLOCK_RATE_SET: the backend is given a rate that the clock has.
  mutating func setClockRate(_ call: Call, _ request: RawSpan) throws(SCMIStatus) -> Int {
    let flags: UInt32 = request.load(at: 4)
    let identifier: UInt32 = request.load(at: 8)
    let grant = try find(.clock, identifier, call)
    let clock = ClockID(Int(grant.resource))
    guard flags < 16 else { throw .invalidParameters }
    guard grant.rights.contains(.value) else { throw .denied }
    let rate = try roundedRate(request.load(at: 12), flags, clock)
    requested(rate, clock, call.agent)
    if flags & ClockRateFlag.isAsynchronous != 0 {
      let isSilent = flags & ClockRateFlag.ignoresDelayedResponse != 0
      let operation = try begin(
        call, resource: clock.index, identifier: identifier, isSilent: isSilent)
      do throws(SCMIStatus) {
        if case .finished = try backend.setRate(rate, of: clock, operation: operation) { finish(operation) }
      } catch {
        abandon(operation)
        throw error
      }
    } else {
      _ = try backend.setRate(rate, of: clock, operation: nil)
      changed(clock, call.agent)
    }
    return 0
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
  mutating func completeClockRateSet(_ operation: Operation, _ agent: Int) -> UInt64 {
    let clock = ClockID(Int(operation.resource))
    changed(clock, agent)
    do throws(SCMIStatus) { return try backend.rate(of: clock) } catch { return 0 }
  }

  /// CLOCK_RATE_NOTIFY and CLOCK_RATE_CHANGE_REQUESTED_NOTIFY.
  mutating func subscribeToClock(
    _ message: UInt8, _ call: Call, _ request: RawSpan
  ) throws(SCMIStatus) -> Int {
    let clock = ClockID(try index(.clock, call, request, at: 4))
    let isEnabled = try flag(request.load(at: 8))
    guard backend.clock(clock).notifiesRateChanges else { throw .notSupported }
    if message == ClockMessage.rateNotify {
      clocks[clock.index].changed.subscribe(call.agent, isEnabled)
    } else {
      clocks[clock.index].requested.subscribe(call.agent, isEnabled)
    }
    return 0
  }

  /// Says that the board changed the rate of a clock by itself. Traps when there is no such clock.
  public mutating func rateChanged(_ clock: ClockID) { notifyChange(clock, AgentID.platform.rawValue) }

  private mutating func changed(_ clock: ClockID, _ agent: Int) {
    clocks[clock.index].changers.insert(agent)
    notifyChange(clock, UInt8(agent + 1))
  }

  private mutating func notifyChange(_ clock: ClockID, _ cause: UInt8) {
    announce(.clock, to: clocks[clock.index].changed.raise(cause))
  }

  private mutating func requested(_ rate: UInt64, _ clock: ClockID, _ agent: Int) {
    clocks[clock.index].requestedRate = rate
    announce(.clock, to: clocks[clock.index].requested.raise(UInt8(agent + 1)))
  }

  /// CLOCK_RATE_CHANGED or CLOCK_RATE_CHANGE_REQUESTED, for the next clock that has one.
  mutating func nextClockEvent(_ agent: Int, _ buffer: inout MutableRawSpan) -> Int {
    let start = agents[agent].cursor
    for step in 0..<viewCount(.clock, agent) {
      let (identifier, index) = searched(.clock, start + step, agent)
      let isRequest = clocks[index].requested.pending.contains(agent)
      guard isRequest || clocks[index].changed.pending.contains(agent) else { continue }
      agents[agent].cursor = identifier
      let event = isRequest ? ClockMessage.rateChangeRequested : ClockMessage.rateChanged
      let cause = isRequest ? clocks[index].requested.cause : clocks[index].changed.cause
      var rate = clocks[index].requestedRate
      if isRequest {
        clocks[index].requested.pending.remove(agent)
      } else {
        clocks[index].changed.pending.remove(agent)
        agents[agent].cursor = identifier + 1
        do throws(SCMIStatus) { rate = try backend.rate(of: ClockID(index)) } catch { continue }
      }
      startNotification(.clock, event, cause: cause, &buffer)
      buffer.store(UInt32(identifier), at: 8)
      buffer.store(rate, at: 12)
      return 20
    }
    return 0
  }

  /// CLOCK_POSSIBLE_PARENTS_GET: those that the agent sees.
  mutating func possibleClockParents(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let clock = ClockID(try index(.clock, call, request, at: 4))
    let skip: UInt32 = request.load(at: 8)
    let total = backend.clock(clock).parentCount
    guard total > 0 else { throw .notSupported }
    let room = (reply.byteCount - 12) / 4
    var (seen, count): (UInt32, Int) = (0, 0)
    for i in 0..<total {
      guard let parent = identifier(of: .clock, backend.possibleParent(i, of: clock).index, call.agent)
      else { continue }
      if seen >= skip && count < room {
        reply.store(parent, at: 12 + 4 * count)
        count += 1
      }
      seen += 1
    }
    guard skip <= seen else { throw .invalidParameters }
    reply.store(UInt32(count) | (seen - skip - UInt32(count)) << 24, at: 8)
    return 4 + 4 * count
  }

  /// CLOCK_PARENT_SET.
  mutating func setClockParent(_ call: Call, _ request: RawSpan) throws(SCMIStatus) -> Int {
    let grant = try find(.clock, request.load(at: 4), call)
    let clock = ClockID(Int(grant.resource))
    let parent = ClockID(try index(.clock, call, request, at: 8))
    let total = backend.clock(clock).parentCount
    guard total > 0 else { throw .notSupported }
    guard grant.rights.contains(.parent) else { throw .denied }
    for i in 0..<total where backend.possibleParent(i, of: clock) == parent {
      try backend.setParent(parent, of: clock)
      clocks[clock.index].changers.insert(call.agent)
      return 0
    }
    throw .invalidParameters
  }

  /// CLOCK_PARENT_GET: DENIED when the agent does not see the parent.
  mutating func clockParent(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let clock = ClockID(try index(.clock, call, request, at: 4))
    guard backend.clock(clock).parentCount > 0 else { throw .notSupported }
    let parent = try backend.parent(of: clock)
    guard let identifier = identifier(of: .clock, parent.index, call.agent) else { throw .denied }
    reply.store(identifier, at: 8)
    return 4
  }
}
