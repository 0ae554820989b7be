// Power, performance, reset and voltage domains of the board for tests.

import SCMI
import Wire

struct TestPower {
  var name = SCMIName("power")
  var description = PowerDomainDescription()
  var isOn = false
  var switches = 0
}

extension TestBoard {
  var powerDomainCount: Int { domains.count }
  func powerDomain(_ domain: PowerDomainID) -> PowerDomainDescription { domains[domain.index].description }
  func name(of domain: PowerDomainID) -> SCMIName { domains[domain.index].name }
  func isOn(_ domain: PowerDomainID) throws(SCMIStatus) -> Bool { domains[domain.index].isOn }

  mutating func setOn(_ isOn: Bool, _ domain: PowerDomainID, isAsynchronous: Bool) throws(SCMIStatus) {
    try check()
    domains[domain.index].isOn = isOn
    domains[domain.index].switches += 1
  }

  func statistics(of protocolID: ProtocolID, for agent: AgentID) -> SharedRegion? {
    guard agent == AgentID(1) else { return nil }
    return SharedRegion(address: 0x1_2345_6000 + UInt64(protocolID.rawValue), byteCount: 64)
  }
}

extension TestBoard {
  func supports(_ state: SystemPowerState, system: UInt8) -> Bool { systemStates.contains(state) }

  func systemPowerState(_ system: UInt8) throws(SCMIStatus) -> SystemPowerState { .powerUp }

  mutating func setSystemPowerState(_ state: SystemPowerState, system: UInt8) throws(SCMIStatus) {
    try check()
    systemSettings.append([UInt32(system), state.rawValue])
  }

  func gracefulTimeout(_ state: SystemPowerState, system: UInt8) -> UInt32 { 5000 }
}

struct TestPerformance {
  var name = SCMIName("cpu")
  var levels: [PerformanceLevel] = []
  var isIndexed = false
  var notifies = true
  var level = 0
  var limits: [Int] = []
  /// Messages with a FastChannel, for agent 1 alone.
  var channels: [UInt8: FastChannel] = [:]
}

extension TestBoard {
  var performanceDomainCount: Int { performance.count }

  func performanceDomain(_ domain: PerformanceDomainID) -> PerformanceDomainDescription {
    let it = performance[domain.index]
    return PerformanceDomainDescription(
      levelCount: it.levels.count, sustainedFrequencyKilohertz: 2_000_000, sustainedLevel: 20,
      rateLimitMicroseconds: 9, usesLevelIndices: it.isIndexed, notifiesChanges: it.notifies)
  }

  func name(of domain: PerformanceDomainID) -> SCMIName { performance[domain.index].name }

  func level(_ index: Int, of domain: PerformanceDomainID) -> PerformanceLevel {
    performance[domain.index].levels[index]
  }

  func level(of domain: PerformanceDomainID) throws(SCMIStatus) -> Int { performance[domain.index].level }

  mutating func setLevel(_ index: Int, of domain: PerformanceDomainID) throws(SCMIStatus) {
    try check()
    performance[domain.index].level = index
  }

  mutating func setLimits(
    lowest: Int, highest: Int, of domain: PerformanceDomainID
  ) throws(SCMIStatus) {
    try check()
    performance[domain.index].limits = [lowest, highest]
  }

  func fastChannel(
    _ message: UInt8, of domain: PerformanceDomainID, for agent: AgentID
  ) -> FastChannel? {
    agent == AgentID(1) ? performance[domain.index].channels[message] : nil
  }
}

struct TestReset {
  var name = SCMIName("reset")
  var description = ResetDomainDescription()
  var isAsserted = false
  var resets = 0
  var restores = 0
}

extension TestBoard {
  var resetDomainCount: Int { resets.count }
  func resetDomain(_ domain: ResetDomainID) -> ResetDomainDescription { resets[domain.index].description }
  func name(of domain: ResetDomainID) -> SCMIName { resets[domain.index].name }
  func supportsReset(_ state: UInt32, of domain: ResetDomainID) -> Bool { state == 0 || state == 1 << 31 }

  mutating func reset(
    _ domain: ResetDomainID, _ state: UInt32, operation: OperationID?
  ) throws(SCMIStatus) -> Progress {
    try check()
    resets[domain.index].resets += 1
    return progress(operation)
  }

  mutating func setAsserted(
    _ isAsserted: Bool, _ domain: ResetDomainID, _ state: UInt32
  ) throws(SCMIStatus) {
    try check()
    resets[domain.index].isAsserted = isAsserted
  }

  mutating func restore(_ domain: ResetDomainID) { resets[domain.index].restores += 1 }
}

struct TestVoltage {
  var name = SCMIName("vdd")
  var levels: [Int32] = []
  var range: VoltageLevels?
  var isAsynchronous = false
  var level: Int32 = 0
  var mode = VoltageMessage.on
  var restores = 0
}

extension TestBoard {
  var voltageDomainCount: Int { voltages.count }

  func voltageDomain(_ domain: VoltageDomainID) -> VoltageDomainDescription {
    let it = voltages[domain.index]
    return VoltageDomainDescription(
      levels: it.range ?? .list(count: it.levels.count), isAsynchronous: it.isAsynchronous)
  }

  func name(of domain: VoltageDomainID) -> SCMIName { voltages[domain.index].name }
  func supportedLevel(_ index: Int, of domain: VoltageDomainID) -> Int32 {
    voltages[domain.index].levels[index]
  }
  func supportsMode(_ mode: UInt32, of domain: VoltageDomainID) -> Bool {
    [VoltageMessage.off, VoltageMessage.on, 9].contains(mode)
  }
  func mode(of domain: VoltageDomainID) throws(SCMIStatus) -> UInt32 { voltages[domain.index].mode }

  mutating func setMode(_ mode: UInt32, of domain: VoltageDomainID) throws(SCMIStatus) {
    try check()
    voltages[domain.index].mode = mode
  }

  func level(of domain: VoltageDomainID) throws(SCMIStatus) -> Int32 { voltages[domain.index].level }

  mutating func setLevel(
    _ level: Int32, of domain: VoltageDomainID, operation: OperationID?
  ) throws(SCMIStatus) -> Progress {
    try check()
    voltages[domain.index].level = level
    return progress(operation)
  }

  mutating func restore(_ domain: VoltageDomainID) { voltages[domain.index].restores += 1 }
}
