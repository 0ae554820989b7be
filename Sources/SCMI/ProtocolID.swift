// SCMI protocols and their versions in the two profiles.

/// The number of a protocol.
@frozen
public struct ProtocolID: Equatable, Sendable {
  /// The number as it is sent.
  public let rawValue: UInt8

  /// Any number, known or not.
  @inline(__always)
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Base, which every agent has.
  public static var base: ProtocolID { ProtocolID(rawValue: 0x10) }
  /// Power domain management.
  public static var power: ProtocolID { ProtocolID(rawValue: 0x11) }
  /// System power management.
  public static var systemPower: ProtocolID { ProtocolID(rawValue: 0x12) }
  /// Performance domain management.
  public static var performance: ProtocolID { ProtocolID(rawValue: 0x13) }
  /// Clock management.
  public static var clock: ProtocolID { ProtocolID(rawValue: 0x14) }
  /// Sensor management.
  public static var sensor: ProtocolID { ProtocolID(rawValue: 0x15) }
  /// Reset domain management.
  public static var reset: ProtocolID { ProtocolID(rawValue: 0x16) }
  /// Voltage domain management.
  public static var voltage: ProtocolID { ProtocolID(rawValue: 0x17) }
  /// Power capping and monitoring.
  public static var powercap: ProtocolID { ProtocolID(rawValue: 0x18) }
  /// Pin control.
  public static var pinControl: ProtocolID { ProtocolID(rawValue: 0x19) }

  /// How many protocols there are, Base included.
  static var count: Int { 10 }
  /// The protocol's place among them; `count` and more for numbers that are none of them.
  var index: Int { Int(rawValue &- 0x10) }
  /// The protocol's bit in sets of protocols.
  var bit: UInt16 { 1 << UInt16(rawValue & 0xF) }

  /// The version in SCMI 3.2: major in the upper half, minor in the lower.
  var version: UInt32 {
    switch self {
    case .base: BaseMessage.version
    case .power: PowerMessage.version
    case .systemPower: SystemPowerMessage.version
    case .performance: PerformanceMessage.version
    case .clock: ClockMessage.version
    case .sensor: SensorMessage.version
    case .reset: ResetMessage.version
    case .voltage: VoltageMessage.version
    case .powercap: PowercapMessage.version
    case .pinControl: PinControlMessage.version
    default: 0
    }
  }

  /// The version in SCMI 2.0, or 0 for a protocol that it does not have.
  var legacyVersion: UInt32 {
    switch self {
    case .base: BaseMessage.legacyVersion
    case .power: PowerMessage.legacyVersion
    case .systemPower: SystemPowerMessage.legacyVersion
    case .performance: PerformanceMessage.legacyVersion
    case .clock: ClockMessage.legacyVersion
    case .sensor: SensorMessage.legacyVersion
    case .reset: ResetMessage.legacyVersion
    default: 0
    }
  }

  /// What the protocol says about message `message` below 16.
  func rule(_ message: UInt8) -> MessageRule {
    switch self {
    case .base: BaseMessage.rule(message)
    case .power: PowerMessage.rule(message)
    case .systemPower: SystemPowerMessage.rule(message)
    case .performance: PerformanceMessage.rule(message)
    case .clock: ClockMessage.rule(message)
    case .sensor: SensorMessage.rule(message)
    case .reset: ResetMessage.rule(message)
    case .voltage: VoltageMessage.rule(message)
    case .powercap: PowercapMessage.rule(message)
    case .pinControl: PinControlMessage.rule(message)
    default: .absent
    }
  }
}

/// Which edition of the specification an agent sees.
public enum SCMIProfile: Sendable {
  /// SCMI 3.2.
  case version32
  /// SCMI 2.0: no message, attribute or protocol of a later edition.
  case version20
}
