// SCMI System power management protocol: what a board gives the platform.

/// What an agent can do with the power state of its system.
public enum SystemPowerAccess: Sendable {
  /// Nothing: it does not see the protocol.
  case none
  /// It is told of requests.
  case observes
  /// It sets the state too.
  case controls
}

/// The systems of a board: agents of one system run in it, or manage it. Defaults: no states.
public protocol SystemPowerBackend: ~Copyable {
  /// Whether system `system` can go to a state.
  mutating func supports(_ state: SystemPowerState, system: UInt8) -> Bool
  /// The state of a system.
  mutating func systemPowerState(_ system: UInt8) throws(SCMIStatus) -> SystemPowerState
  /// Takes a system to a state that it supports.
  mutating func setSystemPowerState(_ state: SystemPowerState, system: UInt8) throws(SCMIStatus)
  /// The agents of a system have been asked to take it to a state gracefully. Returns how long they have, in
  /// milliseconds, before the board does it; 0 for ever.
  mutating func gracefulTimeout(_ state: SystemPowerState, system: UInt8) -> UInt32
}

extension SystemPowerBackend where Self: ~Copyable {
  /// None.
  public mutating func supports(_ state: SystemPowerState, system: UInt8) -> Bool { false }
  /// Unknown.
  public mutating func systemPowerState(_ system: UInt8) throws(SCMIStatus) -> SystemPowerState {
    throw .notSupported
  }
  /// Never called.
  public mutating func setSystemPowerState(
    _ state: SystemPowerState, system: UInt8
  ) throws(SCMIStatus) { throw .notSupported }
  /// For ever.
  public mutating func gracefulTimeout(_ state: SystemPowerState, system: UInt8) -> UInt32 { 0 }
}

/// What one agent is to be told of the power state of its system.
struct SystemPowerNotice {
  var isSubscribed = false
  var isPending = false
  var isGraceful = false
  var cause: UInt8 = 0
  var state = SystemPowerState.shutdown
  var timeoutMilliseconds: UInt32 = 0
}
