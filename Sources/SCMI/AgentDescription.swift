// What a board says about an agent and about its access to a resource.

/// An agent as the board describes it.
public struct AgentDescription: Sendable {
  /// Its name, of which 15 characters are sent.
  public var name: SCMIName
  /// The edition of the specification that it starts with.
  public var profile: SCMIProfile
  /// Whether its channel can carry delayed responses and notifications. Without, no command that leads to
  /// them is offered.
  public var hasPlatformToAgentChannel: Bool
  /// Whether it may set the permissions of every agent and reset them.
  public var isTrusted: Bool
  /// What it can do with the power state of its system.
  public var systemPower: SystemPowerAccess
  /// The system that it runs in or manages: a number of the board's own.
  public var system: UInt8

  /// An ordinary agent.
  public init(
    name: SCMIName, profile: SCMIProfile = .version32, hasPlatformToAgentChannel: Bool = true,
    isTrusted: Bool = false, systemPower: SystemPowerAccess = .none, system: UInt8 = 0
  ) {
    self.name = name
    self.profile = profile
    self.hasPlatformToAgentChannel = hasPlatformToAgentChannel
    self.isTrusted = isTrusted
    self.systemPower = systemPower
    self.system = system
  }
}

/// What an agent may change of a resource that it sees. Reading needs no right.
@frozen
public struct Rights: Equatable, Sendable {
  /// A bit for each thing that can be changed.
  public let rawValue: UInt8

  /// Rights by their bits.
  @inline(__always)
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Nothing: the agent only reads.
  public static var none: Rights { Rights(rawValue: 0) }
  /// Everything.
  public static var all: Rights { Rights(rawValue: 0xFF) }
  /// On and off: of a clock, a power domain or a voltage domain; to reset a reset domain; to configure a
  /// sensor, a pin or a group.
  public static var state: Rights { Rights(rawValue: 1) }
  /// The value: the rate of a clock, a performance level, a voltage, a power cap.
  public static var value: Rights { Rights(rawValue: 2) }
  /// The parent of a clock.
  public static var parent: Rights { Rights(rawValue: 4) }
  /// The limits of a performance domain; the averaging interval of a powercap domain.
  public static var limits: Rights { Rights(rawValue: 8) }

  /// Both together.
  public func union(_ other: Rights) -> Rights { Rights(rawValue: rawValue | other.rawValue) }

  /// Whether all of `other` are among these.
  @inline(__always)
  public func contains(_ other: Rights) -> Bool { rawValue & other.rawValue == other.rawValue }
}
