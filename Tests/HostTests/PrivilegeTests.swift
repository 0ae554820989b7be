// What a server can no longer do once it serves. A filter of system calls holds for the thread that sets it.

import CLinux
import Glibc
import Synchronization
import TestSupport
import Testing

@testable import Host

@Suite struct `Privileges of a server` {
  private final class Outcome: Sendable {
    let error = Atomic<Int32>(-1)
  }

  /// What `call` fails with where only a server's calls are allowed; 0 when it succeeds.
  private static func limited(
    by limit: @escaping @Sendable () -> Int32 = clinux_limit_calls, _ call: @escaping @Sendable () -> Bool
  ) -> Int32 {
    let outcome = Outcome()
    PeerThread {
      guard limit() == 0 else { return }
      let isDone = call()
      outcome.error.store(isDone ? 0 : errno, ordering: .relaxed)
    }.join()
    return outcome.error.load(ordering: .relaxed)
  }

  private static func maps(_ protection: Int32) -> Bool {
    let place = unsafe mmap(nil, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    // Both as numbers: MAP_FAILED is no place.
    guard Int(bitPattern: place) != -1 else { return false }
    return unsafe munmap(place, 4096) == 0
  }

  @Test func `what serving takes is allowed`() {
    #expect(Self.limited { Self.maps(PROT_READ | PROT_WRITE) } == 0)
    #expect(Self.limited { usleep(1) == 0 } == 0)
    #expect(Self.limited { getpid() != 0 } == 0)
  }

  @Test func `files and sockets cannot be opened, programs not started, memory not made executable`() {
    #expect(Self.limited { unsafe open("/dev/null", O_RDONLY) >= 0 } == EPERM)
    #expect(Self.limited { socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0) >= 0 } == EPERM)
    #expect(Self.limited { unsafe execv("/bin/true", [nil]) == 0 } == EPERM)
    #expect(Self.limited { kill(getpid(), 0) == 0 } == EPERM)
    #expect(Self.limited { Self.maps(PROT_READ | PROT_EXEC) } == EPERM)
  }

  @Test func `who connects again can do nothing else`() {
    let limit: @Sendable () -> Int32 = clinux_limit_calls_to_connecting
    let local: @Sendable () -> Bool = { socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0) >= 0 }
    #expect(Self.limited(by: limit, local) == 0)
    #expect(Self.limited(by: limit) { socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) >= 0 } == EPERM)
    #expect(Self.limited(by: limit) { unsafe open("/dev/null", O_RDONLY) >= 0 } == EPERM)
    #expect(Self.limited(by: limit) { unsafe execv("/bin/true", [nil]) == 0 } == EPERM)
    #expect(Self.limited(by: limit) { kill(getpid(), 0) == 0 } == EPERM)
  }

  @Test func `nothing can be typed into a terminal`() {
    #expect(
      Self.limited {
        var byte: UInt8 = 10
        return unsafe ioctl(0, UInt(TIOCSTI), &byte) == 0
      } == EPERM)
  }
}
