// The virtio-mmio slots that the board's device tree names, for every image that drives what is in them.

public import DeviceTree
public import Machine
public import Virtio
import Wire

/// A slot of the board.
public struct HardwareSlot: Sendable {
  /// Its place among the slots of the device tree: on QEMU, whose tree has them in the order of their
  /// addresses, the N of `bus=virtio-mmio-bus.N`.
  public let index: Int
  /// Its registers.
  public let registers: MMIORegion
  /// Its interrupt.
  public let interrupt: InterruptSource

  /// What is in the slot. Throws what is wrong with it, `.noDevice` if it is empty.
  public func transport() throws(DeviceFault) -> SlotTransport {
    try SlotTransport(SlotRegisters(region: registers))
  }
}

/// The slots of the machine.
public enum HardwareSlots {
  /// Slots beyond this number are not looked at.
  public static let limit = 64

  // Filled once at the start, before any other core runs.
  nonisolated(unsafe) private static var slots = InlineArray<64, HardwareSlot?>(repeating: nil)
  nonisolated(unsafe) private static var slotCount = 0

  /// How many slots there are.
  public static var count: Int { unsafe slotCount }

  /// A slot. Traps outside `0 ..< count`.
  public static func slot(_ index: Int) -> HardwareSlot {
    guard let slot = unsafe slots[index] else { preconditionFailure("no such slot") }
    return slot
  }

  /// Reads the slots of the tree, once. Calls `unusable` for each that lies where the board has no devices,
  /// and leaves it out.
  public static func read(_ tree: DeviceTree, unusable: () -> Void) throws(DeviceTreeError) {
    var next = tree.node(compatibleWith: "virtio,mmio")
    while let node = next, count < limit {
      let slot = try tree.virtioSlot(node)
      if let registers = MMIORegion(slot.registers) {
        unsafe slots[count] = HardwareSlot(index: count, registers: registers, interrupt: slot.interrupt)
        unsafe slotCount += 1
      } else {
        unusable()
      }
      next = tree.node(compatibleWith: "virtio,mmio", after: node)
    }
  }

  /// The last slot before `end` with a device of that type, if there is one. QEMU fills the slots from the
  /// last one on, so that this goes through the devices in the order of its command line, unless that places
  /// them itself.
  public static func last(_ type: DeviceID, before end: Int = limit) -> HardwareSlot? {
    for index in (0..<min(end, count)).reversed() {
      if let device = try? slot(index).transport(), device.deviceID == type { return slot(index) }
    }
    return nil
  }

  /// The first slot from `start` on with a device of that type, if there is one.
  public static func first(_ type: DeviceID, from start: Int = 0) -> HardwareSlot? {
    for index in start..<max(start, count) {
      if let device = try? slot(index).transport(), device.deviceID == type { return slot(index) }
    }
    return nil
  }
}
