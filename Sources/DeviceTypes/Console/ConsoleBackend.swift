// What is behind the ports of a console device: a terminal, a log, a socket.

public import Virtio

/// The host's end of every port of a console device.
///
/// Ports are numbered from 0. The device is polled whenever the backend can take or give more.
public protocol ConsoleBackend: ~Copyable {
  /// Takes what the driver wrote to `port`. Returns how many bytes of `range` were taken, from its start;
  /// fewer than all of them means busy, and the rest is offered again when the device is polled.
  mutating func write(_ range: GuestRange, port: Int) -> UInt32
  /// Whether there is input for `port`.
  func hasInput(port: Int) -> Bool
  /// Writes input of `port` to the start of `range` and returns how many bytes, at most `range.byteCount`.
  mutating func read(into range: GuestRange, port: Int) -> UInt32
  /// The driver opened or closed its end of `port`. No input is taken for a closed one.
  mutating func setDriverOpen(_ isOpen: Bool, port: Int)
  /// A single character, possibly from a guest that has crashed or not yet come up.
  mutating func emergencyWrite(_ byte: UInt8)
}

extension ConsoleBackend where Self: ~Copyable {
  /// Nothing to do.
  public mutating func setDriverOpen(_ isOpen: Bool, port: Int) {}
}
