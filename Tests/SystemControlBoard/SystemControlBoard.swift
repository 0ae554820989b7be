// A board for the fuzz targets and the benchmark of the SCMI platform, in the Embedded subset.

package import SCMI

/// `count` resources of each kind, at least 2, with every feature, which do what they are told.
///
/// What agents set is kept and read back. Nothing that the platform lets through may be out of range: that
/// traps. Lists are longer than one message can hold.
package struct SystemControlBoard<let count: Int>: PlatformBackend {
  package var vendor: SCMIName { SCMIName("vendor") }
  package var subVendor: SCMIName { SCMIName("sub-vendor") }
  package var implementationVersion: UInt32 { 1 }
  package var hasDevices: Bool { true }
  package func hasDevice(_ device: BoardDeviceID) -> Bool { device.rawValue < 2 }
  package func device(of kind: ResourceKind, _ index: Int) -> BoardDeviceID? {
    BoardDeviceID(UInt32(index & 1))
  }

  private static var rateCount: Int { 20 }
  private static var levelCount: Int { 12 }
  private static var intervalCount: Int { 3 }
  private static var voltageCount: Int { 40 }

  /// Whether asynchronous commands stay pending; the last one that did.
  package var isSlow = false
  package var pending: OperationID?
  var clockRates = [count of UInt64](repeating: 100)
  var parent = 0
  var duty: UInt32 = 50
  var isOn = [count of Bool](repeating: false)
  var levels = [count of Int](repeating: 0)
  var voltages = [count of Int32](repeating: 100)
  var mode = VoltageMessage.on
  package var value: Int64 = 0
  var interval = 0
  var caps = [count of UInt32](repeating: 0)
  var averaging: UInt32 = 1
  package var power: UInt32 = 1
  var function: PinFunctionID?
  var setting: UInt32 = 0

  /// A board at rest.
  package init() {}

  /// How a command goes on that may be asynchronous.
  mutating func progress(_ operation: OperationID?) -> Progress {
    guard isSlow, let operation else { return .finished }
    pending = operation
    return .pending
  }
}

extension SystemControlBoard {
  package var clockCount: Int { count }
  package mutating func clock(_ clock: ClockID) -> ClockDescription {
    ClockDescription(
      rates: clock.index == 0 ? .list(count: Self.rateCount) : .range(lowest: 10, highest: .max, step: 7),
      parentCount: count, hasExtendedConfiguration: true)
  }
  package mutating func name(of clock: ClockID) -> SCMIName { SCMIName("a clock with a long name") }
  package mutating func supportedRate(_ index: Int, of clock: ClockID) -> UInt64 { UInt64(100 * (index + 1)) }
  package mutating func rate(of clock: ClockID) throws(SCMIStatus) -> UInt64 { clockRates[clock.index] }
  package mutating func setRate(
    _ rate: UInt64, of clock: ClockID, operation: OperationID?
  ) throws(SCMIStatus) -> Progress {
    precondition(
      clock.index == 0 ? rate % 100 == 0 && rate <= 100 * UInt64(Self.rateCount) : (rate - 10) % 7 == 0)
    clockRates[clock.index] = rate
    return progress(operation)
  }
  package mutating func possibleParent(_ index: Int, of clock: ClockID) -> ClockID { ClockID(index) }
  package mutating func parent(of clock: ClockID) throws(SCMIStatus) -> ClockID { ClockID(parent) }
  package mutating func setParent(_ parent: ClockID, of clock: ClockID) throws(SCMIStatus) {
    self.parent = parent.index
  }
  package mutating func configuration(_ type: UInt8, of clock: ClockID) throws(SCMIStatus) -> UInt32 { duty }
  package mutating func setConfiguration(_ value: UInt32, _ type: UInt8, of clock: ClockID) throws(SCMIStatus)
  {
    duty = value
  }
}

