// The cores: the first is the controller, the others are agents. They wake each other with an interrupt.

import CMachine
import DeviceTree
import Machine
import Wire

enum Cores {
  /// The doorbell, of those interrupts that cores send each other.
  static var doorbell: UInt32 { 14 }
  /// The timer of this exception level, in the order of the timer node.
  static var timer: Int { Int(MACHINE_TIMER) }
  /// Of the private interrupts, those that an agent's core takes. Written before that core runs.
  nonisolated(unsafe) private static var accepted: UInt32 = 0
  nonisolated(unsafe) private static var redistributors: MMIORegion?

  /// Lets this core take the doorbell, and starts the agents' cores.
  static func start(_ redistributors: MMIORegion, timer: InterruptSource) {
    unsafe self.redistributors = redistributors
    unsafe accepted = 1 << doorbell | 1 << timer.identifier
    Interrupts.acceptSent(1 << doorbell)
    let entry = unsafe unsafeBitCast(
      machine_secondary as @convention(c) () -> Void, to: UnsafeRawPointer.self)
    for core in 1...Agents.count {
      // PSCI CPU_ON: affinity of the target, where it begins, what it finds in x0.
      let status = machine_smc(0xc400_0003, UInt64(core), UInt64(UInt(bitPattern: entry)), UInt64(core))
      if status != 0 { Report.fail("an agent's core does not start") }
    }
  }

  /// A core that the firmware has started.
  static func begin(_ core: Int) -> Never {
    machine_mask_all()
    do throws(InterruptError) {
      _ = try Interrupts.startCore(
        redistributors: unsafe redistributors.unsafelyUnwrapped, sent: unsafe accepted)
    } catch {
      Report.fail("an agent's core has no interrupts")
    }
    Agents.run(core - 1)
  }

  /// Rings at a core. What was written before is seen by it.
  static func ring(_ core: Int) {
    machine_synchronize()
    machine_write_icc_sgi0(UInt64(doorbell) << 24 | 1 << UInt64(core))
  }
}

/// Where an agent's core begins, from start.S.
@c(machine_core) @used
func machineCore(_ core: UInt64) -> Never { Cores.begin(Int(core)) }

// The vectors of this exception level send exceptions of guests here. There is none: nothing runs below.

@c(machine_guest_trap) @used
func machineGuestTrap() -> Never { Report.fail("an exception from a level where nothing runs") }

@c(machine_guest_interrupt) @used
func machineGuestInterrupt() -> Never { Report.fail("an interrupt at a level where nothing runs") }

@c(machine_guest_error) @used
func machineGuestError() -> Never { Report.fail("an error at a level where nothing runs") }
