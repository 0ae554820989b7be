import Hypervisor
import Testing

@Suite struct TrapSyndromeTests {
  /// A data abort syndrome: EC 0x24, IL, ISV and a level 3 translation fault, with the given fields.
  func dataAbort(size: UInt64, register: UInt64, write: Bool = false, sign: Bool = false, wide: Bool = false)
    -> UInt64
  {
    0x24 << 26 | 1 << 25 | 1 << 24 | size << 22 | (sign ? 1 << 21 : 0) | register << 16
      | (wide ? 1 << 15 : 0) | (write ? 1 << 6 : 0) | 0b000111
  }

  @Test func decodesAStore() throws {
    guard case .dataAccess(let access) = TrapSyndrome(dataAbort(size: 2, register: 9, write: true)) else {
      Issue.record("not a data access")
      return
    }
    #expect(access.byteCount == 4 && access.register == 9 && access.isWrite)
    #expect(access.stored(0xdead_beef_1234_5678) == 0x1234_5678)
  }

  @Test(arguments: [
    (0 as UInt64, false, false, 0xff80 as UInt64, 0x80 as UInt64),
    (0, true, false, 0x80, 0xffff_ff80), (0, true, true, 0x80, 0xffff_ffff_ffff_ff80),
    (1, true, true, 0x1_7fff, 0x7fff), (2, true, true, 0x8000_0000, 0xffff_ffff_8000_0000),
    (2, false, true, 0xffff_ffff_8000_0000, 0x8000_0000), (3, false, true, .max, .max),
  ]) func loads(_ size: UInt64, _ sign: Bool, _ wide: Bool, _ value: UInt64, _ result: UInt64) {
    guard
      case .dataAccess(let access) = TrapSyndrome(dataAbort(size: size, register: 31, sign: sign, wide: wide))
    else {
      Issue.record("not a data access")
      return
    }
    #expect(access.loaded(value) == result)
  }

  @Test(arguments: [24 as UInt64, 9, 8, 7]) func refusesWhatCannotBeEmulated(_ bit: UInt64) {
    // Without ISV, or with EA, CM or S1PTW.
    #expect(TrapSyndrome(dataAbort(size: 2, register: 0) ^ 1 << bit) == .undecodableAccess)
  }

  @Test func refusesPermissionFaults() {
    #expect(TrapSyndrome(dataAbort(size: 2, register: 0) | 0b001100) == .undecodableAccess)
  }

  @Test func decodesSystemRegisters() {
    // msr ICC_SGI1R_EL1 (3, 0, 12, 11, 5), x7
    let iss: UInt64 = 3 << 20 | 5 << 17 | 0 << 14 | 12 << 10 | 7 << 5 | 11 << 1
    guard case .systemRegister(let access) = TrapSyndrome(0x18 << 26 | 1 << 25 | iss) else {
      Issue.record("not a system register")
      return
    }
    #expect(access.encoding == SystemRegisterAccess.sendInterrupt && access.register == 7 && !access.isRead)
  }

  @Test func otherClasses() {
    #expect(TrapSyndrome(0x16 << 26) == .hypervisorCall)
    #expect(TrapSyndrome(0x17 << 26) == .secureMonitorCall)
    #expect(TrapSyndrome(0x01 << 26) == .waitForEvent)
    #expect(TrapSyndrome(0x20 << 26) == .instructionAbort)
    #expect(TrapSyndrome(0x19 << 26) == .other(exceptionClass: 0x19))
    #expect(faultingAddress(hpfar: 0xa0000 << 4 | 0xf, far: 0xffff_8000_1234_5070) == 0xa000_0070)
  }
}
