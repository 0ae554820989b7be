// SCMI Powercap management protocol: what a board gives the platform.

/// Tag of `PowercapDomainID`.
public enum PowercapDomainKind {}
/// A powercap domain of the board.
public typealias PowercapDomainID = ResourceID<PowercapDomainKind>

/// What can be set in steps: from a lowest to a highest value, both above 0, in steps of at least 1. One
/// value alone when both are the same.
public struct Adjustment: Equatable, Sendable {
  /// The lowest value.
  public var lowest: UInt32
  /// The highest value.
  public var highest: UInt32
  /// The distance of two values.
  public var step: UInt32

  /// A range of values. Traps when it is none.
  public init(lowest: UInt32, highest: UInt32, step: UInt32 = 1) {
    precondition(lowest > 0 && lowest <= highest && step > 0, "no range of values")
    self.lowest = lowest
    self.highest = highest
    self.step = step
  }

  func contains(_ value: UInt32) -> Bool {
    value >= lowest && value <= highest && (value - lowest) % step == 0
  }
}

/// A powercap domain as the board describes it.
public struct PowercapDomainDescription: Sendable {
  /// The averaging interval (PAI), in microseconds.
  public var interval: Adjustment
  /// The one that it starts with.
  public var defaultInterval: UInt32
  /// The cap, in the domain's unit.
  public var cap: Adjustment
  /// The one that holds while no agent has set one; 0 for none.
  public var defaultCap: UInt32
  /// The power that it can take for ever, in its unit.
  public var sustainablePower: UInt32
  /// The accuracy of measurements, in hundredths of a percent.
  public var accuracy: UInt32
  /// Milliwatts, microwatts, or an abstract scale.
  public var unit: PowerUnit
  /// The domain whose power contains this one's.
  public var parent: PowercapDomainID?
  /// Whether its power is measured.
  public var isMeasured: Bool
  /// Whether the cap can be set asynchronously.
  public var isAsynchronous: Bool
  /// Whether agents can ask for notice of changes, and of measurements that cross thresholds.
  public var notifiesChanges: Bool

  /// A domain whose power is measured.
  public init(
    interval: Adjustment, cap: Adjustment, sustainablePower: UInt32, accuracy: UInt32 = 0,
    unit: PowerUnit = .milliwatts, defaultCap: UInt32 = 0, parent: PowercapDomainID? = nil,
    isMeasured: Bool = true, isAsynchronous: Bool = false, notifiesChanges: Bool = true
  ) {
    precondition(defaultCap == 0 || cap.contains(defaultCap), "the cap that it starts with is no cap")
    self.interval = interval
    defaultInterval = interval.lowest
    self.cap = cap
    self.defaultCap = defaultCap
    self.sustainablePower = sustainablePower
    self.accuracy = accuracy
    self.unit = unit
    self.parent = parent
    self.isMeasured = isMeasured
    self.isAsynchronous = isAsynchronous
    self.notifiesChanges = notifiesChanges
  }
}

/// The powercap domains of a board. Defaults: none.
public protocol PowercapBackend: ~Copyable {
  /// How many powercap domains there are.
  var powercapDomainCount: Int { get }
  /// What they are. A description does not change.
  mutating func powercapDomain(_ domain: PowercapDomainID) -> PowercapDomainDescription
  /// The domain's name.
  mutating func name(of domain: PowercapDomainID) -> SCMIName
  /// The cap that holds, or 0 for none.
  mutating func cap(of domain: PowercapDomainID) throws(SCMIStatus) -> UInt32
  /// Sets the cap, the lowest that an agent wants, or 0 for none. With `operation`, it may do so later and
  /// return `.pending`.
  mutating func setCap(
    _ cap: UInt32, of domain: PowercapDomainID, operation: OperationID?
  ) throws(SCMIStatus) -> Progress
  /// The averaging interval, in microseconds.
  mutating func interval(of domain: PowercapDomainID) throws(SCMIStatus) -> UInt32
  /// Sets one of its intervals.
  mutating func setInterval(_ interval: UInt32, of domain: PowercapDomainID) throws(SCMIStatus)
  /// The power that it takes, averaged over the interval, in its unit.
  mutating func power(of domain: PowercapDomainID) throws(SCMIStatus) -> UInt32
  /// The FastChannel of one agent for POWERCAP_CAP_GET to POWERCAP_PAI_SET, or nil.
  mutating func fastChannel(
    _ message: UInt8, of domain: PowercapDomainID, for agent: AgentID
  ) -> FastChannel?
}

extension PowercapBackend where Self: ~Copyable {
  /// None.
  public var powercapDomainCount: Int { 0 }
  /// Never called.
  public mutating func powercapDomain(_ domain: PowercapDomainID) -> PowercapDomainDescription {
    let one = Adjustment(lowest: 1, highest: 1)
    return PowercapDomainDescription(interval: one, cap: one, sustainablePower: 0)
  }
  /// Never called.
  public mutating func name(of domain: PowercapDomainID) -> SCMIName { SCMIName("") }
  /// None.
  public mutating func cap(of domain: PowercapDomainID) throws(SCMIStatus) -> UInt32 { 0 }
  /// Fixed.
  public mutating func setCap(
    _ cap: UInt32, of domain: PowercapDomainID, operation: OperationID?
  ) throws(SCMIStatus) -> Progress { throw .notSupported }
  /// Unknown.
  public mutating func interval(of domain: PowercapDomainID) throws(SCMIStatus) -> UInt32 {
    throw .notSupported
  }
  /// Fixed.
  public mutating func setInterval(
    _ interval: UInt32, of domain: PowercapDomainID
  ) throws(SCMIStatus) { throw .notSupported }
  /// Unknown.
  public mutating func power(of domain: PowercapDomainID) throws(SCMIStatus) -> UInt32 {
    throw .notSupported
  }
  /// None.
  public mutating func fastChannel(
    _ message: UInt8, of domain: PowercapDomainID, for agent: AgentID
  ) -> FastChannel? { nil }
}

/// The thresholds of one agent.
struct PowerThresholds {
  var low: UInt32 = 0
  var high: UInt32 = 0

  /// Whether power that went from `old`, or came from nowhere, to `new` crossed one of them.
  func isCrossed(_ old: UInt32?, _ new: UInt32) -> Bool {
    if new >= high { return old == nil || old! < high }
    return new <= low && (old == nil || old! > low)
  }
}

/// All zero at first, so that a platform clears them and does not write each one.
struct PowercapDomainState<let agentLimit: Int> {
  /// The cap that each agent wants; 0 for none.
  var caps = [agentLimit of UInt32](repeating: 0)
  /// Of the agents that asked to be told.
  var thresholds = [agentLimit of PowerThresholds] { _ in PowerThresholds() }
  private var isMeasured = false
  private var measured: UInt32 = 0

  /// The power that thresholds were compared with last.
  var power: UInt32? {
    mutating get { isMeasured ? measured : nil }
    set { (isMeasured, measured) = (newValue != nil, newValue ?? 0) }
  }
}
