// SCMI: what each agent sees. Set up by the board; looked up in every command.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  /// Adds an agent, which sees nothing but the Base protocol at first. Traps beyond `agentLimit`.
  public mutating func addAgent(_ description: AgentDescription) -> AgentID {
    precondition(agentCount < agentLimit, "too many agents")
    let agent = agentCount
    agentCount += 1
    agents[agent].description = description
    agents[agent].visibleProtocols = ProtocolID.base.bit
    if description.systemPower != .none { agents[agent].visibleProtocols |= ProtocolID.systemPower.bit }
    resetProfile(agent)
    return AgentID(UInt8(agent + 1))
  }

  /// Adds resource `index` of a kind to the end of an agent's view of that kind, where it keeps its place:
  /// the first one is 0 to the agent, the next one 1. Traps when there is no such resource or no room.
  public mutating func grant(
    _ kind: ResourceKind, _ index: Int, to agent: AgentID, rights: Rights = .all
  ) {
    precondition(index >= 0 && index < min(count(of: kind), resourceLimit), "there is no such resource")
    let (agent, place) = (self.index(of: agent), Int(kind.rawValue))
    precondition(identifier(of: kind, index, agent) == nil, "an agent sees a resource once")
    let count = agents[agent].views[place].count
    precondition(count < resourceLimit, "too many resources")
    agents[agent].views[place].grants[count] = Grant(resource: UInt16(index), rights: rights)
    agents[agent].views[place].count = count + 1
    let protocolID = kind.protocolID
    if agents[agent].description.profile == .version20 && protocolID.legacyVersion == 0 { return }
    agents[agent].visibleProtocols |= protocolID.bit
    updateRules(agent)
  }

  /// How many resources of a kind the board has.
  mutating func count(of kind: ResourceKind) -> Int {
    switch kind {
    case .powerDomain: backend.powerDomainCount
    case .performanceDomain: backend.performanceDomainCount
    case .clock: backend.clockCount
    case .resetDomain: backend.resetDomainCount
    case .voltageDomain: backend.voltageDomainCount
    case .sensor: backend.sensorCount
    case .powercapDomain: backend.powercapDomainCount
    case .pin: backend.pinCount
    case .pinGroup: backend.pinGroupCount
    case .pinFunction: backend.pinFunctionCount
    }
  }

  /// How many resources of a kind the agent sees.
  mutating func viewCount(_ kind: ResourceKind, _ agent: Int) -> Int {
    agents[agent].views[Int(kind.rawValue)].count
  }

  /// The board's number of what an agent calls `identifier`, which it sees.
  mutating func resource(_ kind: ResourceKind, _ identifier: Int, _ agent: Int) -> Int {
    Int(agents[agent].views[Int(kind.rawValue)].grants[identifier].resource)
  }

  /// The board's number of the resource that a parameter of the command names.
  mutating func index(_ kind: ResourceKind, _ place: Int = 0) throws(SCMIStatus) -> Int {
    Int(try find(kind, call[place]).resource)
  }

  /// The resource that the agent means by `identifier`. NOT_FOUND when it sees no such thing, DENIED when it
  /// may not use it now.
  @inline(never)
  mutating func find(_ kind: ResourceKind, _ identifier: UInt32) throws(SCMIStatus) -> Grant {
    try find(kind, identifier, call.agent)
  }

  /// What `agent` means, as above.
  @inline(__always)
  mutating func find(
    _ kind: ResourceKind, _ identifier: UInt32, _ agent: Int
  ) throws(SCMIStatus) -> Grant {
    let place = Int(kind.rawValue)
    guard Int(identifier) < agents[agent].views[place].count else { throw .notFound }
    let grant = agents[agent].views[place].grants[Int(identifier)]
    guard grant.denials == 0 else { throw .denied }
    return grant
  }

  /// What an agent calls resource `index`, if it sees it.
  mutating func identifier(of kind: ResourceKind, _ index: Int, _ agent: Int) -> UInt32? {
    let place = Int(kind.rawValue)
    for i in 0..<agents[agent].views[place].count
    where Int(agents[agent].views[place].grants[i].resource) == index {
      return UInt32(i)
    }
    return nil
  }

  /// Whether some other agent sees the resource too.
  mutating func isShared(_ kind: ResourceKind, _ index: Int, besides agent: Int) -> Bool {
    for other in 0..<agentCount where other != agent {
      if identifier(of: kind, index, other) != nil { return true }
    }
    return false
  }

  /// The protocols as the board set them up, before any negotiation.
  mutating func resetProfile(_ agent: Int) {
    agents[agent].legacyProtocols = agents[agent].description.profile == .version20 ? .max : 0
    updateRules(agent)
  }

  /// The message tables as an agent has them now: by the protocols that it sees and may use, and its versions
  /// of them.
  mutating func updateRules(_ agent: Int) {
    let usable = agents[agent].visibleProtocols & ~agents[agent].deniedProtocols
    for index in 0..<ProtocolID.count {
      let protocolID = ProtocolID(rawValue: UInt8(0x10 + index))
      let isLegacy = agents[agent].legacyProtocols & protocolID.bit != 0
      for message in 0..<16 {
        let rule =
          usable & protocolID.bit != 0
          ? protocolID.rule(UInt8(message)).rule(isLegacy: isLegacy) : .absent
        agents[agent].rules[16 * index + message] = rule
      }
    }
  }
}
