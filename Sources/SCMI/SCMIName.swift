// SCMI names: NUL-terminated ASCII, 16 bytes in attributes and up to 64 through the NAME_GET commands.

import Wire

/// The name of an agent or a resource: at most 63 ASCII characters.
public struct SCMIName: Sendable {
  var bytes: ByteArray<64>
  let length: Int

  /// A name of the board. Traps beyond 63 characters.
  #if os(none)
    @inline(never)
  #endif
  public init(_ text: StaticString) {
    precondition(text.utf8CodeUnitCount < 64, "a name has at most 63 characters")
    bytes = ByteArray(text)
    length = text.utf8CodeUnitCount
  }

  /// The bytes of `text` before its first NUL, and at most 63.
  public init(bytes text: RawSpan) {
    bytes = ByteArray(prefixOf: text)
    bytes[63] = 0
    var length = 0
    while bytes[length] != 0 { length += 1 }
    for i in length..<64 { bytes[i] = 0 }
    self.length = length
  }

  /// Whether attributes hold only the start of it.
  var isExtended: Bool { length >= 16 }
}
