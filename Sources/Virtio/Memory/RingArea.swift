// Memory that both sides write at the same time: one of the three areas of a virtqueue, or an indirect table.

import Synchronization

/// A validated piece of memory shared with the other side, accessed by fields of a ring.
///
/// Whoever makes one has checked that `byteCount` bytes at `base` are mapped for as long as the queue is
/// ready; the queue then computes offsets from masked or checked indices only. Offsets are asserted in debug
/// builds (all tests run there) and not checked again in release builds: they are our own arithmetic.
@safe
@usableFromInline
struct RingArea {
  @usableFromInline let base: UnsafeMutableRawPointer
  @usableFromInline let byteCount: Int

  /// The caller promises `byteCount` bytes at `base`, aligned as the fields that will be accessed.
  @unsafe @inline(__always)
  @usableFromInline
  init(base: UnsafeMutableRawPointer, byteCount: Int) {
    unsafe self.base = base
    self.byteCount = byteCount
  }

  /// The area a checked range covers.
  @usableFromInline @inline(__always)
  init(_ range: GuestRange) {
    unsafe self.init(base: range.host, byteCount: Int(range.byteCount))
  }

  /// An area of no bytes, before a queue is ready.
  @usableFromInline @inline(__always)
  static var none: RingArea { RingArea(.empty) }

  @usableFromInline @inline(__always)
  func field(_ offset: Int, _ width: Int) -> UnsafeMutableRawPointer {
    assert(offset >= 0 && offset + width <= byteCount, "a field outside its ring area")
    return unsafe base + offset
  }

  // The loads and stores below are atomic so that the compiler can neither tear nor repeat them. `Atomic` has
  // the layout of its value, and the areas are aligned for the widths used on them.

  @usableFromInline @inline(__always)
  func load16(_ offset: Int) -> UInt16 {
    let pointer = unsafe field(offset, 2).assumingMemoryBound(to: Atomic<UInt16>.self)
    return unsafe UInt16(littleEndian: pointer.pointee.load(ordering: .relaxed))
  }

  @usableFromInline @inline(__always)
  func loadAcquiring16(_ offset: Int) -> UInt16 {
    let pointer = unsafe field(offset, 2).assumingMemoryBound(to: Atomic<UInt16>.self)
    return unsafe UInt16(littleEndian: pointer.pointee.load(ordering: .acquiring))
  }

  @usableFromInline @inline(__always)
  func load32(_ offset: Int) -> UInt32 {
    let pointer = unsafe field(offset, 4).assumingMemoryBound(to: Atomic<UInt32>.self)
    return unsafe UInt32(littleEndian: pointer.pointee.load(ordering: .relaxed))
  }

  @usableFromInline @inline(__always)
  func loadAcquiring32(_ offset: Int) -> UInt32 {
    let pointer = unsafe field(offset, 4).assumingMemoryBound(to: Atomic<UInt32>.self)
    return unsafe UInt32(littleEndian: pointer.pointee.load(ordering: .acquiring))
  }

  @usableFromInline @inline(__always)
  func load64(_ offset: Int) -> UInt64 {
    let pointer = unsafe field(offset, 8).assumingMemoryBound(to: Atomic<UInt64>.self)
    return unsafe UInt64(littleEndian: pointer.pointee.load(ordering: .relaxed))
  }

  @usableFromInline @inline(__always)
  func loadAcquiring64(_ offset: Int) -> UInt64 {
    let pointer = unsafe field(offset, 8).assumingMemoryBound(to: Atomic<UInt64>.self)
    return unsafe UInt64(littleEndian: pointer.pointee.load(ordering: .acquiring))
  }

  /// For fields that need not be aligned to their width: used elements (4) and indirect descriptors (1).
  @usableFromInline @inline(__always)
  func loadUnaligned64(_ offset: Int) -> UInt64 {
    unsafe UInt64(littleEndian: field(offset, 8).loadUnaligned(as: UInt64.self))
  }

  @usableFromInline @inline(__always)
  func store16(_ value: UInt16, _ offset: Int) {
    let pointer = unsafe field(offset, 2).assumingMemoryBound(to: Atomic<UInt16>.self)
    unsafe pointer.pointee.store(value.littleEndian, ordering: .relaxed)
  }

  @usableFromInline @inline(__always)
  func storeReleasing16(_ value: UInt16, _ offset: Int) {
    let pointer = unsafe field(offset, 2).assumingMemoryBound(to: Atomic<UInt16>.self)
    unsafe pointer.pointee.store(value.littleEndian, ordering: .releasing)
  }

  @usableFromInline @inline(__always)
  func store32(_ value: UInt32, _ offset: Int) {
    let pointer = unsafe field(offset, 4).assumingMemoryBound(to: Atomic<UInt32>.self)
    unsafe pointer.pointee.store(value.littleEndian, ordering: .relaxed)
  }

  @usableFromInline @inline(__always)
  func store64(_ value: UInt64, _ offset: Int) {
    let pointer = unsafe field(offset, 8).assumingMemoryBound(to: Atomic<UInt64>.self)
    unsafe pointer.pointee.store(value.littleEndian, ordering: .relaxed)
  }

  @usableFromInline @inline(__always)
  func storeReleasing64(_ value: UInt64, _ offset: Int) {
    let pointer = unsafe field(offset, 8).assumingMemoryBound(to: Atomic<UInt64>.self)
    unsafe pointer.pointee.store(value.littleEndian, ordering: .releasing)
  }

  @usableFromInline @inline(__always)
  func storeUnaligned64(_ value: UInt64, _ offset: Int) {
    unsafe field(offset, 8).storeBytes(of: value.littleEndian, as: UInt64.self)
  }

  /// Sets `count` bytes from the start to zero.
  @usableFromInline
  func zero(_ count: Int) {
    unsafe field(0, count).initializeMemory(as: UInt8.self, repeating: 0, count: count)
  }
}
