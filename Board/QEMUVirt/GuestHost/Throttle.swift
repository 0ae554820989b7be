// Performance levels below the highest: a core runs its guest for a share of each period, and sleeps for the
// rest. The timer of EL2 ends each part.

import CMachine
import DeviceTree
import Machine

enum Throttle {
  /// A period, in parts of a second.
  private static var periodsPerSecond: UInt64 { 250 }

  /// Takes the timer's interrupt on this core; others accept it by its number.
  static func start() throws(GuestError) {
    do throws(InterruptError) {
      let timer = InterruptSource(identifier: Board.hostTimerInterrupt, trigger: .level)
      try Interrupts.enable(timer, context: 0) { _ in machine_write_host_timer_control(0) }
    } catch {
      throw .noHostTimer
    }
  }

  /// Ends the guest's part of a period on this core when its share is over; lets it run without end when its
  /// share is the whole.
  static func arm(_ guest: Int) {
    let share = Gates.share(guest)
    guard share < Gates.wholeShare else { return machine_write_host_timer_control(0) }
    end(after: share)
  }

  /// The guest's part is over: this core sleeps for the rest of the period, but for the host's interrupts.
  /// Returns whether the guest's life has changed.
  static func pause(_ guest: Int) -> Bool {
    let share = Gates.share(guest)
    var hasChanged = false
    if share < Gates.wholeShare {
      let rest = end(after: Gates.wholeShare - share)
      while Clock.ticks < rest, !hasChanged {
        machine_wait_for_interrupt()
        hasChanged = Cores.serveInterrupt(guest) == .look
      }
    }
    arm(guest)
    return hasChanged
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
