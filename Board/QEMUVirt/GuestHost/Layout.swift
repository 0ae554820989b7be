// Where everything is on this board, and what each guest gets of it: the one place to change.

import DeviceTree
import Machine

/// Addresses of the board that guests see too: guest addresses are physical ones.
enum Board {
  /// The windows that trap, one for each virtio device of a guest.
  static var virtioBase: UInt64 { 0x0a00_0000 }
  static var virtioStride: UInt64 { 0x1000 }
  static var distributor: UInt64 { 0x0800_0000 }
  static var redistributors: UInt64 { 0x080a_0000 }
  static var redistributorStride: UInt64 { 0x2_0000 }
  /// The first of the shared interrupts that no line of the board is wired to: free to be pended.
  static var firstUnwiredInterrupt: UInt32 { 176 }
  /// The virtual timer of each core is the guest's.
  static var timerInterrupt: UInt32 { 27 }
}

/// What one guest is made of.
struct GuestTable {
  /// RAM, which nothing else is in. The kernel, a Linux arm64 image, is at its start already.
  var memory: AddressRange
  /// Length of the initial RAM disk, which is at `initrdAddress` already; 0 for none.
  var initrdByteCount: UInt64
  /// Memory behind the guest's disk, which nothing else is in.
  var disk: AddressRange
  /// The guest's first core, and how many it has.
  var firstCore: Int
  var coreCount: Int
  /// The kernel's command line.
  var arguments: StaticString

  static var treeByteCountMax: UInt64 { 0x1_0000 }
  /// Where the guest's device tree goes.
  var treeAddress: UInt64 { memory.base + 0x0700_0000 }
  /// Where the initial RAM disk is.
  var initrdAddress: UInt64 { memory.base + 0x0800_0000 }

  /// Throws when the board has not what the table gives away, or the guest's memory not what it needs.
  func check(against tree: DeviceTree) throws(GuestError) {
    do throws(DeviceTreeError) {
      let ram = try tree.memory(holding: memory.base)
      let end = ram.base + ram.size
      guard memory.base + memory.size <= end, disk.base + disk.size <= end else { throw .missing(.memory) }
    } catch {
      throw .tooLittleMemory
    }
    // Within the memory that was just found; start.S has mapped it.
    let image = unsafe UnsafeRawPointer(bitPattern: UInt(memory.base)).unsafelyUnwrapped
    let magic = unsafe UInt32(littleEndian: image.load(fromByteOffset: 56, as: UInt32.self))
    guard magic == 0x644d_5241 else { throw .noKernel }  // "ARM\x64"
    let byteCount = unsafe UInt64(littleEndian: image.load(fromByteOffset: 16, as: UInt64.self))
    guard byteCount <= treeAddress - memory.base,
      initrdByteCount <= memory.base + memory.size - initrdAddress
    else { throw .payloadTooLarge }
  }
}
