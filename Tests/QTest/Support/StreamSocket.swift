import Glibc

/// Our end of a stream socket that a character device of the machine has the other end of.
public final class StreamSocket {
  private let socket: FileDescriptor

  init(_ socket: FileDescriptor) throws(QTestError) {
    self.socket = socket
    let flags = fcntl(socket.number, F_GETFL)
    if fcntl(socket.number, F_SETFL, flags | O_NONBLOCK) != 0 { throw .system(call: "fcntl", errno: errno) }
  }

  /// Sends the first bytes of `bytes`, as many as there is room for. Returns how many.
  public func send(_ bytes: ArraySlice<UInt8>) throws -> Int {
    let count = unsafe bytes.withUnsafeBytes { (all: UnsafeRawBufferPointer) -> Int in
      unsafe Glibc.send(socket.number, all.baseAddress, all.count, Int32(MSG_NOSIGNAL))
    }
    if count >= 0 { return count }
    if errno == EAGAIN || errno == EINTR { return 0 }
    throw QTestError.system(call: "send", errno: errno)
  }

  /// Up to 4096 bytes that have arrived; empty when there are none now.
  public func receive() throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = unsafe recv(socket.number, &bytes, bytes.count, 0)
    if count >= 0 { return Array(bytes.prefix(count)) }
    if errno == EAGAIN || errno == EINTR { return [] }
    throw QTestError.system(call: "recv", errno: errno)
  }
}
