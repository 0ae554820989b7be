// The virtio devices that the device tree names, as their registers describe them.

import DeviceTree
import Machine
import Platform
import Virtio
import Wire

/// The slots of the machine.
enum Inventory {
  /// How many slots there are.
  static var count: Int { HardwareSlots.count }

  /// Reads the slots of the tree. Those that lie where the board has no devices are reported.
  static func read(_ tree: DeviceTree) throws(DeviceTreeError) {
    try HardwareSlots.read(tree) {
      Report.error("a virtio device has registers where this board has no devices")
    }
  }

  /// The first slot with a device of that type, if there is one.
  static func first(_ type: DeviceID) -> Slot? { HardwareSlots.first(type).map { Slot(index: $0.index) } }

  /// Prints every slot with a device in it, and says what is wrong if there is none that can be used.
  static func print() {
    var devices = 0
    var known = 0
    for index in 0..<count {
      let slot = Slot(index: index)
      do throws(DeviceFault) {
        let device = try slot.place.transport()
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

  private static func print(_ slot: Slot, _ device: borrowing SlotTransport) throws(DeviceFault) {
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
    Serial.put(hex: slot.place.registers.base, digits: 8)
    Serial.put(", interrupt ")
    Serial.put(decimal: UInt64(slot.place.interrupt.identifier))
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
  var name: FixedText? {
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

  /// Writes the features of the rings by name.
  static func put(names features: Features) {
    if !features.contains(.version1) { put(" no VERSION_1") }
    if features.contains(.ringPacked) { put(" RING_PACKED") }
    if features.contains(.inOrder) { put(" IN_ORDER") }
    if features.contains(.eventIndex) { put(" EVENT_IDX") }
    if features.contains(.indirectDescriptors) { put(" INDIRECT_DESC") }
  }
}
