// SCMI names, agent side: what a name says.

import Wire

extension SCMIName: Equatable {
  /// Characters of the name.
  public var byteCount: Int { length }

  /// A character. Traps outside `0 ..< byteCount`.
  public subscript(index: Int) -> UInt8 {
    precondition(index >= 0 && index < length, "a character beyond the name")
    return bytes[index]
  }

  /// Whether two names are the same, character by character.
  public static func == (a: SCMIName, b: SCMIName) -> Bool {
    guard a.length == b.length else { return false }
    for i in 0..<a.length where a.bytes[i] != b.bytes[i] { return false }
    return true
  }
}
