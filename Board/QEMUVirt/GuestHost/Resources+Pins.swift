// Pins of a guest: two that carry its peripherals' voltage to the outside, or do nothing as plain pins.

import SCMI

extension GuestResources {
  var pinCount: Int { guestCount * 2 }
  var pinGroupCount: Int { guestCount }
  var pinFunctionCount: Int { guestCount * 2 }

  mutating func name(of pin: PinID) -> SCMIName { pin.index & 1 == 0 ? SCMIName("P0") : SCMIName("P1") }
  mutating func name(of group: PinGroupID) -> SCMIName { SCMIName("peripherals") }
  mutating func name(of function: PinFunctionID) -> SCMIName {
    isSupply(function) ? SCMIName("supply") : SCMIName("gpio")
  }
  private func isSupply(_ function: PinFunctionID) -> Bool { function.index & 1 != 0 }

  mutating func pinCount(of group: PinGroupID) -> Int { 2 }
  mutating func pin(_ index: Int, of group: PinGroupID) -> PinID { PinID(group.index * 2 + index) }
  mutating func function(_ function: PinFunctionID) -> PinFunctionDescription {
    PinFunctionDescription(count: 1, isGPIO: !isSupply(function))
  }
  mutating func group(_ index: Int, of function: PinFunctionID) -> PinGroupID {
    PinGroupID(function.index / 2)
  }

  private func guest(_ target: PinTarget) -> Int {
    switch target {
    case .pin(let pin): pin.index / 2
    case .group(let group): group.index
    }
  }

  /// Of the group alone.
  mutating func selectedFunction(of target: PinTarget) throws(SCMIStatus) -> PinFunctionID? {
    guard case .group(let group) = target else { return nil }
    return PinFunctionID(group.index * 2 + (guests[group.index].arePinsSupply ? 1 : 0))
  }
  mutating func select(_ function: PinFunctionID?, of target: PinTarget) throws(SCMIStatus) {
    guests[guest(target)].arePinsSupply = function.map { isSupply($0) } ?? false
  }

  /// One for all: how much current they give, in milliamperes.
  private static var driveStrength: UInt8 { 10 }
  mutating func settingCount(of target: PinTarget) -> Int { 1 }
  mutating func setting(_ index: Int, of target: PinTarget) throws(SCMIStatus) -> PinSetting {
    PinSetting(type: Self.driveStrength, value: guests[guest(target)].milliamperes)
  }
  mutating func supports(_ setting: PinSetting, of target: PinTarget) -> Bool {
    setting.type == Self.driveStrength && setting.value >= 2 && setting.value <= 12
  }
  mutating func set(_ setting: PinSetting, of target: PinTarget) throws(SCMIStatus) {
    guests[guest(target)].milliamperes = setting.value
  }
  mutating func restore(_ target: PinTarget) {
    guests[guest(target)].arePinsSupply = true
    guests[guest(target)].milliamperes = 4
  }
}
