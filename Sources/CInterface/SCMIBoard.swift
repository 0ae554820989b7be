// The board of vireo.h's SCMI platform: a table of resources, and two functions of the embedder's.

import CVireo
import SCMI
import Wire

/// The kinds of resources of the interface, in its order.
enum BoardKind {
  static var count: Int { 5 }
  /// Resources of one kind, at most.
  static var limit: Int { 32 }

  /// The platform's word for kind `index`.
  static func resourceKind(_ index: Int) -> ResourceKind {
    switch index {
    case Int(VIREO_SCMI_POWER.rawValue): .powerDomain
    case Int(VIREO_SCMI_PERFORMANCE.rawValue): .performanceDomain
    case Int(VIREO_SCMI_CLOCK.rawValue): .clock
    case Int(VIREO_SCMI_RESET.rawValue): .resetDomain
    default: .voltageDomain
    }
  }
}

/// Calls of the embedder.
@safe
struct CallbackBoard: PlatformBackend {
  private let settings: vireo_scmi_settings
  /// For each kind, where its resources are in the table.
  private var places = [5 of [32 of UInt16]](repeating: [32 of UInt16](repeating: 0))
  private var counts = [5 of Int](repeating: 0)

  /// Nil when the settings do not describe a board.
  init?(_ settings: vireo_scmi_settings) {
    unsafe self.settings = settings
    guard unsafe settings.get != nil, unsafe settings.set != nil, unsafe settings.resource_count <= 160,
      unsafe settings.resource_count == 0 || settings.resources != nil
    else { return nil }
    for place in 0..<(unsafe settings.resource_count) {
      let it = unsafe resource(place)
      let kind = unsafe Int(it.kind.rawValue)
      guard kind < BoardKind.count, counts[kind] < BoardKind.limit, unsafe Self.isGood(it) else { return nil }
      places[kind][counts[kind]] = UInt16(place)
      counts[kind] += 1
    }
  }

  /// Whether a resource has the values that its kind asks for.
  private static func isGood(_ resource: vireo_scmi_resource) -> Bool {
    let hasValues: Bool
    let range: ClosedRange<Int64>
    switch unsafe resource.kind {
    case VIREO_SCMI_CLOCK: (hasValues, range) = (true, 0...Int64.max)
    case VIREO_SCMI_PERFORMANCE: (hasValues, range) = (true, 1...Int64(UInt32.max))
    case VIREO_SCMI_VOLTAGE: (hasValues, range) = (true, Int64(Int32.min)...Int64(Int32.max))
    default: (hasValues, range) = (false, 0...0)
    }
    let count = unsafe resource.value_count
    if !hasValues { return count == 0 }
    guard count >= 1, count <= 4095, let values = unsafe resource.values else { return false }
    for i in 0..<count {
      // As many as the embedder says; in ascending order.
      guard unsafe range.contains(values[i]) else { return false }
      guard unsafe i == 0 || values[i - 1] < values[i] else { return false }
    }
    return true
  }

  /// Kind and number of the resource at a place of the table; nil beyond its end.
  func identify(_ place: Int) -> (kind: Int, index: Int)? {
    for kind in 0..<BoardKind.count {
      for index in 0..<counts[kind] where Int(places[kind][index]) == place { return (kind, index) }
    }
    return nil
  }

  // MARK: The embedder's side

  private func resource(_ place: Int) -> vireo_scmi_resource {
    // Below `resource_count`; the embedder keeps the table.
    unsafe settings.resources[place]
  }

  private func resource(_ kind: vireo_scmi_kind, _ index: Int) -> vireo_scmi_resource {
    unsafe resource(Int(places[Int(kind.rawValue)][index]))
  }

  private func count(_ kind: vireo_scmi_kind) -> Int { counts[Int(kind.rawValue)] }

  private func valueCount(_ kind: vireo_scmi_kind, _ index: Int) -> Int {
    unsafe resource(kind, index).value_count
  }

  private func value(_ place: Int, _ kind: vireo_scmi_kind, _ index: Int) -> Int64 {
    // The platform asks for places below `value_count`.
    unsafe resource(kind, index).values[place]
  }

  /// A text of the embedder's: what of it is before its end, and at most 63 bytes.
  private func name(_ text: UnsafePointer<CChar>?) -> SCMIName {
    var bytes = ByteArray<64>()
    guard let text = unsafe text else { return SCMIName(bytes: bytes.bytes) }
    var length = 0
    while length < 63, unsafe text[length] != 0 {
      bytes[length] = unsafe UInt8(bitPattern: text[length])
      length += 1
    }
    return SCMIName(bytes: bytes.bytes)
  }

