// What a front end has said of one ring.

import Virtio

/// The settings of one ring, and the descriptors that announce buffers on it.
struct VhostUserRing {
  /// Number of descriptors; 0 until it is set.
  var size: UInt16 = 0
  /// The areas, as addresses of the front end.
  var addresses: QueueAddresses?
  /// Where to go on, as the front end encodes it.
  var base: UInt32?
  /// Whether the front end lets it work.
  var isEnabled = false
  /// Whether it was started and not stopped since.
  var isStarted = false
  /// Announces available buffers; nil when the ring is to be polled.
  var kick: Descriptor?
  /// Announces used buffers; nil when nobody wants to know.
  var call: Descriptor?
  /// Announces that the ring is broken.
  var error: Descriptor?

  /// What GET_VRING_BASE returns, and SET_VRING_BASE takes: split, the available index; packed, two offsets
  /// with a wrap counter each.
  static func encode(_ position: QueuePosition, _ format: RingFormat) -> UInt32 {
    guard format == .packed else { return UInt32(position.available) }
    let available = UInt32(position.available) | (position.availableWrap ? 1 << 15 : 0)
    let used = UInt32(position.used) | (position.usedWrap ? 1 << 15 : 0)
    return available | used << 16
  }

  static func decode(_ base: UInt32, _ format: RingFormat) -> QueuePosition {
    let low = UInt16(truncatingIfNeeded: base)
    guard format == .packed else { return QueuePosition(available: low, used: low) }
    let high = UInt16(truncatingIfNeeded: base >> 16)
    return QueuePosition(
      available: low & 0x7fff, used: high & 0x7fff, availableWrap: low & 0x8000 != 0,
      usedWrap: high & 0x8000 != 0)
  }
}
