// A board for tests: what backends were told, and faults on demand.

import SCMI
import Wire

/// A board with resources as plain data. Whoever sees `fault` set fails every call that changes something.
struct TestBoard: PlatformBackend {
  var vendor: SCMIName { SCMIName("Vendor") }
  var subVendor: SCMIName { SCMIName("A sub-vendor of a long name") }
  var implementationVersion: UInt32 { 0x0102_0304 }
  var hasDevices = true

  /// Thrown by whatever changes something.
  var fault: SCMIStatus?
  /// Asynchronous commands that were begun and not finished.
  var pending: [OperationID] = []
  /// Whether asynchronous commands are left pending.
  var isSlow = false
  var clocks: [TestClock] = []
  var domains: [TestPower] = []
  /// States that every system supports, and what was set: system and state.
  var systemStates: [SystemPowerState] = []
  var systemSettings: [[UInt32]] = []
  var performance: [TestPerformance] = []
  var performancePowerUnit = PowerUnit.milliwatts
  var resets: [TestReset] = []
  var voltages: [TestVoltage] = []
  var sensors: [TestSensor] = []
  var powercaps: [TestPowercap] = []
  var pins = TestPins()

  /// Device 7 has the first resource of every kind, device 8 the second one.
  func hasDevice(_ device: BoardDeviceID) -> Bool { device.rawValue == 7 || device.rawValue == 8 }

  func device(of kind: ResourceKind, _ index: Int) -> BoardDeviceID? {
    index < 2 ? BoardDeviceID(7 + UInt32(index)) : nil
  }

  func check() throws(SCMIStatus) {
    if let fault { throw fault }
  }

  /// How a command goes on that may be asynchronous.
  mutating func progress(_ operation: OperationID?) -> Progress {
    guard isSlow, let operation else { return .finished }
    pending.append(operation)
    return .pending
  }
}

struct TestClock {
  var name = SCMIName("clock")
  var rates: [UInt64] = []
  var range: ClockRates?
  var rate: UInt64 = 0
  var isOn = false
  var parents: [Int] = []
  var parent = 0
  /// Extended configuration 1; nil when it has none.
  var duty: UInt32?
  var notifies = true
  var latency: UInt32 = 0
  /// How often it was turned on or off, and restored.
  var switches = 0
  var restores = 0
}

extension TestBoard {
  var clockCount: Int { clocks.count }

  func clock(_ clock: ClockID) -> ClockDescription {
    let it = clocks[clock.index]
    return ClockDescription(
      rates: it.range ?? .list(count: it.rates.count), enableLatencyMicroseconds: it.latency,
      parentCount: it.parents.count, hasExtendedConfiguration: it.duty != nil,
      notifiesRateChanges: it.notifies)
  }

  func name(of clock: ClockID) -> SCMIName { clocks[clock.index].name }

  func supportedRate(_ index: Int, of clock: ClockID) -> UInt64 { clocks[clock.index].rates[index] }

  func rate(of clock: ClockID) throws(SCMIStatus) -> UInt64 { clocks[clock.index].rate }

  mutating func setRate(
    _ rate: UInt64, of clock: ClockID, operation: OperationID?
  ) throws(SCMIStatus) -> Progress {
    try check()
    clocks[clock.index].rate = rate
    return progress(operation)
  }

  func isEnabled(_ clock: ClockID) throws(SCMIStatus) -> Bool { clocks[clock.index].isOn }

  mutating func setEnabled(_ isEnabled: Bool, _ clock: ClockID) throws(SCMIStatus) {
    try check()
    clocks[clock.index].isOn = isEnabled
    clocks[clock.index].switches += 1
  }

  func possibleParent(_ index: Int, of clock: ClockID) -> ClockID {
    ClockID(clocks[clock.index].parents[index])
  }

  func parent(of clock: ClockID) throws(SCMIStatus) -> ClockID { ClockID(clocks[clock.index].parent) }

  mutating func setParent(_ parent: ClockID, of clock: ClockID) throws(SCMIStatus) {
    try check()
    clocks[clock.index].parent = parent.index
  }

  func configuration(_ type: UInt8, of clock: ClockID) throws(SCMIStatus) -> UInt32 {
    guard type == 1, let duty = clocks[clock.index].duty else { throw .invalidParameters }
    return duty
  }

  mutating func setConfiguration(_ value: UInt32, _ type: UInt8, of clock: ClockID) throws(SCMIStatus) {
    guard type == 1, value <= 100 else { throw .invalidParameters }
    clocks[clock.index].duty = value
  }

  mutating func restore(_ clock: ClockID) { clocks[clock.index].restores += 1 }
}
