// The other end of something: what a test says to it, and hears.

import Glibc
import TestSupport

@testable import Host

extension OpenFile {
  /// Writes what there is room for, and returns how much that is. A socket, pipe or terminal.
  @discardableResult
  func put(_ bytes: some Collection<UInt8>) -> Int {
    let bytes = Array(bytes)
    // The peer may have hung up: what comes of that is what the test asks about.
    let count = unsafe bytes.withUnsafeBytes {
      let sent = unsafe send(
        number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
      return unsafe sent < 0 && errno == ENOTSOCK ? write(number, $0.baseAddress, $0.count) : sent
    }
    return max(count, 0)
  }

  /// What is there, up to `count` bytes.
  func take(_ count: Int = 1 << 20) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var got = unsafe recv(number, &bytes, count, Int32(MSG_DONTWAIT))
    if got < 0 && errno == ENOTSOCK { got = unsafe read(number, &bytes, count) }
    return Array(bytes.prefix(max(got, 0)))
  }
}
