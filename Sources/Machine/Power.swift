// How a run ends.

import CMachine
public import DeviceTree

/// The end of a run.
public enum Power {
  /// Set once the end has begun: an exception after that means that nobody listens to semihosting.
  /// Only this core runs, and exceptions look at it when nothing else does.
  nonisolated(unsafe) private(set) static var ending = false
  nonisolated(unsafe) private static var conduit = PSCIConduit.hvc

  /// Says how to reach PSCI, from the device tree; HVC until then.
  public static func use(_ method: PSCIConduit) { unsafe conduit = method }

  /// Ends the run with an exit status of 0 to 255, by semihosting; where the emulator has none, by PSCI,
  /// which knows no status.
  public static func off(status: UInt32) -> Never {
    machine_mask_all()
    unsafe ending = true
    machine_semihosting_exit(status)
  }

  /// The second way, from the exception that the first one raised.
  static func offWithoutSemihosting() -> Never {
    unsafe machine_psci_off(conduit == .smc ? 1 : 0)
    while true { machine_wait_for_interrupt() }
  }
}
