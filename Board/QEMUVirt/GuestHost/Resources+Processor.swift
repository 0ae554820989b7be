// Performance, voltage and power cap of a guest's cores.

import SCMI

// MARK: Performance

extension GuestResources {
  var performanceDomainCount: Int { guestCount }
  var performancePowerUnit: PowerUnit { .milliwatts }

  mutating func performanceDomain(_ domain: PerformanceDomainID) -> PerformanceDomainDescription {
    let highest = ProcessorModel.megahertz(ProcessorModel.levelCount - 1)
    return PerformanceDomainDescription(
      levelCount: ProcessorModel.levelCount, sustainedFrequencyKilohertz: highest * 1000,
      sustainedLevel: highest)
  }
  mutating func name(of domain: PerformanceDomainID) -> SCMIName { SCMIName("cores") }
  mutating func level(_ index: Int, of domain: PerformanceDomainID) -> PerformanceLevel {
    let megahertz = ProcessorModel.megahertz(index)
    return PerformanceLevel(
      value: megahertz, power: ProcessorModel.milliwatts(index), latencyMicroseconds: 100,
      frequencyKilohertz: megahertz * 1000)
  }
  mutating func level(of domain: PerformanceDomainID) throws(SCMIStatus) -> Int {
    guests[domain.index].processor.level
  }
  mutating func setLevel(_ index: Int, of domain: PerformanceDomainID) throws(SCMIStatus) {
    guests[domain.index].processor.wantedLevel = index
    note(domain.index)
  }
}

// MARK: Voltage

extension GuestResources {
  var voltageDomainCount: Int { guestCount * ResourceTable.domains }

  private mutating func isProcessor(_ domain: VoltageDomainID) -> Bool {
    domain.index % ResourceTable.domains == ResourceTable.processor
  }

  mutating func voltageDomain(_ domain: VoltageDomainID) -> VoltageDomainDescription {
    guard isProcessor(domain) else { return VoltageDomainDescription(levels: .list(count: 2)) }
    return VoltageDomainDescription(
      levels: .range(
        lowest: ProcessorModel.lowestVoltage, highest: ProcessorModel.highestVoltage,
        step: ProcessorModel.voltageStep))
  }
  mutating func name(of domain: VoltageDomainID) -> SCMIName {
    isProcessor(domain) ? SCMIName("vdd-cores") : SCMIName("vdd-peripherals")
  }
  mutating func supportedLevel(_ index: Int, of domain: VoltageDomainID) -> Int32 {
    index == 0 ? 1_800_000 : 3_300_000
  }
  /// The cores' voltage is always on.
  mutating func supportsMode(_ mode: UInt32, of domain: VoltageDomainID) -> Bool {
    mode == VoltageMessage.on || mode == VoltageMessage.off && !isProcessor(domain)
  }
  mutating func mode(of domain: VoltageDomainID) throws(SCMIStatus) -> UInt32 {
    isProcessor(domain) || guests[domain.index / ResourceTable.domains].arePeripheralsOn
      ? VoltageMessage.on : VoltageMessage.off
  }
  mutating func setMode(_ mode: UInt32, of domain: VoltageDomainID) throws(SCMIStatus) {
    // Those who held the cores' voltage give it up at their reset.
    if isProcessor(domain) { return }
    guests[domain.index / ResourceTable.domains].arePeripheralsOn = mode == VoltageMessage.on
  }
  mutating func level(of domain: VoltageDomainID) throws(SCMIStatus) -> Int32 {
    let guest = domain.index / ResourceTable.domains
    return isProcessor(domain) ? guests[guest].processor.microvolts : guests[guest].peripheralMicrovolts
  }
  mutating func setLevel(
    _ level: Int32, of domain: VoltageDomainID, operation: OperationID?
  ) throws(SCMIStatus) -> Progress {
    let guest = domain.index / ResourceTable.domains
    if isProcessor(domain) {
      guests[guest].processor.microvolts = level
      note(guest)
    } else {
      guests[guest].peripheralMicrovolts = level
    }
    return .finished
  }
  mutating func restore(_ domain: VoltageDomainID) {
    let guest = domain.index / ResourceTable.domains
    if isProcessor(domain) {
      guests[guest].processor.microvolts = ProcessorModel.nominalVoltage
      note(guest)
    } else {
      guests[guest].peripheralMicrovolts = 1_800_000
    }
  }
}

// MARK: Power cap

extension GuestResources {
  var powercapDomainCount: Int { guestCount }

  mutating func powercapDomain(_ domain: PowercapDomainID) -> PowercapDomainDescription {
    PowercapDomainDescription(
      interval: Adjustment(lowest: 100_000, highest: 1_000_000, step: 100_000),
      cap: Adjustment(lowest: 100, highest: 2000), sustainablePower: 1600, unit: .milliwatts)
  }
  mutating func name(of domain: PowercapDomainID) -> SCMIName { SCMIName("cores") }
  mutating func cap(of domain: PowercapDomainID) throws(SCMIStatus) -> UInt32 {
    guests[domain.index].processor.cap
  }
  mutating func setCap(
    _ cap: UInt32, of domain: PowercapDomainID, operation: OperationID?
  ) throws(SCMIStatus) -> Progress {
    guests[domain.index].processor.cap = cap
    note(domain.index)
    return .finished
  }
  mutating func interval(of domain: PowercapDomainID) throws(SCMIStatus) -> UInt32 {
    guests[domain.index].processor.capInterval
  }
  mutating func setInterval(_ interval: UInt32, of domain: PowercapDomainID) throws(SCMIStatus) {
    guests[domain.index].processor.capInterval = interval
  }
  mutating func power(of domain: PowercapDomainID) throws(SCMIStatus) -> UInt32 {
    measure(domain.index)
    return guests[domain.index].processor.power
  }
}
