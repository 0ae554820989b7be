// Where everything is on this board, and what each guest gets of it: the one place to change.
//
//   0x0800_0000  interrupt controller, UART, virtio-mmio of the board
//   0x0b00_0000  for guests: shared memory of their SCMI agents, a page that the host has on its heap
//   0x4020_0000  this image
//   0x4800_0000  QEMU's device tree
//   0x4900_0000  the trace, 16 MiB, where it is asked for
//   0x4a00_0000  RAM disks of the guests, 24 MiB each
//   0x5000_0000  the kernel as it was loaded, 128 MiB; never written, so that a guest can restart from it
//   0x5800_0000  the initial RAM disk, likewise
//   0x6000_0000  RAM of guest 0, 512 MiB; that of the others follows
//
// Within its RAM a guest has its kernel at the start, its device tree 112 MiB on and its initial RAM disk
// 128 MiB on.

import DeviceTree
import DeviceTypes
import Hypervisor
import Machine
import Synchronization

/// Addresses of the board that guests see too: guest addresses are physical ones.
enum Board {
  /// Most guests, most cores, and shared interrupts kept for each guest.
  static var guestLimit: Int { 4 }
  static var coreLimit: Int { 8 }
  static var slotsPerGuest: UInt32 { 8 }

  /// The windows that trap, one for each virtio device of a guest.
  static var virtioBase: UInt64 { 0x0a00_0000 }
  static var virtioStride: UInt64 { 0x1000 }
  static var distributor: UInt64 { 0x0800_0000 }
  static var redistributors: UInt64 { 0x080a_0000 }
  static var redistributorStride: UInt64 { 0x2_0000 }
  /// The board's real-time clock, a PL031. Guests find one of their own there.
  static var realTimeClock: UInt64 { 0x0901_0000 }
  static var realTimeClockByteCount: UInt64 { 0x1000 }
  /// The time of day, in seconds since 1970, by the board's clock.
  static var secondsOfDay: UInt64 {
    MMIORegion(base: realTimeClock, size: realTimeClockByteCount).map { UInt64($0.read32(0)) } ?? 0
  }
  /// The virtual timer of each core is the guest's.
  static var timerInterrupt: UInt32 { 27 }
  /// The timer of EL2 on each core is the host's.
  static var hostTimerInterrupt: UInt32 { 26 }

  static var diskBase: UInt64 { 0x4a00_0000 }
  static var diskByteCount: UInt64 { 24 << 20 }
  static var kernel: AddressRange { AddressRange(base: 0x5000_0000, size: 128 << 20) }
  static var initrd: AddressRange { AddressRange(base: 0x5800_0000, size: 128 << 20) }
  static var memoryBase: UInt64 { 0x6000_0000 }
  static var memoryByteCount: UInt64 { 512 << 20 }

  /// The shared interrupt of a guest's device: none that a line of the board is wired to, so that it is free
  /// to be pended. 176 to 207.
  static func interrupt(guest: Int, slot: Int) -> UInt32 {
    176 + UInt32(guest) * slotsPerGuest + UInt32(slot)
  }
}

/// What one guest is made of.
struct GuestTable {
  /// Which guest it is, from 0 on.
  var index: Int
  /// RAM, which nothing else is in.
  var memory: AddressRange
  /// Where its payload was loaded: a Linux arm64 image, and an initial RAM disk, of no bytes for none. The
  /// kernel's length is that of its file, 0 for what its header says.
  var kernel: AddressRange
  var initrd: AddressRange
  /// Memory behind the guest's RAM disk, which nothing else is in.
  var disk: AddressRange
  /// The guest's first core, and how many it has.
  var firstCore: Int
  var coreCount: Int
  /// Whether its SCMI agent is behind a virtio device, and not behind a call.
  var hasControlDevice = false
  /// Its address on the network: locally administered, and nobody else's there.
  var address: MACAddress

  /// The guests of this board before any boot option: two cores for the first, one for each other.
  init(index: Int) {
    self.index = index
    memory = AddressRange(
      base: Board.memoryBase + UInt64(index) * Board.memoryByteCount, size: Board.memoryByteCount)
    kernel = AddressRange(base: Board.kernel.base, size: 0)
    initrd = AddressRange(base: Board.initrd.base, size: 0)
    disk = AddressRange(
      base: Board.diskBase + UInt64(index) * Board.diskByteCount, size: Board.diskByteCount)
    firstCore = index == 0 ? 0 : index + 1
    coreCount = index == 0 ? 2 : 1
    address = MACAddress(0x52, 0x54, 0, 0x76, 0x72, UInt8(index + 1))
  }

  static var treeByteCountMax: UInt64 { 0x1_0000 }
  /// Where the guest's device tree goes.
  var treeAddress: UInt64 { memory.base + 0x0700_0000 }
  /// Where the initial RAM disk goes.
  var initrdAddress: UInt64 { memory.base + 0x0800_0000 }
  /// A bit for each core of the board that is the guest's.
  var cores: UInt16 { ((1 << UInt16(coreCount)) - 1) << UInt16(firstCore) }
}

/// The guests that run, and what their devices have in common.
struct HostSetup: ~Copyable {
  /// Never used. A value that holds an atomic has a place of its own, so that it is not copied for each call.
  private let place = Atomic<UInt8>(0)
  /// The board's device tree.
  let tree: DeviceTree
  /// How many guests there are; the tables of others mean nothing.
  var guestCount = 1
  var tables: [4 of GuestTable] = [
    GuestTable(index: 0), GuestTable(index: 1), GuestTable(index: 2), GuestTable(index: 3),
  ]
  /// Whether the packed ring format is offered.
  var offersPackedRings = true

  init(tree: DeviceTree) { self.tree = tree }
}