  private func name(_ kind: vireo_scmi_kind, _ index: Int) -> SCMIName {
    unsafe name(resource(kind, index).name)
  }

  private func get(
    _ property: vireo_scmi_property, _ kind: vireo_scmi_kind, _ index: Int
  ) throws(SCMIStatus) -> Int64 {
    var value: Int64 = 0
    // Checked when the board was made; with the embedder's context.
    let status = unsafe settings.get(
      settings.context, UInt32(places[Int(kind.rawValue)][index]), property, &value)
    guard status == 0 else { throw Self.failure(status) }
    return value
  }

  private func set(
    _ property: vireo_scmi_property, _ value: Int64, _ kind: vireo_scmi_kind, _ index: Int,
    _ operation: OperationID?
  ) throws(SCMIStatus) -> Progress {
    // As above.
    let status = unsafe settings.set(
      settings.context, UInt32(places[Int(kind.rawValue)][index]), property, value, operation?.number ?? 0)
    if status == VIREO_SCMI_LATER && operation != nil { return .pending }
    guard status == 0 else { throw Self.failure(status) }
    return .finished
  }

  private func set(
    _ property: vireo_scmi_property, _ value: Int64, _ kind: vireo_scmi_kind, _ index: Int
  ) throws(SCMIStatus) {
    _ = try set(property, value, kind, index, nil)
  }

  /// Whatever else than a failure the embedder returned is one of its own.
  private static func failure(_ status: Int32) -> SCMIStatus {
    status < 0 ? SCMIStatus(rawValue: status) : .genericError
  }

  private func isLater(_ kind: vireo_scmi_kind, _ index: Int) -> Bool {
    unsafe resource(kind, index).flags & UInt32(VIREO_SCMI_ASYNCHRONOUS) != 0
  }

  // MARK: Base

  var vendor: SCMIName { unsafe name(settings.vendor) }
  var subVendor: SCMIName { unsafe name(settings.sub_vendor) }
  var implementationVersion: UInt32 { unsafe settings.implementation_version }

  // MARK: Power

  var powerDomainCount: Int { count(VIREO_SCMI_POWER) }
  func powerDomain(_ domain: PowerDomainID) -> PowerDomainDescription { PowerDomainDescription() }
  func name(of domain: PowerDomainID) -> SCMIName { name(VIREO_SCMI_POWER, domain.index) }
  func isOn(_ domain: PowerDomainID) throws(SCMIStatus) -> Bool {
    try get(VIREO_SCMI_STATE, VIREO_SCMI_POWER, domain.index) != 0
  }
  func setOn(_ isOn: Bool, _ domain: PowerDomainID, isAsynchronous: Bool) throws(SCMIStatus) {
    try set(VIREO_SCMI_STATE, isOn ? 1 : 0, VIREO_SCMI_POWER, domain.index)
  }

  // MARK: Performance

  var performanceDomainCount: Int { count(VIREO_SCMI_PERFORMANCE) }
  func performanceDomain(_ domain: PerformanceDomainID) -> PerformanceDomainDescription {
    let last = valueCount(VIREO_SCMI_PERFORMANCE, domain.index) - 1
    let highest = UInt32(value(last, VIREO_SCMI_PERFORMANCE, domain.index))
    return PerformanceDomainDescription(
      levelCount: last + 1, sustainedFrequencyKilohertz: highest, sustainedLevel: highest)
  }
  func name(of domain: PerformanceDomainID) -> SCMIName { name(VIREO_SCMI_PERFORMANCE, domain.index) }
  func level(_ index: Int, of domain: PerformanceDomainID) -> PerformanceLevel {
    let frequency = UInt32(value(index, VIREO_SCMI_PERFORMANCE, domain.index))
    return PerformanceLevel(
      value: frequency, power: 0, latencyMicroseconds: 0, frequencyKilohertz: frequency)
  }
  func level(of domain: PerformanceDomainID) throws(SCMIStatus) -> Int {
    let level = try get(VIREO_SCMI_VALUE, VIREO_SCMI_PERFORMANCE, domain.index)
    for i in 0..<valueCount(VIREO_SCMI_PERFORMANCE, domain.index)
    where value(i, VIREO_SCMI_PERFORMANCE, domain.index) == level {
      return i
    }
    throw .hardwareError
  }
  func setLevel(_ index: Int, of domain: PerformanceDomainID) throws(SCMIStatus) {
    let level = value(index, VIREO_SCMI_PERFORMANCE, domain.index)
    try set(VIREO_SCMI_VALUE, level, VIREO_SCMI_PERFORMANCE, domain.index)
  }
  func setLimits(lowest: Int, highest: Int, of domain: PerformanceDomainID) throws(SCMIStatus) {
    // The platform keeps the level within them, and nothing else here sets one.
  }

