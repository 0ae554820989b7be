// A checked piece of guest memory. Data moves by copy; a backend may also take the host pointer and do I/O
// straight on guest pages.

/// Bytes of guest memory that were checked to be mapped, of one descriptor or a part of it.
///
/// Valid until the queue it came from is reset.
@safe
public struct GuestRange {
  /// Guest address of the first byte.
  public let address: UInt64
  /// Length in bytes.
  public let byteCount: UInt32
  /// Host address of the first byte, for backends that hand the range to the system or to hardware. The
  /// contents may change at any time: never read a value twice, never form a reference to it.
  @unsafe public let host: UnsafeMutableRawPointer

  @usableFromInline @inline(__always)
  init(address: UInt64, byteCount: UInt32, host: UnsafeMutableRawPointer) {
    self.address = address
    self.byteCount = byteCount
    unsafe self.host = host
  }

  /// A range of no bytes.
  @inline(__always)
  public static var empty: GuestRange {
    // Never dereferenced: every access is bounded by a count of zero.
    unsafe GuestRange(address: 0, byteCount: 0, host: UnsafeMutableRawPointer(bitPattern: 16)!)
  }

  /// The part that starts `offset` bytes in. Traps beyond the end.
  @inline(__always)
  public func dropFirst(_ offset: UInt32) -> GuestRange {
    precondition(offset <= byteCount, "a part beyond the range")
    // Wraps to 0 at most, behind the last byte of the address space.
    return unsafe GuestRange(
      address: address &+ UInt64(offset), byteCount: byteCount - offset, host: host + Int(offset))
  }

  /// The first `count` bytes. Traps beyond the end.
  @inline(__always)
  public func prefix(_ count: UInt32) -> GuestRange {
    precondition(count <= byteCount, "a part beyond the range")
    return unsafe GuestRange(address: address, byteCount: count, host: host)
  }

  /// Copies the first `target.byteCount` bytes of guest memory out. Traps when the range is shorter.
  @inline(__always)
  public func copyOut(to target: inout MutableRawSpan) {
    let count = target.byteCount
    precondition(count <= Int(byteCount), "a copy beyond the range")
    if count == 0 { return }
    let source = unsafe UnsafeRawBufferPointer(start: host, count: count)
    // Both sides are `count` bytes and cannot overlap: the target is private memory.
    unsafe target.withUnsafeMutableBytes { unsafe $0.copyMemory(from: source) }
  }

  /// The first 16 bytes as two little-endian words, each read once. Traps when the range is shorter.
  @inline(__always)
  public func firstWords() -> (UInt64, UInt64) {
    precondition(byteCount >= 16, "words beyond the range")
    // Within the range, at any alignment; every bit pattern is a value.
    return unsafe (
      UInt64(littleEndian: host.loadUnaligned(as: UInt64.self)),
      UInt64(littleEndian: host.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    )
  }

  /// Copies all of `source` into guest memory. Traps when the range is shorter.
  @inline(__always)
  public func copyIn(from source: RawSpan) {
    let count = source.byteCount
    precondition(count <= Int(byteCount), "a copy beyond the range")
    if count == 0 { return }
    let target = unsafe UnsafeMutableRawBufferPointer(start: host, count: count)
    // As above.
    unsafe source.withUnsafeBytes { unsafe target.copyMemory(from: $0) }
  }

  /// Copies all of `source`, which may be another guest's, into guest memory. Traps when the range is
  /// shorter.
  @inline(__always)
  public func copy(from source: GuestRange) {
    precondition(source.byteCount <= byteCount, "a copy beyond the range")
    if source.byteCount == 0 { return }
    let bytes = unsafe UnsafeRawBufferPointer(start: source.host, count: Int(source.byteCount))
    // Both are mapped for as many bytes, and copied as bytes: they may overlap and change meanwhile.
    unsafe UnsafeMutableRawBufferPointer(start: host, count: bytes.count).copyMemory(from: bytes)
  }

  /// The ones' complement sum (RFC 1071) of the bytes, in 16-bit words that are stored with the least
  /// significant byte first. Each byte is read once.
  public func onesComplementSum() -> UInt16 {
    let bytes = unsafe UnsafeRawBufferPointer(start: host, count: Int(byteCount))
    var sum: UInt64 = 0
    var offset = 0
    // Within the range, as the loops check.
    while bytes.count &- offset >= 32 {
      for word in 0..<4 {
        Self.add(unsafe bytes.loadUnaligned(fromByteOffset: offset &+ 8 &* word, as: UInt64.self), &sum)
      }
      offset &+= 32
    }
    while bytes.count &- offset >= 4 {
      Self.add(UInt64(unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)), &sum)
      offset &+= 4
    }
    while offset != bytes.count {
      Self.add(UInt64(unsafe bytes[offset]) << UInt64((offset & 1) &* 8), &sum)
      offset &+= 1
    }
    while sum > 0xffff { sum = (sum & 0xffff) + (sum >> 16) }
    return UInt16(truncatingIfNeeded: sum)
  }

  @inline(__always)
  private static func add(_ word: UInt64, _ sum: inout UInt64) {
    let (next, carry) = sum.addingReportingOverflow(word)
    sum = carry ? next &+ 1 : next
  }

  /// Sets every byte to zero.
  public func zero() {
    if byteCount == 0 { return }
    unsafe host.initializeMemory(as: UInt8.self, repeating: 0, count: Int(byteCount))
  }
}
