// SCMI Pin control protocol: what a board gives the platform.

/// Tag of `PinID`.
public enum PinKind {}
/// A pin of the board.
public typealias PinID = ResourceID<PinKind>
/// Tag of `PinGroupID`.
public enum PinGroupKind {}
/// A group of pins of the board.
public typealias PinGroupID = ResourceID<PinGroupKind>
/// Tag of `PinFunctionID`.
public enum PinFunctionKind {}
/// A function of pins or groups of the board.
public typealias PinFunctionID = ResourceID<PinFunctionKind>

/// What has a function and settings.
public enum PinTarget: Equatable, Sendable {
  /// A single pin.
  case pin(PinID)
  /// All pins of a group.
  case group(PinGroupID)
}

/// A function as the board describes it.
public struct PinFunctionDescription: Sendable {
  /// Whether single pins have it, and not groups.
  public var isPinFunction: Bool
  /// Whether it is general-purpose input and output.
  public var isGPIO: Bool
  /// How many pins or groups can have it, up to 65535.
  public var count: Int

  /// A function of groups, or of single pins.
  public init(count: Int, isPinFunction: Bool = false, isGPIO: Bool = false) {
    self.count = count
    self.isPinFunction = isPinFunction
    self.isGPIO = isGPIO
  }
}

/// One setting of a pin or a group, such as the strength of a pull-up.
public struct PinSetting: Equatable, Sendable {
  /// The kind of setting, as it is sent.
  public var type: UInt8
  /// Its value.
  public var value: UInt32

  /// A setting.
  public init(type: UInt8, value: UInt32) {
    self.type = type
    self.value = value
  }
}

/// The pins of a board. Defaults: none.
public protocol PinControlBackend: ~Copyable {
  /// How many pins there are.
  var pinCount: Int { get }
  /// How many groups there are.
  var pinGroupCount: Int { get }
  /// How many functions there are.
  var pinFunctionCount: Int { get }
  /// The name of a pin.
  mutating func name(of pin: PinID) -> SCMIName
  /// The name of a group.
  mutating func name(of group: PinGroupID) -> SCMIName
  /// The name of a function.
  mutating func name(of function: PinFunctionID) -> SCMIName
  /// How many pins a group has: 1 to 65535.
  mutating func pinCount(of group: PinGroupID) -> Int
  /// The pin at place `index` of a group.
  mutating func pin(_ index: Int, of group: PinGroupID) -> PinID
  /// What a function is. A description does not change.
  mutating func function(_ function: PinFunctionID) -> PinFunctionDescription
  /// The pin at place `index` of a function of single pins.
  mutating func pin(_ index: Int, of function: PinFunctionID) -> PinID
  /// The group at place `index` of a function of groups.
  mutating func group(_ index: Int, of function: PinFunctionID) -> PinGroupID
  /// The function that a pin or a group has, or nil.
  mutating func selectedFunction(of target: PinTarget) throws(SCMIStatus) -> PinFunctionID?
  /// Gives it one of its functions, or none.
  mutating func select(_ function: PinFunctionID?, of target: PinTarget) throws(SCMIStatus)
  /// How many settings a pin or a group has, up to 255.
  mutating func settingCount(of target: PinTarget) -> Int
  /// The setting at place `index`, in ascending order of their types.
  mutating func setting(_ index: Int, of target: PinTarget) throws(SCMIStatus) -> PinSetting
  /// Whether a pin or a group has a setting of that type and value.
  mutating func supports(_ setting: PinSetting, of target: PinTarget) -> Bool
  /// Makes a setting that it supports.
  mutating func set(_ setting: PinSetting, of target: PinTarget) throws(SCMIStatus)
  /// The last agent that used a pin or a group gave it up: it goes back to its first function and settings.
  mutating func restore(_ target: PinTarget)
}

extension PinControlBackend where Self: ~Copyable {
  /// None.
  public var pinCount: Int { 0 }
  /// None.
  public var pinGroupCount: Int { 0 }
  /// None.
  public var pinFunctionCount: Int { 0 }
  /// Never called.
  public mutating func name(of pin: PinID) -> SCMIName { SCMIName("") }
  /// Never called.
  public mutating func name(of group: PinGroupID) -> SCMIName { SCMIName("") }
  /// Never called.
  public mutating func name(of function: PinFunctionID) -> SCMIName { SCMIName("") }
  /// Never called.
  public mutating func pinCount(of group: PinGroupID) -> Int { 0 }
  /// Never called.
  public mutating func pin(_ index: Int, of group: PinGroupID) -> PinID { PinID(0) }
  /// Never called.
  public mutating func function(_ function: PinFunctionID) -> PinFunctionDescription {
    PinFunctionDescription(count: 0)
  }
  /// Never called.
  public mutating func pin(_ index: Int, of function: PinFunctionID) -> PinID { PinID(0) }
  /// Never called.
  public mutating func group(_ index: Int, of function: PinFunctionID) -> PinGroupID { PinGroupID(0) }
  /// None.
  public mutating func selectedFunction(of target: PinTarget) throws(SCMIStatus) -> PinFunctionID? { nil }
  /// Fixed.
  public mutating func select(_ function: PinFunctionID?, of target: PinTarget) throws(SCMIStatus) {
    throw .notSupported
  }
  /// None.
  public mutating func settingCount(of target: PinTarget) -> Int { 0 }
  /// Never called.
  public mutating func setting(_ index: Int, of target: PinTarget) throws(SCMIStatus) -> PinSetting {
    throw .notSupported
  }
  /// None.
  public mutating func supports(_ setting: PinSetting, of target: PinTarget) -> Bool { false }
  /// Never called.
  public mutating func set(_ setting: PinSetting, of target: PinTarget) throws(SCMIStatus) {
    throw .notSupported
  }
  /// Nothing to do.
  public mutating func restore(_ target: PinTarget) {}
}

/// Who has a pin to itself.
struct PinState {
  /// The agent, counted from 1; 0 for nobody.
  var owner: UInt8 = 0
  /// Whether the owner asked for the pin itself, and for how many groups with it.
  var isRequested = false
  var groupCount: UInt16 = 0

  mutating func releaseIfUnused() {
    if !isRequested && groupCount == 0 { owner = 0 }
  }
}
