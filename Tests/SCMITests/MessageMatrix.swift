// Every message of SCMI 3.2, with parameters that are right on the board below, and what SCMI 2.0 has of it.
// Written from the specification, so that it says the same as the platform's tables only if they are right.

import SCMI
import Testing

/// One message.
struct MatrixMessage: CustomTestStringConvertible {
  let protocolID: ProtocolID
  let message: UInt8
  let testDescription: String
  /// Its parameters in 3.2 and in 2.0; nil where 2.0 does not have it.
  let parameters: [UInt32]
  let legacy: [UInt32]?
  /// Which parameter names a resource of the agent's view.
  let resource: Int?

  /// Of both profiles.
  init(
    _ protocolID: ProtocolID, _ message: UInt8, _ name: String, _ parameters: [UInt32],
    id resource: Int? = nil
  ) {
    self.init(protocolID, message, name, parameters, legacy: parameters, id: resource)
  }

  init(
    _ protocolID: ProtocolID, _ message: UInt8, _ name: String, _ parameters: [UInt32], legacy: [UInt32]?,
    id resource: Int? = nil
  ) {
    (self.protocolID, self.message, testDescription) = (protocolID, message, name)
    (self.parameters, self.legacy, self.resource) = (parameters, legacy, resource)
  }

  /// Its parameters in a profile.
  func parameters(_ profile: SCMIProfile) -> [UInt32]? { profile == .version32 ? parameters : legacy }
}

/// A protocol's number, name and version in each profile; 0 where 2.0 does not have it.
private let protocols: [(ProtocolID, String, UInt32, UInt32)] = [
  (.base, "BASE", 0x20001, 0x20000), (.power, "POWER", 0x30001, 0x20000),
  (.systemPower, "SYSTEM", 0x20001, 0x10000), (.performance, "PERFORMANCE", 0x40000, 0x20000),
  (.clock, "CLOCK", 0x30000, 0x10000), (.sensor, "SENSOR", 0x30001, 0x10000),
  (.reset, "RESET", 0x30001, 0x10000), (.voltage, "VOLTAGE", 0x20001, 0),
  (.powercap, "POWERCAP", 0x20000, 0), (.pinControl, "PINCTRL", 0x10000, 0),
]

/// The messages that all protocols have.
private let common: [MatrixMessage] = protocols.flatMap { id, name, version, legacy in
  let isOld = legacy != 0
  return [
    MatrixMessage(id, 0x0, name + " PROTOCOL_VERSION", [], legacy: isOld ? [] : nil),
    MatrixMessage(id, 0x1, name + " PROTOCOL_ATTRIBUTES", [], legacy: isOld ? [] : nil),
    MatrixMessage(id, 0x2, name + " PROTOCOL_MESSAGE_ATTRIBUTES", [0], legacy: isOld ? [0] : nil),
    MatrixMessage(id, 0x10, name + " NEGOTIATE_PROTOCOL_VERSION", [version], legacy: nil),
  ]
}

private let management: [MatrixMessage] = [
  MatrixMessage(.base, 0x3, "BASE_DISCOVER_VENDOR", []),
  MatrixMessage(.base, 0x4, "BASE_DISCOVER_SUB_VENDOR", []),
  MatrixMessage(.base, 0x5, "BASE_DISCOVER_IMPLEMENTATION_VERSION", []),
  MatrixMessage(.base, 0x6, "BASE_DISCOVER_LIST_PROTOCOLS", [0]),
  MatrixMessage(.base, 0x7, "BASE_DISCOVER_AGENT", [1]),
  MatrixMessage(.base, 0x8, "BASE_NOTIFY_ERRORS", [1]),
  MatrixMessage(.base, 0x9, "BASE_SET_DEVICE_PERMISSIONS", [2, 7, 1]),
  MatrixMessage(.base, 0xA, "BASE_SET_PROTOCOL_PERMISSIONS", [2, 7, 0x14, 1]),
  MatrixMessage(.base, 0xB, "BASE_RESET_AGENT_CONFIGURATION", [2, 1]),
  MatrixMessage(.power, 0x3, "POWER_DOMAIN_ATTRIBUTES", [1], id: 0),
  MatrixMessage(.power, 0x4, "POWER_STATE_SET", [0, 1, 0], id: 1),
  MatrixMessage(.power, 0x5, "POWER_STATE_GET", [1], id: 0),
  MatrixMessage(.power, 0x6, "POWER_STATE_NOTIFY", [1, 1], id: 0),
  MatrixMessage(.power, 0x7, "POWER_STATE_CHANGE_REQUESTED_NOTIFY", [1, 1], id: 0),
  MatrixMessage(.power, 0x8, "POWER_DOMAIN_NAME_GET", [1], legacy: nil, id: 0),
  MatrixMessage(.systemPower, 0x3, "SYSTEM_POWER_STATE_SET", [0, 0]),
  MatrixMessage(.systemPower, 0x4, "SYSTEM_POWER_STATE_GET", []),
  MatrixMessage(.systemPower, 0x5, "SYSTEM_POWER_STATE_NOTIFY", [1]),
  MatrixMessage(.performance, 0x3, "PERFORMANCE_DOMAIN_ATTRIBUTES", [1], id: 0),
  MatrixMessage(.performance, 0x4, "PERFORMANCE_DESCRIBE_LEVELS", [1, 0], id: 0),
  MatrixMessage(.performance, 0x5, "PERFORMANCE_LIMITS_SET", [0, 20, 20], id: 0),
  MatrixMessage(.performance, 0x6, "PERFORMANCE_LIMITS_GET", [1], id: 0),
  MatrixMessage(.performance, 0x7, "PERFORMANCE_LEVEL_SET", [0, 20], id: 0),
  MatrixMessage(.performance, 0x8, "PERFORMANCE_LEVEL_GET", [1], id: 0),
  MatrixMessage(.performance, 0x9, "PERFORMANCE_NOTIFY_LIMITS", [1, 1], id: 0),
  MatrixMessage(.performance, 0xA, "PERFORMANCE_NOTIFY_LEVEL", [1, 1], id: 0),
  MatrixMessage(.performance, 0xB, "PERFORMANCE_DESCRIBE_FASTCHANNEL", [0, 5], id: 0),
  MatrixMessage(.performance, 0xC, "PERFORMANCE_DOMAIN_NAME_GET", [1], legacy: nil, id: 0),
]

