// Performance levels below the highest: a core runs its guest for a share of each period, and sleeps for the
// rest. The timer of EL2 ends each part.

import CMachine
import DeviceTree
import Machine

enum Throttle {
  /// A period, in parts of a second.
  private static var periodsPerSecond: UInt64 { 250 }
  /// How many of them the sensors' values hold, a tenth of a second.
  private static var periodsPerTick: UInt32 { 25 }
  nonisolated(unsafe) private static var nextTick = [4 of UInt64](repeating: 0)

  /// Takes the timer's interrupt on this core; others accept it by its number.
  static func start() throws(GuestError) {
    do throws(InterruptError) {
      let timer = InterruptSource(identifier: Board.hostTimerInterrupt, trigger: .level)
      try Interrupts.enable(timer, context: 0) { _ in machine_write_host_timer_control(0) }
    } catch {
      throw .noHostTimer
    }
  }

  /// Ends the guest's part of a period on this core when its share is over. Where the share is the whole,
  /// only the guest's sensors are looked at from time to time, by its first core, if the guest can be told.
  static func arm(_ guest: Int, _ core: Int) {
    let share = Gates.share(guest)
    if share < Gates.wholeShare {
      end(after: share)
    } else if core == 0 && Control.hasDevice(guest) {
      end(after: Gates.wholeShare * periodsPerTick)
    } else {
      machine_write_host_timer_control(0)
    }
  }

  /// The guest's part is over: this core sleeps for the rest of the period, but for the host's interrupts.
  /// Returns whether the guest's life has changed.
  static func pause(_ guest: Int, _ core: Int) -> Bool {
    let share = Gates.share(guest)
    var hasChanged = false
    if core == 0 && Control.hasDevice(guest) { tick(guest) }
    if share < Gates.wholeShare {
      let rest = end(after: Gates.wholeShare - share)
      while Clock.ticks < rest, !hasChanged {
        machine_wait_for_interrupt()
        hasChanged = Cores.serveInterrupt(guest) == .look
      }
    }
    arm(guest, core)
    return hasChanged
  }

  /// A tick of the guest's sensors, if it is time for one.
  private static func tick(_ guest: Int) {
    // Of the guest's first core alone.
    guard unsafe Clock.ticks >= nextTick[guest] else { return }
    unsafe nextTick[guest] = Clock.ticks + Clock.ticksPerSecond / periodsPerSecond * UInt64(periodsPerTick)
    Control.tick(guest)
  }

  @discardableResult
  private static func end(after share: UInt32) -> UInt64 {
    let period = Clock.ticksPerSecond / periodsPerSecond
    let end = Clock.ticks + period * UInt64(share) / UInt64(Gates.wholeShare)
    machine_write_host_timer_compare(end)
    machine_write_host_timer_control(1)
    return end
  }
}
