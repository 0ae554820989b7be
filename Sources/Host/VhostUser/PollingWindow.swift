// Whether it is worth while to look at the rings for a moment before going to sleep.

import CLinux

/// Decides by what came of it before. A look lasts as long as a sleep would cost, so that it is paid back
/// when something comes meanwhile; after looks for nothing there are fewer and fewer of them.
struct PollingWindow {
  /// Nanoseconds of a look: about what falling asleep and waking up cost the processor.
  private static var length: UInt64 { 5000 }
  private static var leastOften: UInt32 { 256 }

  /// Sleeps until the next look, and how many there will be after one for nothing.
  private var sleepsLeft: UInt32 = 0
  private var penalty: UInt32 = 1

  /// Before a sleep: whether to look first.
  mutating func opens() -> Bool {
    if sleepsLeft == 0 { return true }
    sleepsLeft -= 1
    return false
  }

  /// A look brought something, or not.
  mutating func ended(well: Bool) {
    if well {
      penalty = 1
    } else {
      sleepsLeft = penalty
      penalty = min(penalty * 2, Self.leastOften)
    }
  }

  /// Calls `look` until it returns true, but not for longer than the window is. Returns its last answer.
  static func wait(_ look: () -> Bool) -> Bool {
    let end = clinux_nanoseconds() + length
    repeat {
      for _ in 0..<16 {
        if look() { return true }
        clinux_pause()
      }
    } while clinux_nanoseconds() < end
    return false
  }
}
