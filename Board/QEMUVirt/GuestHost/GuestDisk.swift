// What is behind a guest's block device: a share of a hardware disk, or a RAM disk.

import DeviceTypes
import Platform
import Virtio

/// One of two block backends; which one does not change.
struct GuestDisk: BlockBackend, ~Copyable {
  let properties: BlockProperties
  private var hardware: DriverDisk<SlotRegisters>?
  private var memory: MemoryDisk?

  init(_ disk: consuming DriverDisk<SlotRegisters>) {
    properties = disk.properties
    hardware = consume disk
    memory = nil
  }

  init(_ disk: consuming MemoryDisk) {
    properties = disk.properties
    hardware = nil
    memory = consume disk
  }

  var sectorCount: UInt64 {
    if let hardware = Self.sectorCount(hardware) { return hardware }
    return Self.sectorCount(memory) ?? 0
  }

  /// Borrows what it is given, which a pattern of the language cannot.
  private static func sectorCount<Backend: BlockBackend & ~Copyable>(_ backend: borrowing Backend?) -> UInt64?
  {
    switch backend {
    case .some(let backend): backend.sectorCount
    case .none: nil
    }
  }

  mutating func read(
    at sector: UInt64, into segments: Span<GuestRange>, tag: UInt32
  ) throws(BackendFault) -> BlockProgress {
    if hardware != nil { return try hardware!.read(at: sector, into: segments, tag: tag) }
    return try memory!.read(at: sector, into: segments, tag: tag)
  }

  mutating func write(
    at sector: UInt64, from segments: Span<GuestRange>, isDurable: Bool, tag: UInt32
  ) throws(BackendFault) -> BlockProgress {
    if hardware != nil {
      return try hardware!.write(at: sector, from: segments, isDurable: isDurable, tag: tag)
    }
    return try memory!.write(at: sector, from: segments, isDurable: isDurable, tag: tag)
  }

  mutating func flush(tag: UInt32) throws(BackendFault) -> BlockProgress {
    if hardware != nil { return try hardware!.flush(tag: tag) }
    return try memory!.flush(tag: tag)
  }

  mutating func discard(_ ranges: Span<BlockRange>, tag: UInt32) throws(BackendFault) -> BlockProgress {
    if hardware != nil { return try hardware!.discard(ranges, tag: tag) }
    return try memory!.discard(ranges, tag: tag)
  }

  mutating func writeZeroes(
    _ ranges: Span<BlockRange>, isDurable: Bool, tag: UInt32
  ) throws(BackendFault) -> BlockProgress {
    if hardware != nil { return try hardware!.writeZeroes(ranges, isDurable: isDurable, tag: tag) }
    return try memory!.writeZeroes(ranges, isDurable: isDurable, tag: tag)
  }

  mutating func secureErase(_ ranges: Span<BlockRange>, tag: UInt32) throws(BackendFault) -> BlockProgress {
    if hardware != nil { return try hardware!.secureErase(ranges, tag: tag) }
    return try memory!.secureErase(ranges, tag: tag)
  }

  mutating func nextCompletion() -> BlockBackendCompletion? {
    if hardware != nil { return hardware!.nextCompletion() }
    return memory!.nextCompletion()
  }

  mutating func cancel(tag: UInt32) {
    if hardware != nil { hardware!.cancel(tag: tag) }
  }
}
