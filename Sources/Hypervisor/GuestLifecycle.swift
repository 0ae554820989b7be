// One guest's life: which of its cores run, what ends it, and who prepares its next start. Every core of the
// guest asks `next` when it has nothing to do; the guest's first core does the work between two lives.

/// What a guest is to become once all its cores have left it.
public enum GuestGoal: Equatable, Sendable {
  /// Start again from its payload.
  case restart
  /// Stay off until something asks for a restart.
  case off
  /// As `off`, after something that the guest did to itself.
  case crashed
}

/// What a core without work is to do.
public enum CoreOrder: Equatable, Sendable {
  /// Nothing: sleep until an interrupt comes, and ask again.
  case wait
  /// Run the guest from `entry` with x0 = `context`, MMU off.
  case enter(entry: UInt64, context: UInt64)
  /// Bring the guest's devices to rest, then call `settled`. Only the first core gets this.
  case settle
}

/// What to do with the guest after its devices are at rest.
public enum GuestOutcome: Equatable, Sendable {
  /// Load its payload and call `begin`, or `loadFailed`.
  case load
  /// It is off.
  case off(crashed: Bool)
}

/// The state of one guest. Callers hold the guest's lock.
public struct GuestLifecycle: Sendable {
  private enum Phase { case off, running, stopping, settling }

  /// Power states of its cores, as the guest sees them.
  private var power: PowerCoordination
  private let coreCount: Int
  private var phase = Phase.settling
  private var goal = GuestGoal.restart
  /// A bit for each core that runs the guest, or has been told to.
  private var inside: UInt8 = 0
  /// A bit for each core that was started and has not begun.
  private var starting: UInt8 = 0
  private var entries = [8 of UInt64](repeating: 0)
  private var contexts = [8 of UInt64](repeating: 0)
  /// How often the guest began.
  public private(set) var startCount: UInt64 = 0

  /// A guest that is to be started: its first core gets `.settle`, and then `.load`.
  public init(power: PowerCoordination, coreCount: Int) {
    self.power = power
    self.coreCount = coreCount
  }

  /// Whether the guest is off and stays so.
  public var isOff: Bool { phase == .off }
  /// Whether it ended by itself, when it is off.
  public var hasCrashed: Bool { phase == .off && goal == .crashed }
  /// Whether a core that is inside has to leave.
  public var mustLeave: Bool { phase != .running }

  /// A firmware call of `core`, which is inside. `.powerOff` and `.restart` are noted already, and so is a
  /// core that was started: the caller wakes the others and, except for `.start`, leaves.
  @_optimize(speed)
  public mutating func call(
    _ function: UInt64, _ x1: UInt64, _ x2: UInt64, _ x3: UInt64, core: Int
  ) -> PowerAction {
    let action = power.call(function, x1, x2, x3, core: core)
    switch action {
    case .start(let target, let entry, let context):
      entries[target] = entry
      contexts[target] = context
      starting |= 1 << UInt8(target)
    // With its last core gone nothing can start another.
    case .stop where power.isOff: stop(.off)
    case .powerOff: stop(.off)
    case .restart: stop(.restart)
    case .result, .stop, .wait: break
    }
    return action
  }

  /// The guest has to end, and then become `goal`. The caller wakes all its cores. A guest that is off
  /// already only follows a restart.
  public mutating func stop(_ goal: GuestGoal) {
    switch phase {
    case .off:
      guard goal == .restart else { return }
      phase = .settling
    case .running: phase = .stopping
    // What was asked for last counts, but a guest that ended by itself is not what anyone asked for.
    case .stopping, .settling: if goal == .crashed { return }
    }
    self.goal = goal
  }

  /// `core` has left the guest. Returns whether it was the last one, so that the first core has to be woken.
  public mutating func leave(_ core: Int) -> Bool {
    inside &= ~(1 << UInt8(core))
    return inside == 0
  }

  /// What `core`, which is not inside, is to do.
  public mutating func next(_ core: Int) -> CoreOrder {
    let bit: UInt8 = 1 << UInt8(core)
    switch phase {
    case .off: return .wait
    case .running:
      guard starting & bit != 0 else { return .wait }
      starting &= ~bit
      inside |= bit
      power.started(core)
      return .enter(entry: entries[core], context: contexts[core])
    case .stopping:
      guard inside == 0 else { return .wait }
      phase = .settling
      return core == 0 ? .settle : .wait
    case .settling: return core == 0 ? .settle : .wait
    }
  }

  /// The devices are at rest: what becomes of the guest. It is off with `.off`.
  public mutating func settled() -> GuestOutcome {
    precondition(phase == .settling, "a guest that is not between two lives")
    if goal == .restart { return .load }
    phase = .off
    return .off(crashed: goal == .crashed)
  }

  /// The payload is in place: the first core starts at `entry` with x0 = `context`. Whoever asked for
  /// something else meanwhile gets it next.
  public mutating func begin(entry: UInt64, context: UInt64) {
    guard goal == .restart else { return }
    power.reset()
    phase = .running
    entries[0] = entry
    contexts[0] = context
    starting = 1
    startCount += 1
  }
}
