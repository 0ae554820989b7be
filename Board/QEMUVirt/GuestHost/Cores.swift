// The cores of the board: each belongs to one guest, runs it, and between two lives of the guest does what is
// to be done then, or sleeps. Everything here runs with interrupts masked.

import CMachine
import DeviceTree
import Hypervisor
import Machine
import Platform
import Wire

/// What cores send each other, in group 0: above what guests may send.
enum CoreSignal {
  /// Something was left of a guest's work.
  static var serve: UInt32 { 14 }
  /// The life of the core's guest has changed.
  static var look: UInt32 { 15 }
  static var all: UInt32 { 1 << serve | 1 << look }
}

/// What an interrupt of the host means to the core that took it, once it is served.
enum CoreNews {
  case nothing
  /// The life of its guest, or what the guest has of it, has changed.
  case look
  /// The guest's part of a period, or the rest of it, is over.
  case timer
}

/// The cores.
enum Cores {
  // Set before the other cores start.
  nonisolated(unsafe) private static var redistributors: MMIORegion?
  /// What stands for the guest of a core that belongs to none.
  private static var noGuest: UInt32 { .max }

  /// Starts every core that a guest has, this one last. A core that no guest has, if there is one, takes the
  /// interrupts of the board's devices: then no guest's core is interrupted for another's, and none can keep
  /// them away. Else this core takes them.
  static func start(_ setup: borrowing HostSetup, _ redistributors: MMIORegion) throws(GuestError) -> Never {
    unsafe self.redistributors = redistributors
    var used = 0
    for guest in 0..<setup.guestCount {
      let table = setup.tables[guest]
      for i in 0..<table.coreCount {
        unsafe context(table.firstCore + i).pointee.guest = UInt32(guest)
        unsafe context(table.firstCore + i).pointee.core = UInt32(i)
      }
      used = max(used, table.firstCore + table.coreCount)
    }
    Interrupts.acceptSent(CoreSignal.all)
    try Throttle.start()
    if used < min(Board.coreLimit, Interrupts.coreCount(redistributors)) {
      Interrupts.route(to: UInt64(used))
      unsafe context(used).pointee.guest = noGuest
      try turnOn(used)
    }
    for guest in 0..<setup.guestCount {
      let table = setup.tables[guest]
      for core in table.firstCore..<table.firstCore + table.coreCount where core != 0 { try turnOn(core) }
    }
    run(0)
  }

  private static func turnOn(_ core: Int) throws(GuestError) {
    let entry = unsafe unsafeBitCast(
      machine_secondary as @convention(c) () -> Void, to: UnsafeRawPointer.self)
    // PSCI CPU_ON: affinity of the target, where it begins, what it finds in x0.
    guard machine_smc(0xc400_0003, UInt64(core), UInt64(UInt(bitPattern: entry)), UInt64(core)) == 0 else {
      throw .coreNotStarted(core)
    }
  }

  /// A core that the firmware has started.
  static func begin(_ core: Int) -> Never {
    machine_mask_all()
    do throws(InterruptError) {
      // Set before this core was started.
      _ = try Interrupts.startCore(
        redistributors: unsafe redistributors.unsafelyUnwrapped,
        sent: CoreSignal.all | 1 << Board.hostTimerInterrupt)
    } catch {
      Report.line("a core has no interrupts", guest: nil)
      Power.off(status: 1)
    }
    if core == 1 { GuestHost.withOptions { SelfTest.run($0) } }
    run(core)
  }

  /// What a core does while it is not inside its guest.
  private static func run(_ core: Int) -> Never {
    // A core's own.
    if unsafe context(core).pointee.guest == noGuest {
      while true {
        machine_wait_for_interrupt()
        serveHardware()
      }
    }
    let (guest, index) = unsafe (Int(context(core).pointee.guest), Int(context(core).pointee.core))
    while true {
      switch GuestHost.life(of: guest).with({ $0.next(index) }) {
      case .wait:
        machine_wait_for_interrupt()
        _ = serveInterrupt(guest)
      case .settle: settle(guest)
      case .enter(let entry, let argument): enter(core, guest, index, entry, argument)
      }
    }
  }

  /// Serves one interrupt of the host on a core of `guest`.
  @inline(never)
  static func serveInterrupt(_ guest: Int) -> CoreNews {
    switch serveInterruptController(guest) {
    case CoreSignal.serve: Devices.serve(guest: guest)
    case CoreSignal.look: return .look
    case Board.hostTimerInterrupt: return .timer
    default: lookAtInput()
    }
    return .nothing
  }

  private static func serveHardware() {
    _ = serveInterruptController(nil)
    lookAtInput()
  }

  @inline(never)
  private static func serveInterruptController(_ guest: Int?) -> UInt32? {
    let start = Clock.ticks
    let identifier = Interrupts.serve()
    if Trace.isOn, let identifier {
      Trace.record(.hostInterrupt, guest: guest, start: start, UInt64(identifier))
    }
    return identifier
  }

  private static func lookAtInput() {
    if SerialInput.isReady { Consoles.takeInput() }
  }

  /// Brings a guest that no core runs to rest, and does with it what was asked for.
  private static func settle(_ guest: Int) {
    Devices.reset(guest: guest)
    Control.reset(guest: guest)
    while !Devices.isQuiescent(guest: guest) { _ = serveInterrupt(guest) }
    GuestHost.withGuest(guest) { $0.resetSharedInterrupts() }
    let life = GuestHost.life(of: guest)
    switch life.with({ $0.settled() }) {
    case .load: load(guest, life)
    case .off(let hasCrashed):
      if !hasCrashed { Report.line("powered off", guest: guest) }
      Guests.endIfAllAreOff()
    }
  }

