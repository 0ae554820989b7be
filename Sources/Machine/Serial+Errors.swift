// The errors of the machine, in words.

public import DeviceTree
import Wire

extension Serial {
  /// Writes why an image cannot start.
  public static func put(describing error: StartupError) {
    switch error {
    case .deviceTree(let error): put(describing: error)
    case .interrupts(.noSystemRegisters):
      put("the processor has no GICv3 system registers (QEMU: -M virt,gic-version=3)")
    case .interrupts(.noRedistributor): put("the interrupt controller has no redistributor for this core")
    case .interrupts(.notAnswering): put("the interrupt controller does not answer")
    case .interrupts(.badIdentifier): put("an interrupt has a number that the controller does not have")
    case .unmappedDevice(let item):
      put("the device tree has registers where this board has no devices: ")
      put(describing: item)
    }
  }

  /// Writes what is wrong with a device tree.
  public static func put(describing error: DeviceTreeError) {
    put("device tree: ")
    switch error {
    case .badAddress: put("its address is not in memory, or not a multiple of 8")
    case .notADeviceTree: put("there is none; its magic number is missing")
    case .tooLong: put("it is longer than the memory there or than 2 MiB")
    case .damaged(let code):
      put("it is damaged (libfdt error ")
      put(decimal: UInt64(code.magnitude))
      put(")")
    case .missing(let item):
      put("it lacks ")
      put(describing: item)
    case .badProperty(let item):
      put("it has a bad value for ")
      put(describing: item)
    }
  }

  private static func put(describing item: DeviceTreeItem) {
    switch item {
    case .registers: put("the registers (reg) of a device")
    case .addressCells: put("#address-cells or #size-cells")
    case .ranges: put("the ranges of a bus")
    case .interrupts: put("the interrupts of a device")
    case .interruptParent: put("interrupt-parent")
    case .interruptController: put("a GICv3 interrupt controller (QEMU: -M virt,gic-version=3)")
    case .serialPort: put("the serial port of this board")
    case .timer: put("the timer")
    case .memory: put("memory that holds this image")
    case .psciMethod: put("the method of PSCI")
    case .bootArguments: put("the boot arguments")
    }
  }
}
