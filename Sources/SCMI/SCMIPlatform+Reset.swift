// SCMI: an agent that starts over keeps nothing.

extension SCMIPlatform where Backend: ~Copyable {
  /// Gives up all that an agent holds, has subscribed to, has negotiated and is owed. The board's permissions
  /// and those that a trusted agent set stay. A channel calls it when its agent was reset. Traps when there
  /// is no such agent.
  public mutating func resetAgent(_ agent: AgentID) {
    let agent = index(of: agent)
    resetProfile(agent)
    dropOperations(agent)
    agents[agent].pendingProtocols = 0
    agents[agent].cursor = 0
    agents[agent].wantsErrors = false
    agents[agent].errorCount = 0
    agents[agent].systemPower = SystemPowerNotice()
    for place in 0..<ResourceKind.count {
      guard let kind = ResourceKind(rawValue: UInt8(place)) else { continue }
      for i in 0..<viewCount(kind, agent) { release(kind, resource(kind, i, agent), agent) }
    }
  }

  /// Gives up what an agent held, changed or asked of a resource. What the board does not take back stays as
  /// it is, for nobody: there is no one to tell.
  private mutating func release(_ kind: ResourceKind, _ index: Int, _ agent: Int) {
    let (wasDecider, wasLastHolder, wasChanger) = resources[kind, index].forget(agent)
    let isRestored = wasChanger && !isShared(kind, index, besides: agent)
    switch kind {
    case .powerDomain: if wasLastHolder { releasePowerDomain(PowerDomainID(index)) }
    case .performanceDomain: releaseLimits(PerformanceDomainID(index), agent)
    case .clock:
      if wasLastHolder { try? backend.setEnabled(false, ClockID(index)) }
      if isRestored { backend.restore(ClockID(index)) }
    case .sensor:
      sensors[index].forget(agent)
      if wasLastHolder { try? backend.setEnabled(false, SensorID(index)) }
    case .resetDomain:
      if wasDecider && resources[kind, index].votes.holders.isEmpty { backend.restore(ResetDomainID(index)) }
    case .voltageDomain:
      if wasLastHolder { try? backend.setMode(VoltageMessage.off, of: VoltageDomainID(index)) }
      if isRestored { backend.restore(VoltageDomainID(index)) }
    case .powercapDomain: releaseCap(PowercapDomainID(index), agent, restoresInterval: isRestored)
    case .pin, .pinGroup:
      let target: PinTarget = kind == .pin ? .pin(PinID(index)) : .group(PinGroupID(index))
      _ = release(target, agent)
      if wasChanger && resources[kind, index].changers.isEmpty { backend.restore(target) }
    case .pinFunction: break
    }
  }
}
