// Random bytes of the operating system.

import CLinux
public import DeviceTypes
public import Virtio

/// The kernel's generator, straight into guest memory.
public struct SystemEntropy: EntropyBackend, HostedBackend {
  /// A source.
  public init() {}

  /// Up to 256 bytes at a time are always there (getrandom(2)).
  public mutating func fill(_ range: GuestRange) -> UInt32 {
    // A checked range is valid for its length.
    let count = unsafe clinux_random(range.host, Int(range.byteCount))
    return count > 0 ? UInt32(count) : 0
  }
}
