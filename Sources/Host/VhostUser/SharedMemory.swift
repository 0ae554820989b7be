// Guest memory that a front end shares: pieces of files, mapped where their guest addresses say.

import CLinux
import Virtio

/// A piece of guest memory, as a front end describes it.
struct SharedRegion: Equatable {
  /// Guest address of the first byte.
  var guestAddress: UInt64
  /// Length in bytes.
  var byteCount: UInt64
  /// Where the front end itself has the region; it gives the addresses of rings so.
  var frontEndAddress: UInt64
  /// Where in the file the region starts.
  var fileOffset: UInt64

  func overlaps(_ other: SharedRegion) -> Bool {
    guestAddress < other.guestAddress + other.byteCount && other.guestAddress < guestAddress + byteCount
  }
}

/// All memory of one guest.
///
/// One piece of address space is reserved for it, so that guest address `a` is at `base + a`: regions that
/// adjoin for the guest adjoin here, and are one region to the queues. What a front end takes out of a file
/// while it is mapped reads as zeros (see clinux.h).
@safe
final class SharedMemory {
  /// Regions at one time. Front ends add memory in pieces when they plug it.
  static var regionLimit: Int { 32 }
  /// Where guest addresses end: at 4 TiB, or at 1 TiB, 256 GiB or 64 GiB where the process has no more
  /// address space. It is short of it next to other guests, and on a kernel of few address bits.
  let addressLimit: UInt64
  /// Large pages need aligned addresses.
  private static var alignment: Int { 1 << 30 }
  private static var pageByteCount: UInt64 { 4096 }
  /// Behind guest memory there is room for a record of the rings.
  static var recordByteCountMax: Int { 4096 }

  private let base: UnsafeMutableRawPointer
  private(set) var regions: [SharedRegion] = []
  private var table: UnsafeMutableBufferPointer<GuestRegion>?

  init() throws(SystemError) {
    for bitCount in stride(from: Int(clinux_address_bits()), through: 36, by: -2) {
      let byteCount = (1 << bitCount) + Self.recordByteCountMax
      guard let base = unsafe clinux_reserve(byteCount, Self.alignment) else { continue }
      addressLimit = 1 << bitCount
      unsafe self.base = base
      return
    }
    throw SystemError(12)  // ENOMEM
  }

  deinit {
    unsafe clinux_release(base)
    unsafe table?.deallocate()
  }

  /// Maps `region` of `file`. Throws what is wrong with it; nothing has changed then.
  func add(_ region: SharedRegion, of file: OpenFile) throws(VhostUserError) {
    guard regions.count < Self.regionLimit else { throw .invalid("more regions than memory slots") }
    guard region.byteCount > 0, region.guestAddress < addressLimit,
      region.byteCount <= addressLimit - region.guestAddress,
      !region.frontEndAddress.addingReportingOverflow(region.byteCount).overflow
    else { throw .invalid("a memory region beyond all bounds") }
    let misaligned = (region.guestAddress | region.byteCount | region.fileOffset) % Self.pageByteCount
    guard misaligned == 0 else { throw .invalid("a memory region that is not of whole pages") }
    guard !regions.contains(where: { $0.overlaps(region) }) else {
      throw .invalid("memory regions that overlap")
    }
    // Within the reserved area, as the bounds above say.
    try map(file, at: region.guestAddress, byteCount: region.byteCount, from: region.fileOffset)
    regions.append(region)
    regions.sort { $0.guestAddress < $1.guestAddress }
  }

  /// The caller has checked that the place is in the reserved area.
  private func map(
    _ file: OpenFile, at place: UInt64, byteCount: UInt64, from offset: UInt64
  ) throws(VhostUserError) {
    do throws(SystemError) {
      // A mapping beyond the end of its file would be memory that is not there.
      let fileByteCount = try file.byteCount()
      guard offset <= fileByteCount, byteCount <= fileByteCount - offset else {
        throw SystemError(22)  // EINVAL
      }
      try SystemError.check(
        unsafe clinux_map(base + Int(place), Int(byteCount), file.number, Int(offset)))
    } catch {
      throw .system(error)
    }
  }

