// virtio 1.4 §2.7 Split Virtqueues and §2.8 Packed Virtqueues: sizes, alignments, offsets and flag bits.

/// The largest queue size of either format (§2.7, §2.8).
public let maximumQueueSize: UInt16 = 32768

/// Which of the two virtqueue formats a queue uses.
public enum RingFormat: Equatable, Sendable {
  /// §2.7 Split Virtqueues.
  case split
  /// §2.8 Packed Virtqueues, negotiated by `Features.ringPacked`.
  case packed
}

/// Size and alignment of the three areas of a virtqueue.
public struct RingLayout: Equatable, Sendable {
  /// Format of the queue.
  public let format: RingFormat
  /// Number of descriptors.
  public let size: UInt16

  /// The layout of a queue of `size` descriptors. Nil for a size the clause forbids: 0, above 32768, or not
  /// a power of two in the split format.
  public init?(_ format: RingFormat, size: UInt16) {
    guard size > 0, size <= maximumQueueSize else { return nil }
    guard format == .packed || size & (size - 1) == 0 else { return nil }
    self.format = format
    self.size = size
  }

  /// Bytes of the descriptor area; its alignment is 16.
  public var descriptorAreaByteCount: UInt32 { 16 * UInt32(size) }
  /// Bytes of the driver area (available ring, or driver event suppression).
  public var driverAreaByteCount: UInt32 { format == .split ? 6 + 2 * UInt32(size) : 4 }
  /// Bytes of the device area (used ring, or device event suppression).
  public var deviceAreaByteCount: UInt32 { format == .split ? 6 + 8 * UInt32(size) : 4 }
  /// Alignment of the driver area in bytes.
  public var driverAreaAlignment: UInt64 { format == .split ? 2 : 4 }
  /// Alignment of the device area in bytes.
  public var deviceAreaAlignment: UInt64 { 4 }
  /// Alignment of the descriptor area in bytes.
  public var descriptorAreaAlignment: UInt64 { 16 }
}

/// Bits of a descriptor's flags (§2.7.5, §2.8.13).
@usableFromInline
enum DescriptorFlag {
  @usableFromInline static var next: UInt16 { 1 }
  @usableFromInline static var write: UInt16 { 2 }
  @usableFromInline static var indirect: UInt16 { 4 }
  /// Packed format only.
  @usableFromInline static var available: UInt16 { 1 << 7 }
  /// Packed format only.
  @usableFromInline static var used: UInt16 { 1 << 15 }

  /// The AVAIL and USED marks of the other lap around a packed ring (§2.8.1).
  @inlinable @inline(always)
  static func flipped(_ mark: UInt16) -> UInt16 { mark ^ (available | used) }
}

/// The two marks of a descriptor of the packed format, in the width of a register.
@usableFromInline
enum PackedMark {
  @usableFromInline static var used: UInt32 { 0x8000 }
  @usableFromInline static var both: UInt32 { 0x8080 }
}

/// Offsets within the split format's rings.
@usableFromInline
enum SplitRing {
  @usableFromInline static var flags: Int { 0 }
  @usableFromInline static var index: Int { 2 }
  /// The flag by which either side says that it wants no notification (VIRTQ_*_F_NO_*).
  @usableFromInline static var noNotification: UInt16 { 1 }

  @usableFromInline @inline(__always)
  static func availableEntry(_ slot: UInt16) -> Int { 4 + 2 * Int(slot) }
  @usableFromInline @inline(__always)
  static func usedEntry(_ slot: UInt16) -> Int { 4 + 8 * Int(slot) }
  @usableFromInline @inline(__always)
  static func usedEvent(_ size: UInt16) -> Int { 4 + 2 * Int(size) }
  @usableFromInline @inline(__always)
  static func availableEvent(_ size: UInt16) -> Int { 4 + 8 * Int(size) }

  /// Whether moving an index from `old` to `new` passed the entry `event` (§2.7.7, §2.7.10).
  @usableFromInline @inline(__always)
  static func passes(_ event: UInt16, from old: UInt16, to new: UInt16) -> Bool {
    new &- event &- 1 < new &- old
  }
}

/// Event suppression of the packed format (§2.8.14): offset and wrap bit in bits 0-15, flags in 16-17.
@usableFromInline
enum PackedEvent {
  // Values of the flags.
  static var enable: UInt32 { 0 }
  @usableFromInline static var disable: UInt32 { 1 }
  @usableFromInline static var descriptor: UInt32 { 2 }

  /// Asks for an event when ring position `offset` is reached with wrap counter `wrap`.
  @inline(__always)
  static func at(_ offset: UInt16, wrap: Bool) -> UInt32 {
    UInt32(offset) | (wrap ? 1 << 15 : 0) | descriptor << 16
  }

  /// Whether the other side wants an event, after our position moved `count` descriptors up to `position`
  /// (wrap counter `wrap`, ring of `size`). The reserved value 3 counts as "enable": an event too many is
  /// harmless, one too few hangs the other side.
  @inline(__always)
  static func wanted(
    _ event: UInt32, position: UInt16, wrap: Bool, count: UInt16, size: UInt16, eventIndex: Bool
  ) -> Bool {
    let flags = (event >> 16) & 3
    if flags == disable { return false }
    if flags != descriptor || !eventIndex { return true }
    var target = UInt16(truncatingIfNeeded: event) & 0x7fff
    if (event >> 15) & 1 != (wrap ? 1 : 0) { target &-= size }
    return SplitRing.passes(target, from: position &- count, to: position)
  }
}
