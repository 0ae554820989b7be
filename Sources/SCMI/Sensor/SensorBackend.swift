// SCMI Sensor management protocol: what a board gives the platform.

/// Tag of `SensorID`.
public enum SensorKind {}
/// A sensor of the board.
public typealias SensorID = ResourceID<SensorKind>

/// What one value of a sensor, or of an axis of it, is.
public struct SensorQuantity: Sendable {
  /// The unit, as it is sent: 2 for degrees Celsius, 5 for volts, and so on.
  public var type: UInt8
  /// The power of ten of the unit, -16 to 15.
  public var exponent: Int
  /// The least difference of two values, in `resolutionExponent` powers of ten of the unit, below 2^27.
  public var resolution: UInt32
  /// -16 to 15.
  public var resolutionExponent: Int
  /// The lowest value.
  public var lowest: Int64
  /// The highest value.
  public var highest: Int64

  /// A quantity. Traps when an exponent does not fit.
  public init(
    type: UInt8, exponent: Int = 0, resolution: UInt32 = 1, resolutionExponent: Int = 0,
    lowest: Int64 = .min, highest: Int64 = .max
  ) {
    precondition((-16...15).contains(exponent) && (-16...15).contains(resolutionExponent))
    self.type = type
    self.exponent = exponent
    self.resolution = resolution
    self.resolutionExponent = resolutionExponent
    self.lowest = lowest
    self.highest = highest
  }

  /// Type and exponent, as descriptors have them.
  var unitWord: UInt32 { UInt32(type) | (UInt32(truncatingIfNeeded: exponent) & 0x1F) << 11 }

  /// The resolution word.
  var resolutionWord: UInt32 {
    resolution & 0x7FF_FFFF | UInt32(truncatingIfNeeded: resolutionExponent) << 27
  }
}

/// A time in seconds: a count from 0 to 65535, and a power of ten from -16 to 15.
@frozen
public struct UpdateInterval: Equatable, Sendable {
  /// The interval as a list has it: the count in bits 5 to 20, the exponent in bits 0 to 4.
  public let word: UInt32

  /// The interval with that word.
  init(word: UInt32) { self.word = word & 0x1F_FFFF }

  /// `count` times ten to the power of `exponent` seconds. Traps when the exponent does not fit.
  public init(_ count: UInt16, exponent: Int) {
    precondition((-16...15).contains(exponent))
    word = UInt32(count) << 5 | UInt32(truncatingIfNeeded: exponent) & 0x1F
  }

  private var exponent: Int { Int(Int32(bitPattern: word << 27) >> 27) }

  /// The length in units of ten to the power of `exponent` seconds, not above this one's; 2^62 at most, which
  /// is more than any interval without a factor.
  private func scaled(_ exponent: Int) -> UInt64 {
    var value = UInt64(word >> 5)
    for _ in 0..<self.exponent - exponent {
      if value > 1 << 58 { return 1 << 62 }
      value *= 10
    }
    return value
  }

  /// Whether this is no longer than `other`.
  func isAtMost(_ other: UpdateInterval) -> Bool {
    let unit = min(exponent, other.exponent)
    return scaled(unit) <= other.scaled(unit)
  }

  /// Whether this is nearer to `below`, which is no longer, than to `above`, which is no shorter.
  func isNearer(to below: UpdateInterval, than above: UpdateInterval) -> Bool {
    let unit = min(exponent, min(below.exponent, above.exponent))
    return scaled(unit) - below.scaled(unit) <= above.scaled(unit) - scaled(unit)
  }
}

/// A sensor as the board describes it.
public struct SensorDescription: Sendable {
  /// What it measures. Of a sensor with axes, `SensorBackend.axis` says it for each.
  public var quantity: SensorQuantity
  /// How many axes it has, up to 7, or 0 for one value without an axis.
  public var axisCount: Int
  /// How many update intervals it has, in ascending order: see `SensorBackend.updateInterval`. Up to 4095.
  public var intervalCount: Int
  /// The power that it takes, in microwatts; 0 for unknown.
  public var powerMicrowatts: UInt32
  /// The power of ten of seconds that time stamps count in, -16 to 15, or nil when there are none.
  public var timeStampExponent: Int?
  /// Whether it can be read asynchronously.
  public var isAsynchronous: Bool
  /// Whether agents can set trip points.
  public var hasTripPoints: Bool
  /// Whether agents can ask for notice of each new value.
  public var notifiesUpdates: Bool

