// What happens when a guest leaves EL1. Called from guest.S on the core's own stack, with everything masked.

import CMachine
import Hypervisor
import Machine

/// A synchronous exception of the guest of this core.
@c(machine_guest_trap) @used
func machineGuestTrap(_ context: UnsafeMutablePointer<machine_guest>) {
  // guest.S hands over the context of this core, which nothing else touches meanwhile.
  unsafe Traps.handle(&context.pointee)
}

/// An interrupt of the host came while the guest of this core ran: a backend may have news.
@c(machine_guest_interrupt) @used
func machineGuestInterrupt() {
  Interrupts.serve()
  GuestHost.withGuest { $0.devices.poll() }
}

/// An asynchronous abort that the guest caused: only an access of ours to something that is not there could.
@c(machine_guest_error) @used
func machineGuestError() -> Never {
  Serial.line("vireo: a system error while a guest ran")
  Power.off(status: 71)
}

enum Traps {
  static func handle(_ context: inout machine_guest) {
    switch TrapSyndrome(machine_read_esr()) {
    case .dataAccess(let access): emulate(access, &context)
    case .hypervisorCall: call(&context)
    case .secureMonitorCall:
      context.elr += 4
      call(&context)
    case .systemRegister(let access):
      // Nothing that is trapped has an effect: it reads as zero and ignores writes.
      if access.isRead { setRegister(access.register, 0, &context) }
      context.elr += 4
    case .waitForEvent: context.elr += 4
    case .undecodableAccess: abort(isFetch: false, &context)
    case .instructionAbort: abort(isFetch: true, &context)
    case .other: unexpected(context)
    }
  }

  private static func emulate(_ access: DataAccess, _ context: inout machine_guest) {
    let address = faultingAddress(hpfar: machine_read_hpfar(), far: machine_read_far())
    if access.isWrite {
      let value = access.stored(register(access.register, &context))
      GuestHost.withGuest { $0.write(value, address, byteCount: access.byteCount) }
    } else {
      let value = GuestHost.withGuest { $0.read(address, byteCount: access.byteCount) }
      setRegister(access.register, access.loaded(value), &context)
    }
    context.elr += 4
  }

  private static func call(_ context: inout machine_guest) {
    let (x0, x1, x2, x3) = (context.x.0, context.x.1, context.x.2, context.x.3)
    switch GuestHost.withGuest({ $0.power.call(x0, x1, x2, x3, core: 0) }) {
    case .result(let value): context.x.0 = UInt64(bitPattern: value)
    case .wait: machine_wait_for_interrupt()
    case .powerOff, .restart, .stop, .start:
      Serial.newLine()
      Serial.line("vireo: the guest powered off")
      Power.off(status: 0)
    }
  }

  /// An access that stage 2 refuses and that cannot be emulated: a synchronous external abort at the guest's
  /// own vectors, as from a bus where nothing answers.
  private static func abort(isFetch: Bool, _ context: inout machine_guest) {
    let mode = context.spsr & 0xf
    let isUser = mode & 0b1100 == 0
    // EC 0x20, 0x21 or 0x24, 0x25: from EL0 or from EL1; IL as it was; DFSC or IFSC 0x10.
    let exceptionClass: UInt64 = (isFetch ? 0x20 : 0x24) + (isUser ? 0 : 1)
    machine_write_guest_esr(exceptionClass << 26 | machine_read_esr() & 1 << 25 | 0x10)
    machine_write_guest_far(machine_read_far())
    machine_write_guest_elr(context.elr)
    machine_write_guest_spsr(context.spsr)
    let offset: UInt64 = isUser ? (context.spsr & 1 << 4 != 0 ? 0x600 : 0x400) : mode & 1 != 0 ? 0x200 : 0
    context.elr = machine_read_guest_vbar() + offset
    context.spsr = 0x3c5  // EL1h, everything masked
  }

  /// With the traps that are set, no guest can cause anything else: this is a fault of the host.
  private static func unexpected(_ context: machine_guest) -> Never {
    Serial.newLine()
    Serial.put("vireo: the guest took an exception that it cannot cause, at pc=0x")
    Serial.put(hex: context.elr)
    Serial.newLine()
    Power.off(status: 72)
  }

  @inline(__always)
  private static func register(_ index: Int, _ context: inout machine_guest) -> UInt64 {
    if index == 31 { return 0 }
    // The registers are the first 31 words of the context.
    return unsafe withUnsafeBytes(of: &context.x) {
      unsafe $0.load(fromByteOffset: index * 8, as: UInt64.self)
    }
  }

  @inline(__always)
  private static func setRegister(_ index: Int, _ value: UInt64, _ context: inout machine_guest) {
    if index == 31 { return }
    // As above.
    unsafe withUnsafeMutableBytes(of: &context.x) {
      unsafe $0.storeBytes(of: value, toByteOffset: index * 8, as: UInt64.self)
    }
  }
}
