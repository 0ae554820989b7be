// What is read of a range of guest memory as a whole.

import TestSupport
import Testing
import Virtio

@Suite struct GuestRangeTests {
  /// RFC 1071, a word at a time, with the least significant byte first.
  private func sum(_ bytes: [UInt8]) -> UInt16 {
    var sum: UInt32 = 0
    for (index, byte) in bytes.enumerated() {
      sum += index % 2 == 0 ? UInt32(byte) : UInt32(byte) << 8
      sum = (sum & 0xffff) + (sum >> 16)
    }
    return UInt16(sum)
  }

  @Test(arguments: [0, 1, 2, 3, 4, 5, 7, 8, 31, 32, 33, 35, 63, 64, 66, 1447, 1448])
  func `the ones' complement sum is that of the words`(_ count: Int) throws {
    let memory = TestMemory()
    for (start, seed) in [(0, 1), (1, 7), (2, 0xff), (3, 0)] {
      let bytes = (0..<count).map { seed == 0xff ? 0xff : UInt8(truncatingIfNeeded: ($0 + 1) * seed * 37) }
      let address = memory.address + UInt64(start)
      memory.write(bytes, address)
      let range = try memory.guest.range(at: address, byteCount: UInt32(count))
      let found = range.onesComplementSum()
      // Both are zero where the words are: 0 and 0xffff are the same number.
      #expect(found % 0xffff == sum(bytes) % 0xffff && (found == 0) == (sum(bytes) == 0), "\(start)")
    }
  }
}
