// What happens when a guest leaves EL1. Called from vectors.S on the core's own stack, with everything
// masked.

import CMachine
import Hypervisor
import Machine
import Wire

/// A synchronous exception of the guest of this core. The image is compiled for size, but for what is between
/// an exit and an entry in the usual cases: here, in the devices' registers and in the firmware calls.
@c(machine_guest_trap) @used @_optimize(speed)
func machineGuestTrap(_ context: UnsafeMutablePointer<machine_guest>) {
  // vectors.S hands over the context of this core, which nothing else touches meanwhile.
  let syndrome = machine_read_esr()
  unsafe context.pointee.exits &+= 1
  if Trace.isOn { return unsafe Traps.traced(syndrome, &context.pointee) }
  unsafe Traps.take(syndrome, &context.pointee)
}

/// An interrupt of the host came while the guest of this core ran.
@c(machine_guest_interrupt) @used
func machineGuestInterrupt(_ context: UnsafeMutablePointer<machine_guest>) {
  // As above.
  let (guest, core) = unsafe (Int(context.pointee.guest), Int(context.pointee.core))
  switch Cores.serveInterrupt(guest) {
  case .nothing: return
  case .timer where !Throttle.pause(guest, core): return
  case .timer, .look: break
  }
  guard GuestHost.life(of: guest).with({ $0.mustLeave }) else { return Throttle.arm(guest, core) }
  Cores.leave(guest: guest, index: core)
}

/// An asynchronous abort that the guest caused: only an access of ours to something that is not there could.
@c(machine_guest_error) @used
func machineGuestError() -> Never {
  Report.line("a system error while a guest ran", guest: nil)
  Power.off(status: 71)
}

enum Traps {
  /// What every exit comes to.
  @inline(never) @_optimize(speed)
  static func take(_ syndrome: UInt64, _ context: inout machine_guest) {
    guard let access = DataAccess(syndrome) else { return handle(syndrome, &context) }
    emulate(access, &context)
  }

  /// Whatever is not a plain access.
  @inline(never) @_optimize(speed)
  static func handle(_ syndrome: UInt64, _ context: inout machine_guest) {
    switch TrapSyndrome(syndrome) {
    case .dataAccess: take(syndrome, &context)
    case .hypervisorCall: call(&context)
    case .secureMonitorCall:
      context.elr += 4
      call(&context)
    case .systemRegister(let access):
      systemRegister(access, &context)
      context.elr += 4
    case .waitForEvent: context.elr += 4
    case .undecodableAccess: abort(isFetch: false, &context)
    case .instructionAbort: abort(isFetch: true, &context)
    case .other(let exceptionClass): crash("took an exception of class ", UInt64(exceptionClass), context)
    }
  }

  /// The same as without a trace, and a record of it.
  @inline(never)
  static func traced(_ syndrome: UInt64, _ context: inout machine_guest) {
    let start = Clock.ticks
    let guest = Int(context.guest)
    if let access = DataAccess(syndrome) {
      let address = faultingAddress(hpfar: machine_read_hpfar(), far: machine_read_far())
      let written = access.stored(register(access.register, &context))
      take(syndrome, &context)
      let value = access.isWrite ? written : register(access.register, &context)
      Trace.record(
        access.isWrite ? .write : .read, guest: guest, start: start, width: access.byteCount, address, value)
      return
    }
    let (exceptionClass, function) = (syndrome >> 26 & 0x3f, context.x.0)
    handle(syndrome, &context)
    // HVC and SMC.
    if exceptionClass == 0x16 || exceptionClass == 0x17 {
      Trace.record(.call, guest: guest, start: start, function, context.x.0)
    } else {
      Trace.record(.exit, guest: guest, start: start, syndrome)
    }
  }

  /// A load or store that stage 2 did not translate.
  @inline(__always) @_optimize(speed)
  private static func emulate(_ access: DataAccess, _ context: inout machine_guest) {
    let address = faultingAddress(hpfar: machine_read_hpfar(), far: machine_read_far())
    let guest = Int(context.guest)
    let offset = address &- Board.virtioBase
    if offset >= UInt64(Devices.count) * Board.virtioStride {
      emulateElsewhere(access, address, &context)
    } else if access.isWrite {
      Devices.write(
        access.stored(register(access.register, &context)), guest: guest,
        slot: Int(offset / Board.virtioStride),
        at: Int(offset % Board.virtioStride), byteCount: access.byteCount)
    } else {
      let value = Devices.read(
        guest: guest, slot: Int(offset / Board.virtioStride), at: Int(offset % Board.virtioStride),
        byteCount: access.byteCount)
      setRegister(access.register, access.loaded(value), &context)
    }
    context.elr &+= 4
  }

  /// The same outside the devices' windows.
  @inline(never)
  private static func emulateElsewhere(
    _ access: DataAccess, _ address: UInt64, _ context: inout machine_guest
  ) {
    let guest = Int(context.guest)
    let clockOffset = address &- Board.realTimeClock
    if clockOffset < Board.realTimeClockByteCount {
      realTimeClock(access, Int(clockOffset), &context)
    } else if access.isWrite {
      let value = access.stored(register(access.register, &context))
      GuestHost.withGuest(guest) { $0.write(value, address, byteCount: access.byteCount) }
    } else {
      let value = GuestHost.withGuest(guest) { $0.read(address, byteCount: access.byteCount) }
      setRegister(access.register, access.loaded(value), &context)
    }
  }

