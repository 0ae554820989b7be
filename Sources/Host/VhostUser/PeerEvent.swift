// How a front end is told of events: by an eventfd, or whatever it gives as one.

import CLinux

/// A descriptor of a front end that counts events.
///
/// The front end has the same file open: it can fill it, so that a write would wait, and whether writes wait
/// is a setting that both share. It is left as it is, since the front end may want to wait for its events.
/// Only one that changes it under a write holds up this process, and that serves nobody else.
struct PeerEvent {
  private let file: OpenFile
  private let mayWait: Bool

  /// Throws when `file` cannot be asked.
  init(_ file: OpenFile) throws(SystemError) {
    let result = clinux_may_wait(file.number)
    try SystemError.check(result)
    self.file = file
    mayWait = result != 0
  }

  /// Counts an event. One that is full has events enough.
  @inline(__always)
  func signal() {
    if mayWait && clinux_has_room(file.number) == 0 { return }
    file.signal()
  }
}
