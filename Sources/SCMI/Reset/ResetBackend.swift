// SCMI Reset domain management protocol: what a board gives the platform.

/// Tag of `ResetDomainID`.
public enum ResetDomainKind {}
/// A reset domain of the board.
public typealias ResetDomainID = ResourceID<ResetDomainKind>

/// A reset domain as the board describes it.
public struct ResetDomainDescription: Sendable {
  /// The longest time that a reset takes, in microseconds, or nil for unknown.
  public var latencyMicroseconds: UInt32?
  /// Whether an autonomous reset can be answered before it is done.
  public var isAsynchronous: Bool
  /// Whether agents can ask for notice of resets.
  public var notifiesResets: Bool

  /// A domain that resets while the command waits.
  public init(
    latencyMicroseconds: UInt32? = nil, isAsynchronous: Bool = false, notifiesResets: Bool = true
  ) {
    self.latencyMicroseconds = latencyMicroseconds
    self.isAsynchronous = isAsynchronous
    self.notifiesResets = notifiesResets
  }
}

/// The reset domains of a board. Defaults: none.
///
/// An agent that deasserts the reset of a domain uses it. While one does, no other agent can reset the
/// domain.
public protocol ResetBackend: ~Copyable {
  /// How many reset domains there are.
  var resetDomainCount: Int { get }
  /// What they are. A description does not change.
  mutating func resetDomain(_ domain: ResetDomainID) -> ResetDomainDescription
  /// The domain's name.
  mutating func name(of domain: ResetDomainID) -> SCMIName
  /// Whether a domain can be reset to a state as it is sent: 0 for a cold reset, from 0x8000_0000 on as the
  /// board defines it.
  mutating func supportsReset(_ state: UInt32, of domain: ResetDomainID) -> Bool
  /// Resets a domain to a state that it supports. With `operation`, it may do so later and return `.pending`.
  mutating func reset(
    _ domain: ResetDomainID, _ state: UInt32, operation: OperationID?
  ) throws(SCMIStatus) -> Progress
  /// Asserts or deasserts the reset of a domain.
  mutating func setAsserted(
    _ isAsserted: Bool, _ domain: ResetDomainID, _ state: UInt32
  ) throws(SCMIStatus)
  /// Nobody uses the domain any longer, as its last user was reset: it goes back to its first state.
  mutating func restore(_ domain: ResetDomainID)
}

extension ResetBackend where Self: ~Copyable {
  /// None.
  public var resetDomainCount: Int { 0 }
  /// Never called.
  public mutating func resetDomain(_ domain: ResetDomainID) -> ResetDomainDescription {
    ResetDomainDescription()
  }
  /// Never called.
  public mutating func name(of domain: ResetDomainID) -> SCMIName { SCMIName("") }
  /// A cold reset.
  public mutating func supportsReset(_ state: UInt32, of domain: ResetDomainID) -> Bool { state == 0 }
  /// None.
  public mutating func reset(
    _ domain: ResetDomainID, _ state: UInt32, operation: OperationID?
  ) throws(SCMIStatus) -> Progress { throw .notSupported }
  /// None.
  public mutating func setAsserted(
    _ isAsserted: Bool, _ domain: ResetDomainID, _ state: UInt32
  ) throws(SCMIStatus) { throw .notSupported }
  /// Nothing to do.
  public mutating func restore(_ domain: ResetDomainID) {}
}
