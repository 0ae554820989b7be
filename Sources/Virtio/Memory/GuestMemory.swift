// The memory of the driver's side, as the device sees it. Every address and length comes from an untrusted
// driver, and the contents change under our feet: fields are read once, and no Span over them ever exists.

/// One contiguous piece of guest memory that the host has mapped.
@safe
public struct GuestRegion {
  /// Guest address of the first byte.
  public let address: UInt64
  /// Length in bytes.
  public let byteCount: UInt64
  @usableFromInline let host: UnsafeMutableRawPointer

  /// A region at guest `address`. Traps when it wraps around the address space, or when `host` and `address`
  /// differ in their last four bits: what is aligned for the driver must be aligned for us.
  ///
  /// The caller promises that `host` stays valid for `byteCount` bytes as long as any `GuestMemory`, queue or
  /// range made from it is used, and that only raw accesses touch it.
  @unsafe
  public init(address: UInt64, byteCount: UInt64, host: UnsafeMutableRawPointer) {
    precondition(byteCount > 0 && byteCount <= UInt64(Int.max), "an empty or absurd region")
    precondition(!address.addingReportingOverflow(byteCount - 1).overflow, "a region that wraps around")
    precondition(UInt64(UInt(bitPattern: host)) & 15 == address & 15, "a region of other alignment")
    self.address = address
    self.byteCount = byteCount
    unsafe self.host = host
  }
}

/// The table of guest memory regions.
///
/// The first region is held inline: most guests, and every benchmark, have one. Give the largest first.
@safe
public struct GuestMemory {
  @usableFromInline let first: GuestRegion
  /// Address behind the first region's last byte: 0 when that is the last of all.
  @usableFromInline let end: UInt64
  /// Host address behind the first region's last byte.
  @usableFromInline let hostEnd: UnsafeMutableRawPointer
  @usableFromInline let others: UnsafePointer<GuestRegion>?
  @usableFromInline let otherCount: Int

  /// Memory of a single region.
  @inline(__always)
  public init(_ region: GuestRegion) {
    first = region
    end = region.address &+ region.byteCount
    unsafe hostEnd = region.host + Int(region.byteCount)
    unsafe others = nil
    otherCount = 0
  }

  /// Memory of several regions. Traps when `regions` is empty or two of them overlap.
  ///
  /// A ring or an element of a buffer that crosses from one region into another is refused, even where the
  /// two adjoin: give memory that the driver sees in one piece as one region.
  ///
  /// The caller promises that the table itself stays valid and unchanged as long as the memory is used.
  @unsafe
  public init(regions: UnsafeBufferPointer<GuestRegion>) {
    precondition(regions.count > 0, "guest memory without a region")
    for i in regions.indices {
      for j in 0..<i {
        let (a, b) = unsafe (regions[i], regions[j])
        precondition(
          a.address > b.address + (b.byteCount - 1) || b.address > a.address + (a.byteCount - 1),
          "guest memory regions overlap")
      }
    }
    unsafe first = regions[0]
    end = first.address &+ first.byteCount
    unsafe hostEnd = first.host + Int(first.byteCount)
    unsafe others = regions.baseAddress! + 1
    otherCount = regions.count - 1
  }

  var isOneRegion: Bool { otherCount == 0 }

  /// Whether the `byteCount` bytes at guest `address` lie wholly within the first region.
  @inlinable @inline(always)
  func isInFirst(_ address: UInt64, byteCount: UInt64) -> Bool {
    let rest = restOfFirst(address)
    return rest <= first.byteCount && byteCount <= rest
  }

  /// What is left of the first region from guest `address` on; more than all of it for an address outside.
  @inlinable @inline(always)
  func restOfFirst(_ address: UInt64) -> UInt64 { end &- address }

  /// The `byteCount` bytes at guest `address`, which are in the first region.
  @inlinable @inline(always)
  func rangeInFirst(_ address: UInt64, byteCount: UInt32) -> GuestRange {
    // In bounds of the region, whose owner promised the mapping.
    unsafe GuestRange(
      address: address, byteCount: byteCount,
      host: hostEnd + Int(truncatingIfNeeded: 0 &- restOfFirst(address)))
  }

  /// The element that `raw` describes, which begins `rest` bytes before the end of the first region and is in
  /// it.
  @inlinable @inline(always)
  func element(_ raw: RawDescriptor, rest: UInt64, isDeviceWritable: Bool) -> Descriptor {
    // As above.
    unsafe Descriptor(
      range: GuestRange(
        address: raw.address, byteCount: raw.length, host: hostEnd + Int(truncatingIfNeeded: 0 &- rest)),
      isDeviceWritable: isDeviceWritable)
  }

  /// The `byteCount` bytes at guest `address`, checked to lie wholly within one region.
  public func range(at address: UInt64, byteCount: UInt32) throws(DriverFault) -> GuestRange {
    if isInFirst(address, byteCount: UInt64(byteCount)) {
      return rangeInFirst(address, byteCount: byteCount)
    }
    for i in 0..<otherCount {
      let region = unsafe others![i]  // within the table of `otherCount` entries
      let offset = address &- region.address
      if offset <= region.byteCount, region.byteCount - offset >= UInt64(byteCount) {
        return unsafe GuestRange(address: address, byteCount: byteCount, host: region.host + Int(offset))
      }
    }
    throw .addressOutsideMemory
  }
}
