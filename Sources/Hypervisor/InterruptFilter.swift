// A guest's view of the GICv3 distributor and of its cores' redistributors: the physical registers, of which
// it reaches only the bits of interrupts it owns. Interrupts are then delivered without any exit.
// Arm GICv3 architecture specification, "Programmers' model": GICD_* and GICR_* register maps.

/// Physical registers of the interrupt controller, one frame of them.
public protocol InterruptRegisters: ~Copyable {
  /// Reads 32 bits at byte `offset` of the frame.
  func read32(_ offset: Int) -> UInt32
  /// Writes 32 bits.
  func write32(_ value: UInt32, _ offset: Int)
  /// Writes 8 bits; only priority registers take that.
  func write8(_ value: UInt8, _ offset: Int)
  /// Writes 64 bits; only route registers take that.
  func write64(_ value: UInt64, _ offset: Int)
}

/// A set of interrupt identifiers from 0 to 287: 32 private ones, then the shared ones.
///
/// To look into it is mutating here and in the filter, although nothing changes: what is borrowed would be
/// copied for each look.
public struct InterruptSet: Equatable, Sendable {
  private var words = [9 of UInt32](repeating: 0)

  /// No interrupt.
  public init() {}

  /// Adds identifier `id`. Traps at 288 and beyond.
  public mutating func insert(_ id: Int) { words[id / 32] |= 1 << UInt32(id % 32) }

  /// Whether `id` is in the set; false at 288 and beyond.
  public mutating func contains(_ id: Int) -> Bool {
    id >= 0 && id < 288 && words[id / 32] & 1 << UInt32(id % 32) != 0
  }

  /// The 32 identifiers from `32 * index` on, as bits; none beyond the end.
  public mutating func word(_ index: Int) -> UInt32 { index >= 0 && index < 9 ? words[index] : 0 }

  /// Whether the two sets hold the same.
  public static func == (a: InterruptSet, b: InterruptSet) -> Bool {
    for i in 0..<9 where a.words[i] != b.words[i] { return false }
    return true
  }
}

/// Filters one guest's accesses to a distributor or to the private interrupt frame of a redistributor: both
/// have the same bitmap, priority and configuration registers.
///
/// Group and security registers are EL2's: a guest's interrupts are in group 1, EL2's own in group 0.
public struct InterruptFilter: Sendable {
  /// What the guest owns.
  public var owned: InterruptSet
  /// Affinities of the guest's cores, as in the low 32 bits of IROUTER; the first is the default route.
  private var cores = [8 of UInt64](repeating: 0)
  private var coreCount = 0

  /// The highest priority that a guest's interrupts can have. The host's have higher ones, 0 and 8: else a
  /// guest that never ends an interrupt of its own would keep the host from its core.
  public static var highestPriority: UInt8 { 0x10 }

  /// A filter for a guest that owns `owned`.
  public init(owned: InterruptSet) { self.owned = owned }

  /// Adds a core that shared interrupts may be routed to. Traps beyond eight.
  public mutating func addCore(affinity: UInt64) {
    cores[coreCount] = affinity
    coreCount += 1
  }

  /// A guest's read of 1, 4 or 8 bytes at `offset`. What is not the guest's reads as zero.
  public mutating func read<Registers: InterruptRegisters & ~Copyable>(
    _ offset: Int, byteCount: Int, _ registers: borrowing Registers
  ) -> UInt64 {
    if byteCount == 8 {
      guard offset & 7 == 0 else { return 0 }
      return read(offset, byteCount: 4, registers) | read(offset + 4, byteCount: 4, registers) << 32
    }
    let aligned = offset & ~3
    guard byteCount == 4 && offset == aligned || byteCount == 1 && Map.priorities.contains(offset) else {
      return 0
    }
    let value = registers.read32(aligned) & readable(aligned)
    return byteCount == 4 ? UInt64(value) : UInt64(value >> UInt32(8 * (offset & 3)) & 0xff)
  }

  /// The bits of the word at `offset` that the guest may see.
  private mutating func readable(_ offset: Int) -> UInt32 {
    switch offset {
    case Map.groups, Map.bitmaps: return owned.word((offset & 0x7f) / 4)
    case Map.priorities: return spread(first: offset - Map.priorities.lowerBound, bitsEach: 8)
    case Map.configurations: return spread(first: (offset - Map.configurations.lowerBound) * 4, bitsEach: 2)
    case Map.routes:
      return owned.contains((offset - Map.routes.lowerBound) / 8 + 32) ? ~0 : 0
    default: return 0
    }
  }

