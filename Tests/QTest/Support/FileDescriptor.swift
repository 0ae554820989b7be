import Glibc

/// Owns one open file descriptor, closed with the object.
public final class FileDescriptor {
  /// The number the operating system knows it by.
  public let number: Int32

  private var isClosed = false

  /// Takes over `number`, the result of the system call named by `call`; negative means the call failed.
  public init(_ number: Int32, from call: String) throws(QTestError) {
    if number < 0 { throw .system(call: call, errno: errno) }
    self.number = number
  }

  deinit { if !isClosed { Glibc.close(number) } }

  /// Closes it before the object goes; `number` means nothing any more.
  func close() {
    Glibc.close(number)
    isClosed = true
  }

  /// A connected pair of stream sockets: ours, and the one a child process shall inherit.
  static func pair() throws(QTestError) -> (ours: FileDescriptor, theirs: FileDescriptor) {
    var both: [Int32] = [-1, -1]
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let result = unsafe socketpair(AF_UNIX, type, 0, &both)
    if result != 0 { throw .system(call: "socketpair", errno: errno) }
    return (try FileDescriptor(both[0], from: "socketpair"), try FileDescriptor(both[1], from: "socketpair"))
  }

  /// A file of `size` zero bytes that lives in memory; its name is gone at once, so nothing is left behind.
  static func memory(size: Int) throws(QTestError) -> FileDescriptor {
    var path = Array("/dev/shm/vireo-XXXXXX".utf8CString)
    let file = try FileDescriptor(unsafe mkstemp(&path), from: "mkstemp")
    _ = fcntl(file.number, F_SETFD, FD_CLOEXEC)
    unsafe unlink(&path)
    if ftruncate(file.number, size) != 0 { throw .system(call: "ftruncate", errno: errno) }
    return file
  }

  /// The file's contents as text, at most 16 KiB of it.
  func text() -> String {
    var bytes = [UInt8](repeating: 0, count: 16_384)
    let count = unsafe pread(number, &bytes, bytes.count, 0)
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  }
}
