// A real-time clock for each guest: the registers of Arm's PL031, which counts seconds. It needs its clock,
// its power and its reset from the platform; the time of day comes from the board's own one.

import Machine

/// A guest's clock. Without power, without its clock or held in reset its registers read as zero.
struct RealTimeClock {
  /// The rate at which it counts seconds, in hertz. At another rate its seconds are shorter or longer.
  static var nominalRate: UInt64 { 32_768 }

  /// The time, in periods of the nominal rate, and the reading of the counter that it belongs to.
  private var periods: UInt64 = 0
  private var ticks: UInt64 = 0
  private var match: UInt32 = 0
  private var mask: UInt32 = 0

  /// The rate of its clock, in hertz.
  var rate = RealTimeClock.nominalRate { willSet { advance() } }
  /// Whether it has its clock.
  var isClocked = false { willSet { advance() } }
  /// Whether it has power. Without, it forgets what was set.
  var isPowered = false {
    willSet { advance() }
    didSet { if !isPowered { forget() } }
  }
  /// Whether it is held in reset, by which it forgets what was set.
  var isHeld = true {
    willSet { advance() }
    didSet { if isHeld { forget() } }
  }

  /// Whether it counts.
  private var isRunning: Bool { isClocked && isPowered && !isHeld }

  /// Has the time from the board, the next time that it is looked at.
  private mutating func forget() {
    periods = 0
    (match, mask) = (0, 0)
  }

  private mutating func advance() {
    let now = Clock.ticks
    let passed = now &- ticks
    ticks = now
    guard isRunning else { return }
    if periods == 0 {
      periods = Board.secondsOfDay * Self.nominalRate
      return
    }
    let frequency = Clock.ticksPerSecond
    periods &+= passed / frequency &* rate &+ passed % frequency &* rate / frequency
  }

  /// The register at `offset`.
  mutating func read(_ offset: Int) -> UInt32 {
    guard isRunning else { return 0 }
    advance()
    let seconds = UInt32(truncatingIfNeeded: periods / Self.nominalRate)
    switch offset {
    case 0x000, 0x008: return seconds  // RTCDR, RTCLR
    case 0x004: return match
    case 0x00c: return 1  // RTCCR: it runs
    case 0x010: return mask
    case 0x014: return seconds == match ? 1 : 0  // RTCRIS
    case 0x018: return seconds == match ? mask : 0  // RTCMIS
    case 0xfe0...0xffc where offset & 3 == 0:
      // Identification: a PrimeCell of Arm's, part 0x031, revision 0.
      let identification: UInt64 = 0xb105_f00d_0004_1031
      return UInt32(truncatingIfNeeded: identification >> UInt64((offset - 0xfe0) / 4 * 8) & 0xff)
    default: return 0
    }
  }

  /// Writes the register at `offset`.
  mutating func write(_ value: UInt32, _ offset: Int) {
    guard isRunning else { return }
    advance()
    switch offset {
    case 0x004: match = value
    // Never zero, which stands for the board's time.
    case 0x008: periods = max(UInt64(value) * Self.nominalRate, 1)
    case 0x010: mask = value & 1
    default: break
    }
  }
}
