// The virtio devices that the device tree names, as their registers describe them.

import DeviceTree
import Machine

/// The list of virtio-mmio slots.
enum Inventory {
  /// Prints every slot with a device in it; returns how many slots there are.
  static func print(_ tree: DeviceTree) throws(DeviceTreeError) -> Int {
    var count = 0
    var next = tree.node(compatibleWith: "virtio,mmio")
    while let node = next {
      let slot = try tree.virtioSlot(node)
      if let registers = MMIORegion(slot.registers) { print(count, slot, registers) }
      count += 1
      next = tree.node(compatibleWith: "virtio,mmio", after: node)
    }
    return count
  }

  private static func print(_ index: Int, _ slot: VirtioSlot, _ registers: MMIORegion) {
    // virtio 1.4 §4.2.2: MagicValue, Version, DeviceID; an ID of 0 is an empty slot.
    guard registers.read32(0) == 0x7472_6976 else { return }
    let identifier = registers.read32(8)
    guard identifier != 0 else { return }
    Serial.put("slot ")
    Serial.put(decimal: UInt64(index))
    Serial.put(" at 0x")
    Serial.put(hex: slot.registers.base, digits: 8)
    Serial.put(" interrupt ")
    Serial.put(decimal: UInt64(slot.interrupt.identifier))
    Serial.put(slot.interrupt.trigger == .edge ? " (edge)" : " (level)")
    Serial.put(" version ")
    Serial.put(decimal: UInt64(registers.read32(4)))
    Serial.put(" device ")
    Serial.put(decimal: UInt64(identifier))
    Serial.newLine()
  }
}