  /// Maps `byteCount` bytes of `file` from `offset` on, in place of an earlier record: memory of its own,
  /// with addresses from 0 on.
  func mapRecord(_ file: OpenFile, offset: UInt64, byteCount: Int) throws(VhostUserError) -> GuestMemory {
    guard byteCount > 0, byteCount <= Self.recordByteCountMax, offset % Self.pageByteCount == 0,
      offset <= UInt64(Int64.max)
    else { throw .invalid("a record of the rings in an impossible place") }
    unmapRecord()
    try map(file, at: addressLimit, byteCount: UInt64(byteCount), from: offset)
    // Mapped just now; the place is behind all guest memory.
    return unsafe GuestMemory(
      GuestRegion(address: 0, byteCount: UInt64(byteCount), host: base + Int(addressLimit)))
  }

  /// Takes the record away, if there is one.
  func unmapRecord() {
    _ = unsafe clinux_unmap(base + Int(addressLimit), Self.recordByteCountMax)
  }

  /// Takes `region` away, which must be there exactly so.
  func remove(_ region: SharedRegion) throws(VhostUserError) {
    // The offset in the file is not part of what names a region.
    let index = regions.firstIndex {
      $0.guestAddress == region.guestAddress && $0.byteCount == region.byteCount
        && $0.frontEndAddress == region.frontEndAddress
    }
    guard let index else { throw .invalid("a memory region that is not there") }
    unmap(regions.remove(at: index))
  }

  /// Takes everything away.
  func removeAll() {
    for region in regions { unmap(region) }
    regions = []
  }

  private func unmap(_ region: SharedRegion) {
    // Mapped by `add`. Failure would mean that the kernel has no memory for its own tables: nothing is lost
    // but address space.
    _ = unsafe clinux_unmap(base + Int(region.guestAddress), Int(region.byteCount))
  }

  /// The guest address of what the front end has at `address`, or nil.
  func guestAddress(ofFrontEnd address: UInt64) -> UInt64? {
    for region in regions where address &- region.frontEndAddress < region.byteCount {
      return region.guestAddress + (address - region.frontEndAddress)
    }
    return nil
  }

  /// Whether the front end took away memory that was used since, so that it reads as zeros now. Once.
  func wasLost() -> Bool { unsafe clinux_memory_was_lost(base) != 0 }

  /// Memory for queues that do not work yet: of it nothing can be accessed, and no ring can lie in it.
  var placeholder: GuestMemory {
    // At the start of the reserved area.
    unsafe GuestMemory(GuestRegion(address: 0, byteCount: Self.pageByteCount, host: base))
  }

  /// The memory for queues and devices; nil when there is none. Whatever was made from an earlier one must
  /// not be used any more.
  func guestMemory() -> GuestMemory? {
    var pieces: [(address: UInt64, byteCount: UInt64)] = []
    for region in regions {
      if let last = pieces.last, last.address + last.byteCount == region.guestAddress {
        pieces[pieces.count - 1].byteCount += region.byteCount
      } else {
        pieces.append((region.guestAddress, region.byteCount))
      }
    }
    guard !pieces.isEmpty else { return nil }
    // The largest first: it is found fastest.
    pieces.sort { $0.byteCount > $1.byteCount }
    unsafe table?.deallocate()
    let regions = UnsafeMutableBufferPointer<GuestRegion>.allocate(capacity: pieces.count)
    for (i, piece) in pieces.enumerated() {
      // Mapped by `add`, and unmapped only after the queues that use it are gone.
      unsafe regions.initializeElement(
        at: i,
        to: GuestRegion(
          address: piece.address, byteCount: piece.byteCount, host: base + Int(piece.address)))
    }
    unsafe table = regions
    // The table stays until the next call.
    return unsafe GuestMemory(regions: UnsafeBufferPointer(regions))
  }
}
