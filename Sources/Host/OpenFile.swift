// File descriptors with an owner.

import CLinux
import Glibc

/// An open file descriptor, closed when the last reference to it goes.
public final class OpenFile: Sendable {
  /// The number of the descriptor.
  public let number: Int32

  /// Takes over `number`, which must be open and nobody else's.
  public init(_ number: Int32) { self.number = number }

  /// The result of a call that returns a descriptor or a negative error number.
  convenience init(checking result: Int32) throws(SystemError) {
    guard result >= 0 else { throw SystemError(-result) }
    self.init(result)
  }

  deinit { _ = close(number) }

  /// A file or block device at `path`.
  public static func open(_ path: String, isWritable: Bool) throws(SystemError) -> OpenFile {
    try OpenFile(checking: unsafe clinux_open(path, isWritable ? 1 : 0))
  }

  /// An event counter at 0.
  public static func event() throws(SystemError) -> OpenFile {
    try OpenFile(checking: clinux_eventfd())
  }

  /// A file of `byteCount` zeros in memory, of fixed length.
  static func memory(byteCount: Int) throws(SystemError) -> OpenFile {
    try OpenFile(checking: unsafe clinux_memory_file("vireo", byteCount))
  }

  /// The length of the file or block device in bytes.
  public func byteCount() throws(SystemError) -> UInt64 {
    let result = clinux_byte_count(number)
    guard result >= 0 else { throw SystemError(Int32(truncatingIfNeeded: -result)) }
    return UInt64(result)
  }

  /// All that can be read from the start. Throws EFBIG when that is more than `byteCountMax` bytes.
  public func text(byteCountMax: Int) throws(SystemError) -> String {
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 4096)
    while true {
      // As long as the array.
      let count = unsafe clinux_read(number, &piece, piece.count)
      guard count >= 0 else { throw SystemError(Int32(truncatingIfNeeded: -count)) }
      if count == 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += piece.prefix(count)
      guard bytes.count <= byteCountMax else { throw SystemError(EFBIG) }
    }
  }

  /// From here on, what would have to wait fails instead.
  func doNotBlock() throws(SystemError) { try SystemError.check(clinux_do_not_block(number)) }

  /// Counts an event.
  func signal() { clinux_signal(number) }
}

/// An error of the operating system.
public struct SystemError: Error, Equatable, CustomStringConvertible {
  /// The error number, positive (errno(3)).
  public let number: Int32

  /// The error with the given number.
  public init(_ number: Int32) { self.number = number }

  /// Throws when `result` is a negative error number.
  static func check(_ result: Int32) throws(SystemError) {
    if result < 0 { throw SystemError(-result) }
  }

  /// The system's words for it.
  public var description: String {
    // strerror returns a C string that is valid until its next call on this thread.
    unsafe String(cString: strerror(number))
  }
}
