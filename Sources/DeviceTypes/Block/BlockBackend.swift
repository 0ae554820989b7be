// virtio 1.4 §5.2 Block Device: what is behind a device. A backend is ours and trusted; it sees only requests
// that were checked against its own size and properties.

public import Virtio
public import Wire

/// What a block backend is and can do. Fixed as long as its device exists; the device offers what follows.
public struct BlockProperties: Sendable {
  /// The name that VIRTIO_BLK_T_GET_ID returns: ASCII, filled up with NUL.
  public var identifier = ByteArray<20>()
  /// Whether it cannot be written (RO).
  public var isReadOnly = false
  /// Whether `flush` and durable writes do what they say (FLUSH, CONFIG_WCE). False only for storage whose
  /// contents need not survive a crash.
  public var canFlush = true
  /// Best unit of transfer in bytes, a power of two and at least 512 (BLK_SIZE).
  public var blockSize: UInt32 = 512
  /// Best sizes and alignment, if known (TOPOLOGY).
  public var topology: BlockTopology?
  /// The largest segment in bytes that is good for the backend; 0 for no limit (SIZE_MAX).
  public var sizeMax: UInt32 = 0
  /// The most data segments of a request that are good for the backend, at least 1 (SEG_MAX). The device has
  /// a limit of its own.
  public var segMax: UInt32 = .max
  /// Limits of `discard`; nil when there is none (DISCARD).
  public var discard: BlockRangeLimits?
  /// Limits of `writeZeroes`; nil when there is none (WRITE_ZEROES).
  public var writeZeroes: BlockRangeLimits?
  /// Whether zeroing with `mayUnmap` can deallocate.
  public var writeZeroesMayUnmap = false
  /// Limits of `secureErase`; nil when there is none (SECURE_ERASE).
  public var secureErase: BlockRangeLimits?
  /// Whether `lifetime` means something (LIFETIME).
  public var hasLifetime = false

  /// The most data segments of a request, whatever the backend says: as many as a queue of the device has
  /// descriptors.
  public static var segmentLimit: Int { 256 }

  /// A writable disk without extras.
  public init() {}
}

/// How far a backend got with a request.
public enum BlockProgress: Equatable, Sendable {
  /// Done.
  case finished
  /// Under way: `nextCompletion()` will return its tag, exactly once.
  case pending
  /// Nothing was done: the backend has no room now. The request is tried again at the device's next `poll`.
  case busy
}

/// The end of a request that was pending.
public struct BlockBackendCompletion: Equatable, Sendable {
  /// The tag it was started with.
  public var tag: UInt32
  /// What went wrong; nil for success.
  public var fault: BackendFault?

  /// The request `tag` ended.
  public init(tag: UInt32, fault: BackendFault? = nil) {
    self.tag = tag
    self.fault = fault
  }
}

/// Storage in sectors of 512 bytes.
///
/// Sectors lie within `sectorCount`, lengths are whole sectors, ranges keep to the limits of `properties`,
/// and nothing is asked that `properties` excludes. Segments are checked guest memory, at least one, at most
/// `BlockProperties.segmentLimit`, and none empty; they stay valid until the request ends. The list itself is
/// lent for the call only.
public protocol BlockBackend: ~Copyable {
  /// Whether reads and writes usually end before the call returns. Only then the device has a shorter way for
  /// them: its code is for nothing otherwise.
  static var endsAtOnce: Bool { get }
  /// What it is and can do.
  var properties: BlockProperties { get }
  /// Its size now. It may change; the device's `poll` tells the driver.
  var sectorCount: UInt64 { get }
  /// Reads sectors into guest memory. A pending read that fails zeroes what it did not read, so that the
  /// driver gets as many bytes as it is told.
  mutating func read(
    at sector: UInt64, into segments: Span<GuestRange>, tag: UInt32
  ) throws(BackendFault) -> BlockProgress
  /// Writes sectors from guest memory. A durable write is on persistent storage when it ends.
  mutating func write(
    at sector: UInt64, from segments: Span<GuestRange>, isDurable: Bool, tag: UInt32
  ) throws(BackendFault) -> BlockProgress
  /// Puts every write that ended before on persistent storage.
  mutating func flush(tag: UInt32) throws(BackendFault) -> BlockProgress
  /// Forgets the contents of sectors.
  mutating func discard(_ ranges: Span<BlockRange>, tag: UInt32) throws(BackendFault) -> BlockProgress
  /// Makes sectors read as zeros; deallocates them at most where a range `mayUnmap`.
  mutating func writeZeroes(
    _ ranges: Span<BlockRange>, isDurable: Bool, tag: UInt32
  ) throws(BackendFault) -> BlockProgress
  /// Erases sectors so that their contents cannot be recovered.
  mutating func secureErase(_ ranges: Span<BlockRange>, tag: UInt32) throws(BackendFault) -> BlockProgress
  /// The wear of the storage.
  mutating func lifetime() throws(BackendFault) -> BlockLifetime
  /// The next pending request that ended, or nil.
  mutating func nextCompletion() -> BlockBackendCompletion?
  /// The request `tag` is no longer wanted. It still ends, with any result, and the sooner the better: its
  /// guest memory must be left alone before the reset that forgot it can complete.
  mutating func cancel(tag: UInt32)
}

extension BlockBackend where Self: ~Copyable {
  /// They do not.
  public static var endsAtOnce: Bool { false }
  /// Not supported.
  public mutating func discard(
    _ ranges: Span<BlockRange>, tag: UInt32
  ) throws(BackendFault) -> BlockProgress { throw .unsupported }
  /// Not supported.
  public mutating func writeZeroes(
    _ ranges: Span<BlockRange>, isDurable: Bool, tag: UInt32
  ) throws(BackendFault) -> BlockProgress { throw .unsupported }
  /// Not supported.
  public mutating func secureErase(
    _ ranges: Span<BlockRange>, tag: UInt32
  ) throws(BackendFault) -> BlockProgress { throw .unsupported }
  /// Not supported.
  public mutating func lifetime() throws(BackendFault) -> BlockLifetime { throw .unsupported }
  /// Never anything: for backends that finish every request at once.
  public mutating func nextCompletion() -> BlockBackendCompletion? { nil }
  /// Nothing to hurry.
  public mutating func cancel(tag: UInt32) {}
}
