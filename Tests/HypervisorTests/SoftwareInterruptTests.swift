import Hypervisor
import Testing

@Suite struct `Interrupts between cores` {
  /// Cores 1 and 2 are the guest's.
  private static let cores: UInt16 = 0b110

  /// What is sent on; 0 for nothing, which no write that sends is.
  private static func sent(_ value: UInt64, by sender: Int = 1) -> UInt64 {
    SoftwareInterrupt.filtered(value, sender: sender, cores: cores) ?? 0
  }

  @Test func `a target of the guest's own is sent as asked`() {
    #expect(Self.sent(3 << 24 | 0b100) == 3 << 24 | 0b100)
    #expect(Self.sent(12 << 24 | 0b010) == 12 << 24 | 0b010)
  }

  @Test func `targets of other guests are left out`() {
    #expect(Self.sent(0xffff) == 0b110)
    #expect(Self.sent(0b1001) == 0)
    #expect(Self.sent(0) == 0)
  }

  @Test(arguments: [16, 23, 32, 39, 44, 47, 48, 55] as [UInt64])
  func `no core has another affinity level`(bit: UInt64) {
    #expect(Self.sent(1 << bit | 0b100) == 0)
  }

  @Test func `all but myself stays within the guest`() {
    #expect(Self.sent(1 << 40 | 5 << 24 | 0xffff) == 5 << 24 | 0b100)
    #expect(Self.sent(1 << 40, by: 2) == 0b010)
    #expect(SoftwareInterrupt.filtered(1 << 40, sender: 1, cores: 0b010) == nil)
  }

  @Test func `the host's identifiers cannot be sent`() {
    #expect(Self.sent(13 << 24 | 0b100) == 0)
    #expect(Self.sent(14 << 24 | 0b100) == 0)
    #expect(Self.sent(15 << 24 | 0b100) == 0)
    #expect(Self.sent(1 << 40 | 15 << 24) == 0)
  }

  @Test func `bits without a meaning change nothing`() {
    #expect(Self.sent(.max & ~0x00ff_f1ff_0fff_ffff | 0b100) == 0b100)
  }
}
