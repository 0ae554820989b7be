// SCMI Clock management protocol, platform side: what agents want of a clock.

struct ClockState {
  /// Agents that have turned it on or off since their reset, and those that hold it on.
  var deciders = AgentSet()
  var holders = AgentSet()
  /// Agents that changed its rate, parent or configuration since their reset.
  var changers = AgentSet()
  /// Who asked for notice of changes, and is owed one; likewise of requests for changes.
  var changeSubscribers = AgentSet()
  var changePending = AgentSet()
  var requestSubscribers = AgentSet()
  var requestPending = AgentSet()
  /// Who caused the newest change and request, by agent number, and the rate that was requested.
  var changedBy: UInt8 = 0
  var requestedBy: UInt8 = 0
  var requestedRate: UInt64 = 0

  /// Forgets an agent, but for its hold on the clock.
  mutating func forget(_ agent: Int) {
    deciders.remove(agent)
    changers.remove(agent)
    changeSubscribers.remove(agent)
    changePending.remove(agent)
    requestSubscribers.remove(agent)
    requestPending.remove(agent)
  }
}
