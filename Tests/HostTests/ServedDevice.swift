// A vhost-user server on a thread of its own, for one front end.

import CLinux
import Host
import QTestSupport
import TestSupport
import Virtio

/// A device that is served at `path` until its front end is gone.
final class ServedDevice {
  /// Where the front end connects.
  let path: String
  private let socket = SocketPath()
  private let thread: PeerThread

  /// Listens, then serves the device of one queue that `make` makes.
  convenience init<Device: HostedDevice & SendableMetatype & ~Copyable>(
    _ make: @escaping @Sendable () throws -> Device
  ) throws {
    try self.init(by: VhostUserServer<Device, 1>.self, make)
  }

  /// The same for any number of rings.
  init<Device: HostedDevice & SendableMetatype & ~Copyable, let ringCount: Int>(
    by _: VhostUserServer<Device, ringCount>.Type, _ make: @escaping @Sendable () throws -> Device
  ) throws {
    path = socket.path
    let number = unsafe clinux_listen(path)
    guard number >= 0 else { throw SystemError(-number) }
    let listener = OpenFile(number)
    thread = PeerThread {
      do {
        let connection = clinux_accept(listener.number)
        guard connection >= 0 else { throw SystemError(-connection) }
        let server = try VhostUserServer<Device, ringCount>(make())
        try server.serve(OpenFile(connection))
      } catch {
        fatalError("the server failed: \(error)")
      }
    }
  }

  /// The processor's time that the server has taken, in nanoseconds.
  var processorTime: Int { thread.processorTime }

  /// Waits until the server has seen the end of its front end.
  func join() { thread.join() }
}
