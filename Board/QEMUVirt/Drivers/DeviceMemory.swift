// Memory that the image shares with its devices. One device is in use at a time, so each finds all of it.

import DeviceTree
import Machine
import Virtio

/// The memory that the linker script sets apart for devices.
enum DeviceMemory {
  /// Of the memory, what only the drivers see.
  private static let privateByteCount = 128 << 10
  /// Only this core writes, outside of interrupts.
  nonisolated(unsafe) private static var isLent = false

  /// All of it, to hand out piece by piece. Traps when it is lent already: `giveBack` first.
  static func lend() -> DriverArena {
    precondition(unsafe !isLent, "two devices in use")
    unsafe isLent = true
    let range = Layout.deviceMemory
    let shared = Int(range.size) - privateByteCount
    // The linker script keeps the range free for this and start.S maps it one to one; it is lent once at a
    // time, and no device writes to it any more when it comes back.
    let base = unsafe UnsafeMutableRawPointer(bitPattern: UInt(range.base)).unsafelyUnwrapped
    return unsafe DriverArena(
      shared: DMABuffer(base: base, byteCount: shared, deviceAddress: range.base),
      own: PrivateMemory(base: base + shared, byteCount: privateByteCount))
  }

  /// Says that no driver and no device uses it any more.
  static func giveBack() { unsafe isLent = false }
}