private let clocks: [MatrixMessage] = [
  MatrixMessage(.clock, 0x3, "CLOCK_ATTRIBUTES", [1], id: 0),
  MatrixMessage(.clock, 0x4, "CLOCK_DESCRIBE_RATES", [1, 0], id: 0),
  MatrixMessage(.clock, 0x5, "CLOCK_RATE_SET", [8, 1, 2, 0], id: 1),
  MatrixMessage(.clock, 0x6, "CLOCK_RATE_GET", [1], id: 0),
  MatrixMessage(.clock, 0x7, "CLOCK_CONFIG_SET", [1, 1, 0], legacy: [1, 1], id: 0),
  MatrixMessage(.clock, 0x8, "CLOCK_NAME_GET", [1], legacy: nil, id: 0),
  MatrixMessage(.clock, 0x9, "CLOCK_RATE_NOTIFY", [1, 1], legacy: nil, id: 0),
  MatrixMessage(.clock, 0xA, "CLOCK_RATE_CHANGE_REQUESTED_NOTIFY", [1, 1], legacy: nil, id: 0),
  MatrixMessage(.clock, 0xB, "CLOCK_CONFIG_GET", [1, 1], legacy: nil, id: 0),
  MatrixMessage(.clock, 0xC, "CLOCK_POSSIBLE_PARENTS_GET", [1, 0], legacy: nil, id: 0),
  MatrixMessage(.clock, 0xD, "CLOCK_PARENT_SET", [0, 1], legacy: nil, id: 0),
  MatrixMessage(.clock, 0xE, "CLOCK_PARENT_GET", [1], legacy: nil, id: 0),
  MatrixMessage(.clock, 0xF, "CLOCK_GET_PERMISSIONS", [1], legacy: nil, id: 0),
]