extension SystemControlBoard {
  package var powerDomainCount: Int { count }
  package mutating func powerDomain(_ domain: PowerDomainID) -> PowerDomainDescription {
    PowerDomainDescription(isAsynchronous: true)
  }
  package mutating func isOn(_ domain: PowerDomainID) throws(SCMIStatus) -> Bool { isOn[domain.index] }
  package mutating func setOn(_ isOn: Bool, _ domain: PowerDomainID, isAsynchronous: Bool) throws(SCMIStatus)
  {
    self.isOn[domain.index] = isOn
  }

  package mutating func supports(_ state: SystemPowerState, system: UInt8) -> Bool { state != .suspend }
  package mutating func systemPowerState(_ system: UInt8) throws(SCMIStatus) -> SystemPowerState { .powerUp }
  package mutating func setSystemPowerState(_ state: SystemPowerState, system: UInt8) throws(SCMIStatus) {}

  package var performanceDomainCount: Int { count }
  package mutating func performanceDomain(_ domain: PerformanceDomainID) -> PerformanceDomainDescription {
    PerformanceDomainDescription(
      levelCount: Self.levelCount, sustainedFrequencyKilohertz: 100, sustainedLevel: 10,
      usesLevelIndices: domain.index == 1)
  }
  package mutating func level(_ index: Int, of domain: PerformanceDomainID) -> PerformanceLevel {
    let value = UInt32(index + 1)
    return PerformanceLevel(value: value, power: 1, latencyMicroseconds: 1, frequencyKilohertz: value)
  }
  package mutating func level(of domain: PerformanceDomainID) throws(SCMIStatus) -> Int {
    levels[domain.index]
  }
  package mutating func setLevel(_ index: Int, of domain: PerformanceDomainID) throws(SCMIStatus) {
    precondition(index >= 0 && index < Self.levelCount)
    levels[domain.index] = index
  }
  package mutating func setLimits(lowest: Int, highest: Int, of domain: PerformanceDomainID)
    throws(SCMIStatus)
  {
    precondition(lowest >= 0 && lowest <= highest && highest < Self.levelCount)
  }
  package mutating func fastChannel(
    _ message: UInt8, of domain: PerformanceDomainID, for agent: AgentID
  ) -> FastChannel? { FastChannel(address: UInt64(message)) }

  package var resetDomainCount: Int { count }
  package mutating func resetDomain(_ domain: ResetDomainID) -> ResetDomainDescription {
    ResetDomainDescription(isAsynchronous: true)
  }
  package mutating func reset(
    _ domain: ResetDomainID, _ state: UInt32, operation: OperationID?
  ) throws(SCMIStatus) -> Progress { progress(operation) }
  package mutating func setAsserted(_ isAsserted: Bool, _ domain: ResetDomainID, _ state: UInt32)
    throws(SCMIStatus)
  {}
}

extension SystemControlBoard {
  package var sensorCount: Int { count }
  package mutating func sensor(_ sensor: SensorID) -> SensorDescription {
    SensorDescription(
      quantity: SensorQuantity(type: 2), axisCount: (sensor.index & 1) * 7, intervalCount: Self.intervalCount,
      timeStampExponent: -3, isAsynchronous: true, hasTripPoints: true, notifiesUpdates: true)
  }
  package mutating func axisName(_ index: Int, of sensor: SensorID) -> SCMIName { SCMIName("axis") }
  package mutating func reading(_ axis: Int, of sensor: SensorID) throws(SCMIStatus) -> SensorReading {
    precondition(axis < 7)
    return SensorReading(value: value, timeStamp: 1)
  }
  package mutating func startReading(of sensor: SensorID, operation: OperationID) throws(SCMIStatus)
    -> Progress
  {
    progress(operation)
  }
  package mutating func updateInterval(_ index: Int, of sensor: SensorID) -> UpdateInterval {
    UpdateInterval(1, exponent: 15 * (index - 1))
  }
  package mutating func currentInterval(of sensor: SensorID) throws(SCMIStatus) -> Int { interval }
  package mutating func setInterval(_ index: Int, of sensor: SensorID) throws(SCMIStatus) {
    precondition(index >= 0 && index < Self.intervalCount)
    interval = index
  }

