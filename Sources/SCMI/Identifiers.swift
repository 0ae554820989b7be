// Identifiers of agents and resources: of different kinds, so that none is taken for another.

/// Who sends messages: 1 and up. 0 is the platform itself.
@frozen
public struct AgentID: Equatable, Sendable {
  /// The number as it is sent.
  public let rawValue: UInt8

  /// The agent with that number.
  @inline(__always)
  public init(_ rawValue: UInt8) { self.rawValue = rawValue }

  /// The platform.
  public static var platform: AgentID { AgentID(0) }
}

/// What agents can be given access to. The raw value is the place in a view.
public enum ResourceKind: UInt8, Sendable {
  /// Of the Power domain protocol.
  case powerDomain
  /// Of the Performance protocol.
  case performanceDomain
  /// Of the Clock protocol.
  case clock
  /// Of the Sensor protocol.
  case sensor
  /// Of the Reset protocol.
  case resetDomain
  /// Of the Voltage protocol.
  case voltageDomain
  /// Of the Powercap protocol.
  case powercapDomain
  /// Of the Pin control protocol.
  case pin
  /// A group of pins, of the Pin control protocol.
  case pinGroup
  /// A function of pins, of the Pin control protocol.
  case pinFunction

  static var count: Int { 10 }

  /// The protocol that deals with resources of this kind.
  var protocolID: ProtocolID {
    switch self {
    case .powerDomain: .power
    case .performanceDomain: .performance
    case .clock: .clock
    case .sensor: .sensor
    case .resetDomain: .reset
    case .voltageDomain: .voltage
    case .powercapDomain: .powercap
    case .pin, .pinGroup, .pinFunction: .pinControl
    }
  }
}

/// A resource of the board by its number there, which agents never see.
@frozen
public struct ResourceID<Kind>: Equatable, Sendable {
  /// The board's own number, from 0.
  public let index: Int

  /// The resource with that number.
  @inline(__always)
  public init(_ index: Int) { self.index = index }
}

/// Tag of `ClockID`.
public enum ClockKind {}
/// A clock of the board.
public typealias ClockID = ResourceID<ClockKind>

/// What the Base permission commands call a device: a set of resources that the board puts together.
@frozen
public struct BoardDeviceID: Equatable, Sendable {
  /// The number as it is sent.
  public let rawValue: UInt32

  /// The device with that number.
  public init(_ rawValue: UInt32) { self.rawValue = rawValue }
}

/// Agents by number, at most 32 of them.
struct AgentSet: Equatable, Sendable {
  var bits: UInt32 = 0

  @inline(__always)
  static func bit(_ agent: Int) -> UInt32 { 1 << UInt32(truncatingIfNeeded: agent) }

  var isEmpty: Bool { bits == 0 }

  @inline(__always)
  func contains(_ agent: Int) -> Bool { bits & Self.bit(agent) != 0 }

  @inline(__always)
  mutating func insert(_ agent: Int) { bits |= Self.bit(agent) }

  @inline(__always)
  mutating func remove(_ agent: Int) { bits &= ~Self.bit(agent) }

  mutating func set(_ agent: Int, _ isMember: Bool) {
    if isMember { insert(agent) } else { remove(agent) }
  }

  /// Whether some agent other than `agent` is in the set.
  func hasOther(than agent: Int) -> Bool { bits & ~Self.bit(agent) != 0 }
}
