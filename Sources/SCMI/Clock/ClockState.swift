// SCMI Clock management protocol, platform side: what agents want of a clock.

struct ClockState {
  var votes = Votes()
  /// Agents that changed its rate, parent or configuration since their reset.
  var changers = AgentSet()
  var changed = Notice()
  var requested = Notice()
  /// The rate that was requested last.
  var requestedRate: UInt64 = 0

  /// Forgets an agent, but for its vote.
  mutating func forget(_ agent: Int) {
    changers.remove(agent)
    changed.forget(agent)
    requested.forget(agent)
  }
}
