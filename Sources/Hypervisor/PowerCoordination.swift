// Power State Coordination Interface 1.1 and SMC Calling Convention 1.1, as a guest's firmware: which call
// does what to the guest's cores. Arguments come from an untrusted guest.

/// What the caller of `PowerCoordination.call` has to do.
public enum PowerAction: Equatable, Sendable {
  /// Return this in x0.
  case result(Int64)
  /// Start core `core` at `entry` with x0 = `context`, MMU off, and return 0 in x0.
  case start(core: Int, entry: UInt64, context: UInt64)
  /// Stop the calling core; it does not return.
  case stop
  /// Let the calling core wait for an interrupt, then return 0 in x0.
  case wait
  /// Power the guest off.
  case powerOff
  /// Restart the guest.
  case restart
}

/// Power states of the cores of one guest.
public struct PowerCoordination: Sendable {
  private enum State { case off, starting, on }
  private var states = [8 of State](repeating: .off)
  private var affinities = [8 of UInt64](repeating: 0)
  private let coreCount: Int
  /// The guest's RAM: entry points lie within it.
  private let memory: Range<UInt64>

  /// A guest whose cores have the given affinities (MPIDR_EL1, fields Aff3 to Aff0), all off. Traps on none
  /// or more than eight.
  public init(affinities: Span<UInt64>, memory: Range<UInt64>) {
    precondition(affinities.count > 0 && affinities.count <= 8, "one to eight cores")
    coreCount = affinities.count
    self.memory = memory
    for i in 0..<affinities.count { self.affinities[i] = affinities[i] }
  }

  /// All cores are off, as before the guest starts.
  public mutating func reset() {
    for i in 0..<8 { states[i] = .off }
  }

  /// A core begins to run: the first by `reset`'s caller, others after `.start`.
  public mutating func started(_ core: Int) { states[core] = .on }

  /// Whether every core is off.
  public var isOff: Bool {
    for i in 0..<coreCount where states[i] != .off { return false }
    return true
  }

  /// What the call `function` with arguments x1 to x3 of core `core` asks for.
  @_optimize(speed)
  public mutating func call(
    _ function: UInt64, _ x1: UInt64, _ x2: UInt64, _ x3: UInt64, core: Int
  ) -> PowerAction {
    // SMCCC: the function identifier is 32 bits; the 32-bit variants have 32-bit arguments.
    let identifier = UInt32(truncatingIfNeeded: function)
    let is64Bit = identifier & 1 << 30 != 0
    let mask: UInt64 = is64Bit ? .max : 0xffff_ffff
    switch identifier {
    case Call.version: return .result(1 << 16 | 1)
    case Call.features: return .result(features(UInt32(truncatingIfNeeded: x1)))
    case Call.migrateInfoType: return .result(2)  // no trusted OS
    case Call.smcccVersion: return .result(1 << 16 | 1)
    case Call.smcccFeatures: return .result(x1 == UInt64(Call.smcccVersion) ? 0 : Answer.notSupported)
    case Call.suspend, Call.suspend | Call.wide: return .wait
    case Call.off:
      states[core] = .off
      return .stop
    case Call.on, Call.on | Call.wide: return start(x1 & mask, entry: x2 & mask, context: x3 & mask)
    case Call.affinityInfo, Call.affinityInfo | Call.wide: return affinityInfo(x1 & mask, level: x2 & mask)
    case Call.systemOff: return .powerOff
    case Call.systemReset: return .restart
    case Call.systemReset2, Call.systemReset2 | Call.wide:
      // Type 0 is the architectural warm reset.
      return x1 & mask == 0 ? .restart : .result(Answer.invalidParameters)
    default: return .result(Answer.notSupported)
    }
  }

  private func features(_ identifier: UInt32) -> Int64 {
    switch identifier & ~Call.wide {
    case Call.version, Call.features, Call.migrateInfoType, Call.suspend, Call.off, Call.on,
      Call.affinityInfo, Call.systemOff, Call.systemReset, Call.systemReset2, Call.smcccVersion:
      return 0
    default: return Answer.notSupported
    }
  }

  @inline(never)
  @_optimize(size)
  private mutating func core(_ affinity: UInt64) -> Int? {
    for i in 0..<coreCount where affinities[i] == affinity { return i }
    return nil
  }

  private mutating func start(_ target: UInt64, entry: UInt64, context: UInt64) -> PowerAction {
    guard let core = core(target) else { return .result(Answer.invalidParameters) }
    guard memory.contains(entry), entry & 3 == 0 else { return .result(Answer.invalidAddress) }
    switch states[core] {
    case .on: return .result(Answer.alreadyOn)
    case .starting: return .result(Answer.onPending)
    case .off:
      states[core] = .starting
      return .start(core: core, entry: entry, context: context)
    }
  }

  private mutating func affinityInfo(_ target: UInt64, level: UInt64) -> PowerAction {
    guard level == 0, let core = core(target) else { return .result(Answer.invalidParameters) }
    return switch states[core] {
    case .on: .result(0)
    case .off: .result(1)
    case .starting: .result(2)
    }
  }
}

private enum Call {
  static var wide: UInt32 { 1 << 30 }
  static var version: UInt32 { 0x8400_0000 }
  static var suspend: UInt32 { 0x8400_0001 }
  static var off: UInt32 { 0x8400_0002 }
  static var on: UInt32 { 0x8400_0003 }
  static var affinityInfo: UInt32 { 0x8400_0004 }
  static var migrateInfoType: UInt32 { 0x8400_0006 }
  static var systemOff: UInt32 { 0x8400_0008 }
  static var systemReset: UInt32 { 0x8400_0009 }
  static var features: UInt32 { 0x8400_000a }
  static var systemReset2: UInt32 { 0x8400_0012 }
  static var smcccVersion: UInt32 { 0x8000_0000 }
  static var smcccFeatures: UInt32 { 0x8000_0001 }
}

private enum Answer {
  static var notSupported: Int64 { -1 }
  static var invalidParameters: Int64 { -2 }
  static var alreadyOn: Int64 { -4 }
  static var onPending: Int64 { -5 }
  static var invalidAddress: Int64 { -9 }
}
