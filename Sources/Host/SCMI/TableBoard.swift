// The SCMI platform of a made-up board, for one agent: it remembers what the agent sets, and does no more.

public import DeviceTypes
import SCMI

/// The state of a board.
struct TableBoard: PlatformBackend {
  let table: BoardTable
  private var rates: [UInt64]
  private var clocksOn: [Bool]
  private var powerOn: [Bool]
  private var asserted: [Bool]

  init(_ table: BoardTable) {
    self.table = table
    rates = table.clocks.map { $0.rates[0] }
    clocksOn = table.clocks.map { _ in false }
    powerOn = table.powerDomains.map { _ in false }
    asserted = table.resetDomains.map { _ in false }
  }

  private static func name(_ text: String) -> SCMIName {
    let bytes = Array(text.utf8)
    // The array's own elements, all of them plain bytes.
    return unsafe SCMIName(bytes: bytes.span.bytes)
  }

  var vendor: SCMIName { SCMIName("Vireo") }
  var subVendor: SCMIName { SCMIName("table") }
  var implementationVersion: UInt32 { 1 }

  // MARK: Clocks

  var clockCount: Int { table.clocks.count }
  func clock(_ clock: ClockID) -> ClockDescription {
    ClockDescription(rates: .list(count: table.clocks[clock.index].rates.count))
  }
  func name(of clock: ClockID) -> SCMIName { Self.name(table.clocks[clock.index].name) }
  func supportedRate(_ index: Int, of clock: ClockID) -> UInt64 { table.clocks[clock.index].rates[index] }
  func rate(of clock: ClockID) throws(SCMIStatus) -> UInt64 { rates[clock.index] }
  mutating func setRate(
    _ rate: UInt64, of clock: ClockID, operation: OperationID?
  ) throws(SCMIStatus) -> Progress {
    rates[clock.index] = rate
    return .finished
  }
  func isEnabled(_ clock: ClockID) throws(SCMIStatus) -> Bool { clocksOn[clock.index] }
  mutating func setEnabled(_ isEnabled: Bool, _ clock: ClockID) throws(SCMIStatus) {
    clocksOn[clock.index] = isEnabled
  }
  mutating func restore(_ clock: ClockID) { rates[clock.index] = table.clocks[clock.index].rates[0] }

  // MARK: Power and reset domains

  var powerDomainCount: Int { table.powerDomains.count }
  func powerDomain(_ domain: PowerDomainID) -> PowerDomainDescription { PowerDomainDescription() }
  func name(of domain: PowerDomainID) -> SCMIName { Self.name(table.powerDomains[domain.index]) }
  func isOn(_ domain: PowerDomainID) throws(SCMIStatus) -> Bool { powerOn[domain.index] }
  mutating func setOn(
    _ isOn: Bool, _ domain: PowerDomainID, isAsynchronous: Bool
  ) throws(SCMIStatus) { powerOn[domain.index] = isOn }

  var resetDomainCount: Int { table.resetDomains.count }
  func resetDomain(_ domain: ResetDomainID) -> ResetDomainDescription { ResetDomainDescription() }
  func name(of domain: ResetDomainID) -> SCMIName { Self.name(table.resetDomains[domain.index]) }
  mutating func reset(
    _ domain: ResetDomainID, _ state: UInt32, operation: OperationID?
  ) throws(SCMIStatus) -> Progress { .finished }
  mutating func setAsserted(
    _ isAsserted: Bool, _ domain: ResetDomainID, _ state: UInt32
  ) throws(SCMIStatus) { asserted[domain.index] = isAsserted }
  mutating func restore(_ domain: ResetDomainID) { asserted[domain.index] = false }

  // MARK: Sensors

  var sensorCount: Int { table.sensors.count }
  func sensor(_ sensor: SensorID) -> SensorDescription {
    // Thousandths of a degree Celsius.
    SensorDescription(quantity: SensorQuantity(type: 2, exponent: -3))
  }
  func name(of sensor: SensorID) -> SCMIName { Self.name(table.sensors[sensor.index].name) }
  func reading(_ axis: Int, of sensor: SensorID) throws(SCMIStatus) -> SensorReading {
    SensorReading(value: table.sensors[sensor.index].millidegrees)
  }
}

/// A platform with one agent, behind an SCMI device.
public struct TablePlatform: SCMIBackend, HostedBackend {
  /// The platform has a place of its own, as it is large.
  private final class Place {
    var platform: SCMIPlatform<TableBoard, 1, 64>

    init(_ board: TableBoard) { platform = SCMIPlatform(backend: board) }
  }

  private let place: Place
  private let agent: AgentID

  /// The platform of `table`, all of which the agent sees and may change.
  public init(_ table: BoardTable) {
    place = Place(TableBoard(table))
    agent = place.platform.addAgent(AgentDescription(name: SCMIName("guest")))
    let kinds: [(ResourceKind, Int)] = [
      (.clock, table.clocks.count), (.powerDomain, table.powerDomains.count),
      (.resetDomain, table.resetDomains.count), (.sensor, table.sensors.count),
    ]
    for (kind, count) in kinds {
      for index in 0..<count { place.platform.grant(kind, index, to: agent) }
    }
  }

  /// The agent can ask for notifications.
  public var implementsEvents: Bool { true }
  /// See `SCMIBackend`.
  public mutating func start(receivesEvents: Bool) {
    place.platform.setPlatformToAgentChannel(receivesEvents, for: agent)
  }
  /// See `SCMIBackend`.
  public mutating func respond(to command: RawSpan, into response: inout MutableRawSpan) -> Int {
    place.platform.handle(command, from: agent, into: &response)
  }
  /// See `SCMIBackend`.
  public var hasEvent: Bool {
    mutating get { place.platform.hasMessage(for: agent) }
  }
  /// See `SCMIBackend`.
  public mutating func nextEvent(into event: inout MutableRawSpan) -> Int {
    place.platform.nextMessage(for: agent, into: &event)
  }
  /// See `SCMIBackend`.
  public mutating func reset() { place.platform.resetAgent(agent) }
}

extension SCMIDevice: HostedDevice where Backend: HostedBackend, Backend: ~Copyable {
  /// Those of the backend.
  public var events: [OpenFile] { backend.events }
  /// Passed on to the backend.
  public mutating func submit() { backend.submit() }
}
