import Glibc

/// A file with a name, for the machine to open; removed with the object.
public final class HostFile {
  /// The absolute path.
  public let path: String
  private let file: FileDescriptor

  /// A file that holds `bytes`, in memory-backed storage or, if `isOnDisk`, elsewhere.
  public init(_ bytes: [UInt8], isOnDisk: Bool = false) throws {
    var template = Array("/\(isOnDisk ? "var/tmp" : "dev/shm")/vireo-XXXXXX".utf8CString)
    file = try FileDescriptor(unsafe mkstemp(&template), from: "mkstemp")
    _ = fcntl(file.number, F_SETFD, FD_CLOEXEC)
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    try write(bytes, at: 0)
  }

  deinit { unsafe unlink(path) }

  /// Overwrites the bytes from `offset` on.
  public func write(_ bytes: [UInt8], at offset: Int) throws {
    var done = 0
    while done < bytes.count {
      let count = unsafe bytes.withUnsafeBytes { (all: UnsafeRawBufferPointer) -> Int in
        unsafe pwrite(file.number, all.baseAddress! + done, all.count - done, offset + done)
      }
      if count <= 0 { throw QTestError.system(call: "pwrite", errno: errno) }
      done += count
    }
  }

  /// The `count` bytes from `offset` on.
  public func read(_ count: Int, at offset: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let got = unsafe pread(file.number, &bytes, count, offset)
    if got != count { throw QTestError.system(call: "pread", errno: errno) }
    return bytes
  }

  /// Cuts the file off, or extends it with zeros.
  public func truncate(to byteCount: Int) throws {
    if ftruncate(file.number, byteCount) != 0 { throw QTestError.system(call: "ftruncate", errno: errno) }
  }

  /// The length in bytes.
  public var byteCount: Int {
    var status = stat()
    return unsafe fstat(file.number, &status) == 0 ? Int(status.st_size) : -1
  }
}
