// The host's own mapping of RAM beyond what start.S maps: the first GiB.

import CMachine
import DeviceTree
import Hypervisor
import Machine

enum OwnMapping {
  private static var gibibyte: UInt64 { 1 << 30 }
  private static var block: UInt64 { 2 << 20 }
  /// A block of write-back inner shareable memory that is never executed, as in start.S.
  private static var attributes: UInt64 { 1 << 54 | 1 << 10 | 0b11 << 8 | 1 << 6 | 1 << 2 | 0b01 }

  /// Maps RAM one to one, which consists of whole blocks of 2 MiB. What is mapped already stays as it is.
  static func add(_ range: AddressRange) throws(GuestError) {
    var tables = TablePool()
    var address = range.base
    let mapped = machine_ram_start() + machine_ram_size()
    while address < range.base + range.size {
      if address >= mapped { try add(address, &tables) }
      address += block
    }
    machine_mapped()
  }

  private static func add(_ address: UInt64, _ tables: inout TablePool) throws(GuestError) {
    guard address < 1 << 39 else { throw .notMappable }
    // The level 1 table of 512 entries, which no other core uses yet.
    let first = unsafe machine_translation()!
    let index = Int(address / gibibyte)
    let page: Int
    if unsafe first[index] == 0 {
      guard let next = tables.take() else { throw .notMappable }
      unsafe first[index] = tables.address(of: next) | 0b11
      page = next
    } else {
      page = unsafe tables.page(at: first[index] & 0x0000_ffff_ffff_f000)
    }
    tables.store(address | attributes, page, Int(address % gibibyte / block))
  }
}