  package var voltageDomainCount: Int { count }
  package mutating func voltageDomain(_ domain: VoltageDomainID) -> VoltageDomainDescription {
    VoltageDomainDescription(
      levels: domain.index == 0
        ? .list(count: Self.voltageCount) : .range(lowest: .min, highest: .max, step: 3),
      isAsynchronous: true)
  }
  package mutating func supportedLevel(_ index: Int, of domain: VoltageDomainID) -> Int32 {
    Int32(100 * index)
  }
  package mutating func mode(of domain: VoltageDomainID) throws(SCMIStatus) -> UInt32 { mode }
  package mutating func setMode(_ mode: UInt32, of domain: VoltageDomainID) throws(SCMIStatus) {
    self.mode = mode
  }
  package mutating func level(of domain: VoltageDomainID) throws(SCMIStatus) -> Int32 {
    voltages[domain.index]
  }
  package mutating func setLevel(
    _ level: Int32, of domain: VoltageDomainID, operation: OperationID?
  ) throws(SCMIStatus) -> Progress {
    voltages[domain.index] = level
    return progress(operation)
  }

  package var powercapDomainCount: Int { count }
  package mutating func powercapDomain(_ domain: PowercapDomainID) -> PowercapDomainDescription {
    PowercapDomainDescription(
      interval: Adjustment(lowest: 1, highest: 9), cap: Adjustment(lowest: 2, highest: 8, step: 2),
      sustainablePower: 8, parent: domain.index == 0 ? nil : PowercapDomainID(domain.index - 1),
      isAsynchronous: true)
  }
  package mutating func cap(of domain: PowercapDomainID) throws(SCMIStatus) -> UInt32 { caps[domain.index] }
  package mutating func setCap(
    _ cap: UInt32, of domain: PowercapDomainID, operation: OperationID?
  ) throws(SCMIStatus) -> Progress {
    precondition(cap <= 8 && cap % 2 == 0)
    caps[domain.index] = cap
    return progress(operation)
  }
  package mutating func interval(of domain: PowercapDomainID) throws(SCMIStatus) -> UInt32 { averaging }
  package mutating func setInterval(_ interval: UInt32, of domain: PowercapDomainID) throws(SCMIStatus) {
    precondition(interval >= 1 && interval <= 9)
    averaging = interval
  }
  package mutating func fastChannel(
    _ message: UInt8, of domain: PowercapDomainID, for agent: AgentID
  ) -> FastChannel? { FastChannel(address: UInt64(message)) }
  package mutating func power(of domain: PowercapDomainID) throws(SCMIStatus) -> UInt32 { power }
}

extension SystemControlBoard {
  package var pinCount: Int { count }
  package var pinGroupCount: Int { count }
  package var pinFunctionCount: Int { count }
  package mutating func pinCount(of group: PinGroupID) -> Int { group.index + 1 }
  package mutating func pin(_ index: Int, of group: PinGroupID) -> PinID { PinID(index) }
  package mutating func function(_ function: PinFunctionID) -> PinFunctionDescription {
    PinFunctionDescription(count: count, isPinFunction: function.index == 1)
  }
  package mutating func pin(_ index: Int, of function: PinFunctionID) -> PinID { PinID(index) }
  package mutating func group(_ index: Int, of function: PinFunctionID) -> PinGroupID { PinGroupID(index) }
  package mutating func selectedFunction(of target: PinTarget) throws(SCMIStatus) -> PinFunctionID? {
    function
  }
  package mutating func select(_ function: PinFunctionID?, of target: PinTarget) throws(SCMIStatus) {
    self.function = function
  }
  package mutating func settingCount(of target: PinTarget) -> Int { 1 }
  package mutating func setting(_ index: Int, of target: PinTarget) throws(SCMIStatus) -> PinSetting {
    PinSetting(type: 3, value: setting)
  }
  package mutating func supports(_ setting: PinSetting, of target: PinTarget) -> Bool { setting.type == 3 }
  package mutating func set(_ setting: PinSetting, of target: PinTarget) throws(SCMIStatus) {
    precondition(setting.type == 3)
    self.setting = setting.value
  }
}
