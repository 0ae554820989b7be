// SCMI Powercap management protocol, platform side: caps, averaging intervals and FastChannels.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  /// POWERCAP_CAP_SET. A cap of 0 takes the agent's cap away.
  mutating func setCap(_ call: Call, _ request: RawSpan) throws(SCMIStatus) -> Int {
    let identifier: UInt32 = request.load(at: 4)
    let grant = try find(.powercapDomain, identifier, call)
    let flags: UInt32 = request.load(at: 8)
    let cap: UInt32 = request.load(at: 12)
    guard flags < 4 else { throw .invalidParameters }
    try checkCap(cap, grant)
    let domain = PowercapDomainID(Int(grant.resource))
    if flags & PowercapFlag.isAsynchronous == 0 {
      _ = try setCap(cap, domain, call.agent, operation: nil)
      return 0
    }
    guard backend.powercapDomain(domain).isAsynchronous else { throw .notSupported }
    let isSilent = flags & PowercapFlag.ignoresDelayedResponse != 0
    let operation = try begin(
      call, resource: domain.index, identifier: identifier, isSilent: isSilent)
    do throws(SCMIStatus) {
      if case .finished = try setCap(cap, domain, call.agent, operation: operation) { finish(operation) }
    } catch {
      abandon(operation)
      throw error
    }
    return 0
  }

  private mutating func checkCap(_ cap: UInt32, _ grant: Grant) throws(SCMIStatus) {
    let description = backend.powercapDomain(PowercapDomainID(Int(grant.resource)))
    guard canSetCap(grant, description) else { throw .denied }
    guard cap == 0 || description.cap.contains(cap) else { throw .invalidParameters }
  }

  /// One agent's cap. The board is told when the lowest of all changes.
  private mutating func setCap(
    _ cap: UInt32, _ domain: PowercapDomainID, _ agent: Int, operation: OperationID?
  ) throws(SCMIStatus) -> Progress {
    let none = backend.powercapDomain(domain).defaultCap
    let old = powercapDomains[domain.index].lowestCap(none: none)
    let own = powercapDomains[domain.index].caps[agent]
    powercapDomains[domain.index].caps[agent] = cap
    let new = powercapDomains[domain.index].lowestCap(none: none)
    if new == old { return .finished }
    do throws(SCMIStatus) {
      let progress = try backend.setCap(new, of: domain, operation: operation)
      if operation == nil { capChanged(domain, agent) }
      return progress
    } catch {
      powercapDomains[domain.index].caps[agent] = own
      throw error
    }
  }

  /// An asynchronous cap is set: the delayed response reports what holds.
  mutating func completeCapSet(_ operation: Operation, _ agent: Int) -> UInt64 {
    let domain = PowercapDomainID(Int(operation.resource))
    capChanged(domain, agent)
    do throws(SCMIStatus) { return UInt64(try backend.cap(of: domain)) } catch { return 0 }
  }

  private mutating func capChanged(_ domain: PowercapDomainID, _ agent: Int) {
    announce(.powercap, to: powercapDomains[domain.index].capChanged.raise(UInt8(agent + 1)))
  }

  /// POWERCAP_PAI_SET.
  mutating func setInterval(_ call: Call, _ request: RawSpan) throws(SCMIStatus) -> Int {
    let grant = try find(.powercapDomain, request.load(at: 4), call)
    guard request.load(UInt32.self, at: 8) == 0 else { throw .invalidParameters }
    try setInterval(request.load(at: 12), grant, call.agent)
    return 0
  }

  private mutating func setInterval(
    _ interval: UInt32, _ grant: Grant, _ agent: Int
  ) throws(SCMIStatus) {
    let domain = PowercapDomainID(Int(grant.resource))
    let description = backend.powercapDomain(domain)
    guard canSetInterval(grant, description) else { throw .denied }
    guard description.interval.contains(interval) else { throw .invalidParameters }
    try backend.setInterval(interval, of: domain)
    powercapDomains[domain.index].changers.insert(agent)
    capChanged(domain, agent)
  }

  /// An agent has written `value` to a FastChannel of POWERCAP_CAP_SET or POWERCAP_PAI_SET. `identifier` is
  /// what the agent calls the domain. The same is checked as for the command; what is refused is reported as
  /// an error and changes nothing. Traps for another message, and when there is no such agent.
  public mutating func powercapChannelWritten(
    _ message: UInt8, _ identifier: UInt32, _ value: UInt32, by agent: AgentID
  ) {
    precondition(
      message == PowercapMessage.capSet || message == PowercapMessage.intervalSet,
      "no FastChannel that agents write")
    let header = MessageHeader(.powercap, message)
    let call = Call(agent: index(of: agent), header: header, isLegacy: false)
    do throws(SCMIStatus) {
      let grant = try find(.powercapDomain, identifier, call)
      if message == PowercapMessage.capSet {
        try checkCap(value, grant)
        _ = try setCap(value, PowercapDomainID(Int(grant.resource)), call.agent, operation: nil)
      } else {
        try setInterval(value, grant, call.agent)
      }
    } catch {
      reportError(header, error, of: agent)
    }
  }

  /// The FastChannel for a message that an agent may send.
  mutating func powercapChannel(_ message: UInt8, _ grant: Grant, _ call: Call) -> FastChannel? {
    let domain = PowercapDomainID(Int(grant.resource))
    let description = backend.powercapDomain(domain)
    if message == PowercapMessage.capSet && !canSetCap(grant, description) { return nil }
    if message == PowercapMessage.intervalSet && !canSetInterval(grant, description) { return nil }
    return backend.fastChannel(message, of: domain, for: AgentID(UInt8(call.agent + 1)))
  }

  /// POWERCAP_DESCRIBE_FASTCHANNEL: all of them take 4 bytes.
  mutating func describePowercapChannel(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let grant = try find(.powercapDomain, request.load(at: 4), call)
    let message: UInt32 = request.load(at: 8)
    guard message < 16, PowercapMessage.rule(UInt8(message)).has(MessageRule.hasFastChannel) else {
      throw .invalidParameters
    }
    guard let channel = powercapChannel(UInt8(message), grant, call) else { throw .notSupported }
    return reply.write(channel, size: 4)
  }

  /// PROTOCOL_MESSAGE_ATTRIBUTES: whether some domain has a FastChannel for the message.
  mutating func powercapMessageAttributes(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let message: UInt32 = request.load(at: 4)
    var hasChannels = false
    if message >= UInt32(PowercapMessage.capGet) && message <= UInt32(PowercapMessage.intervalSet) {
      let place = Int(ResourceKind.powercapDomain.rawValue)
      for i in 0..<agents[call.agent].views[place].count where !hasChannels {
        let grant = agents[call.agent].views[place].grants[i]
        hasChannels = powercapChannel(UInt8(message), grant, call) != nil
      }
    }
    return try messageAttributes(call, request, &reply, hasFastChannels: hasChannels)
  }

  /// What an agent set or asked of the powercap domains that it sees.
  mutating func releasePowercapDomains(_ agent: Int) {
    for i in 0..<viewCount(.powercapDomain, agent) {
      let index = resource(.powercapDomain, i, agent)
      let domain = PowercapDomainID(index)
      powercapDomains[index].capChanged.forget(agent)
      powercapDomains[index].measured.forget(agent)
      // A cap that cannot be taken away stays, for nobody: there is no one to tell.
      _ = try? setCap(0, domain, agent, operation: nil)
      powercapDomains[index].caps[agent] = 0
      if powercapDomains[index].changers.contains(agent) {
        powercapDomains[index].changers.remove(agent)
        if !isShared(.powercapDomain, index, besides: agent) {
          try? backend.setInterval(backend.powercapDomain(domain).defaultInterval, of: domain)
        }
      }
    }
  }
}

func canSetCap(_ grant: Grant, _ description: PowercapDomainDescription) -> Bool {
  grant.rights.contains(.value) && description.cap.lowest != description.cap.highest
}

func canSetInterval(_ grant: Grant, _ description: PowercapDomainDescription) -> Bool {
  grant.rights.contains(.limits) && description.interval.lowest != description.interval.highest
}
