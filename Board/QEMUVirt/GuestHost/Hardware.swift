// The hardware behind the devices of the guests: where it is, its interrupts, and what is said of it.

import DeviceTree
import Machine
import Platform
import Virtio
import Wire

enum Hardware {
  /// Reads the slots of the board. Those that cannot be used are reported.
  static func find(_ tree: DeviceTree) {
    do throws(DeviceTreeError) {
      try HardwareSlots.read(tree) {
        Report.line("a virtio device has registers where this board has no devices", guest: nil)
      }
    } catch {
      Report.line("the virtio devices of this board cannot be found: its device tree is damaged", guest: nil)
    }
  }

  /// Has `handler` called with `context` at the interrupts of a slot.
  static func listen(to slot: HardwareSlot, context: Int, _ handler: @escaping InterruptHandler) {
    do throws(InterruptError) {
      try Interrupts.enable(slot.interrupt, context: UInt(context), handler: handler)
    } catch {
      line("has an interrupt that the controller has not", slot)
    }
  }

  /// Whether a device wants to be served, or served again: InterruptStatus of virtio 1.4 §4.2.2 is not zero.
  /// Its interrupt is an edge, and one that comes while another is being served makes none.
  static func isInterrupting(_ slot: HardwareSlot) -> Bool { slot.registers.read32(0x060) != 0 }

  /// Writes a line about the device in a slot.
  @inline(never)
  static func line(_ text: FixedText, _ slot: HardwareSlot) {
    Serial.exclusively {
      start(slot)
      Serial.line(text)
    }
  }

  /// The same, about what is wrong with it.
  @inline(never)
  static func line(_ text: FixedText, _ fault: DeviceFault, _ slot: HardwareSlot) {
    Serial.exclusively {
      start(slot)
      Serial.put(text)
      Serial.put(": ")
      Serial.put(describing: fault)
      Serial.newLine()
    }
  }

  private static func start(_ slot: HardwareSlot) {
    Serial.newLine()
    Serial.put("vireo: the device in slot ")
    Serial.put(decimal: UInt64(slot.index))
    Serial.put(" ")
  }
}
