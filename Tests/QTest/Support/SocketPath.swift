import Glibc

/// A fresh file name in memory-backed storage, removed with the object.
public final class SocketPath {
  /// The absolute path; short enough for a socket address.
  public let path: String

  /// Reserves a name; nothing is created there yet.
  public init() {
    path = "/dev/shm/vireo-\(getpid())-\(UInt32.random(in: 0 ... .max))"
  }

  deinit { unsafe unlink(path) }
}