  /// A sensor of one value.
  public init(
    quantity: SensorQuantity, axisCount: Int = 0, intervalCount: Int = 0, powerMicrowatts: UInt32 = 0,
    timeStampExponent: Int? = nil, isAsynchronous: Bool = false, hasTripPoints: Bool = false,
    notifiesUpdates: Bool = false
  ) {
    precondition(axisCount <= 7, "more axes than a notification has room for")
    self.quantity = quantity
    self.axisCount = axisCount
    self.intervalCount = intervalCount
    self.powerMicrowatts = powerMicrowatts
    self.timeStampExponent = timeStampExponent
    self.isAsynchronous = isAsynchronous
    self.hasTripPoints = hasTripPoints
    self.notifiesUpdates = notifiesUpdates
  }
}

/// One value, and when it was taken.
public struct SensorReading: Equatable, Sendable {
  /// The value, in the sensor's unit and exponent.
  public var value: Int64
  /// The time, in the sensor's own unit.
  public var timeStamp: UInt64

  /// A value with its time.
  public init(value: Int64, timeStamp: UInt64 = 0) {
    self.value = value
    self.timeStamp = timeStamp
  }
}

/// The sensors of a board. Defaults: none.
public protocol SensorBackend: ~Copyable {
  /// How many sensors there are.
  var sensorCount: Int { get }
  /// What they are. A description does not change.
  mutating func sensor(_ sensor: SensorID) -> SensorDescription
  /// The sensor's name.
  mutating func name(of sensor: SensorID) -> SCMIName
  /// What an axis measures.
  mutating func axis(_ index: Int, of sensor: SensorID) -> SensorQuantity
  /// An axis's name.
  mutating func axisName(_ index: Int, of sensor: SensorID) -> SCMIName
  /// The newest value of an axis; of a sensor without axes, of axis 0.
  mutating func reading(_ axis: Int, of sensor: SensorID) throws(SCMIStatus) -> SensorReading
  /// Begins to take a value. `reading` gives it when the operation has finished.
  mutating func startReading(
    of sensor: SensorID, operation: OperationID
  ) throws(SCMIStatus) -> Progress
  /// Whether it is on.
  mutating func isEnabled(_ sensor: SensorID) throws(SCMIStatus) -> Bool
  /// Turns it on or off: on for the first agent that wants it, off after the last one.
  mutating func setEnabled(_ isEnabled: Bool, _ sensor: SensorID) throws(SCMIStatus)
  /// The update interval at place `index` of its list.
  mutating func updateInterval(_ index: Int, of sensor: SensorID) -> UpdateInterval
  /// The index of the interval that it has. Only for sensors with intervals.
  mutating func currentInterval(of sensor: SensorID) throws(SCMIStatus) -> Int
  /// Sets one of its intervals.
  mutating func setInterval(_ index: Int, of sensor: SensorID) throws(SCMIStatus)
}

extension SensorBackend where Self: ~Copyable {
  /// None.
  public var sensorCount: Int { 0 }
  /// Never called.
  public mutating func sensor(_ sensor: SensorID) -> SensorDescription {
    SensorDescription(quantity: SensorQuantity(type: 0))
  }
  /// Never called.
  public mutating func name(of sensor: SensorID) -> SCMIName { SCMIName("") }
  /// Never called.
  public mutating func axis(_ index: Int, of sensor: SensorID) -> SensorQuantity { SensorQuantity(type: 0) }
  /// Never called.
  public mutating func axisName(_ index: Int, of sensor: SensorID) -> SCMIName { SCMIName("") }
  /// Never called.
  public mutating func reading(_ axis: Int, of sensor: SensorID) throws(SCMIStatus) -> SensorReading {
    throw .notSupported
  }
  /// The newest value is there.
  public mutating func startReading(
    of sensor: SensorID, operation: OperationID
  ) throws(SCMIStatus) -> Progress { .finished }
  /// Always on.
  public mutating func isEnabled(_ sensor: SensorID) throws(SCMIStatus) -> Bool { true }
  /// Always on.
  public mutating func setEnabled(_ isEnabled: Bool, _ sensor: SensorID) throws(SCMIStatus) {}
  /// Never called.
  public mutating func updateInterval(_ index: Int, of sensor: SensorID) -> UpdateInterval {
    UpdateInterval(0, exponent: 0)
  }
  /// The first.
  public mutating func currentInterval(of sensor: SensorID) throws(SCMIStatus) -> Int { 0 }
  /// Fixed.
  public mutating func setInterval(_ index: Int, of sensor: SensorID) throws(SCMIStatus) {
    throw .notSupported
  }
}
