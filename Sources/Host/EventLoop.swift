// Waiting for descriptors.

import CLinux
import Glibc

/// A set of descriptors with a token each.
struct EventLoop {
  /// The set itself, which is readable when one of its descriptors has news.
  let set: OpenFile
  private var tokens: [16 of UInt64] = InlineArray(repeating: 0)

  init() throws(SystemError) { set = try OpenFile(checking: clinux_epoll()) }

  /// Watches `descriptor`. `isEdge`: only news count, and nothing has to be read to take them off.
  func add(_ descriptor: OpenFile, token: UInt64, isEdge: Bool) throws(SystemError) {
    try SystemError.check(clinux_epoll_add(set.number, descriptor.number, token, isEdge ? 1 : 0))
  }

  /// No longer watches `descriptor`, if it did.
  func remove(_ descriptor: OpenFile) { _ = clinux_epoll_remove(set.number, descriptor.number) }

  /// Looks for news, and waits for them if `waits`. Returns how many there are, at most 16; `token` tells
  /// of each.
  mutating func look(waits: Bool) throws(SystemError) -> Int {
    let set = set.number
    var span = tokens.mutableSpan
    // The span is as long as the capacity says.
    let count = unsafe span.withUnsafeMutableBufferPointer {
      unsafe clinux_epoll_wait(set, $0.baseAddress, Int32($0.count), waits ? -1 : 0)
    }
    try SystemError.check(count)
    return Int(count)
  }

  /// The token of the descriptor with news number `index` of the last look.
  func token(_ index: Int) -> UInt64 { tokens[index] }

  /// Waits until one of `descriptors` is readable. For the rare moments when nothing
  /// else may happen. Takes their counts off.
  static func waitForAny(_ descriptors: [OpenFile]) {
    var polled = descriptors.map { pollfd(fd: $0.number, events: Int16(POLLIN), revents: 0) }
    // An operation that ended just before is seen at the latest after 10 ms.
    _ = unsafe Glibc.poll(&polled, nfds_t(polled.count), 10)
    for descriptor in descriptors { _ = clinux_clear(descriptor.number) }
  }
}
