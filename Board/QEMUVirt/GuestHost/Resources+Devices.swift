// Clocks, power and reset of devices: the guest's own entropy device and real-time clock, and the source of
// entropy behind all entropy devices.

import Machine
import SCMI

// MARK: Clock

extension GuestResources {
  var clockCount: Int { 2 + guestCount }

  mutating func clock(_ clock: ClockID) -> ClockDescription {
    guard clock.index > ResourceTable.entropySource else {
      return ClockDescription(rates: .list(count: 1), enableLatencyMicroseconds: 10)
    }
    return ClockDescription(
      rates: .range(lowest: 1, highest: RealTimeClock.nominalRate * 32, step: 1),
      enableLatencyMicroseconds: 10)
  }

  mutating func name(of clock: ClockID) -> SCMIName {
    switch clock.index {
    case ResourceTable.counter: SCMIName("system-counter")
    case ResourceTable.entropySource: SCMIName("entropy-source")
    default: SCMIName("real-time")
    }
  }

  mutating func supportedRate(_ index: Int, of clock: ClockID) -> UInt64 { Clock.ticksPerSecond }

  mutating func rate(of clock: ClockID) throws(SCMIStatus) -> UInt64 {
    clock.index > ResourceTable.entropySource ? guests[clock.index - 2].realTime.rate : Clock.ticksPerSecond
  }

  mutating func setRate(
    _ rate: UInt64, of clock: ClockID, operation: OperationID?
  ) throws(SCMIStatus) -> Progress {
    if clock.index > ResourceTable.entropySource { guests[clock.index - 2].realTime.rate = rate }
    return .finished
  }

  mutating func isEnabled(_ clock: ClockID) throws(SCMIStatus) -> Bool {
    switch clock.index {
    case ResourceTable.counter: true
    case ResourceTable.entropySource: isSourceOn
    default: guests[clock.index - 2].realTime.isClocked
    }
  }

  /// The counter never stops.
  mutating func setEnabled(_ isEnabled: Bool, _ clock: ClockID) throws(SCMIStatus) {
    switch clock.index {
    case ResourceTable.counter: return
    case ResourceTable.entropySource:
      isSourceOn = isEnabled
      Gates.isSourceOn = isEnabled
    default: guests[clock.index - 2].realTime.isClocked = isEnabled
    }
  }

  mutating func restore(_ clock: ClockID) {
    if clock.index > ResourceTable.entropySource {
      guests[clock.index - 2].realTime.rate = RealTimeClock.nominalRate
    }
  }
}

// MARK: Power

extension GuestResources {
  var powerDomainCount: Int { guestCount * ResourceTable.domains }
  mutating func powerDomain(_ domain: PowerDomainID) -> PowerDomainDescription { PowerDomainDescription() }
  mutating func name(of domain: PowerDomainID) -> SCMIName { deviceName(domain.index) }

  private func deviceName(_ index: Int) -> SCMIName {
    index % ResourceTable.domains == ResourceTable.entropy ? SCMIName("entropy") : SCMIName("real-time")
  }

  mutating func isOn(_ domain: PowerDomainID) throws(SCMIStatus) -> Bool {
    let guest = domain.index / ResourceTable.domains
    return domain.index % ResourceTable.domains == ResourceTable.entropy
      ? guests[guest].isEntropyPowered : guests[guest].realTime.isPowered
  }

  mutating func setOn(
    _ isOn: Bool, _ domain: PowerDomainID, isAsynchronous: Bool
  ) throws(SCMIStatus) {
    let guest = domain.index / ResourceTable.domains
    if domain.index % ResourceTable.domains == ResourceTable.entropy {
      guests[guest].isEntropyPowered = isOn
      note(guest)
    } else {
      guests[guest].realTime.isPowered = isOn
    }
  }
}

// MARK: Reset

extension GuestResources {
  var resetDomainCount: Int { guestCount * ResourceTable.domains }
  mutating func resetDomain(_ domain: ResetDomainID) -> ResetDomainDescription {
    ResetDomainDescription(latencyMicroseconds: 10)
  }
  mutating func name(of domain: ResetDomainID) -> SCMIName { deviceName(domain.index) }

  mutating func reset(
    _ domain: ResetDomainID, _ state: UInt32, operation: OperationID?
  ) throws(SCMIStatus) -> Progress {
    let guest = domain.index / ResourceTable.domains
    if domain.index % ResourceTable.domains == ResourceTable.entropy {
      guests[guest].entropyResets &+= 1
      note(guest)
    } else {
      guests[guest].realTime.isHeld = true
      guests[guest].realTime.isHeld = false
    }
    return .finished
  }

  mutating func setAsserted(
    _ isAsserted: Bool, _ domain: ResetDomainID, _ state: UInt32
  ) throws(SCMIStatus) {
    let guest = domain.index / ResourceTable.domains
    if domain.index % ResourceTable.domains == ResourceTable.entropy {
      guests[guest].isEntropyHeld = isAsserted
      note(guest)
    } else {
      guests[guest].realTime.isHeld = isAsserted
    }
  }

  /// The entropy device runs when nobody holds it, for guests that know nothing of resets; the clock waits.
  mutating func restore(_ domain: ResetDomainID) {
    let guest = domain.index / ResourceTable.domains
    if domain.index % ResourceTable.domains == ResourceTable.entropy {
      guests[guest].isEntropyHeld = false
      note(guest)
    } else {
      guests[guest].realTime.isHeld = true
    }
  }
}
