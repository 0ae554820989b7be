// The boot options of the guest host: words of QEMU's -append, separated by spaces.
//
//   guests=N            how many guests run, 1 to 4; 1
//   cores=A,B,...       cores of guest 0, guest 1, ...; each gets the next ones of the board; 2,1,1,1
//   ram=MIB             RAM of each guest; 512
//   kernel=BYTES        length of the kernel at 0x5000_0000; what its header says
//   initrd=BYTES        length of the initial RAM disk at 0x5800_0000; 0
//   trace               records every exit, access and interrupt: see Trace.swift
//   trap=KIND           the second core fails: bounds, abort, write or stack, to prove the report of it
//   rings=split         the devices do not offer packed rings; rings=packed: they do, as without
//   scmi-device=A,B,... 1: the SCMI agent of that guest is behind a virtio device; 0: behind HVC; 0,0,0,0
//   -- TEXT             all that follows, as it is, is the kernels' command line; nothing in it is quoted.
//                       Without it: console=hvc0. Each kernel gets vireo.guest=N added, with its number

import DeviceTree
import Wire

/// Why the boot options cannot be used.
enum OptionError: Error {
  case guests, cores, ram, kernel, initrd, rings, control
}

extension HostSetup {
  /// Changes the tables as the options say.
  mutating func apply(_ options: borrowing BootOptions) throws(OptionError) {
    if let count = try Self.number("guests=", options, .guests) {
      guard count >= 1, count <= UInt64(Board.guestLimit) else { throw .guests }
      guestCount = Int(count)
    }
    try applyCores(options)
    try applyControl(options)
    let memory = try Self.number("ram=", options, .ram)
    let kernel = try Self.number("kernel=", options, .kernel) ?? 0
    let initrd = try Self.number("initrd=", options, .initrd) ?? 0
    for i in 0..<Board.guestLimit {
      if let memory {
        guard memory <= 1 << 20 else { throw .ram }
        tables[i].memory = AddressRange(base: tables[i].memory.base, size: memory << 20)
      }
      tables[i].kernel = AddressRange(base: Board.kernel.base, size: kernel)
      tables[i].initrd = AddressRange(base: Board.initrd.base, size: initrd)
    }
    if options.contains("rings=split") {
      offersPackedRings = false
    } else if options.hasWord(startingWith: "rings="), !options.contains("rings=packed") {
      throw .rings
    }
  }

  private mutating func applyCores(_ options: borrowing BootOptions) throws(OptionError) {
    let given: (count: Int, [4 of UInt64])?
    do throws(BootOptionError) { given = try options.numbers("cores=") } catch { throw .cores }
    guard let (count, cores) = given else { return }
    var first = 0
    for i in 0..<Board.guestLimit {
      if i < count {
        guard cores[i] >= 1, cores[i] <= UInt64(Board.coreLimit) else { throw .cores }
        tables[i].coreCount = Int(cores[i])
      }
      tables[i].firstCore = first
      first += tables[i].coreCount
    }
  }

  private mutating func applyControl(_ options: borrowing BootOptions) throws(OptionError) {
    let given: (count: Int, [4 of UInt64])?
    do throws(BootOptionError) { given = try options.numbers("scmi-device=") } catch { throw .control }
    guard let (count, devices) = given else { return }
    for i in 0..<count {
      guard devices[i] <= 1 else { throw .control }
      tables[i].hasControlDevice = devices[i] == 1
    }
  }

  private static func number(
    _ name: FixedText, _ options: borrowing BootOptions, _ error: OptionError
  ) throws(OptionError) -> UInt64? {
    do throws(BootOptionError) { return try options.number(name) } catch _ { throw error }
  }
}
