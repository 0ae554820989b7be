// From the entry of an image to a machine that can sleep and be woken: device tree, interrupts, clock, input.

import CMachine
public import DeviceTree

/// Why an image cannot start on this machine.
public enum StartupError: Error, Equatable {
  /// The device tree, or a part of it, cannot be used.
  case deviceTree(DeviceTreeError)
  /// The interrupt controller cannot be used.
  case interrupts(InterruptError)
  /// The tree has a device at an address that this board keeps no devices at.
  case unmappedDevice(DeviceTreeItem)
}

/// The start of an image.
public enum Startup {
  /// Finds and checks the device tree, and starts interrupts, clock and serial input from what it says.
  public static func run() throws(StartupError) -> DeviceTree {
    let tree: DeviceTree
    do throws(DeviceTreeError) {
      tree = try findDeviceTree()
      _ = try tree.memory(holding: machine_image_start())
      if let conduit = try tree.psciConduit() { Power.use(conduit) }
    } catch {
      throw .deviceTree(error)
    }
    try startInterrupts(tree)
    return tree
  }

  /// The tree that the boot protocol names, or else the one at the start of RAM, where a bare ELF finds it.
  private static func findDeviceTree() throws(DeviceTreeError) -> DeviceTree {
    let argument = machine_boot_argument()
    let address = argument == 0 ? machine_ram_start() : argument
    guard let available = readableBytes(at: address) else { throw .badAddress }
    // That many bytes from there on are mapped, and nothing writes them.
    return unsafe try DeviceTree(at: UnsafeRawPointer(bitPattern: UInt(address)), available: available)
  }

  /// How many bytes start.S has mapped from an address of a device tree on, or nil if none.
  private static func readableBytes(at address: UInt64) -> Int? {
    let start = machine_ram_start()
    let end = start + machine_ram_size()
    if address >= start, address < end { return Int(end - address) }
    guard address >> 30 == start >> 30 else { return nil }
    let block: UInt64 = 2 << 20
    let mapped = min((address & ~(block - 1)) + 2 * block, (start >> 30 + 1) << 30)
    return Int(mapped - address)
  }

  private static func startInterrupts(_ tree: DeviceTree) throws(StartupError) {
    let controller: InterruptController
    let timer: InterruptSource
    let serial: InterruptSource
    do throws(DeviceTreeError) {
      controller = try tree.interruptController()
      timer = try tree.timerInterrupt(Int(MACHINE_TIMER))
      serial = try tree.serialInterrupt(base: machine_early_uart())
    } catch {
      throw .deviceTree(error)
    }
    guard let distributor = MMIORegion(controller.distributor),
      let redistributors = MMIORegion(controller.redistributors)
    else { throw .unmappedDevice(.interruptController) }
    do throws(InterruptError) {
      try Interrupts.start(distributor: distributor, redistributors: redistributors)
      try Clock.start(interrupt: timer)
      try SerialInput.start(interrupt: serial)
    } catch {
      throw .interrupts(error)
    }
  }
}

extension MMIORegion {
  /// The registers at a range of the device tree, or nil if the board keeps no devices there.
  public init?(_ range: AddressRange) { self.init(base: range.base, size: range.size) }
}
