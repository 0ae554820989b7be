// What keeps the guests from running, in words that say what to change.

import DeviceTree
import Machine
import Wire

/// Why a guest cannot be run.
enum GuestError: Error {
  /// The board's device tree, or the guest's, cannot be had.
  case deviceTree(DeviceTreeError)
  /// The board has fewer cores than the tables give away.
  case tooFewCores(guest: Int, needed: Int, present: Int)
  /// The board has less memory than the tables give away.
  case tooLittleMemory(guest: Int, mebibytes: UInt64)
  /// A guest's memory is too small for what goes there, or not whole blocks of 2 MiB.
  case badMemorySize(guest: Int)
  /// Two guests would have the same memory.
  case overlap(Int, Int)
  /// A guest would have memory of the host.
  case overlapsHost(guest: Int)
  /// There is no arm64 Linux image at the place for kernels.
  case noKernel
  /// The kernel, or the initial RAM disk, does not fit where it is to go.
  case kernelTooLarge
  case initrdTooLarge
  /// The guest's memory cannot be mapped.
  case notMappable
  /// A core of the board does not start.
  case coreNotStarted(Int)
  /// The interrupt controller has no interrupt for the timer of EL2.
  case noHostTimer
}

extension Serial {
  /// Writes why a guest cannot be run, and what to change.
  static func put(describing error: GuestError) {
    switch error {
    case .deviceTree(let error): put(describing: error)
    case .tooFewCores(let guest, let needed, let present):
      put("guest ")
      put(decimal: UInt64(guest))
      put(" needs cores that the board has not: give QEMU -smp ")
      put(decimal: UInt64(needed))
      put(" or fewer with cores=; there are ")
      put(decimal: UInt64(present))
    case .tooLittleMemory(let guest, let mebibytes):
      put("the board has too little memory for guest ")
      put(decimal: UInt64(guest))
      put(": give QEMU -m ")
      put(decimal: mebibytes)
      put("M, or fewer guests with guests=")
    case .badMemorySize(let guest):
      put("the RAM of guest ")
      put(decimal: UInt64(guest))
      put(" is not an even number of MiB, 256 at least: change ram=")
    case .overlap(let first, let second):
      put("the memory of guest ")
      put(decimal: UInt64(second))
      put(" overlaps that of guest ")
      put(decimal: UInt64(first))
      put(": make ram= smaller, or move one in Layout.swift")
    case .overlapsHost(let guest):
      put("the memory of guest ")
      put(decimal: UInt64(guest))
      put(" overlaps the host's: move it in Layout.swift")
    case .noKernel:
      put("there is no arm64 Linux image at 0x50000000: load an uncompressed one with QEMU's ")
      put("-device loader,file=Image,addr=0x50000000,force-raw=on")
    case .kernelTooLarge:
      put(
        "the kernel is larger than its place, 112 MiB with what it clears: check kernel="
      )
    case .initrdTooLarge:
      put(
        "the initial RAM disk is larger than its place, 128 MiB and the end of the guest's RAM: check initrd="
      )
    case .notMappable: put("the guest's memory does not lie on page boundaries below 512 GiB")
    case .coreNotStarted(let core):
      put("the firmware does not start core ")
      put(decimal: UInt64(core))
      put(": start QEMU with -M virt,virtualization=on")
    case .noHostTimer: put("the timer of EL2 has no interrupt: start QEMU with -M virt,virtualization=on")
    }
  }

  /// Writes what is wrong with the boot options.
  static func put(describing error: OptionError) {
    switch error {
    case .guests: put("guests= takes a number from 1 to 4")
    case .cores: put("cores= takes up to four numbers from 1 to 8, separated by commas")
    case .ram: put("ram= takes the RAM of each guest in MiB")
    case .kernel: put("kernel= takes the length of the kernel in bytes")
    case .initrd: put("initrd= takes the length of the RAM disk in bytes")
    case .rings: put("rings= takes split or packed")
    case .control: put("scmi-device= takes up to four numbers, 0 or 1, separated by commas")
    }
  }
}