private let quantities: [MatrixMessage] = [
  MatrixMessage(.sensor, 0x3, "SENSOR_DESCRIPTION_GET", [0]),
  MatrixMessage(.sensor, 0x4, "SENSOR_TRIP_POINT_NOTIFY", [1, 1], id: 0),
  MatrixMessage(.sensor, 0x5, "SENSOR_TRIP_POINT_CONFIG", [1, 3, 5, 0], id: 0),
  MatrixMessage(.sensor, 0x6, "SENSOR_READING_GET", [1, 0], id: 0),
  MatrixMessage(.sensor, 0x7, "SENSOR_AXIS_DESCRIPTION_GET", [1, 0], legacy: nil, id: 0),
  MatrixMessage(.sensor, 0x8, "SENSOR_LIST_UPDATE_INTERVALS", [1, 0], legacy: nil, id: 0),
  MatrixMessage(.sensor, 0x9, "SENSOR_CONFIG_GET", [1], legacy: nil, id: 0),
  MatrixMessage(.sensor, 0xA, "SENSOR_CONFIG_SET", [1, 0], legacy: nil, id: 0),
  MatrixMessage(.sensor, 0xB, "SENSOR_CONTINUOUS_UPDATE_NOTIFY", [1, 1], legacy: nil, id: 0),
  MatrixMessage(.sensor, 0xC, "SENSOR_NAME_GET", [1], legacy: nil, id: 0),
  MatrixMessage(.sensor, 0xD, "SENSOR_AXIS_NAME_GET", [1, 0], legacy: nil, id: 0),
  MatrixMessage(.reset, 0x3, "RESET_DOMAIN_ATTRIBUTES", [1], id: 0),
  MatrixMessage(.reset, 0x4, "RESET", [1, 1, 0], id: 0),
  MatrixMessage(.reset, 0x5, "RESET_NOTIFY", [1, 1], id: 0),
  MatrixMessage(.reset, 0x6, "RESET_DOMAIN_NAME_GET", [1], legacy: nil, id: 0),
  MatrixMessage(.voltage, 0x3, "VOLTAGE_DOMAIN_ATTRIBUTES", [1], legacy: nil, id: 0),
  MatrixMessage(.voltage, 0x4, "VOLTAGE_DESCRIBE_LEVELS", [1, 0], legacy: nil, id: 0),
  MatrixMessage(.voltage, 0x5, "VOLTAGE_CONFIG_SET", [1, 7], legacy: nil, id: 0),
  MatrixMessage(.voltage, 0x6, "VOLTAGE_CONFIG_GET", [1], legacy: nil, id: 0),
  MatrixMessage(.voltage, 0x7, "VOLTAGE_LEVEL_SET", [0, 0, 1], legacy: nil, id: 0),
  MatrixMessage(.voltage, 0x8, "VOLTAGE_LEVEL_GET", [1], legacy: nil, id: 0),
  MatrixMessage(.voltage, 0x9, "VOLTAGE_DOMAIN_NAME_GET", [1], legacy: nil, id: 0),
  MatrixMessage(.powercap, 0x3, "POWERCAP_DOMAIN_ATTRIBUTES", [1], legacy: nil, id: 0),
  MatrixMessage(.powercap, 0x4, "POWERCAP_CAP_GET", [1], legacy: nil, id: 0),
  MatrixMessage(.powercap, 0x5, "POWERCAP_CAP_SET", [1, 0, 2], legacy: nil, id: 0),
  MatrixMessage(.powercap, 0x6, "POWERCAP_PAI_GET", [1], legacy: nil, id: 0),
  MatrixMessage(.powercap, 0x7, "POWERCAP_PAI_SET", [1, 0, 5], legacy: nil, id: 0),
  MatrixMessage(.powercap, 0x8, "POWERCAP_DOMAIN_NAME_GET", [1], legacy: nil, id: 0),
  MatrixMessage(.powercap, 0x9, "POWERCAP_MEASUREMENTS_GET", [1], legacy: nil, id: 0),
  MatrixMessage(.powercap, 0xA, "POWERCAP_CAP_NOTIFY", [1, 1], legacy: nil, id: 0),
  MatrixMessage(.powercap, 0xB, "POWERCAP_MEASUREMENTS_NOTIFY", [1, 1, 0, 9], legacy: nil, id: 0),
  MatrixMessage(.powercap, 0xC, "POWERCAP_DESCRIBE_FASTCHANNEL", [0, 5], legacy: nil, id: 0),
]

private let pins: [MatrixMessage] = [
  MatrixMessage(.pinControl, 0x3, "PINCTRL_ATTRIBUTES", [1, 1], legacy: nil, id: 0),
  MatrixMessage(.pinControl, 0x4, "PINCTRL_LIST_ASSOCIATIONS", [1, 1, 0], legacy: nil, id: 0),
  MatrixMessage(.pinControl, 0x5, "PINCTRL_SETTINGS_GET", [1, 1 << 18 | 1 << 16], legacy: nil, id: 0),
  // One setting of a group, with a function.
  MatrixMessage(
    .pinControl, 0x6, "PINCTRL_SETTINGS_CONFIGURE", [0, 0, 1 << 10 | 1 << 2 | 1, 1, 7], legacy: nil, id: 0),
  MatrixMessage(.pinControl, 0x7, "PINCTRL_REQUEST", [0, 1], legacy: nil, id: 0),
  MatrixMessage(.pinControl, 0x8, "PINCTRL_RELEASE", [1, 1], legacy: nil, id: 0),
  MatrixMessage(.pinControl, 0x9, "PINCTRL_NAME_GET", [1, 1], legacy: nil, id: 0),
  MatrixMessage(.pinControl, 0xA, "PINCTRL_SET_PERMISSIONS", [2, 1, 1], legacy: nil, id: 1),
]

/// All of them.
let messageMatrix = common + management + clocks + quantities + pins

/// A platform with everything. Its first agent has the profile, and may do and is told whatever there is.
func matrixBench(_ profile: SCMIProfile) -> (bench: Bench, agent: AgentID) {
  var board = wholeBoard()
  for i in 0..<2 { board.powercaps[i].channels = [5: FastChannel(address: 3)] }
  let bench = Bench(board)
  var agents: [AgentID] = []
  for name in [SCMIName("first"), SCMIName("second")] {
    agents.append(
      bench.platform.addAgent(
        AgentDescription(
          name: name, profile: profile, hasPlatformToAgentChannel: true, isTrusted: true,
          systemPower: .controls)))
  }
  for agent in agents {
    for (kind, count) in wholeView {
      for i in 0..<count { bench.platform.grant(kind, i, to: agent) }
    }
  }
  // So that there is something to release.
  if profile == .version32 { bench.send(.pinControl, 0x7, 1, 1, from: agents[0]) }
  return (bench, agents[0])
}
