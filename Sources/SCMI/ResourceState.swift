// What agents want of one resource, whatever its kind, and what they are told about it.

struct ResourceState {
  /// Agents that want it on; of a reset domain, that deasserted its reset.
  var votes = Votes()
  /// Agents that changed something of it since their reset.
  var changers = AgentSet()
  /// By the number of the notification.
  var notices = [2 of Notice](repeating: Notice())

  /// Forgets an agent. Says whether it had decided about the resource, was the last that held it, and had
  /// changed something of it.
  mutating func forget(_ agent: Int) -> (wasDecider: Bool, wasLastHolder: Bool, wasChanger: Bool) {
    let wasDecider = votes.deciders.contains(agent)
    let wasChanger = changers.contains(agent)
    endNotices(agent)
    changers.remove(agent)
    return (wasDecider, votes.release(agent), wasChanger)
  }

  mutating func endNotices(_ agent: Int) {
    notices[0].subscribe(agent, false)
    notices[1].subscribe(agent, false)
  }
}

/// The resources of all kinds.
struct ResourceTable<let limit: Int> {
  private var states = [10 of [limit of ResourceState]] { _ in InlineArray { _ in ResourceState() } }

  subscript(kind: ResourceKind, index: Int) -> ResourceState {
    @inline(__always) get { states[Int(kind.rawValue)][index] }
    @inline(__always) _modify { yield &states[Int(kind.rawValue)][index] }
  }
}