  // MARK: Clock

  var clockCount: Int { count(VIREO_SCMI_CLOCK) }
  func clock(_ clock: ClockID) -> ClockDescription {
    ClockDescription(rates: .list(count: valueCount(VIREO_SCMI_CLOCK, clock.index)))
  }
  func name(of clock: ClockID) -> SCMIName { name(VIREO_SCMI_CLOCK, clock.index) }
  func supportedRate(_ index: Int, of clock: ClockID) -> UInt64 {
    UInt64(value(index, VIREO_SCMI_CLOCK, clock.index))
  }
  func rate(of clock: ClockID) throws(SCMIStatus) -> UInt64 {
    UInt64(bitPattern: try get(VIREO_SCMI_VALUE, VIREO_SCMI_CLOCK, clock.index))
  }
  func setRate(
    _ rate: UInt64, of clock: ClockID, operation: OperationID?
  ) throws(SCMIStatus) -> Progress {
    try set(VIREO_SCMI_VALUE, Int64(bitPattern: rate), VIREO_SCMI_CLOCK, clock.index, operation)
  }
  func isEnabled(_ clock: ClockID) throws(SCMIStatus) -> Bool {
    try get(VIREO_SCMI_STATE, VIREO_SCMI_CLOCK, clock.index) != 0
  }
  func setEnabled(_ isEnabled: Bool, _ clock: ClockID) throws(SCMIStatus) {
    try set(VIREO_SCMI_STATE, isEnabled ? 1 : 0, VIREO_SCMI_CLOCK, clock.index)
  }

  // MARK: Reset

  var resetDomainCount: Int { count(VIREO_SCMI_RESET) }
  func resetDomain(_ domain: ResetDomainID) -> ResetDomainDescription {
    ResetDomainDescription(isAsynchronous: isLater(VIREO_SCMI_RESET, domain.index))
  }
  func name(of domain: ResetDomainID) -> SCMIName { name(VIREO_SCMI_RESET, domain.index) }
  func supportsReset(_ state: UInt32, of domain: ResetDomainID) -> Bool { state == 0 }
  func reset(
    _ domain: ResetDomainID, _ state: UInt32, operation: OperationID?
  ) throws(SCMIStatus) -> Progress {
    try set(VIREO_SCMI_VALUE, Int64(state), VIREO_SCMI_RESET, domain.index, operation)
  }
  func setAsserted(_ isAsserted: Bool, _ domain: ResetDomainID, _ state: UInt32) throws(SCMIStatus) {
    try set(VIREO_SCMI_STATE, isAsserted ? 1 : 0, VIREO_SCMI_RESET, domain.index)
  }

  // MARK: Voltage

  var voltageDomainCount: Int { count(VIREO_SCMI_VOLTAGE) }
  func voltageDomain(_ domain: VoltageDomainID) -> VoltageDomainDescription {
    VoltageDomainDescription(
      levels: .list(count: valueCount(VIREO_SCMI_VOLTAGE, domain.index)),
      isAsynchronous: isLater(VIREO_SCMI_VOLTAGE, domain.index))
  }
  func name(of domain: VoltageDomainID) -> SCMIName { name(VIREO_SCMI_VOLTAGE, domain.index) }
  func supportedLevel(_ index: Int, of domain: VoltageDomainID) -> Int32 {
    Int32(value(index, VIREO_SCMI_VOLTAGE, domain.index))
  }
  func mode(of domain: VoltageDomainID) throws(SCMIStatus) -> UInt32 {
    try get(VIREO_SCMI_STATE, VIREO_SCMI_VOLTAGE, domain.index) != 0 ? VoltageMessage.on : VoltageMessage.off
  }
  func setMode(_ mode: UInt32, of domain: VoltageDomainID) throws(SCMIStatus) {
    try set(VIREO_SCMI_STATE, mode == VoltageMessage.off ? 0 : 1, VIREO_SCMI_VOLTAGE, domain.index)
  }
  func level(of domain: VoltageDomainID) throws(SCMIStatus) -> Int32 {
    guard let level = Int32(exactly: try get(VIREO_SCMI_VALUE, VIREO_SCMI_VOLTAGE, domain.index)) else {
      throw .hardwareError
    }
    return level
  }
  func setLevel(
    _ level: Int32, of domain: VoltageDomainID, operation: OperationID?
  ) throws(SCMIStatus) -> Progress {
    try set(VIREO_SCMI_VALUE, Int64(level), VIREO_SCMI_VOLTAGE, domain.index, operation)
  }
}
