// The virtio devices that the device tree names, as their registers describe them.

import DeviceTree
import Machine

/// What the slots of the board hold.
struct Inventory {
  /// Slots that the device tree names.
  private(set) var slotCount = 0
  /// Slots with a device in them.
  private(set) var deviceCount = 0
  /// Devices of each type that this image drives.
  private(set) var blockCount = 0
  private(set) var networkCount = 0
  private(set) var consoleCount = 0
  private(set) var entropyCount = 0

  private var knownCount: Int { blockCount + networkCount + consoleCount + entropyCount }

  /// Whether a device is missing that this image needs for its work.
  var isIncomplete: Bool { blockCount == 0 || networkCount == 0 || consoleCount == 0 || entropyCount == 0 }

  /// Prints a line for every slot with a device in it.
  init(printing tree: DeviceTree) throws(DeviceTreeError) {
    var next = tree.node(compatibleWith: "virtio,mmio")
    while let node = next {
      let slot = try tree.virtioSlot(node)
      if let registers = MMIORegion(slot.registers) { look(at: slot, registers) }
      slotCount += 1
      next = tree.node(compatibleWith: "virtio,mmio", after: node)
    }
  }

  /// Writes what is missing, of an incomplete inventory.
  func printWhatIsMissing() {
    if slotCount == 0 {
      Serial.put("the device tree has no virtio,mmio node")
    } else if deviceCount == 0 {
      Serial.put("no virtio device is there")
    } else if knownCount == 0 {
      Serial.put("no device of a type that this image knows is there")
    } else if blockCount == 0 {
      Serial.put("no block device is there")
    } else if networkCount == 0 {
      Serial.put("no network device is there")
    } else if consoleCount == 0 {
      Serial.put("no console device is there")
    } else {
      Serial.put("no entropy device is there")
    }
  }

  /// virtio 1.4 §4.2.2: MagicValue, Version, DeviceID; an ID of 0 is an empty slot.
  private mutating func look(at slot: VirtioSlot, _ registers: MMIORegion) {
    guard registers.read32(0) == 0x7472_6976 else { return }
    let version = registers.read32(4)
    let identifier = registers.read32(8)
    guard identifier != 0 else { return }
    deviceCount += 1
    Serial.put("slot ")
    Serial.put(decimal: UInt64(slotCount))
    Serial.put(" at 0x")
    Serial.put(hex: slot.registers.base, digits: 8)
    Serial.put(" interrupt ")
    Serial.put(decimal: UInt64(slot.interrupt.identifier))
    Serial.put(slot.interrupt.trigger == .edge ? " (edge)" : " (level)")
    Serial.put(": ")
    switch version {
    case 2: count(identifier)
    case 1: Serial.put("legacy interface (version 1), which is not supported")
    default: Serial.put("unknown version of the interface")
    }
    Serial.newLine()
  }

  private mutating func count(_ identifier: UInt32) {
    switch identifier {
    case 1:
      networkCount += 1
      Serial.put("network")
    case 2:
      blockCount += 1
      Serial.put("block")
    case 3:
      consoleCount += 1
      Serial.put("console")
    case 4:
      entropyCount += 1
      Serial.put("entropy")
    default:
      Serial.put("device type ")
      Serial.put(decimal: UInt64(identifier))
    }
  }
}
