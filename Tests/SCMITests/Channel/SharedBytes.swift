// Shared memory for tests, and an agent that writes what it likes into it.

import SCMI
import Wire

/// A block of memory that both sides of a channel see, freed with the object.
@safe
final class SharedBytes {
  let byteCount: Int
  private let base: UnsafeMutableRawPointer

  init(_ byteCount: Int = 128) {
    self.byteCount = byteCount
    // A margin behind the area shows writes beyond it.
    unsafe base = .allocate(byteCount: byteCount + 64, alignment: 64)
    unsafe base.initializeMemory(as: UInt8.self, repeating: 0xA5, count: byteCount + 64)
  }

  deinit { unsafe base.deallocate() }

  /// The block as an area. Valid while the object lives.
  var area: SharedArea { unsafe SharedArea(base: base, byteCount: byteCount) }

  /// Whether nothing was written behind the area.
  var isIntact: Bool {
    (0..<64).allSatisfy { unsafe base.load(fromByteOffset: byteCount + $0, as: UInt8.self) == 0xA5 }
  }

  subscript(offset: Int) -> UInt32 {
    get { unsafe base.load(fromByteOffset: offset, as: UInt32.self) }
    set { unsafe base.storeBytes(of: newValue, toByteOffset: offset, as: UInt32.self) }
  }

  /// `count` bytes of the message.
  func message(_ count: Int) -> [UInt8] {
    (0..<count).map { unsafe base.load(fromByteOffset: 0x18 + $0, as: UInt8.self) }
  }

  /// Writes the message, without its length.
  func setMessage(_ bytes: [UInt8]) {
    for (i, byte) in bytes.enumerated() {
      unsafe base.storeBytes(of: byte, toByteOffset: 0x18 + i, as: UInt8.self)
    }
  }

  /// Hands a command over, as an agent does.
  func post(_ bytes: [UInt8], length: UInt32? = nil, flags: UInt32 = 0) {
    setMessage(bytes)
    self[0x14] = length ?? UInt32(bytes.count)
    self[0x10] = flags
    self[0x04] = 0
  }
}

/// The message in `bytes`, in the memory of a channel.
func messageBytes(_ bytes: [UInt8]) -> MessageBytes {
  var message = MessageBytes()
  for (i, byte) in bytes.enumerated() { message[i] = byte }
  return message
}

extension RawSpan {
  /// The bytes as an array.
  var array: [UInt8] { (0..<byteCount).map { load(UInt8.self, at: $0) } }
}

extension MutableRawSpan {
  /// Writes the first of `messages` and drops it there. Returns its length; 0 without one.
  @_lifetime(self: copy self)
  mutating func put(first messages: inout [[UInt8]]) -> Int {
    if messages.isEmpty { return 0 }
    let bytes = messages.removeFirst()
    for (i, byte) in bytes.enumerated() { store(byte, at: i) }
    return bytes.count
  }
}
