// What ESR_EL2 says about an exception that a guest took to EL2 (Arm ARM, ESR_EL2, "ISS encodings").

/// Why a guest left EL1.
public enum TrapSyndrome: Equatable, Sendable {
  /// EC 0x01: WFI or WFE.
  case waitForEvent
  /// EC 0x16: HVC. The guest continues after it.
  case hypervisorCall
  /// EC 0x17: SMC. It was not executed: the guest continues after it only if its PC is moved on.
  case secureMonitorCall
  /// EC 0x18: MSR, MRS or a system instruction that is trapped.
  case systemRegister(SystemRegisterAccess)
  /// EC 0x24: a data access that stage 2 did not translate, with all that is needed to emulate it.
  case dataAccess(DataAccess)
  /// EC 0x24 without a valid instruction syndrome, or with one that cannot be emulated: a cache maintenance
  /// operation, a stage 1 table walk, an external abort, or an access that is more than one load or store.
  case undecodableAccess
  /// EC 0x20: an instruction fetch outside the guest's memory.
  case instructionAbort
  /// Anything else: nothing that a guest can reach with the traps we set.
  case other(exceptionClass: UInt8)

  /// The meaning of an ESR_EL2 value.
  public init(_ syndrome: UInt64) {
    let iss = UInt32(truncatingIfNeeded: syndrome) & 0x1ff_ffff
    switch UInt8(truncatingIfNeeded: syndrome >> 26) & 0x3f {
    case 0x01: self = .waitForEvent
    case 0x16: self = .hypervisorCall
    case 0x17: self = .secureMonitorCall
    case 0x18: self = .systemRegister(SystemRegisterAccess(iss))
    case 0x20: self = .instructionAbort
    case 0x24: self = DataAccess(syndrome).map { .dataAccess($0) } ?? .undecodableAccess
    case let other: self = .other(exceptionClass: other)
    }
  }
}

/// One load or store of a general-purpose register. It keeps the syndrome as it is and takes it apart where
/// it is asked: most exits are such accesses.
@frozen public struct DataAccess: Equatable, Sendable {
  @usableFromInline let syndrome: UInt32

  /// The access of an ESR_EL2 value, or nil when it does not describe one that can be emulated.
  @inlinable @inline(__always)
  public init?(_ syndrome: UInt64) {
    self.syndrome = UInt32(truncatingIfNeeded: syndrome)
    // EC 0x24; ISV set; not EA, CM or S1PTW; a translation fault (DFSC 0b0001xx).
    guard self.syndrome & 0xfd00_03bc == 0x24 << 26 | 1 << 24 | 0b00_0100 else { return nil }
  }

  /// Width in bytes: 1, 2, 4 or 8.
  @inlinable @inline(__always) public var byteCount: Int { 1 &<< Int(syndrome >> 22 & 0b11) }
  /// Number of the register; 31 is the zero register.
  @inlinable @inline(__always) public var register: Int { Int(syndrome >> 16 & 0x1f) }
  /// True for a store.
  @inlinable @inline(__always) public var isWrite: Bool { syndrome & 1 << 6 != 0 }
  /// Whether a load extends the sign.
  @inlinable @inline(__always) public var extendsSign: Bool { syndrome & 1 << 21 != 0 }
  /// Whether a load fills all 64 bits of the register, or 32 of them and clears the rest.
  @inlinable @inline(__always) public var is64Bit: Bool { syndrome & 1 << 15 != 0 }
  /// How many bits of 64 the access leaves out.
  @inlinable @inline(__always) var unused: UInt64 { 64 &- UInt64(8) &<< UInt64(syndrome >> 22 & 0b11) }

  /// What a load of `value` leaves in the register.
  @inlinable @inline(__always)
  public func loaded(_ value: UInt64) -> UInt64 {
    let narrow = value &<< unused
    if !extendsSign { return narrow &>> unused }
    let wide = UInt64(bitPattern: Int64(bitPattern: narrow) &>> Int64(bitPattern: unused))
    return is64Bit ? wide : wide & 0xffff_ffff
  }

  /// The bytes of `value` that a store writes.
  @inlinable @inline(__always)
  public func stored(_ value: UInt64) -> UInt64 { (value &<< unused) &>> unused }
}

/// A trapped MSR or MRS.
public struct SystemRegisterAccess: Equatable, Sendable {
  /// The register as the instruction names it: Op0 in bits 15-14, Op1 in 13-11, CRn in 10-7, CRm in 6-3,
  /// Op2 in 2-0.
  public let encoding: UInt16
  /// Number of the register; 31 is the zero register.
  public let register: Int
  /// True for MRS.
  public let isRead: Bool

  init(_ iss: UInt32) {
    let op0 = iss >> 20 & 0b11
    let op2 = iss >> 17 & 0b111
    let op1 = iss >> 14 & 0b111
    let crn = iss >> 10 & 0xf
    let crm = iss >> 1 & 0xf
    encoding = UInt16(op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2)
    register = Int(iss >> 5 & 0x1f)
    isRead = iss & 1 != 0
  }

  /// ICC_SGI1R_EL1: the guest sends an interrupt to other cores.
  public static var sendInterrupt: UInt16 { 0b11 << 14 | 0b000 << 11 | 12 << 7 | 11 << 3 | 0b101 }
}

/// The address that a stage 2 fault was about, from HPFAR_EL2 and FAR_EL2.
///
/// Not valid for permission faults: EL2 maps nothing read-only, so there are none.
@inlinable @inline(__always)
public func faultingAddress(hpfar: UInt64, far: UInt64) -> UInt64 {
  (hpfar >> 4 & 0xff_ffff_ffff) << 12 | far & 0xfff
}
