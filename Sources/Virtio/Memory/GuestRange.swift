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

  /// Sets every byte to zero.
  public func zero() {
    if byteCount == 0 { return }
    unsafe host.initializeMemory(as: UInt8.self, repeating: 0, count: Int(byteCount))
  }
}
