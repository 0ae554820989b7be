// What the daemon says. To standard error, a line at a time.

import Glibc

/// The log. Quiet unless something is wrong, or was asked for.
public enum Log {
  /// Whether connections and rings are told of, too.
  public static var isVerbose: Bool {
    // Set once, before anything else runs.
    get { unsafe verbose }
    set { unsafe verbose = newValue }
  }
  nonisolated(unsafe) private static var verbose = false

  /// Something that the user must know of.
  static func warn(_ line: String) { put("vireo: " + line) }

  /// Something that is as it should be.
  static func note(_ line: @autoclosure () -> String) {
    if isVerbose { put("vireo: " + line()) }
  }

  private static func put(_ line: String) {
    var line = line + "\n"
    // The string's own bytes. Nothing can be done if nobody hears.
    line.withUTF8 { bytes in _ = unsafe write(STDERR_FILENO, bytes.baseAddress, bytes.count) }
  }
}
