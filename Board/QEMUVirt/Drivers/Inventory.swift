// The virtio devices that the device tree names, as their registers describe them.

import DeviceTree
import Machine
import Virtio

/// The slots of the machine.
struct Inventory {
  /// Most slots that are looked at.
  static let limit = StatusLatch.limit

  private var slots = InlineArray<64, Slot?>(repeating: nil)
  /// How many slots the device tree has.
  private(set) var count = 0

  /// Reads the slots of the tree; those that lie where the board has no devices are left out.
  init(_ tree: DeviceTree) throws(DeviceTreeError) {
    var next = tree.node(compatibleWith: "virtio,mmio")
    while let node = next, count < Self.limit {
      let slot = try tree.virtioSlot(node)
      if let registers = MMIORegion(slot.registers) {
        slots[count] = Slot(index: count, registers: registers, interrupt: slot.interrupt)
      } else {
        Report.error("a virtio device has registers where this board has no devices")
      }
      count += 1
      next = tree.node(compatibleWith: "virtio,mmio", after: node)
    }
  }

  /// The first slot with a device of that type, if there is one.
  func first(_ type: DeviceID) -> Slot? {
    for index in 0..<count {
      guard let slot = slots[index], let device = try? slot.transport() else { continue }
      if device.deviceID == type { return slot }
    }
    return nil
  }

  /// Prints every slot with a device in it, and says what is wrong if there is none that can be used.
  func print() {
    var devices = 0
    var known = 0
    for index in 0..<count {
      guard let slot = slots[index] else { continue }
      do throws(DeviceFault) {
        let device = try slot.transport()
        try print(slot, device)
        if device.deviceID.name != nil { known += 1 }
      } catch {
        if error == .noDevice { continue }
        Report.beginError()
        Serial.put("slot ")
        Serial.put(decimal: UInt64(index))
        Serial.put(": ")
        Serial.put(describing: error)
        Serial.newLine()
      }
      devices += 1
    }
    if devices == 0 {
      Report.error("no virtio device in any slot of this machine (QEMU: -device virtio-rng-device, for one)")
    } else if known == 0 {
      Report.error("no device of a type that this image has a driver for")
    }
  }

  private func print(_ slot: Slot, _ device: borrowing SlotTransport) throws(DeviceFault) {
    let offered = device.offeredFeatures()
    Report.begin("device")
    Serial.put(decimal: UInt64(slot.index))
    Serial.put(" type=")
    Serial.put(device.deviceID)
    Serial.put(" features=")
    Serial.put(offered)
    Serial.put(" queues=")
    var queues: UInt16 = 0
    while queues < 1024, device.queueSizeMax(queues) != 0 { queues += 1 }
    Serial.put(decimal: UInt64(queues))
    Serial.newLine()

    Serial.put("  at 0x")
    Serial.put(hex: slot.registers.base, digits: 8)
    Serial.put(", interrupt ")
    Serial.put(decimal: UInt64(slot.interrupt.identifier))
    Serial.put(", queues of up to ")
    Serial.put(decimal: UInt64(queues == 0 ? 0 : device.queueSizeMax(0)))
    Serial.put(", offers")
    Serial.put(names: offered)
    Serial.newLine()
    if queues == 0 {
      Serial.line("  it has no queue: every queue size is 0")
    }
  }
}

extension DeviceID {
  /// What the type is called, if this image has a driver for it.
  var name: StaticString? {
    switch self {
    case .network: "network"
    case .block: "block"
    case .console: "console"
    case .entropy: "entropy"
    default: nil
    }
  }
}

extension Serial {
  /// Writes the type of a device.
  static func put(_ type: DeviceID) {
    if let name = type.name { return put(name) }
    put("id-")
    put(decimal: UInt64(type.rawValue))
  }

  /// Writes 128 feature bits in hexadecimal, bit 127 first.
  static func put(_ features: Features) {
    put(hex: features.high)
    put(hex: features.low)
  }

  /// Writes the features of the rings by name.
  static func put(names features: Features) {
    if !features.contains(.version1) { put(" no VERSION_1") }
    if features.contains(.ringPacked) { put(" RING_PACKED") }
    if features.contains(.inOrder) { put(" IN_ORDER") }
    if features.contains(.eventIndex) { put(" EVENT_IDX") }
    if features.contains(.indirectDescriptors) { put(" INDIRECT_DESC") }
  }
}
