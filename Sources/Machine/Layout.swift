// Where the linker put things.

import CMachine
public import DeviceTree
import Wire

/// The memory of an image, as fixed at link time.
public enum Layout {
  /// Bytes of the stack that `main` runs on; a guard page lies below it.
  public static var stackSize: UInt64 { machine_stack_top() - machine_stack_bottom() }
  /// Bytes of the C library's heap.
  public static var heapSize: UInt64 { machine_heap_end() - machine_heap_start() }
  /// Bytes of code, padded to a page.
  public static var textSize: UInt64 { machine_text_end() - machine_image_start() }
  /// Bytes of read-only data, padded to a page.
  public static var readOnlySize: UInt64 { machine_rodata_end() - machine_text_end() }

  /// All of the image, its stacks and its heap included.
  public static var image: AddressRange {
    AddressRange(base: machine_image_start(), size: machine_image_end() - machine_image_start())
  }

  /// Memory for what drivers share with devices, and for their records: not cleared at start, and used by
  /// nothing else. Its addresses are the same for the processor and for devices, which see what the caches
  /// hold.
  public static var deviceMemory: AddressRange {
    AddressRange(
      base: machine_device_memory_start(), size: machine_device_memory_end() - machine_device_memory_start())
  }

  /// Writes the sizes on one line.
  public static func print() {
    put("vireo: text ", textSize)
    put(", read-only ", readOnlySize)
    put(", stack ", stackSize)
    put(", heap ", heapSize)
    Serial.newLine()
  }

  private static func put(_ name: FixedText, _ size: UInt64) {
    Serial.put(name)
    Serial.put(decimal: size >> 10)
    Serial.put(" KiB")
  }
}
