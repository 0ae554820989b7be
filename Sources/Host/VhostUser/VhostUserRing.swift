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
  var kick: OpenFile?
  /// Announces used buffers; nil when nobody wants to know.
  var call: PeerEvent?
  /// Announces that the ring is broken.
  var error: PeerEvent?

  /// What GET_VRING_BASE returns, and SET_VRING_BASE takes: split, the available index; packed, two offsets
  /// with a wrap counter each.
  /// The available position in the low half and, packed, the same used position in the high half.
  static func encode(_ position: RingPosition, _ format: RingFormat) -> UInt32 {
    guard format == .packed else { return UInt32(position.index) }
    let half = UInt32(position.index) | (position.wrapCounter ? 1 << 15 : 0)
    return half | half << 16
  }

  /// The position that `base` means; nil for one with buffers in flight, of which we can know nothing.
  static func decode(_ base: UInt32, _ format: RingFormat) -> RingPosition? {
    let low = UInt16(truncatingIfNeeded: base)
    guard format == .packed else { return RingPosition(index: low) }
    guard base >> 16 == UInt32(low) else { return nil }
    return RingPosition(index: low & 0x7fff, wrapCounter: low & 0x8000 != 0)
  }
}
