// virtio 1.4 §5.2.4 Device configuration layout, without the zoned characteristics, as both sides read it.

public import Wire

/// Best sizes and alignment of transfers: `struct virtio_blk_topology`. Hints, all in blocks of `blk_size`.
public struct BlockTopology: Equatable, Sendable {
  /// `physical_block_exp`: logical blocks per physical block, as a power of two.
  public var physicalBlockExponent: UInt8 = 0
  /// `alignment_offset`: the first block that is aligned to a physical one.
  public var alignmentOffset: UInt8 = 0
  /// `min_io_size`: the smallest transfer that is not wasteful.
  public var minimumBlockCount: UInt16 = 0
  /// `opt_io_size`: the best, and suggested largest, transfer.
  public var optimalBlockCount: UInt32 = 0

  /// No hint at all.
  public init() {}
}

/// How much of something one request may ask for: three fields of the configuration each.
public struct BlockRangeLimits: Equatable, Sendable {
  /// `max_*_sectors`: sectors in one range.
  public var sectorCount: UInt32 = 0
  /// `max_*_seg`: ranges in one request.
  public var rangeCount: UInt32 = 0
  /// `*_sector_alignment`: the granularity that the device likes; write zeroes has none.
  public var sectorAlignment: UInt32 = 0

  /// Nothing is possible.
  public init() {}

  /// Up to `rangeCount` ranges of up to `sectorCount` sectors.
  public init(sectorCount: UInt32, rangeCount: UInt32, sectorAlignment: UInt32 = 0) {
    self.sectorCount = sectorCount
    self.rangeCount = rangeCount
    self.sectorAlignment = sectorAlignment
  }

  /// Whether no request is possible within them, as where the feature was not agreed on.
  var isNothing: Bool { sectorCount == 0 || rangeCount == 0 }
}

/// `struct virtio_blk_config`. Which fields mean something depends on the features.
public struct BlockConfiguration: Equatable, Sendable {
  /// Length in bytes: up to the fields of zoned devices, which read as zero.
  public static var byteCount: Int { 72 }

  /// `capacity` in sectors.
  public var sectorCount: UInt64 = 0
  /// `size_max` in bytes (SIZE_MAX).
  public var sizeMax: UInt32 = 0
  /// `seg_max` (SEG_MAX).
  public var segMax: UInt32 = 0
  /// `blk_size` in bytes (BLK_SIZE).
  public var blockSize: UInt32 = 0
  /// `topology` (TOPOLOGY).
  public var topology = BlockTopology()
  /// `writeback`: 1 write-back, 0 write-through (CONFIG_WCE).
  public var writeback: UInt8 = 0
  /// `num_queues` (MQ).
  public var queueCount: UInt16 = 0
  /// `max_discard_sectors`, `max_discard_seg`, `discard_sector_alignment` (DISCARD).
  public var discard = BlockRangeLimits()
  /// `max_write_zeroes_sectors`, `max_write_zeroes_seg` (WRITE_ZEROES).
  public var writeZeroes = BlockRangeLimits()
  /// `write_zeroes_may_unmap` (WRITE_ZEROES).
  public var writeZeroesMayUnmap: UInt8 = 0
  /// `max_secure_erase_sectors`, `max_secure_erase_seg`, `secure_erase_sector_alignment` (SECURE_ERASE).
  public var secureErase = BlockRangeLimits()

  /// All fields zero.
  public init() {}

  /// The bytes on the wire. The geometry and padding are zero.
  @inline(never)
  public func encoded() -> ByteArray<72> {
    var bytes = ByteArray<72>()
    bytes.store(sectorCount, at: BlockField.capacity)
    bytes.store(sizeMax, at: BlockField.sizeMax)
    bytes.store(segMax, at: BlockField.segMax)
    bytes.store(blockSize, at: BlockField.blockSize)
    bytes.store(topology.physicalBlockExponent, at: BlockField.physicalBlockExponent)
    bytes.store(topology.alignmentOffset, at: BlockField.alignmentOffset)
    bytes.store(topology.minimumBlockCount, at: BlockField.minimumBlockCount)
    bytes.store(topology.optimalBlockCount, at: BlockField.optimalBlockCount)
    bytes.store(writeback, at: BlockField.writeback)
    bytes.store(queueCount, at: BlockField.queueCount)
    bytes.store(discard.sectorCount, at: BlockField.discard)
    bytes.store(discard.rangeCount, at: BlockField.discard + 4)
    bytes.store(discard.sectorAlignment, at: BlockField.discard + 8)
    bytes.store(writeZeroes.sectorCount, at: BlockField.writeZeroes)
    bytes.store(writeZeroes.rangeCount, at: BlockField.writeZeroes + 4)
    bytes.store(writeZeroesMayUnmap, at: BlockField.writeZeroesMayUnmap)
    bytes.store(secureErase.sectorCount, at: BlockField.secureErase)
    bytes.store(secureErase.rangeCount, at: BlockField.secureErase + 4)
    bytes.store(secureErase.sectorAlignment, at: BlockField.secureErase + 8)
    return bytes
  }
}

/// Offsets of the fields in the configuration space, in bytes. `le32` and `le64` unless said.
enum BlockField {
  static var capacity: Int { 0 }  // le64
  static var sizeMax: Int { 8 }
  static var segMax: Int { 12 }
  static var blockSize: Int { 20 }  // after the geometry: le16, u8, u8
  static var physicalBlockExponent: Int { 24 }  // u8
  static var alignmentOffset: Int { 25 }  // u8
  static var minimumBlockCount: Int { 26 }  // le16
  static var optimalBlockCount: Int { 28 }
  static var writeback: Int { 32 }  // u8, then u8 unused0
  static var queueCount: Int { 34 }  // le16
  static var discard: Int { 36 }  // three fields
  static var writeZeroes: Int { 48 }  // two fields
  static var writeZeroesMayUnmap: Int { 56 }  // u8, then u8 unused1[3]
  static var secureErase: Int { 60 }  // three fields
}
