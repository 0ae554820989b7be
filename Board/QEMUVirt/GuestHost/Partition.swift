// Whether the board has what the tables of the guests give away, and gives nothing away twice.

import DeviceTree
import Machine

extension HostSetup {
  /// Throws when the board has less than the tables give away, or when two get the same.
  func check(coreCount: Int) throws(GuestError) {
    for i in 0..<guestCount {
      let table = tables[i]
      guard table.firstCore + table.coreCount <= coreCount,
        table.firstCore + table.coreCount <= Board.coreLimit
      else { throw .tooFewCores(guest: i, needed: table.firstCore + table.coreCount, present: coreCount) }
      try checkMemory(table)
      for j in 0..<i where Self.overlap(table.memory, tables[j].memory) { throw .overlap(j, i) }
      for j in 0..<guestCount where Self.overlap(table.memory, tables[j].disk) { throw .overlap(j, i) }
      let image = AddressRange(base: Layout.image.base, size: Layout.image.size)
      guard !Self.overlap(table.memory, image), !Self.overlap(table.memory, Board.kernel),
        !Self.overlap(table.memory, Board.initrd)
      else { throw .overlapsHost(guest: i) }
    }
  }

  private func checkMemory(_ table: GuestTable) throws(GuestError) {
    guard table.memory.size >= 256 << 20, table.memory.size & 0x1f_ffff == 0 else {
      throw .badMemorySize(guest: table.index)
    }
    do throws(DeviceTreeError) {
      let ram = try tree.memory(holding: table.memory.base)
      guard table.memory.base + table.memory.size <= ram.base + ram.size else { throw .missing(.memory) }
    } catch {
      throw .tooLittleMemory(
        guest: table.index, mebibytes: (table.memory.base + table.memory.size - 0x4000_0000) >> 20)
    }
  }

  private static func overlap(_ a: AddressRange, _ b: AddressRange) -> Bool {
    a.base < b.base + b.size && b.base < a.base + a.size
  }
}
