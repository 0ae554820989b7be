// Sensors, powercap domains and pins of the board for tests.

import SCMI
import Wire

struct TestSensor {
  var name = SCMIName("sensor")
  var description = SensorDescription(quantity: SensorQuantity(type: 2))
  var axes: [SensorQuantity] = []
  var axisNames: [SCMIName] = []
  var values: [Int64] = [0]
  var intervals: [UpdateInterval] = []
  var interval = 0
  var isOn = true
}

extension TestBoard {
  var sensorCount: Int { sensors.count }
  func sensor(_ sensor: SensorID) -> SensorDescription { sensors[sensor.index].description }
  func name(of sensor: SensorID) -> SCMIName { sensors[sensor.index].name }
  func axis(_ index: Int, of sensor: SensorID) -> SensorQuantity { sensors[sensor.index].axes[index] }
  func axisName(_ index: Int, of sensor: SensorID) -> SCMIName { sensors[sensor.index].axisNames[index] }

  func reading(_ axis: Int, of sensor: SensorID) throws(SCMIStatus) -> SensorReading {
    try check()
    return SensorReading(value: sensors[sensor.index].values[axis], timeStamp: 0x1_0000_0000 + UInt64(axis))
  }

  mutating func startReading(of sensor: SensorID, operation: OperationID) throws(SCMIStatus) -> Progress {
    try check()
    return progress(operation)
  }

  func isEnabled(_ sensor: SensorID) throws(SCMIStatus) -> Bool { sensors[sensor.index].isOn }

  mutating func setEnabled(_ isEnabled: Bool, _ sensor: SensorID) throws(SCMIStatus) {
    try check()
    sensors[sensor.index].isOn = isEnabled
  }

  func updateInterval(_ index: Int, of sensor: SensorID) -> UpdateInterval {
    sensors[sensor.index].intervals[index]
  }

  func currentInterval(of sensor: SensorID) throws(SCMIStatus) -> Int { sensors[sensor.index].interval }

  mutating func setInterval(_ index: Int, of sensor: SensorID) throws(SCMIStatus) {
    try check()
    sensors[sensor.index].interval = index
  }
}

struct TestPowercap {
  var name = SCMIName("package")
  var description: PowercapDomainDescription
  var cap: UInt32 = 0
  var interval: UInt32 = 1000
  var power: UInt32 = 50
  /// Messages with a FastChannel, for agent 1 alone.
  var channels: [UInt8: FastChannel] = [:]
}

extension TestBoard {
  var powercapDomainCount: Int { powercaps.count }
  func powercapDomain(_ domain: PowercapDomainID) -> PowercapDomainDescription {
    powercaps[domain.index].description
  }
  func name(of domain: PowercapDomainID) -> SCMIName { powercaps[domain.index].name }
  func cap(of domain: PowercapDomainID) throws(SCMIStatus) -> UInt32 { powercaps[domain.index].cap }

  mutating func setCap(
    _ cap: UInt32, of domain: PowercapDomainID, operation: OperationID?
  ) throws(SCMIStatus) -> Progress {
    try check()
    powercaps[domain.index].cap = cap
    return progress(operation)
  }

  func interval(of domain: PowercapDomainID) throws(SCMIStatus) -> UInt32 {
    powercaps[domain.index].interval
  }

  mutating func setInterval(_ interval: UInt32, of domain: PowercapDomainID) throws(SCMIStatus) {
    try check()
    powercaps[domain.index].interval = interval
  }

  func power(of domain: PowercapDomainID) throws(SCMIStatus) -> UInt32 { powercaps[domain.index].power }

  func fastChannel(_ message: UInt8, of domain: PowercapDomainID, for agent: AgentID) -> FastChannel? {
    agent == AgentID(1) ? powercaps[domain.index].channels[message] : nil
  }
}

/// Four pins, groups of pins 0 and 1 and of 1, 2 and 3; function 0 of both groups, function 1 of pin 3 alone.
/// Each pin and group has settings 1 and 5.
struct TestPins {
  var isThere = false
  var groups: [[Int]] = [[0, 1], [1, 2, 3]]
  var functions: [PinFunctionDescription] = [
    PinFunctionDescription(count: 2), PinFunctionDescription(count: 1, isPinFunction: true, isGPIO: true),
  ]
  var selected: [String: Int] = [:]
  var settings: [String: [UInt32]] = [:]
  var restores: [String] = []

  static func key(_ target: PinTarget) -> String {
    switch target {
    case .pin(let pin): "pin \(pin.index)"
    case .group(let group): "group \(group.index)"
    }
  }
}

extension TestBoard {
  var pinCount: Int { pins.isThere ? 4 : 0 }
  var pinGroupCount: Int { pins.isThere ? 2 : 0 }
  var pinFunctionCount: Int { pins.isThere ? 2 : 0 }
  func name(of pin: PinID) -> SCMIName { SCMIName(pin.index == 0 ? "pin 0" : "a pin with a long name") }
  func name(of group: PinGroupID) -> SCMIName { SCMIName("group") }
  func name(of function: PinFunctionID) -> SCMIName { SCMIName("function") }
  func pinCount(of group: PinGroupID) -> Int { pins.groups[group.index].count }
  func pin(_ index: Int, of group: PinGroupID) -> PinID { PinID(pins.groups[group.index][index]) }
  func function(_ function: PinFunctionID) -> PinFunctionDescription { pins.functions[function.index] }
  func pin(_ index: Int, of function: PinFunctionID) -> PinID { PinID(3) }
  func group(_ index: Int, of function: PinFunctionID) -> PinGroupID { PinGroupID(index) }

  func selectedFunction(of target: PinTarget) throws(SCMIStatus) -> PinFunctionID? {
    pins.selected[TestPins.key(target)].map { PinFunctionID($0) }
  }

  mutating func select(_ function: PinFunctionID?, of target: PinTarget) throws(SCMIStatus) {
    try check()
    pins.selected[TestPins.key(target)] = function?.index
  }

  func settingCount(of target: PinTarget) -> Int { 2 }

  func setting(_ index: Int, of target: PinTarget) throws(SCMIStatus) -> PinSetting {
    let values = pins.settings[TestPins.key(target)] ?? [10, 50]
    return PinSetting(type: index == 0 ? 1 : 5, value: values[index])
  }

  func supports(_ setting: PinSetting, of target: PinTarget) -> Bool {
    (setting.type == 1 || setting.type == 5) && setting.value <= 100
  }

  mutating func set(_ setting: PinSetting, of target: PinTarget) throws(SCMIStatus) {
    try check()
    pins.settings[TestPins.key(target), default: [10, 50]][setting.type == 1 ? 0 : 1] = setting.value
  }

  mutating func restore(_ target: PinTarget) { pins.restores.append(TestPins.key(target)) }
}
