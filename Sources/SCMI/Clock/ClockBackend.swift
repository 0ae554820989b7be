// SCMI Clock management protocol: what a board gives the platform.

/// The rates that a clock can run at, in hertz.
public enum ClockRates: Equatable, Sendable {
  /// From a lowest to a highest rate in steps of at least 1.
  case range(lowest: UInt64, highest: UInt64, step: UInt64)
  /// That many rates, in ascending order: see `ClockBackend.supportedRate`. 1 to 4095.
  case list(count: Int)
}

/// A clock as the board describes it.
public struct ClockDescription: Sendable {
  /// Its rates.
  public var rates: ClockRates
  /// The longest time that it takes to be on, in microseconds; 0 for unknown.
  public var enableLatencyMicroseconds: UInt32
  /// How many parents it can have, up to 255; 0 when it has none that can be chosen.
  public var parentCount: Int
  /// Whether it has extended configurations, such as a duty cycle.
  public var hasExtendedConfiguration: Bool
  /// Whether agents can ask for notice of changes of its rate, and of requests for them.
  public var notifiesRateChanges: Bool

  /// A clock with those rates, without parents and extended configurations.
  public init(
    rates: ClockRates, enableLatencyMicroseconds: UInt32 = 0, parentCount: Int = 0,
    hasExtendedConfiguration: Bool = false, notifiesRateChanges: Bool = true
  ) {
    self.rates = rates
    self.enableLatencyMicroseconds = enableLatencyMicroseconds
    self.parentCount = parentCount
    self.hasExtendedConfiguration = hasExtendedConfiguration
    self.notifiesRateChanges = notifiesRateChanges
  }
}

/// The clocks of a board. Defaults: none.
public protocol ClockBackend: ~Copyable {
  /// How many clocks there are.
  var clockCount: Int { get }
  /// What they are. A description does not change.
  mutating func clock(_ clock: ClockID) -> ClockDescription
  /// The clock's name.
  mutating func name(of clock: ClockID) -> SCMIName
  /// The rate at place `index` of its list. Only for clocks with a list.
  mutating func supportedRate(_ index: Int, of clock: ClockID) -> UInt64
  /// The rate that it runs at, or will run at when it is on, in hertz.
  mutating func rate(of clock: ClockID) throws(SCMIStatus) -> UInt64
  /// Sets one of its rates. With `operation`, it may do so later and return `.pending`.
  mutating func setRate(
    _ rate: UInt64, of clock: ClockID, operation: OperationID?
  ) throws(SCMIStatus) -> Progress
  /// Whether it is on.
  mutating func isEnabled(_ clock: ClockID) throws(SCMIStatus) -> Bool
  /// Turns it on or off: on for the first agent that wants it, off after the last one.
  mutating func setEnabled(_ isEnabled: Bool, _ clock: ClockID) throws(SCMIStatus)
  /// The clock that is its parent number `index`, below `parentCount`.
  mutating func possibleParent(_ index: Int, of clock: ClockID) -> ClockID
  /// The parent that it has.
  mutating func parent(of clock: ClockID) throws(SCMIStatus) -> ClockID
  /// Gives it one of its possible parents.
  mutating func setParent(_ parent: ClockID, of clock: ClockID) throws(SCMIStatus)
  /// Its extended configuration `type`, 1 to 255. INVALID_PARAMETERS for a type that it does not have.
  mutating func configuration(_ type: UInt8, of clock: ClockID) throws(SCMIStatus) -> UInt32
  /// Sets that. INVALID_PARAMETERS for a type or a value that it does not have.
  mutating func setConfiguration(_ value: UInt32, _ type: UInt8, of clock: ClockID) throws(SCMIStatus)
  /// An agent that changed it was reset, and no other one sees it: it goes back to its first rate, parent and
  /// configuration.
  mutating func restore(_ clock: ClockID)
}

extension ClockBackend where Self: ~Copyable {
  /// None.
  public var clockCount: Int { 0 }
  /// Never called.
  public mutating func clock(_ clock: ClockID) -> ClockDescription {
    ClockDescription(rates: .list(count: 0))
  }
  /// Never called.
  public mutating func name(of clock: ClockID) -> SCMIName { SCMIName("") }
  /// Never called.
  public mutating func supportedRate(_ index: Int, of clock: ClockID) -> UInt64 { 0 }
  /// Unknown.
  public mutating func rate(of clock: ClockID) throws(SCMIStatus) -> UInt64 { throw .notSupported }
  /// Fixed.
  public mutating func setRate(
    _ rate: UInt64, of clock: ClockID, operation: OperationID?
  ) throws(SCMIStatus) -> Progress { throw .notSupported }
  /// Always on.
  public mutating func isEnabled(_ clock: ClockID) throws(SCMIStatus) -> Bool { true }
  /// Always on.
  public mutating func setEnabled(_ isEnabled: Bool, _ clock: ClockID) throws(SCMIStatus) {}
  /// Never called.
  public mutating func possibleParent(_ index: Int, of clock: ClockID) -> ClockID { clock }
  /// None.
  public mutating func parent(of clock: ClockID) throws(SCMIStatus) -> ClockID { throw .notSupported }
  /// None.
  public mutating func setParent(_ parent: ClockID, of clock: ClockID) throws(SCMIStatus) {
    throw .notSupported
  }
  /// None.
  public mutating func configuration(_ type: UInt8, of clock: ClockID) throws(SCMIStatus) -> UInt32 {
    throw .invalidParameters
  }
  /// None.
  public mutating func setConfiguration(
    _ value: UInt32, _ type: UInt8, of clock: ClockID
  ) throws(SCMIStatus) { throw .invalidParameters }
  /// Nothing to do.
  public mutating func restore(_ clock: ClockID) {}
}
