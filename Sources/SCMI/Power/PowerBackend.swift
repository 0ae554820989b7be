// SCMI Power domain management protocol: what a board gives the platform.

/// Tag of `PowerDomainID`.
public enum PowerDomainKind {}
/// A power domain of the board.
public typealias PowerDomainID = ResourceID<PowerDomainKind>

/// A power domain as the board describes it.
public struct PowerDomainDescription: Sendable {
  /// Whether a command can wait for the new state.
  public var isSynchronous: Bool
  /// Whether it can be answered before.
  public var isAsynchronous: Bool
  /// Whether agents can ask for notice of changes of its state, and of requests for them.
  public var notifiesChanges: Bool

  /// A domain that changes its state while the command waits.
  public init(isSynchronous: Bool = true, isAsynchronous: Bool = false, notifiesChanges: Bool = true) {
    self.isSynchronous = isSynchronous
    self.isAsynchronous = isAsynchronous
    self.notifiesChanges = notifiesChanges
  }
}

/// The power domains of a board. Defaults: none.
public protocol PowerBackend: ~Copyable {
  /// How many power domains there are.
  var powerDomainCount: Int { get }
  /// What they are. A description does not change.
  mutating func powerDomain(_ domain: PowerDomainID) -> PowerDomainDescription
  /// The domain's name.
  mutating func name(of domain: PowerDomainID) -> SCMIName
  /// Whether it is on.
  mutating func isOn(_ domain: PowerDomainID) throws(SCMIStatus) -> Bool
  /// Turns it on or off: on for the first agent that wants it, off after the last one. Asynchronously, the
  /// embedder calls `SCMIPlatform.powerStateChanged` when it has changed.
  mutating func setOn(
    _ isOn: Bool, _ domain: PowerDomainID, isAsynchronous: Bool
  ) throws(SCMIStatus)
}

extension PowerBackend where Self: ~Copyable {
  /// None.
  public var powerDomainCount: Int { 0 }
  /// Never called.
  public mutating func powerDomain(_ domain: PowerDomainID) -> PowerDomainDescription {
    PowerDomainDescription()
  }
  /// Never called.
  public mutating func name(of domain: PowerDomainID) -> SCMIName { SCMIName("") }
  /// Never called.
  public mutating func isOn(_ domain: PowerDomainID) throws(SCMIStatus) -> Bool { true }
  /// Never called.
  public mutating func setOn(
    _ isOn: Bool, _ domain: PowerDomainID, isAsynchronous: Bool
  ) throws(SCMIStatus) { throw .notSupported }
}
