// A guest's kernel, initial RAM disk and device tree: from where they were loaded to where they run.

import CMachine
import DeviceTree
import Machine

enum Payload {
  /// Throws when what was loaded is no Linux arm64 image, or is too large for the guest.
  static func check(_ table: GuestTable) throws(GuestError) {
    let header = try header(table)
    guard header.byteCount <= header.imageByteCount,
      header.imageByteCount <= table.treeAddress - table.memory.base
    else { throw .kernelTooLarge }
    let room = min(Board.initrd.size, table.memory.base + table.memory.size - table.initrdAddress)
    guard table.initrd.size <= room else { throw .initrdTooLarge }
  }

  /// Puts the payload into the guest's RAM, as it was loaded, and writes its device tree.
  ///
  /// The rest of the RAM keeps what the guest itself left there: no other guest ever had it, and kernels do
  /// not count on zeros.
  static func load(_ table: GuestTable) throws(GuestError) {
    try check(table)
    let header = try header(table)
    // Within the guest's RAM and the places for payloads, all mapped; nobody else uses the guest's.
    let memory = unsafe UnsafeMutableRawPointer(bitPattern: UInt(table.memory.base)).unsafelyUnwrapped
    let kernel = unsafe UnsafeRawPointer(bitPattern: UInt(table.kernel.base)).unsafelyUnwrapped
    unsafe memory.copyMemory(from: kernel, byteCount: Int(header.byteCount))
    // What the kernel's file does not hold of its image: zeros, as its loader would leave them.
    unsafe (memory + Int(header.byteCount)).initializeMemory(
      as: UInt8.self, repeating: 0, count: Int(header.imageByteCount - header.byteCount))
    machine_clean(table.memory.base, roundedUp(table.memory.base + header.imageByteCount))
    if table.initrd.size > 0 {
      let source = unsafe UnsafeRawPointer(bitPattern: UInt(table.initrd.base)).unsafelyUnwrapped
      unsafe UnsafeMutableRawPointer(bitPattern: UInt(table.initrdAddress)).unsafelyUnwrapped.copyMemory(
        from: source, byteCount: Int(table.initrd.size))
      machine_clean(table.initrdAddress, roundedUp(table.initrdAddress + table.initrd.size))
    }
    try writeTree(table)
  }

  private static func writeTree(_ table: GuestTable) throws(GuestError) {
    do throws(DeviceTreeError) {
      // As above.
      let place = unsafe UnsafeMutableRawPointer(bitPattern: UInt(table.treeAddress)).unsafelyUnwrapped
      let writer = unsafe DeviceTreeWriter(at: place, capacity: Int(GuestTable.treeByteCountMax))
      try GuestTree.write(table, into: writer)
    } catch {
      throw .deviceTree(error)
    }
    machine_clean(table.treeAddress, table.treeAddress + GuestTable.treeByteCountMax)
  }

  /// How many bytes to copy, and how many the kernel wants from its start on.
  private static func header(_ table: GuestTable) throws(GuestError) -> (
    byteCount: UInt64, imageByteCount: UInt64
  ) {
    // Within the place for kernels, which is mapped.
    let image = unsafe UnsafeRawPointer(bitPattern: UInt(table.kernel.base)).unsafelyUnwrapped
    let magic = unsafe UInt32(littleEndian: image.load(fromByteOffset: 56, as: UInt32.self))
    guard magic == 0x644d_5241 else { throw .noKernel }  // "ARM\x64"
    let byteCount = unsafe UInt64(littleEndian: image.load(fromByteOffset: 16, as: UInt64.self))
    guard byteCount <= Board.kernel.size, table.kernel.size <= Board.kernel.size else {
      throw .kernelTooLarge
    }
    let copied = table.kernel.size == 0 ? byteCount : table.kernel.size
    return (copied, max(copied, byteCount))
  }

  private static func roundedUp(_ address: UInt64) -> UInt64 { (address + 63) & ~63 }
}
