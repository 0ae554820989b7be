// What several agents want of one resource, and what they are told about it.

/// On or off, as agents want it: on as long as one of them does.
struct Votes {
  /// Agents that have turned it on or off since their reset, and those that hold it on.
  var deciders = AgentSet()
  var holders = AgentSet()

  /// What an agent last made of it, or nil when it left it alone.
  func state(for agent: Int) -> Bool? { deciders.contains(agent) ? holders.contains(agent) : nil }

  /// Whether one agent's wish changes the resource itself.
  func isDecidedBy(_ agent: Int) -> Bool { !holders.hasOther(than: agent) }

  mutating func set(_ agent: Int, _ isOn: Bool) {
    deciders.insert(agent)
    holders.set(agent, isOn)
  }

  /// Forgets an agent, and returns whether it was the last that held the resource on.
  mutating func release(_ agent: Int) -> Bool {
    let wasHolder = holders.contains(agent)
    deciders.remove(agent)
    holders.remove(agent)
    return wasHolder && holders.isEmpty
  }
}

/// One kind of notification about one resource. What happens again before it is sent is sent once.
struct Notice {
  var subscribers = AgentSet()
  var pending = AgentSet()
  /// The agent that caused it last, as it is sent.
  var cause: UInt32 = 0

  mutating func subscribe(_ agent: Int, _ isEnabled: Bool) {
    subscribers.set(agent, isEnabled)
    if !isEnabled { pending.remove(agent) }
  }

  /// Something happened. Returns whom to tell.
  mutating func raise(_ cause: AgentID) -> AgentSet {
    self.cause = UInt32(cause.rawValue)
    pending = subscribers
    return subscribers
  }
}