  private static func load(_ guest: Int, _ life: Locked<GuestLifecycle>) {
    let table = GuestHost.withGuest(guest) { $0.table }
    do throws(GuestError) {
      try Payload.load(table)
      Control.begin(guest: guest)
      let isRestart = life.with { life in
        life.begin(entry: table.memory.base, context: table.treeAddress)
        GuestHost.withGuest(guest) { if !life.mustLeave { $0.setTranslated(true) } }
        return life.startCount > 1
      }
      if isRestart { Report.line("restarts", guest: guest) }
    } catch {
      Report.line("cannot be started", guest: guest)
      life.with { $0.stop(.off) }
    }
  }

  /// Sets what the guest finds at EL1 and goes there (Linux, Documentation/arch/arm64/booting.rst).
  private static func enter(
    _ core: Int, _ guest: Int, _ index: Int, _ entry: UInt64, _ argument: UInt64
  ) -> Never {
    machine_write_vtcr(StageTwo<TablePool>.control)
    machine_write_vttbr(GuestHost.withGuest(guest) { $0.translation })
    machine_write_hcr(HypervisorConfiguration.guest)
    if index == 0 { machine_invalidate_guest() }
    machine_write_cnthctl(0b11)  // the counter and the physical timer are not trapped
    machine_write_cntvoff(0)
    machine_write_vpidr(machine_read_midr())
    machine_write_vmpidr(machine_read_affinity())
    machine_write_guest_sctlr(0x30d0_0800)  // MMU and caches off
    machine_write_guest_mdscr(0)
    machine_write_ich_vmcr(0)
    GuestHost.withGuest(guest) { $0.resetPrivateInterrupts(index) }
    // This core's own.
    let context = unsafe context(core)
    unsafe withUnsafeMutableBytes(of: &context.pointee.x) {
      for i in 0..<31 {
        unsafe $0.storeBytes(of: i == 0 ? argument : 0, toByteOffset: i * 8, as: UInt64.self)
      }
    }
    unsafe context.pointee.elr = entry
    unsafe context.pointee.spsr = 0x3c5  // EL1h, everything masked
    unsafe context.pointee.exits = 0
    if Trace.isOn { Trace.record(.enter, guest: guest, 0, entry) }
    Throttle.arm(guest, index)
    unsafe machine_enter_guest(context)
  }

  /// What vectors.S saves of the guest on a core, at the top of the core's stack: start.S has left room
  /// there. The first core writes it before the core runs, then only the core itself.
  private static func context(_ core: Int) -> UnsafeMutablePointer<machine_guest> {
    let top =
      core == 0 ? machine_stack_top() : machine_core_stacks() + UInt64(core) * machine_core_stack_stride()
    return unsafe UnsafeMutablePointer(bitPattern: UInt(top) - UInt(MemoryLayout<machine_guest>.size))
      .unsafelyUnwrapped
  }

  /// Takes this core out of its guest: no interrupt and no timer of the guest reaches it any more.
  static func leave(guest: Int, index: Int) -> Never {
    if Trace.isOn { Trace.record(.leave, guest: guest, 0) }
    machine_write_host_timer_control(0)
    machine_write_guest_timer_control(0)
    machine_write_guest_physical_timer_control(0)
    machine_write_guest_icc_igrpen(0)
    // What the guest had not ended would keep its priority.
    machine_write_guest_icc_active(0)
    GuestHost.withGuest(guest) { $0.resetPrivateInterrupts(index) }
    let first = GuestHost.withGuest(guest) { $0.table.firstCore }
    if GuestHost.life(of: guest).with({ $0.leave(index) }), index != 0 { wake(1 << UInt16(first)) }
    run(first + index)
  }

  /// How often the cores of a guest have left it for an access or a call, since each began.
  static func exitCount(of guest: Int) -> UInt64 {
    let table = GuestHost.withGuest(guest) { $0.table }
    var count: UInt64 = 0
    // Each is a word that its core writes.
    for i in 0..<table.coreCount { unsafe count &+= context(table.firstCore + i).pointee.exits }
    return count
  }

  /// Makes the cores of the mask look at the lives of their guests, and at their share of the time.
  static func wake(_ cores: UInt16) { send(CoreSignal.look, cores) }

  /// Has what is left of a guest's work served on its first core, soon.
  static func serveLater(_ guest: Int) {
    send(CoreSignal.serve, 1 << UInt16(GuestHost.withGuest(guest) { $0.table.firstCore }))
  }

  private static func send(_ signal: UInt32, _ cores: UInt16) {
    // What was written before is seen by those who are woken.
    machine_synchronize()
    machine_write_icc_sgi0(UInt64(signal) << 24 | UInt64(cores))
  }
}

/// HCR_EL2 while a guest runs: EL1 is AArch64 (RW); stage 2 (VM) also for its table walks (PTW); maintenance
/// by set and way also cleans (SWIO); FIQs are ours (FMO), IRQs its own; its SMCs come to us (TSC), and so do
/// registers of the implementation (TIDCP); pointer authentication is its own (API, APK).
enum HypervisorConfiguration {
  static var guest: UInt64 {
    1 << 31 | 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 19 | 1 << 20 | 1 << 40 | 1 << 41
  }
}

/// Where a core begins, from start.S.
@c(machine_core) @used
func machineCore(_ core: UInt64) -> Never { Cores.begin(Int(core)) }
