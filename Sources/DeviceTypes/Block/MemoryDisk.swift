// A block backend in memory: a RAM disk. Trusted; it sees checked requests only.

public import Virtio
import Wire

/// A disk in memory that nothing else accesses. Every request ends at once.
///
/// Memory has no layer below, so a completed write is as stable as it gets: flushing has nothing left to do.
public struct MemoryDisk: BlockBackend, ~Copyable {
  /// Always.
  public static var endsAtOnce: Bool { true }
  /// The contents; bytes beyond the last whole sector are not used.
  public var memory: PrivateMemory
  /// Writable, with discard, write zeroes and secure erase, unless changed at creation.
  public let properties: BlockProperties

  /// A disk over `memory` with its present contents.
  public init(_ memory: consuming PrivateMemory, properties: BlockProperties = MemoryDisk.defaultProperties) {
    self.memory = memory
    self.properties = properties
  }

  /// Everything that a disk in memory can do.
  public static var defaultProperties: BlockProperties {
    var properties = BlockProperties()
    // 16 MiB a range: zeroing memory takes time, and a request is not interrupted.
    let limits = BlockRangeLimits(sectorCount: 1 << 15, rangeCount: 16, sectorAlignment: 1)
    properties.discard = limits
    properties.writeZeroes = BlockRangeLimits(sectorCount: 1 << 15, rangeCount: 16)
    properties.secureErase = limits
    return properties
  }

  /// Whole sectors of the memory.
  public var sectorCount: UInt64 { UInt64(memory.byteCount) / UInt64(blockSectorByteCount) }

  /// Copies out.
  public mutating func read(
    at sector: UInt64, into segments: Span<GuestRange>, tag: UInt32
  ) throws(BackendFault) -> BlockProgress {
    var offset = Int(sector) * Int(blockSectorByteCount)
    let bytes = memory.bytes
    for i in segments.indices {
      let end = offset + Int(segments[i].byteCount)
      segments[i].copyIn(from: bytes.extracting(offset..<end))
      offset = end
    }
    return .finished
  }

  /// Copies in.
  public mutating func write(
    at sector: UInt64, from segments: Span<GuestRange>, isDurable: Bool, tag: UInt32
  ) throws(BackendFault) -> BlockProgress {
    var offset = Int(sector) * Int(blockSectorByteCount)
    var bytes = memory.mutableBytes
    for i in segments.indices {
      let end = offset + Int(segments[i].byteCount)
      var part = bytes._mutatingExtracting(offset..<end)
      segments[i].copyOut(to: &part)
      offset = end
    }
    return .finished
  }

  /// Nothing to do.
  public mutating func flush(tag: UInt32) throws(BackendFault) -> BlockProgress { .finished }

  /// Zeros: what a driver discards, no other may read later.
  public mutating func discard(_ ranges: Span<BlockRange>, tag: UInt32) throws(BackendFault) -> BlockProgress
  {
    zero(ranges)
  }

  /// Zeros; memory is never deallocated.
  public mutating func writeZeroes(
    _ ranges: Span<BlockRange>, isDurable: Bool, tag: UInt32
  ) throws(BackendFault) -> BlockProgress { zero(ranges) }

  /// Zeros; memory keeps no older contents.
  public mutating func secureErase(
    _ ranges: Span<BlockRange>, tag: UInt32
  ) throws(BackendFault) -> BlockProgress { zero(ranges) }

  private mutating func zero(_ ranges: Span<BlockRange>) -> BlockProgress {
    for i in ranges.indices {
      memory.zero(
        at: Int(ranges[i].sector) * Int(blockSectorByteCount),
        count: Int(ranges[i].sectorCount) * Int(blockSectorByteCount))
    }
    return .finished
  }
}
