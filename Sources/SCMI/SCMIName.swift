// SCMI names: NUL-terminated ASCII, 16 bytes in attributes and up to 64 through the NAME_GET commands.

import Wire

/// The name of an agent or a resource: at most 63 ASCII characters.
public struct SCMIName: Sendable {
  var bytes: ByteArray<64>
  let length: Int

  /// A name of the board. Traps beyond 63 characters.
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

  /// Writes the name into a field of `size` bytes at `offset`, cut to leave room for the final NUL.
  func write(to reply: inout MutableRawSpan, at offset: Int, size: Int) {
    for i in 0..<size {
      reply.store(i < size - 1 ? bytes[i] : 0, at: offset + i)
    }
  }
}

extension MutableRawSpan {
  /// The response of every NAME_GET command: no flags, and 64 bytes of name. Returns its length.
  @_lifetime(self: copy self)
  mutating func write(_ name: SCMIName) -> Int {
    store(0 as UInt32, at: 8)
    name.write(to: &self, at: 12, size: 64)
    return 68
  }
}
