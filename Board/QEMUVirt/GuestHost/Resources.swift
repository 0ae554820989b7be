// What guests control, as tables and state: the board side of the SCMI platform. Each guest has a set of its
// own, and all of them share the system counter, the uptime and the clock of the entropy source.

import Machine
import SCMI

/// The numbers of the board's resources, and which of them a guest sees.
enum ResourceTable {
  static var counter: Int { 0 }
  static var entropySource: Int { 1 }
  static func clock(_ guest: Int) -> Int { 2 + guest }

  /// Of a guest's power domains, and of its reset domains.
  static var entropy: Int { 0 }
  static var realTime: Int { 1 }
  /// Of its voltage domains.
  static var processor: Int { 0 }
  static var peripherals: Int { 1 }
  /// How many of each it has.
  static var domains: Int { 2 }

  static var uptime: Int { 0 }
  /// The sensors of a guest, from `sensor(guest, 0)` on.
  enum GuestSensor: Int {
    case temperature, power, processorVoltage, peripheralVoltage, exits, tremor
  }
  static var guestSensors: Int { 6 }
  static func sensor(_ guest: Int, _ which: Int) -> Int { 1 + guest * guestSensors + which }

  /// Gives an agent what its guest has, in the order in which device trees number it. The tremor is of no use
  /// to an agent that cannot be told of each new value.
  @_optimize(size)
  static func grant<let agents: Int, let resources: Int>(
    _ guest: Int, to agent: AgentID, isTold: Bool,
    _ platform: inout SCMIPlatform<GuestResources, agents, resources>
  ) {
    platform.grant(.clock, counter, to: agent, rights: .none)
    platform.grant(.clock, entropySource, to: agent, rights: .state)
    platform.grant(.clock, clock(guest), to: agent)
    for i in 0..<domains {
      platform.grant(.powerDomain, guest * domains + i, to: agent)
      platform.grant(.resetDomain, guest * domains + i, to: agent)
      platform.grant(.voltageDomain, guest * domains + i, to: agent)
      platform.grant(.pin, guest * 2 + i, to: agent)
      platform.grant(.pinFunction, guest * 2 + i, to: agent)
    }
    platform.grant(.performanceDomain, guest, to: agent)
    platform.grant(.powercapDomain, guest, to: agent)
    platform.grant(.pinGroup, guest, to: agent)
    for i in 0..<GuestSensor.tremor.rawValue { platform.grant(.sensor, sensor(guest, i), to: agent) }
    platform.grant(.sensor, uptime, to: agent, rights: .none)
    if isTold { platform.grant(.sensor, sensor(guest, GuestSensor.tremor.rawValue), to: agent) }
  }
}

/// What one guest has made of its resources.
struct GuestControl {
  var realTime = RealTimeClock()
  /// Of its entropy device.
  var isEntropyPowered = true
  var isEntropyHeld = false
  var entropyResets: UInt32 = 0
  var processor = ProcessorModel()
  var peripheralMicrovolts: Int32 = 1_800_000
  var arePeripheralsOn = false
  /// Whether the pins carry that voltage, and how much current they give.
  var arePinsSupply = true
  var milliamperes: UInt32 = 4
  /// The interval of the tremor sensor, by its index, and whether it is on.
  var tremorInterval = 0
  var isTremorOn = false
  var nextTremor = Deadline.after(milliseconds: 0)
}

/// The board of the platform. Nothing here waits or takes a lock: what reaches devices and cores is noted in
/// `Gates` and `wishes`, and done after the call.
struct GuestResources: PlatformBackend {
  var vendor: SCMIName { SCMIName("Vireo") }
  var subVendor: SCMIName { SCMIName("guest host") }
  var implementationVersion: UInt32 { 1 }

  /// Where a guest's system goes, for each guest that has asked for it.
  var wishes = [4 of SystemPowerState?](repeating: nil)
  var guests = [4 of GuestControl](repeating: GuestControl())
  var isSourceOn = true
  let guestCount: Int
  private let start = Clock.ticks

  init(guestCount: Int) { self.guestCount = guestCount }

  /// Microseconds since the host started.
  var uptimeMicroseconds: UInt64 {
    let (passed, frequency) = (Clock.ticks &- start, Clock.ticksPerSecond)
    return passed / frequency * 1_000_000 + passed % frequency * 1_000_000 / frequency
  }

  /// The guest starts over and finds all of its own as after power-on.
  mutating func startOver(_ guest: Int) {
    let processor = guests[guest].processor
    guests[guest] = GuestControl()
    guests[guest].processor.keepTemperature(of: processor)
    wishes[guest] = nil
    note(guest)
  }

  /// Tells devices and cores what a guest's state means to them.
  mutating func note(_ guest: Int) {
    Gates.setEntropy(
      guest, isOpen: guests[guest].isEntropyPowered && !guests[guest].isEntropyHeld,
      resets: guests[guest].entropyResets)
    Gates.isSourceOn = isSourceOn
    Gates.setShare(guest, guests[guest].processor.share)
  }

  // MARK: System power: each guest's own

  mutating func supports(_ state: SystemPowerState, system: UInt8) -> Bool {
    state == .shutdown || state == .coldReset
  }
  mutating func systemPowerState(_ system: UInt8) throws(SCMIStatus) -> SystemPowerState { .powerUp }
  mutating func setSystemPowerState(_ state: SystemPowerState, system: UInt8) throws(SCMIStatus) {
    wishes[Int(system)] = state
  }
  mutating func gracefulTimeout(_ state: SystemPowerState, system: UInt8) -> UInt32 { 0 }
}

/// What guests control of devices and cores, as these read it: one word each, written by the platform under
/// its lock. Who reads it is called after the change, and sees the newest.
enum Gates {
  nonisolated(unsafe) private static var entropy = [4 of UInt32](repeating: 0)
  nonisolated(unsafe) private static var shares = [4 of UInt32](repeating: wholeShare)
  nonisolated(unsafe) private static var isStopped: UInt32 = 0

  /// What a core runs its guest for, of a period of `wholeShare` parts.
  static var wholeShare: UInt32 { 256 }

  /// Whether the source of entropy has its clock.
  static var isSourceOn: Bool {
    get { unsafe isStopped == 0 }
    set { unsafe isStopped = newValue ? 0 : 1 }
  }

  /// Of a guest's entropy device: an odd number while it is without power or held in reset, and another
  /// number after each reset.
  static func entropy(_ guest: Int) -> UInt32 { unsafe entropy[guest] }
  static func setEntropy(_ guest: Int, isOpen: Bool, resets: UInt32) {
    unsafe entropy[guest] = resets << 1 | (isOpen ? 0 : 1)
  }

  /// How much of the time the cores of a guest run it.
  static func share(_ guest: Int) -> UInt32 { unsafe shares[guest] }
  static func setShare(_ guest: Int, _ share: UInt32) { unsafe shares[guest] = share }
}
