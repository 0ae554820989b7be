// SMC and HVC framing: whose call it is.

import SCMI
import Testing

@Suite struct DoorbellCallTests {
  @Test func `the plain form is the identifier alone`() {
    let call = DoorbellCall(functionID: 0x8200_0010)
    #expect(call.verdict(0x8200_0010, 7, 8) == .doorbell)
    // A 32-bit call: the upper half of the register is not looked at.
    #expect(call.verdict(0xFFFF_FFFF_8200_0010, 0, 0) == .doorbell)
    #expect(call.verdict(0x8200_0011, 0, 0) == .other)
    #expect(call.verdict(0, 0, 0) == .other)
    #expect(call.registers == (0x8200_0010, 0, 0))
  }

  @Test func `the form with parameters names the area by page and offset`() {
    let call = DoorbellCall(functionID: 0xC200_0001, areaAddress: 0x4_7FF0_0180)
    #expect(call.registers == (0xC200_0001, 0x47_FF00, 0x180))
    #expect(call.verdict(0xC200_0001, 0x47_FF00, 0x180) == .doorbell)
    for (page, offset) in [(0x47_FF00, 0), (0x47_FF01, 0x180), (0, 0), (.max, .max)] as [(UInt64, UInt64)] {
      #expect(call.verdict(0xC200_0001, page, offset) == .refused)
      #expect(call.verdict(0xC200_0002, page, offset) == .other)
    }
  }

  @Test func `the codes that are returned are those of the calling convention`() {
    #expect(DoorbellCall.success == 0)
    #expect(Int64(bitPattern: DoorbellCall.invalidParameter) == -3)
  }
}
