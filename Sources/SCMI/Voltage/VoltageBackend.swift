// SCMI Voltage domain management protocol: what a board gives the platform.

/// Tag of `VoltageDomainID`.
public enum VoltageDomainKind {}
/// A voltage domain of the board.
public typealias VoltageDomainID = ResourceID<VoltageDomainKind>

/// The levels that a voltage domain can have, in microvolts.
public enum VoltageLevels: Equatable, Sendable {
  /// From a lowest to a highest level in steps of at least 1.
  case range(lowest: Int32, highest: Int32, step: UInt32)
  /// That many levels, in ascending order: see `VoltageBackend.supportedLevel`. 1 to 4095.
  case list(count: Int)
}

/// A voltage domain as the board describes it.
public struct VoltageDomainDescription: Sendable {
  /// Its levels.
  public var levels: VoltageLevels
  /// Whether a command to set the level can be answered before it is done.
  public var isAsynchronous: Bool

  /// A domain with those levels.
  public init(levels: VoltageLevels, isAsynchronous: Bool = false) {
    self.levels = levels
    self.isAsynchronous = isAsynchronous
  }
}

/// The voltage domains of a board. Defaults: none.
public protocol VoltageBackend: ~Copyable {
  /// How many voltage domains there are.
  var voltageDomainCount: Int { get }
  /// What they are. A description does not change.
  mutating func voltageDomain(_ domain: VoltageDomainID) -> VoltageDomainDescription
  /// The domain's name.
  mutating func name(of domain: VoltageDomainID) -> SCMIName
  /// The level at place `index` of its list, in microvolts. Only for domains with a list.
  mutating func supportedLevel(_ index: Int, of domain: VoltageDomainID) -> Int32
  /// Whether it has a mode: `VoltageMessage.off` and `.on`, or one of 8 to 15.
  mutating func supportsMode(_ mode: UInt32, of domain: VoltageDomainID) -> Bool
  /// The mode that it is in.
  mutating func mode(of domain: VoltageDomainID) throws(SCMIStatus) -> UInt32
  /// Sets one of its modes: off after the last agent that wants it in another one.
  mutating func setMode(_ mode: UInt32, of domain: VoltageDomainID) throws(SCMIStatus)
  /// Its level in microvolts, when it is on.
  mutating func level(of domain: VoltageDomainID) throws(SCMIStatus) -> Int32
  /// Sets one of its levels. With `operation`, it may do so later and return `.pending`.
  mutating func setLevel(
    _ level: Int32, of domain: VoltageDomainID, operation: OperationID?
  ) throws(SCMIStatus) -> Progress
  /// An agent that changed its level was reset, and no other one sees it: it goes back to its first level.
  mutating func restore(_ domain: VoltageDomainID)
}

extension VoltageBackend where Self: ~Copyable {
  /// None.
  public var voltageDomainCount: Int { 0 }
  /// Never called.
  public mutating func voltageDomain(_ domain: VoltageDomainID) -> VoltageDomainDescription {
    VoltageDomainDescription(levels: .list(count: 0))
  }
  /// Never called.
  public mutating func name(of domain: VoltageDomainID) -> SCMIName { SCMIName("") }
  /// Never called.
  public mutating func supportedLevel(_ index: Int, of domain: VoltageDomainID) -> Int32 { 0 }
  /// On and off.
  public mutating func supportsMode(_ mode: UInt32, of domain: VoltageDomainID) -> Bool {
    mode == VoltageMessage.off || mode == VoltageMessage.on
  }
  /// Always on.
  public mutating func mode(of domain: VoltageDomainID) throws(SCMIStatus) -> UInt32 { VoltageMessage.on }
  /// Always on.
  public mutating func setMode(_ mode: UInt32, of domain: VoltageDomainID) throws(SCMIStatus) {}
  /// Unknown.
  public mutating func level(of domain: VoltageDomainID) throws(SCMIStatus) -> Int32 { throw .notSupported }
  /// Fixed.
  public mutating func setLevel(
    _ level: Int32, of domain: VoltageDomainID, operation: OperationID?
  ) throws(SCMIStatus) -> Progress { throw .notSupported }
  /// Nothing to do.
  public mutating func restore(_ domain: VoltageDomainID) {}
}
