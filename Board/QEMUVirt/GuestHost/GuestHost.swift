// Sets a guest up and runs it.

import CMachine
import DeviceTree
import DeviceTypes
import Hypervisor
import Machine
import Virtio

/// The guest of the board's one core.
enum GuestHost {
  // Only this core runs, and what it does here it does with everything masked.
  // Allocated once and never freed.
  nonisolated(unsafe) private static var guest: UnsafeMutablePointer<Guest>?
  nonisolated(unsafe) private static var context = machine_guest()

  /// Calls `body` with the guest. Traps before there is one.
  static func withGuest<Result>(_ body: (inout Guest) -> Result) -> Result {
    // As above.
    unsafe body(&guest!.pointee)
  }

  /// Runs the guest of `table`, whose kernel and initial RAM disk are in its memory already. Throws, before
  /// anything runs, what keeps it from that.
  static func run(_ table: GuestTable, on tree: DeviceTree) throws(GuestError) -> Never {
    try table.check(against: tree)
    let controller: InterruptController
    do throws(DeviceTreeError) {
      controller = try tree.interruptController()
      // Guest RAM is ours to write until the guest runs.
      let place = unsafe UnsafeMutableRawPointer(bitPattern: UInt(table.treeAddress)).unsafelyUnwrapped
      let writer = unsafe DeviceTreeWriter(at: place, capacity: Int(GuestTable.treeByteCountMax))
      _ = try GuestTree.write(table, deviceCount: GuestDevices.count, into: writer)
    } catch {
      throw .deviceTree(error)
    }
    // The table says that nothing else is in this memory.
    let disk = unsafe PrivateMemory(
      base: UnsafeMutableRawPointer(bitPattern: UInt(table.disk.base)).unsafelyUnwrapped,
      byteCount: Int(table.disk.size))
    let place = UnsafeMutablePointer<Guest>.allocate(capacity: 1)
    unsafe place.initialize(to: Guest(table, disk: MemoryDisk(disk), controller: controller))
    unsafe guest = place
    try translate(table)
    enter(table)
  }

  private static func translate(_ table: GuestTable) throws(GuestError) {
    do throws(StageTwoError) {
      var tables = try StageTwo(TablePool())
      try tables.map(
        guest: table.memory.base, physical: table.memory.base, byteCount: table.memory.size, .normal)
      machine_write_vtcr(StageTwo<TablePool>.control)
      machine_write_vttbr(tables.translationBase(identifier: 1))
    } catch {
      throw .notMappable
    }
  }

  /// Sets what the guest finds at EL1 and jumps to its kernel (Linux, Documentation/arch/arm64/booting.rst).
  private static func enter(_ table: GuestTable) -> Never {
    machine_write_hcr(HypervisorConfiguration.guest)
    machine_invalidate_guest()
    machine_write_cnthctl(0b11)  // the counter and the physical timer are not trapped
    machine_write_cntvoff(0)
    machine_write_vpidr(machine_read_midr())
    machine_write_vmpidr(machine_read_affinity())
    machine_write_guest_sctlr(0x30d0_0800)  // MMU and caches off
    withGuest { $0.power.started(0) }
    // Nothing else runs: see above.
    unsafe context.x.0 = table.treeAddress
    unsafe context.elr = table.memory.base
    unsafe context.spsr = 0x3c5  // EL1h, everything masked
    machine_mask_all()
    unsafe machine_enter_guest(&context, machine_stack_top())
  }
}

/// HCR_EL2 while a guest runs: EL1 is AArch64 (RW); stage 2 (VM) also for its table walks (PTW); FIQs are
/// ours (FMO), IRQs its own; its SMCs come to us (TSC); pointer authentication is its own (API, APK).
enum HypervisorConfiguration {
  static var guest: UInt64 { 1 << 31 | 1 << 0 | 1 << 2 | 1 << 3 | 1 << 19 | 1 << 40 | 1 << 41 }
}

/// Why a guest cannot be run.
enum GuestError: Error {
  /// The board's device tree, or the guest's, cannot be had.
  case deviceTree(DeviceTreeError)
  /// The board has less memory than the table gives away.
  case tooLittleMemory
  /// There is no arm64 Linux image at the start of the guest's memory.
  case noKernel
  /// The kernel or the initial RAM disk does not fit where it is to go.
  case payloadTooLarge
  /// The guest's memory cannot be mapped.
  case notMappable
}

extension Serial {
  /// Writes why a guest cannot be run, and what to change.
  static func put(describing error: GuestError) {
    switch error {
    case .deviceTree(let error): put(describing: error)
    case .tooLittleMemory: put("the board has too little memory for its table of guests; give QEMU -m 2G")
    case .noKernel: put("there is no arm64 Linux image where the guest's memory starts; load one there")
    case .payloadTooLarge: put("the kernel or the initial RAM disk is larger than its place in the guest")
    case .notMappable: put("the guest's memory does not lie on page boundaries below 512 GiB")
    }
  }
}
