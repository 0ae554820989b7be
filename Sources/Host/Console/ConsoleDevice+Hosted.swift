// The console device as a process serves it: one port, whose size is that of the terminal behind it.

public import DeviceTypes
import Virtio

/// A console's backend on this system.
public protocol HostedConsole: ConsoleBackend, HostedBackend, ~Copyable {
  /// The size in characters, if there is a terminal that knows.
  var size: ConsoleSize? { get }
}

extension ConsoleDevice: HostedDevice where Backend: HostedConsole, Backend: ~Copyable {
  /// Those of the backend.
  public var events: [OpenFile] { backend.events }
  /// Passed on to the backend.
  public mutating func gather() { backend.gather() }
  /// Passed on to the backend.
  public mutating func submit() { backend.submit() }
  /// The terminal may have another size.
  public mutating func lookAgain() {
    if let size = backend.size { resize(size, port: 0) }
  }
}

extension ConsoleDevice where Backend: HostedConsole, Backend: ~Copyable {
  /// A console with one port, of `backend`'s size if it has one.
  public init(serving backend: consuming Backend) {
    let size = backend.size
    let emergency = ConsoleFeature.emergencyWrite
    self.init(
      backend: backend, features: size == nil ? emergency : emergency | ConsoleFeature.size,
      size: size ?? ConsoleSize(columns: 80, rows: 25), queueSizeMax: 256)
  }
}
