// virtio 1.4 §5.2 Block Device: numbers and structures of requests, as both sides exchange them.

public import Virtio
public import Wire

/// Feature bits of a block device (§5.2.3).
public enum BlockFeature {
  /// VIRTIO_BLK_F_SIZE_MAX (1): `size_max` bounds the length of one segment.
  public static var sizeMax: Features { .bit(1) }
  /// VIRTIO_BLK_F_SEG_MAX (2): `seg_max` bounds the number of data segments of a request.
  public static var segMax: Features { .bit(2) }
  /// VIRTIO_BLK_F_GEOMETRY (4): cylinders, heads and sectors of a disk of old.
  public static var geometry: Features { .bit(4) }
  /// VIRTIO_BLK_F_RO (5): the device cannot be written.
  public static var readOnly: Features { .bit(5) }
  /// VIRTIO_BLK_F_BLK_SIZE (6): `blk_size` is the best unit of transfer.
  public static var blockSize: Features { .bit(6) }
  /// VIRTIO_BLK_F_FLUSH (9): VIRTIO_BLK_T_FLUSH makes completed writes stable.
  public static var flush: Features { .bit(9) }
  /// VIRTIO_BLK_F_TOPOLOGY (10): alignment and best sizes of transfers.
  public static var topology: Features { .bit(10) }
  /// VIRTIO_BLK_F_CONFIG_WCE (11): `writeback` switches between write-back and write-through.
  public static var configurableCache: Features { .bit(11) }
  /// VIRTIO_BLK_F_MQ (12): `num_queues` request queues.
  public static var multiqueue: Features { .bit(12) }
  /// VIRTIO_BLK_F_DISCARD (13): VIRTIO_BLK_T_DISCARD.
  public static var discard: Features { .bit(13) }
  /// VIRTIO_BLK_F_WRITE_ZEROES (14): VIRTIO_BLK_T_WRITE_ZEROES.
  public static var writeZeroes: Features { .bit(14) }
  /// VIRTIO_BLK_F_LIFETIME (15): VIRTIO_BLK_T_GET_LIFETIME.
  public static var lifetime: Features { .bit(15) }
  /// VIRTIO_BLK_F_SECURE_ERASE (16): VIRTIO_BLK_T_SECURE_ERASE.
  public static var secureErase: Features { .bit(16) }
}

/// Bytes of a sector: the unit of the protocol, whatever the block size is (§5.2.5).
public let blockSectorByteCount: UInt32 = 512

/// What a request asks for (§5.2.6).
public struct BlockRequestType: Equatable, Sendable {
  /// The number on the wire.
  public var rawValue: UInt32

  /// The type with the given number, which need not be a known one.
  @inline(__always)
  public init(_ rawValue: UInt32) { self.rawValue = rawValue }

  /// VIRTIO_BLK_T_IN (0): read sectors.
  public static var read: BlockRequestType { BlockRequestType(0) }
  /// VIRTIO_BLK_T_OUT (1): write sectors.
  public static var write: BlockRequestType { BlockRequestType(1) }
  /// VIRTIO_BLK_T_FLUSH (4): make completed writes stable.
  public static var flush: BlockRequestType { BlockRequestType(4) }
  /// VIRTIO_BLK_T_GET_ID (8): the name of the device.
  public static var getID: BlockRequestType { BlockRequestType(8) }
  /// VIRTIO_BLK_T_GET_LIFETIME (10): the wear of the storage.
  public static var getLifetime: BlockRequestType { BlockRequestType(10) }
  /// VIRTIO_BLK_T_DISCARD (11): the contents of sectors are no longer needed.
  public static var discard: BlockRequestType { BlockRequestType(11) }
  /// VIRTIO_BLK_T_WRITE_ZEROES (13): sectors shall read as zeros.
  public static var writeZeroes: BlockRequestType { BlockRequestType(13) }
  /// VIRTIO_BLK_T_SECURE_ERASE (14): the contents of sectors shall be gone for good.
  public static var secureErase: BlockRequestType { BlockRequestType(14) }

  /// Whether the contents of sectors are other ones after it.
  var changesData: Bool {
    switch self {
    case .write, .discard, .writeZeroes, .secureErase: true
    default: false
    }
  }
}

/// How a request ended (§5.2.6).
public struct BlockStatus: Equatable, Sendable {
  /// The byte on the wire.
  public var rawValue: UInt8

  /// The status with the given number, which need not be a known one.
  @inline(__always)
  public init(_ rawValue: UInt8) { self.rawValue = rawValue }

  /// VIRTIO_BLK_S_OK (0).
  public static var ok: BlockStatus { BlockStatus(0) }
  /// VIRTIO_BLK_S_IOERR (1): an error of the device or of the driver.
  public static var inputOutputError: BlockStatus { BlockStatus(1) }
  /// VIRTIO_BLK_S_UNSUPP (2): the device has no such request.
  public static var unsupported: BlockStatus { BlockStatus(2) }

