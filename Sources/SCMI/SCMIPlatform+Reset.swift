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
    releasePowerDomains(agent)
    releasePerformanceDomains(agent)
    releaseClocks(agent)
    releaseSensors(agent)
    releaseResetDomains(agent)
    releaseVoltageDomains(agent)
    releasePowercapDomains(agent)
    releasePinControl(agent)
  }
}
