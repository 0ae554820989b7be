// A board for the SCMI targets: two resources of each kind, with every feature, which do what they are told.

import SCMI

/// What agents set is kept and read back. Nothing that the platform lets through may be out of range.
struct FuzzBoard: PlatformBackend {
  var vendor: SCMIName { SCMIName("vendor") }
  var subVendor: SCMIName { SCMIName("sub-vendor") }
  var implementationVersion: UInt32 { 1 }
  var hasDevices: Bool { true }
  func hasDevice(_ device: BoardDeviceID) -> Bool { device.rawValue < 2 }
  func device(of kind: ResourceKind, _ index: Int) -> BoardDeviceID? { BoardDeviceID(UInt32(index & 1)) }

  /// Whether asynchronous commands stay pending; the last one that did.
  var isSlow = false
  var pending: OperationID?
  var clockRates = [2 of UInt64](repeating: 100)
  var parent = 0
  var duty: UInt32 = 50
  var isOn = [2 of Bool](repeating: false)
  var levels = [2 of Int](repeating: 0)
  var voltages = [2 of Int32](repeating: 100)
  var mode = VoltageMessage.on
  var value: Int64 = 0
  var interval = 0
  var caps = [2 of UInt32](repeating: 0)
  var averaging: UInt32 = 1
  var power: UInt32 = 1
  var function: PinFunctionID?
  var setting: UInt32 = 0

  mutating func progress(_ operation: OperationID?) -> Progress {
    guard isSlow, let operation else { return .finished }
    pending = operation
    return .pending
  }
}

extension FuzzBoard {
  var clockCount: Int { 2 }
  func clock(_ clock: ClockID) -> ClockDescription {
    ClockDescription(
      rates: clock.index == 0 ? .list(count: 3) : .range(lowest: 10, highest: .max, step: 7),
      parentCount: 2, hasExtendedConfiguration: true)
  }
  func name(of clock: ClockID) -> SCMIName { SCMIName("a clock with a long name") }
  func supportedRate(_ index: Int, of clock: ClockID) -> UInt64 { UInt64(100 * (index + 1)) }
  func rate(of clock: ClockID) throws(SCMIStatus) -> UInt64 { clockRates[clock.index] }
  mutating func setRate(
    _ rate: UInt64, of clock: ClockID, operation: OperationID?
  ) throws(SCMIStatus) -> Progress {
    precondition(clock.index == 0 ? rate % 100 == 0 && rate <= 300 : (rate - 10) % 7 == 0)
    clockRates[clock.index] = rate
    return progress(operation)
  }
  func possibleParent(_ index: Int, of clock: ClockID) -> ClockID { ClockID(index) }
  func parent(of clock: ClockID) throws(SCMIStatus) -> ClockID { ClockID(parent) }
  mutating func setParent(_ parent: ClockID, of clock: ClockID) throws(SCMIStatus) {
    self.parent = parent.index
  }
  func configuration(_ type: UInt8, of clock: ClockID) throws(SCMIStatus) -> UInt32 { duty }
  mutating func setConfiguration(_ value: UInt32, _ type: UInt8, of clock: ClockID) throws(SCMIStatus) {
    duty = value
  }
}

extension FuzzBoard {
  var powerDomainCount: Int { 2 }
  func powerDomain(_ domain: PowerDomainID) -> PowerDomainDescription {
    PowerDomainDescription(isAsynchronous: true)
  }
  func isOn(_ domain: PowerDomainID) throws(SCMIStatus) -> Bool { isOn[domain.index] }
  mutating func setOn(_ isOn: Bool, _ domain: PowerDomainID, isAsynchronous: Bool) throws(SCMIStatus) {
    self.isOn[domain.index] = isOn
  }

  func supports(_ state: SystemPowerState, system: UInt8) -> Bool { state != .suspend }
  func systemPowerState(_ system: UInt8) throws(SCMIStatus) -> SystemPowerState { .powerUp }
  func setSystemPowerState(_ state: SystemPowerState, system: UInt8) throws(SCMIStatus) {}

  var performanceDomainCount: Int { 2 }
  func performanceDomain(_ domain: PerformanceDomainID) -> PerformanceDomainDescription {
    PerformanceDomainDescription(
      levelCount: 4, sustainedFrequencyKilohertz: 100, sustainedLevel: 10,
      usesLevelIndices: domain.index == 1)
  }
  func level(_ index: Int, of domain: PerformanceDomainID) -> PerformanceLevel {
    let value = UInt32(index + 1)
    return PerformanceLevel(value: value, power: 1, latencyMicroseconds: 1, frequencyKilohertz: value)
  }
  func level(of domain: PerformanceDomainID) throws(SCMIStatus) -> Int { levels[domain.index] }
  mutating func setLevel(_ index: Int, of domain: PerformanceDomainID) throws(SCMIStatus) {
    precondition(index >= 0 && index < 4)
    levels[domain.index] = index
  }
  func setLimits(lowest: Int, highest: Int, of domain: PerformanceDomainID) throws(SCMIStatus) {
    precondition(lowest >= 0 && lowest <= highest && highest < 4)
  }
  func fastChannel(
    _ message: UInt8, of domain: PerformanceDomainID, for agent: AgentID
  ) -> FastChannel? { FastChannel(address: UInt64(message)) }

