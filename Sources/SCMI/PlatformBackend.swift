// What a board gives the platform: resources as data, and the means to change them.

/// The board: one refined protocol per SCMI protocol. Every one has defaults for a board without resources of
/// that kind.
///
/// The platform checks lengths, identifiers, permissions and ranges; a backend sees valid values only. All
/// calls must be quick and bounded: a response waits for them.
public protocol PlatformBackend:
  BaseBackend, PowerBackend, SystemPowerBackend, PerformanceBackend, ClockBackend, SensorBackend,
  ResetBackend, VoltageBackend, PowercapBackend, PinControlBackend, ~Copyable
{}

/// What the Base protocol says of the board.
public protocol BaseBackend: ~Copyable {
  /// The vendor's name, of which 15 characters are sent.
  var vendor: SCMIName { get }
  /// The sub-vendor's name, likewise.
  var subVendor: SCMIName { get }
  /// The version of the implementation; newer ones have higher numbers.
  var implementationVersion: UInt32 { get }
  /// The statistics of the power domains or the performance domains, or the values of the sensors, that an
  /// agent can read, or nil.
  mutating func statistics(of protocolID: ProtocolID, for agent: AgentID) -> SharedRegion?
  /// Whether the Base permission commands are offered: resources belong to devices.
  var hasDevices: Bool { get }
  /// Whether there is a device of that number.
  func hasDevice(_ device: BoardDeviceID) -> Bool
  /// The device that resource `index` of a kind belongs to, or nil when no permission command covers it.
  func device(of kind: ResourceKind, _ index: Int) -> BoardDeviceID?
}

extension BaseBackend where Self: ~Copyable {
  /// None.
  public mutating func statistics(of protocolID: ProtocolID, for agent: AgentID) -> SharedRegion? { nil }
  /// None.
  public var hasDevices: Bool { false }
  /// There is none.
  public func hasDevice(_ device: BoardDeviceID) -> Bool { false }
  /// There is none.
  public func device(of kind: ResourceKind, _ index: Int) -> BoardDeviceID? { nil }
}
