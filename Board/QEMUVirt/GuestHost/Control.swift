// System control for guests: an SCMI platform, of which each guest is an agent over HVC and a page of shared
// memory. A guest sees its own resources, and what the board shares with all.

import CMachine
import Machine
import SCMI

/// What guests can control. Nothing here waits or takes a lock: what a guest's system is to do is done after.
struct GuestResources: PlatformBackend {
  static var counter: Int { 0 }
  static var uptime: Int { 0 }

  var vendor: SCMIName { SCMIName("Vireo") }
  var subVendor: SCMIName { SCMIName("guest host") }
  var implementationVersion: UInt32 { 1 }

  /// Where a guest's system goes, for each guest that has asked for it.
  var wishes = [4 of SystemPowerState?](repeating: nil)
  private let start = Clock.ticks

  // MARK: Clock: the counter that guests read the time from

  var clockCount: Int { 1 }
  func clock(_ clock: ClockID) -> ClockDescription {
    ClockDescription(rates: .list(count: 1), notifiesRateChanges: false)
  }
  func name(of clock: ClockID) -> SCMIName { SCMIName("system-counter") }
  func supportedRate(_ index: Int, of clock: ClockID) -> UInt64 { Clock.ticksPerSecond }
  func rate(of clock: ClockID) throws(SCMIStatus) -> UInt64 { Clock.ticksPerSecond }
  func setRate(
    _ rate: UInt64, of clock: ClockID, operation: OperationID?
  ) throws(SCMIStatus) -> Progress { .finished }
  func isEnabled(_ clock: ClockID) throws(SCMIStatus) -> Bool { true }
  /// It never stops.
  func setEnabled(_ isEnabled: Bool, _ clock: ClockID) throws(SCMIStatus) {}
  func restore(_ clock: ClockID) {}

  // MARK: Sensor: how long the host runs, in seconds

  var sensorCount: Int { 1 }
  func sensor(_ sensor: SensorID) -> SensorDescription {
    // 21: seconds.
    SensorDescription(quantity: SensorQuantity(type: 21, lowest: 0))
  }
  func name(of sensor: SensorID) -> SCMIName { SCMIName("host-uptime") }
  func reading(_ axis: Int, of sensor: SensorID) throws(SCMIStatus) -> SensorReading {
    SensorReading(value: Int64((Clock.ticks &- start) / Clock.ticksPerSecond))
  }

  // MARK: System power: each guest's own

  func supports(_ state: SystemPowerState, system: UInt8) -> Bool {
    state == .shutdown || state == .coldReset
  }
  func systemPowerState(_ system: UInt8) throws(SCMIStatus) -> SystemPowerState { .powerUp }
  mutating func setSystemPowerState(_ state: SystemPowerState, system: UInt8) throws(SCMIStatus) {
    wishes[Int(system)] = state
  }
  func gracefulTimeout(_ state: SystemPowerState, system: UInt8) -> UInt32 { 0 }
}

/// The platform and the channel of each guest.
struct ControlState: ~Copyable {
  var platform = SCMIPlatform<GuestResources, 4, 4>(backend: GuestResources())
  var channels: PerGuest<PlatformChannel>

  init(guestCount: Int) {
    for guest in 0..<guestCount {
      // No channel to the agent: the call is all that there is.
      let agent = platform.addAgent(
        AgentDescription(
          name: SCMIName("guest"), hasPlatformToAgentChannel: false, systemPower: .controls,
          system: UInt8(guest)))
      platform.grant(.clock, GuestResources.counter, to: agent, rights: .none)
      platform.grant(.sensor, GuestResources.uptime, to: agent, rights: .none)
    }
    channels = PerGuest(count: guestCount) { Control.channel(of: $0) }
  }
}

enum Control {
  /// Where a guest finds the page, and how much of it is the channel.
  static var address: UInt64 { 0x0b00_0000 }
  static var pageByteCount: UInt64 { 0x1000 }
  static var areaByteCount: Int { 0x80 }
  /// The call: a fast one of the range for services of the platform.
  static var functionID: UInt32 { 0x8200_0010 }

  // Set once before any guest runs; the pages are for ever.
  nonisolated(unsafe) private static var pages: UnsafeMutableRawPointer?
  nonisolated(unsafe) private static var lock: Locked<ControlState>?

  /// Sets everything up. Before the translations of guests are made.
  static func start(guestCount: Int) {
    let byteCount = guestCount * Int(pageByteCount)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: Int(pageByteCount))
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    unsafe pages = memory
    unsafe lock = Locked(ControlState(guestCount: guestCount))
  }

  /// Where the page of a guest is.
  static func page(of guest: Int) -> UInt64 {
    unsafe UInt64(UInt(bitPattern: pages.unsafelyUnwrapped)) + UInt64(guest) * pageByteCount
  }

  /// A free channel in the page of a guest.
  static func channel(of guest: Int) -> PlatformChannel {
    // Within what was allocated, and of no other use on this side.
    let base = unsafe UnsafeMutableRawPointer(bitPattern: UInt(page(of: guest))).unsafelyUnwrapped
    let channel = unsafe PlatformChannel(commands: SharedArea(base: base, byteCount: areaByteCount))
    settle(guest)
    return channel
  }

  /// A guest rings: serves it. What the call returns; NOT_SUPPORTED for any other call.
  @inline(never)
  static func call(_ guest: Int, _ x0: UInt64, _ x1: UInt64, _ x2: UInt64) -> UInt64 {
    guard DoorbellCall(functionID: functionID).verdict(x0, x1, x2) == .doorbell else { return .max }
    let wish = unsafe lock.unsafelyUnwrapped.with { state -> SystemPowerState? in
      settle(guest)
      _ = state.channels[guest].serve(AgentID(UInt8(guest + 1)), &state.platform)
      settle(guest)
      return state.platform.backend.wishes[guest].take()
    }
    switch wish {
    case .some(.shutdown): Guests.powerOff(guest)
    case .some(.coldReset): Guests.restart(guest)
    default: break
    }
    return DoorbellCall.success
  }

  /// The guest starts over.
  static func reset(guest: Int) {
    unsafe lock.unsafelyUnwrapped.with { state in
      state.platform.resetAgent(AgentID(UInt8(guest + 1)))
      state.channels[guest] = channel(of: guest)
    }
  }

  /// The guest maps the page uncached, and we do not: nothing of it stays in our caches.
  private static func settle(_ guest: Int) {
    machine_clean(page(of: guest), page(of: guest) + UInt64(areaByteCount))
  }
}
