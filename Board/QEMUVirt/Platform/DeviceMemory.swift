// Memory that an image shares with its devices.

import DeviceTree
import Machine
public import Virtio

/// The memory that the linker script sets apart for devices.
public enum DeviceMemory {
  /// Of the memory, what only the drivers see.
  private static let privateByteCount = 512 << 10
  /// Only the first core writes, outside of interrupts.
  nonisolated(unsafe) private static var isLent = false

  /// All of it, to hand out piece by piece to one driver or to many. Traps when it is lent already:
  /// `giveBack` first.
  public static func lend() -> DriverArena {
    precondition(unsafe !isLent, "lent twice")
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
  public static func giveBack() { unsafe isLent = false }
}
