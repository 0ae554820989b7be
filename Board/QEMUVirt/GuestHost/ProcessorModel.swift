// The cores of a guest as a machine with a voltage, a frequency, a power and a temperature. The frequency is
// real: cores run their guest for that share of the time. The rest is a model of it, driven by real load.

import Machine
import SCMI

/// The cores of one guest.
struct ProcessorModel {
  /// Performance levels: frequency in MHz, which is the value of the level too, and the power at nominal
  /// voltage and full load, in milliwatts.
  static var levelCount: Int { 4 }
  static func megahertz(_ level: Int) -> UInt32 { UInt32(level + 1) * 500 }
  static func milliwatts(_ level: Int) -> UInt32 {
    switch level {
    case 0: 200
    case 1: 500
    case 2: 950
    default: 1600
    }
  }

  /// Voltages, in microvolts. Each level needs 50 mV more than the one below.
  static var lowestVoltage: Int32 { 800_000 }
  static var highestVoltage: Int32 { 1_100_000 }
  static var voltageStep: UInt32 { 12_500 }
  static var nominalVoltage: Int32 { 1_000_000 }
  /// The exits in a second that count as full load.
  private static var fullLoad: UInt64 { 20_000 }

  /// The level that was asked for, and the voltage, the cap in milliwatts, 0 for none, and its interval.
  var wantedLevel = ProcessorModel.levelCount - 1
  var microvolts = ProcessorModel.nominalVoltage
  var cap: UInt32 = 0
  var capInterval: UInt32 = 100_000

  /// In thousandths of a degree Celsius, in milliwatts, and in a second.
  private(set) var temperature: Int64 = 30_000
  private(set) var power: UInt32 = 0
  private(set) var exitsPerSecond: UInt64 = 0
  private var ticks: UInt64 = 0
  private var exits: UInt64 = 0

  /// The level that it runs at: the one that was asked for, unless voltage or cap forbid it.
  var level: Int {
    mutating get {
      var level = wantedLevel
      let steps = max(microvolts - 850_000, 0) / 50_000
      level = min(level, Int(steps))
      while level > 0, cap != 0, fullPower(level) > cap { level -= 1 }
      return level
    }
  }

  /// The share of the time that cores run.
  var share: UInt32 {
    mutating get { Gates.wholeShare * Self.megahertz(level) / Self.megahertz(Self.levelCount - 1) }
  }

  /// At full load, in milliwatts: with the square of the voltage.
  private mutating func fullPower(_ level: Int) -> UInt32 {
    let millivolts = UInt64(microvolts / 1000)
    return UInt32(truncatingIfNeeded: UInt64(Self.milliwatts(level)) * millivolts * millivolts / 1_000_000)
  }

  /// Looks at what happened since the last time. `exits` is how often the guest was left since it started.
  mutating func advance(exits: UInt64) {
    let now = Clock.ticks
    let milliseconds = Clock.milliseconds(from: ticks, to: now)
    if milliseconds < 100 { return }
    // A guest that started over counts from zero.
    let count = exits >= self.exits ? exits - self.exits : exits
    exitsPerSecond = min(count, 1 << 40) * 1000 / milliseconds
    (self.exits, ticks) = (exits, now)
    let load = min(exitsPerSecond, Self.fullLoad)
    let full = fullPower(level)
    power = UInt32(truncatingIfNeeded: UInt64(full) * (Self.fullLoad + 3 * load) / (4 * Self.fullLoad))
    // 20 degrees for each watt above 30, reached with a time constant of 4 seconds.
    let goal = 30_000 + Int64(power) * 20
    let step = Int64(min(milliseconds, 4000))
    temperature += (goal - temperature) * step / 4000
  }

  /// Power-on does not cool anything.
  mutating func keepTemperature(of other: ProcessorModel) {
    (temperature, ticks) = (other.temperature, other.ticks)
  }
}
