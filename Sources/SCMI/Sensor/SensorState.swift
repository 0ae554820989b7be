// SCMI Sensor management protocol, platform side: what agents want of a sensor.

/// A trip point: each agent has its own ones, so that none can move another's.
struct TripPoint {
  var value: Int64 = 0
  /// Which crossings are told, and those that wait to be: bit 0 upwards, bit 1 downwards.
  var directions: UInt32 = 0
  var pending: UInt32 = 0

  static var up: UInt32 { 1 }
  static var down: UInt32 { 2 }

  /// The value went from `old` to `new`. Returns whether there is something to tell.
  mutating func cross(_ old: Int64, _ new: Int64) -> Bool {
    var crossed: UInt32 = 0
    if old < value && new >= value { crossed |= Self.up }
    if old > value && new <= value { crossed |= Self.down }
    // The newest crossing replaces one that was not told yet.
    if crossed & directions != 0 { pending = crossed & directions }
    return pending != 0
  }
}

/// All zero at first, as `PowercapDomainState`.
struct SensorState<let agentLimit: Int> {
  /// Agents that want time stamps.
  var timeStamps = AgentSet()
  var trips = [agentLimit of [4 of TripPoint]] { _ in InlineArray { _ in TripPoint() } }
  private var isRead = false
  private var read: Int64 = 0

  /// The value that trip points were compared with last.
  var value: Int64? {
    mutating get { isRead ? read : nil }
    set { (isRead, read) = (newValue != nil, newValue ?? 0) }
  }

  mutating func forget(_ agent: Int) {
    timeStamps.remove(agent)
    for i in 0..<4 { trips[agent][i] = TripPoint() }
  }

  mutating func endTripPoints(_ agent: Int) {
    for i in 0..<4 { trips[agent][i].pending = 0 }
  }
}