  var resetDomainCount: Int { 2 }
  func resetDomain(_ domain: ResetDomainID) -> ResetDomainDescription {
    ResetDomainDescription(isAsynchronous: true)
  }
  mutating func reset(
    _ domain: ResetDomainID, _ state: UInt32, operation: OperationID?
  ) throws(SCMIStatus) -> Progress { progress(operation) }
  func setAsserted(_ isAsserted: Bool, _ domain: ResetDomainID, _ state: UInt32) throws(SCMIStatus) {}
}

extension FuzzBoard {
  var sensorCount: Int { 2 }
  func sensor(_ sensor: SensorID) -> SensorDescription {
    SensorDescription(
      quantity: SensorQuantity(type: 2), axisCount: sensor.index * 7, intervalCount: 3,
      timeStampExponent: -3, isAsynchronous: true, hasTripPoints: true, notifiesUpdates: true)
  }
  func axisName(_ index: Int, of sensor: SensorID) -> SCMIName { SCMIName("axis") }
  func reading(_ axis: Int, of sensor: SensorID) throws(SCMIStatus) -> SensorReading {
    precondition(axis < 7)
    return SensorReading(value: value, timeStamp: 1)
  }
  mutating func startReading(of sensor: SensorID, operation: OperationID) throws(SCMIStatus) -> Progress {
    progress(operation)
  }
  func updateInterval(_ index: Int, of sensor: SensorID) -> UpdateInterval {
    UpdateInterval(1, exponent: 15 * (index - 1))
  }
  func currentInterval(of sensor: SensorID) throws(SCMIStatus) -> Int { interval }
  mutating func setInterval(_ index: Int, of sensor: SensorID) throws(SCMIStatus) {
    precondition(index >= 0 && index < 3)
    interval = index
  }

  var voltageDomainCount: Int { 2 }
  func voltageDomain(_ domain: VoltageDomainID) -> VoltageDomainDescription {
    VoltageDomainDescription(
      levels: domain.index == 0 ? .list(count: 2) : .range(lowest: .min, highest: .max, step: 3),
      isAsynchronous: true)
  }
  func supportedLevel(_ index: Int, of domain: VoltageDomainID) -> Int32 { Int32(100 * index) }
  func mode(of domain: VoltageDomainID) throws(SCMIStatus) -> UInt32 { mode }
  mutating func setMode(_ mode: UInt32, of domain: VoltageDomainID) throws(SCMIStatus) { self.mode = mode }
  func level(of domain: VoltageDomainID) throws(SCMIStatus) -> Int32 { voltages[domain.index] }
  mutating func setLevel(
    _ level: Int32, of domain: VoltageDomainID, operation: OperationID?
  ) throws(SCMIStatus) -> Progress {
    voltages[domain.index] = level
    return progress(operation)
  }

  var powercapDomainCount: Int { 2 }
  func powercapDomain(_ domain: PowercapDomainID) -> PowercapDomainDescription {
    PowercapDomainDescription(
      interval: Adjustment(lowest: 1, highest: 9), cap: Adjustment(lowest: 2, highest: 8, step: 2),
      sustainablePower: 8, parent: domain.index == 1 ? PowercapDomainID(0) : nil, isAsynchronous: true)
  }
  func cap(of domain: PowercapDomainID) throws(SCMIStatus) -> UInt32 { caps[domain.index] }
  mutating func setCap(
    _ cap: UInt32, of domain: PowercapDomainID, operation: OperationID?
  ) throws(SCMIStatus) -> Progress {
    precondition(cap <= 8 && cap % 2 == 0)
    caps[domain.index] = cap
    return progress(operation)
  }
  func interval(of domain: PowercapDomainID) throws(SCMIStatus) -> UInt32 { averaging }
  mutating func setInterval(_ interval: UInt32, of domain: PowercapDomainID) throws(SCMIStatus) {
    precondition(interval >= 1 && interval <= 9)
    averaging = interval
  }
  func power(of domain: PowercapDomainID) throws(SCMIStatus) -> UInt32 { power }
}

extension FuzzBoard {
  var pinCount: Int { 2 }
  var pinGroupCount: Int { 2 }
  var pinFunctionCount: Int { 2 }
  func pinCount(of group: PinGroupID) -> Int { group.index + 1 }
  func pin(_ index: Int, of group: PinGroupID) -> PinID { PinID(index) }
  func function(_ function: PinFunctionID) -> PinFunctionDescription {
    PinFunctionDescription(count: 2, isPinFunction: function.index == 1)
  }
  func pin(_ index: Int, of function: PinFunctionID) -> PinID { PinID(index) }
  func group(_ index: Int, of function: PinFunctionID) -> PinGroupID { PinGroupID(index) }
  func selectedFunction(of target: PinTarget) throws(SCMIStatus) -> PinFunctionID? { function }
  mutating func select(_ function: PinFunctionID?, of target: PinTarget) throws(SCMIStatus) {
    self.function = function
  }
  func settingCount(of target: PinTarget) -> Int { 1 }
  func setting(_ index: Int, of target: PinTarget) throws(SCMIStatus) -> PinSetting {
    PinSetting(type: 3, value: setting)
  }
  func supports(_ setting: PinSetting, of target: PinTarget) -> Bool { setting.type == 3 }
  mutating func set(_ setting: PinSetting, of target: PinTarget) throws(SCMIStatus) {
    precondition(setting.type == 3)
    self.setting = setting.value
  }
}