  /// A mask with `bitsEach` ones for each owned identifier from `first` on, over one word.
  private mutating func spread(first: Int, bitsEach: Int) -> UInt32 {
    var mask: UInt32 = 0
    for i in 0..<(32 / bitsEach) where owned.contains(first + i) {
      mask |= ((1 << UInt32(bitsEach)) - 1) << UInt32(i * bitsEach)
    }
    return mask
  }

  /// A guest's write of 1, 4 or 8 bytes at `offset`. What is not the guest's stays as it is.
  ///
  /// Configuration registers are read and written back: callers hold the lock of the controller.
  public mutating func write<Registers: InterruptRegisters & ~Copyable>(
    _ value: UInt64, _ offset: Int, byteCount: Int, _ registers: borrowing Registers
  ) {
    let word = UInt32(truncatingIfNeeded: value)
    switch offset {
    case Map.bitmaps where byteCount == 4 && offset & 3 == 0:
      // Each register sets or clears where a one is written: zeros leave the others alone.
      registers.write32(word & readable(offset), offset)
    case Map.priorities where byteCount == 1 || byteCount == 4 && offset & 3 == 0:
      for i in 0..<byteCount where owned.contains(offset + i - Map.priorities.lowerBound) {
        let asked = UInt8(truncatingIfNeeded: value >> UInt64(8 * i))
        registers.write8(asked < Self.highestPriority ? Self.highestPriority : asked, offset + i)
      }
    case Map.configurations where byteCount == 4 && offset & 3 == 0:
      let mask = readable(offset)
      registers.write32(registers.read32(offset) & ~mask | word & mask, offset)
    case Map.routes where byteCount == 8 && offset & 7 == 0:
      guard readable(offset) != 0 else { return }
      registers.write64(route(value), offset)
    default: break
    }
  }

  /// Where an interrupt goes: to the core asked for if it is the guest's, else to its first one. "Any core"
  /// would mean other guests' cores too.
  private mutating func route(_ asked: UInt64) -> UInt64 {
    for i in 0..<coreCount where cores[i] == asked { return asked }
    return cores[0]
  }
}

/// The registers by which a guest recognises and sets up its controller, which the filters leave out.
public enum ControllerIdentity {
  /// GICD_CTLR as a guest reads it: affinity routing and group 1 on, one security state. Writes do nothing.
  private static var control: UInt64 { 1 << 6 | 1 << 4 | 1 << 1 }
  /// GICD_TYPER without LPIs (17) and message-based interrupts (16): there is no ITS.
  private static var typeMask: UInt32 { ~(1 << 17 | 1 << 16) }

  /// A guest's read of a control or identification register of the distributor, nil for any other.
  public static func distributor<Registers: InterruptRegisters & ~Copyable>(
    _ offset: Int, _ registers: borrowing Registers
  ) -> UInt64? {
    switch offset {
    case 0x0000: control
    case 0x0004: UInt64(registers.read32(offset) & typeMask)
    case 0x0008, 0xffe8: UInt64(registers.read32(offset))
    default: nil
    }
  }

  /// A guest's read of 4 or 8 bytes of the first frame of a redistributor: identification, which says that it
  /// is the last if it is the guest's last. The host has woken it: it reads as awake.
  public static func redistributor<Registers: InterruptRegisters & ~Copyable>(
    _ offset: Int, byteCount: Int, isLast: Bool, _ registers: borrowing Registers
  ) -> UInt64 {
    // Without PLPIS and VLPIS (0 and 1), Last (4) as it is for this guest.
    let low = UInt64(registers.read32(0x0008) & ~0b1_0011 | (isLast ? 1 << 4 : 0))
    switch offset {
    case 0x0004, 0xffe8: return UInt64(registers.read32(offset))
    case 0x0008: return byteCount == 8 ? low | UInt64(registers.read32(0x000c)) << 32 : low
    case 0x000c: return UInt64(registers.read32(offset))
    default: return 0
    }
  }
}

/// Offsets within a distributor; the bitmaps, priorities and configurations of a redistributor's second frame
/// are at the same ones.
private enum Map {
  /// GICD_IGROUPR: read only to guests.
  static var groups: Range<Int> { 0x080..<0x100 }
  /// ISENABLER, ICENABLER, ISPENDR, ICPENDR, ISACTIVER, ICACTIVER: 0x80 bytes each.
  static var bitmaps: Range<Int> { 0x100..<0x400 }
  /// IPRIORITYR: a byte each.
  static var priorities: Range<Int> { 0x400..<0x800 }
  /// ICFGR: two bits each.
  static var configurations: Range<Int> { 0xc00..<0xd00 }
  /// IROUTER of shared interrupts: eight bytes each, from identifier 32 on.
  static var routes: Range<Int> { 0x6100..<0x8000 }
}
