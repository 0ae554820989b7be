// SCMI: what a channel finds out about its agent after the board was set up.

extension SCMIPlatform where Backend: ~Copyable {
  /// Says whether the channel of an agent can carry notifications and delayed responses from now on, where
  /// the agent decides it when it starts. Traps when there is no such agent.
  public mutating func setPlatformToAgentChannel(_ isThere: Bool, for agent: AgentID) {
    agents[index(of: agent)].description.hasPlatformToAgentChannel = isThere
  }
}