  /// Whether the clause defines this status for a device that is not zoned.
  public var isDefined: Bool { rawValue <= 2 }
}

/// The first 16 bytes of every request: `struct virtio_blk_req` up to `data`.
public struct BlockRequestHeader: Equatable, Sendable {
  /// Length in bytes.
  public static var byteCount: Int { 16 }

  /// What is asked for.
  public var type: BlockRequestType
  /// First sector of a read or write; 0 for all else.
  public var sector: UInt64

  /// A request of `type` at `sector`.
  public init(type: BlockRequestType, sector: UInt64 = 0) {
    self.type = type
    self.sector = sector
  }

  /// Decodes; the reserved field is ignored.
  @inline(__always)
  public init(_ bytes: ByteArray<16>) {
    type = BlockRequestType(bytes.load(at: 0))  // le32
    sector = bytes.load(at: 8)  // le64, after le32 reserved
  }

  /// Decodes the same bytes, as two little-endian words.
  @inline(__always)
  public init(_ words: (UInt64, UInt64)) {
    type = BlockRequestType(UInt32(truncatingIfNeeded: words.0))  // le32
    sector = words.1  // le64, after le32 reserved
  }

  /// The bytes on the wire, the reserved field zero.
  public var bytes: ByteArray<16> {
    var bytes = ByteArray<16>()
    bytes.store(type.rawValue, at: 0)
    bytes.store(sector, at: 8)
    return bytes
  }
}

/// A run of sectors to discard, to zero or to erase: `struct virtio_blk_discard_write_zeroes`.
public struct BlockRange: Equatable, Sendable {
  /// Length in bytes on the wire.
  public static var byteCount: Int { 16 }
  /// The `unmap` bit of `flags`.
  public static var unmap: UInt32 { 1 }

  /// First sector.
  public var sector: UInt64
  /// Number of sectors.
  public var sectorCount: UInt32
  /// `unmap` in bit 0, reserved above.
  public var flags: UInt32

  /// `sectorCount` sectors from `sector`.
  @inline(__always)
  public init(sector: UInt64, sectorCount: UInt32, flags: UInt32 = 0) {
    self.sector = sector
    self.sectorCount = sectorCount
    self.flags = flags
  }

  /// Whether zeroed sectors may be deallocated, too.
  public var mayUnmap: Bool { flags & Self.unmap != 0 }

  /// Decodes.
  public init(_ bytes: ByteArray<16>) {
    sector = bytes.load(at: 0)  // le64
    sectorCount = bytes.load(at: 8)  // le32
    flags = bytes.load(at: 12)  // le32
  }

  /// The bytes on the wire.
  public var bytes: ByteArray<16> {
    var bytes = ByteArray<16>()
    bytes.store(sector, at: 0)
    bytes.store(sectorCount, at: 8)
    bytes.store(flags, at: 12)
    return bytes
  }
}

/// The wear of the storage behind a device: `struct virtio_blk_lifetime`.
public struct BlockLifetime: Equatable, Sendable {
  /// Length in bytes on the wire.
  public static var byteCount: Int { 6 }

  /// `pre_eol_info`: 0 unknown, 1 normal (below 80 % of the reserved blocks consumed), 2 warning (80 %),
  /// 3 urgent (90 %).
  public var preEndOfLife: UInt16
  /// `device_lifetime_est_typ_a`, SLC cells: 0 unknown, 1 to 10 tenths of the life used, 11 exceeded.
  public var estimateA: UInt16
  /// `device_lifetime_est_typ_b`, MLC cells, as above.
  public var estimateB: UInt16

  /// The three values.
  public init(preEndOfLife: UInt16, estimateA: UInt16, estimateB: UInt16) {
    self.preEndOfLife = preEndOfLife
    self.estimateA = estimateA
    self.estimateB = estimateB
  }

  /// Decodes.
  public init(_ bytes: ByteArray<6>) {
    preEndOfLife = bytes.load(at: 0)  // le16
    estimateA = bytes.load(at: 2)  // le16
    estimateB = bytes.load(at: 4)  // le16
  }

  /// The bytes on the wire.
  public var bytes: ByteArray<6> {
    var bytes = ByteArray<6>()
    bytes.store(preEndOfLife, at: 0)
    bytes.store(estimateA, at: 2)
    bytes.store(estimateB, at: 4)
    return bytes
  }

  /// The same, with 0 (unknown) for each value that §5.2.6 reserves.
  public var withoutReservedValues: BlockLifetime {
    BlockLifetime(
      preEndOfLife: preEndOfLife <= 3 ? preEndOfLife : 0, estimateA: estimateA <= 11 ? estimateA : 0,
      estimateB: estimateB <= 11 ? estimateB : 0)
  }
}
