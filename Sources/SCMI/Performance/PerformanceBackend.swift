// SCMI Performance domain management protocol: what a board gives the platform.

/// Tag of `PerformanceDomainID`.
public enum PerformanceDomainKind {}
/// A performance domain of the board.
public typealias PerformanceDomainID = ResourceID<PerformanceDomainKind>

/// What the power of levels is measured in, as it is sent.
public enum PowerUnit: UInt32, Sendable {
  /// Some linear scale.
  case abstract = 0
  /// Milliwatts.
  case milliwatts = 1
  /// Microwatts.
  case microwatts = 2
}

/// A performance domain as the board describes it.
public struct PerformanceDomainDescription: Sendable {
  /// How many levels it has, in ascending order: see `PerformanceBackend.level`. 1 to 4095.
  public var levelCount: Int
  /// The highest frequency that it can sustain, in kilohertz.
  public var sustainedFrequencyKilohertz: UInt32
  /// The value of that level.
  public var sustainedLevel: UInt32
  /// The least time between two commands, in microseconds, below 2^20; 0 for unknown.
  public var rateLimitMicroseconds: UInt32
  /// Whether agents name levels by their index and not by their value. Not in SCMI 2.0.
  public var usesLevelIndices: Bool
  /// Whether agents can ask for notice of changes of its limits and its level.
  public var notifiesChanges: Bool

  /// A domain whose levels are named by value.
  public init(
    levelCount: Int, sustainedFrequencyKilohertz: UInt32, sustainedLevel: UInt32,
    rateLimitMicroseconds: UInt32 = 0, usesLevelIndices: Bool = false, notifiesChanges: Bool = true
  ) {
    self.levelCount = levelCount
    self.sustainedFrequencyKilohertz = sustainedFrequencyKilohertz
    self.sustainedLevel = sustainedLevel
    self.rateLimitMicroseconds = rateLimitMicroseconds
    self.usesLevelIndices = usesLevelIndices
    self.notifiesChanges = notifiesChanges
  }
}

/// One performance level.
public struct PerformanceLevel: Equatable, Sendable {
  /// Its value, above 0, on a scale of the board's own.
  public var value: UInt32
  /// The power that it takes, in the board's unit; 0 for unknown.
  public var power: UInt32
  /// The longest time to reach it, in microseconds.
  public var latencyMicroseconds: UInt16
  /// Its frequency in kilohertz.
  public var frequencyKilohertz: UInt32

  /// A level.
  public init(value: UInt32, power: UInt32, latencyMicroseconds: UInt16, frequencyKilohertz: UInt32) {
    self.value = value
    self.power = power
    self.latencyMicroseconds = latencyMicroseconds
    self.frequencyKilohertz = frequencyKilohertz
  }
}

/// The performance domains of a board, with levels by their index. Defaults: none.
public protocol PerformanceBackend: ~Copyable {
  /// How many performance domains there are.
  var performanceDomainCount: Int { get }
  /// What the power of levels is measured in.
  var performancePowerUnit: PowerUnit { get }
  /// What they are. A description does not change.
  mutating func performanceDomain(_ domain: PerformanceDomainID) -> PerformanceDomainDescription
  /// The domain's name.
  mutating func name(of domain: PerformanceDomainID) -> SCMIName
  /// The level at place `index` of its list.
  mutating func level(_ index: Int, of domain: PerformanceDomainID) -> PerformanceLevel
  /// The index of the level that it has.
  mutating func level(of domain: PerformanceDomainID) throws(SCMIStatus) -> Int
  /// Sets one of its levels, within its limits. The change itself may come later.
  mutating func setLevel(_ index: Int, of domain: PerformanceDomainID) throws(SCMIStatus)
  /// All agents' limits together: the level is to stay within. The lowest is not above the highest.
  mutating func setLimits(
    lowest: Int, highest: Int, of domain: PerformanceDomainID
  ) throws(SCMIStatus)
  /// The FastChannel of one agent for PERFORMANCE_LIMITS_SET to PERFORMANCE_LEVEL_GET, or nil.
  mutating func fastChannel(
    _ message: UInt8, of domain: PerformanceDomainID, for agent: AgentID
  ) -> FastChannel?
}

extension PerformanceBackend where Self: ~Copyable {
  /// None.
  public var performanceDomainCount: Int { 0 }
  /// None.
  public var performancePowerUnit: PowerUnit { .abstract }
  /// Never called.
  public mutating func performanceDomain(_ domain: PerformanceDomainID) -> PerformanceDomainDescription {
    PerformanceDomainDescription(levelCount: 0, sustainedFrequencyKilohertz: 0, sustainedLevel: 0)
  }
  /// Never called.
  public mutating func name(of domain: PerformanceDomainID) -> SCMIName { SCMIName("") }
  /// Never called.
  public mutating func level(_ index: Int, of domain: PerformanceDomainID) -> PerformanceLevel {
    PerformanceLevel(value: 0, power: 0, latencyMicroseconds: 0, frequencyKilohertz: 0)
  }
  /// Unknown.
  public mutating func level(of domain: PerformanceDomainID) throws(SCMIStatus) -> Int { throw .notSupported }
  /// Fixed.
  public mutating func setLevel(_ index: Int, of domain: PerformanceDomainID) throws(SCMIStatus) {
    throw .notSupported
  }
  /// Nothing to do: the platform checks levels against them.
  public mutating func setLimits(
    lowest: Int, highest: Int, of domain: PerformanceDomainID
  ) throws(SCMIStatus) {}
  /// None.
  public mutating func fastChannel(
    _ message: UInt8, of domain: PerformanceDomainID, for agent: AgentID
  ) -> FastChannel? { nil }
}

/// Limits by level index.
struct LevelLimits: Equatable {
  var lowest = 0
  /// The highest level, or more than any domain has.
  var highest = 0xFFFF
}

struct PerformanceDomainState<let agentLimit: Int> {
  /// The limits that each agent set.
  var limits = [agentLimit of LevelLimits] { _ in LevelLimits() }

  /// All limits together. Of limits that exclude each other, the highest level counts: it protects.
  mutating func limits(levelCount: Int) -> LevelLimits {
    var all = LevelLimits(lowest: 0, highest: levelCount - 1)
    for agent in 0..<agentLimit {
      all.lowest = max(all.lowest, limits[agent].lowest)
      all.highest = min(all.highest, limits[agent].highest)
    }
    all.lowest = min(all.lowest, all.highest)
    return all
  }
}
