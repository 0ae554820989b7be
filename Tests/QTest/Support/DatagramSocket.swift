import Glibc

/// The other end of a network device of the machine: each datagram is an Ethernet frame.
public final class DatagramSocket {
  /// Where the machine sends its frames: the socket's own name.
  public let local = SocketPath()
  /// Where the machine receives frames: the name it binds.
  public let machine = SocketPath()
  private let socket: FileDescriptor

  /// A socket that the machine can send to.
  public init() throws {
    let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
    socket = try FileDescriptor(Glibc.socket(AF_UNIX, type, 0), from: "socket")
    let result = unsafe Self.withAddress(local.path) { unsafe bind(socket.number, $0, $1) }
    if result != 0 { throw QTestError.system(call: "bind", errno: errno) }
  }

  /// Sends a frame to the machine. False when there is no room for it now.
  public func send(_ frame: [UInt8]) throws -> Bool {
    let count = unsafe Self.withAddress(machine.path) { address, length in
      unsafe frame.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) -> Int in
        unsafe sendto(socket.number, bytes.baseAddress, bytes.count, 0, address, length)
      }
    }
    if count == frame.count { return true }
    if errno == EAGAIN || errno == ENOBUFS || errno == EINTR { return false }
    throw QTestError.system(call: "sendto", errno: errno)
  }

  /// A frame from the machine, or nil when there is none now.
  public func receive() throws -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: 70_000)
    let count = unsafe recv(socket.number, &bytes, bytes.count, 0)
    if count >= 0 { return Array(bytes.prefix(count)) }
    if errno == EAGAIN || errno == EINTR { return nil }
    throw QTestError.system(call: "recv", errno: errno)
  }

  private static func withAddress<Result>(
    _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) -> Result {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
    return unsafe withUnsafePointer(to: &address) {
      // A socket address starts with its family, whatever its kind.
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
  }
}