  /// A register of the guest's real-time clock, which takes accesses of 32 bits.
  private static func realTimeClock(_ access: DataAccess, _ offset: Int, _ context: inout machine_guest) {
    let isWord = access.byteCount == 4
    if access.isWrite {
      let value = access.stored(register(access.register, &context))
      if isWord { Control.writeClock(value, Int(context.guest), offset) }
    } else {
      let value = isWord ? Control.readClock(Int(context.guest), offset) : 0
      setRegister(access.register, access.loaded(value), &context)
    }
  }

  /// What is trapped has no effect, reads as zero and ignores writes, but for interrupts between the guest's
  /// own cores.
  @_optimize(speed)
  private static func systemRegister(_ access: SystemRegisterAccess, _ context: inout machine_guest) {
    if access.isRead { return setRegister(access.register, 0, &context) }
    guard access.encoding == SystemRegisterAccess.sendInterrupt else { return }
    let (first, cores) = GuestHost.withGuest(Int(context.guest)) { ($0.table.firstCore, $0.cores) }
    let value = SoftwareInterrupt.filtered(
      register(access.register, &context), sender: first &+ Int(context.core), cores: cores)
    if let value { machine_write_icc_sgi1(value) }
  }

  @_optimize(speed)
  private static func call(_ context: inout machine_guest) {
    let (x0, x1, x2, x3) = (context.x.0, context.x.1, context.x.2, context.x.3)
    let (guest, core) = (Int(context.guest), Int(context.core))
    let action = GuestHost.life(of: guest).with { $0.call(x0, x1, x2, x3, core: core) }
    switch action {
    case .result(-1): context.x.0 = Control.call(guest, x0, x1, x2)  // NOT_SUPPORTED: none of PSCI's
    case .result(let value): context.x.0 = UInt64(bitPattern: value)
    case .wait:
      machine_wait_for_interrupt()
      context.x.0 = 0
    case .start(let target, _, _):
      Cores.wake(1 << UInt16(GuestHost.withGuest(guest) { $0.table.firstCore } + target))
      context.x.0 = 0
    case .stop: Cores.leave(guest: guest, index: core)
    case .powerOff, .restart:
      Guests.bringOut(guest)
      Cores.leave(guest: guest, index: core)
    }
  }

  /// An access that stage 2 refuses and that cannot be emulated: a synchronous external abort at the guest's
  /// own vectors, as from a bus where nothing answers.
  private static func abort(isFetch: Bool, _ context: inout machine_guest) {
    let guest = Int(context.guest)
    if GuestHost.life(of: guest).with({ $0.mustLeave }) {
      Cores.leave(guest: guest, index: Int(context.core))
    }
    let mode = context.spsr & 0xf
    let isUser = mode & 0b1100 == 0
    // EC 0x20, 0x21 or 0x24, 0x25: from EL0 or from EL1; IL as it was; DFSC or IFSC 0x10.
    let exceptionClass: UInt64 = (isFetch ? 0x20 : 0x24) + (isUser ? 0 : 1)
    machine_write_guest_esr(exceptionClass << 26 | machine_read_esr() & 1 << 25 | 0x10)
    machine_write_guest_far(machine_read_far())
    machine_write_guest_elr(context.elr)
    machine_write_guest_spsr(context.spsr)
    let offset: UInt64 =
      isUser ? (context.spsr & 1 << 4 != 0 ? 0x600 : 0x400) : mode & 1 != 0 ? 0x200 : 0
    let vector = machine_read_guest_vbar() + offset
    // An abort of the vector itself would come back for ever.
    if isFetch && context.elr == vector {
      crash("has no exception vectors where it says, at ", vector, context)
    }
    context.elr = vector
    context.spsr = 0x3c5  // EL1h, everything masked
  }

  /// Ends a guest that cannot go on; others do.
  private static func crash(_ text: FixedText, _ value: UInt64, _ context: machine_guest) -> Never {
    let guest = Int(context.guest)
    Report.line(text, value, guest: guest)
    Report.line("crashed at pc=", context.elr, guest: guest)
    Guests.stop(guest, .crashed)
    Cores.leave(guest: guest, index: Int(context.core))
  }

  @inline(__always)
  private static func register(_ index: Int, _ context: inout machine_guest) -> UInt64 {
    if index == 31 { return 0 }
    // The registers are the first 31 words of the context.
    return unsafe withUnsafeBytes(of: &context.x) {
      unsafe $0.load(fromByteOffset: index &<< 3, as: UInt64.self)
    }
  }

  @inline(__always)
  private static func setRegister(_ index: Int, _ value: UInt64, _ context: inout machine_guest) {
    if index == 31 { return }
    // As above.
    unsafe withUnsafeMutableBytes(of: &context.x) {
      unsafe $0.storeBytes(of: value, toByteOffset: index &<< 3, as: UInt64.self)
    }
  }
}
