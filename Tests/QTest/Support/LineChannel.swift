import Glibc

/// A stream socket that carries lines of text: the qtest protocol and QMP both do.
final class LineChannel {
  private let socket: FileDescriptor
  private var pending: [UInt8] = []
  private var consumed = 0

  /// Bounds every wait for a line. A loaded machine is slow: generous, but never for ever.
  static let timeoutSeconds = 60

  init(_ socket: FileDescriptor) throws(QTestError) {
    self.socket = socket
    var limit = timeval(tv_sec: Self.timeoutSeconds, tv_usec: 0)
    let size = socklen_t(MemoryLayout<timeval>.size)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      let result = unsafe setsockopt(socket.number, SOL_SOCKET, option, &limit, size)
      if result != 0 { throw .system(call: "setsockopt", errno: errno) }
    }
  }

  func send(_ line: String) throws(QTestError) {
    let bytes = Array((line + "\n").utf8)
    var sent = 0
    while sent < bytes.count {
      let count = unsafe bytes.withUnsafeBytes { (all: UnsafeRawBufferPointer) -> Int in
        unsafe Glibc.send(socket.number, all.baseAddress! + sent, all.count - sent, Int32(MSG_NOSIGNAL))
      }
      if count < 0 {
        if errno == EINTR { continue }
        throw errno == EAGAIN ? .timeout(line) : .closed("")
      }
      sent += count
    }
  }

  /// The next line, without its end. `purpose` goes into the error text.
  func receive(for purpose: String) throws(QTestError) -> String {
    while true {
      if let end = pending[consumed...].firstIndex(of: UInt8(ascii: "\n")) {
        let line = String(decoding: pending[consumed..<end], as: UTF8.self)
        consumed = end + 1
        if consumed == pending.count {
          pending.removeAll(keepingCapacity: true)
          consumed = 0
        }
        return line.last == "\r" ? String(line.dropLast()) : line
      }
      var chunk = [UInt8](repeating: 0, count: 4096)
      let count = unsafe recv(socket.number, &chunk, chunk.count, 0)
      if count > 0 {
        pending += chunk.prefix(count)
      } else if count == 0 {
        throw .closed("")
      } else if errno != EINTR {
        throw errno == EAGAIN ? .timeout(purpose) : .closed("")
      }
    }
  }
}
