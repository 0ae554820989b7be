// Interrupts that a guest's core sends to others, by ICC_SGI1R_EL1 (Arm GICv3 architecture specification):
// the write traps, and only what stays within the guest is sent on.

/// A write to ICC_SGI1R_EL1 that a guest may do.
public enum SoftwareInterrupt {
  /// How many of the sixteen identifiers are the guests': the rest is for the host.
  public static var guestLimit: UInt64 { 13 }

  /// What to write for a guest's write of `value` by core `sender`, or nil for nothing.
  ///
  /// `cores` has a bit for each core of the guest, by its affinity level 0; the other levels are zero on
  /// every core that a guest gets. "All but myself" would reach other guests: it becomes a list.
  public static func filtered(_ value: UInt64, sender: Int, cores: UInt16) -> UInt64? {
    let identifier = value >> 24 & 0xf
    guard identifier < guestLimit else { return nil }
    let targets: UInt16
    if value & 1 << 40 != 0 {
      targets = cores & ~(1 << UInt16(sender))
    } else {
      // Aff3, range selector, Aff2 and Aff1: there is no such core.
      guard value & 0x00ff_f0ff_00ff_0000 == 0 else { return nil }
      targets = UInt16(truncatingIfNeeded: value) & cores
    }
    return targets == 0 ? nil : identifier << 24 | UInt64(targets)
  }
}
