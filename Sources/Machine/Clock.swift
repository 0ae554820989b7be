// Time from the generic timer: a monotonic counter, and one wake-up of this core.

import CMachine
public import DeviceTree

/// The monotonic clock of this core, which starts somewhere before the image does.
public enum Clock {
  /// The counter.
  public static var ticks: UInt64 { machine_read_counter() }

  /// Ticks in a second; 0 does not occur, firmware that left it out counts as 1 MHz.
  public static var ticksPerSecond: UInt64 { max(machine_read_counter_frequency(), 1_000_000) }

  /// Milliseconds between two readings of the counter.
  @inline(never) public static func milliseconds(from start: UInt64, to end: UInt64) -> UInt64 {
    (end &- start) / max(ticksPerSecond / 1000, 1)
  }

  /// Enables the interrupt of the virtual timer, whose only work is to end a sleep.
  public static func start(interrupt: InterruptSource) throws(InterruptError) {
    machine_write_timer_control(0)
    try Interrupts.enable(interrupt, context: 0) { _ in machine_write_timer_control(0) }
  }

  /// Raises the timer's interrupt at the deadline, once.
  static func wake(at deadline: Deadline) {
    guard let ticks = deadline.ticks else { return machine_write_timer_control(0) }
    machine_write_timer_compare(ticks)
    machine_write_timer_control(1)
  }
}

/// A moment to wait for at most.
public struct Deadline: Sendable {
  let ticks: UInt64?

  /// No limit.
  public static var never: Deadline { Deadline(ticks: nil) }

  /// That many milliseconds from now, a day at most.
  @inline(never) public static func after(milliseconds: UInt64) -> Deadline {
    Deadline(ticks: Clock.ticks + min(milliseconds, 86_400_000) * Clock.ticksPerSecond / 1000)
  }

  /// Whether the moment has come.
  public var hasPassed: Bool {
    guard let ticks else { return false }
    return Clock.ticks >= ticks
  }
}
