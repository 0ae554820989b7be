// Faults on purpose: what the exception report has to explain is tried in earnest.

import CMachine

/// Things that a correct image never does.
public enum Faults {
  /// Reads through a null pointer.
  @inline(never) public static func readUnmapped() {
    machine_touch(machine_opaque(0))
  }

  /// Writes to the image's own code.
  @inline(never) public static func writeText() {
    machine_overwrite(machine_opaque(machine_image_start()))
  }

  /// Calls itself until the stack is full.
  @inline(never) public static func overflowStack() {
    Serial.put(decimal: descend(machine_opaque(1)))
  }

  @inline(never) private static func descend(_ depth: UInt64) -> UInt64 {
    depth == 0 ? 0 : descend(machine_opaque(depth + 1)) + machine_opaque(1)
  }
}
