// Memory that a platform and an agent share. The other side is not trusted and writes at any time: every
// access is one word, atomic, and a value is never read twice.

import Synchronization
import Wire

/// An area of shared memory, accessed by aligned words, which any memory type allows.
@safe
public struct SharedArea {
  /// Length in bytes, a multiple of 4.
  public let byteCount: Int
  private let base: UnsafeMutableRawPointer

  /// `byteCount` bytes at `base`. Traps when either is not a multiple of 4.
  ///
  /// The caller promises that the memory is mapped for as long as the area is used, and that this side
  /// accesses it in no other way.
  @unsafe
  public init(base: UnsafeMutableRawPointer, byteCount: Int) {
    precondition(byteCount >= 0 && byteCount & 3 == 0, "an area of whole words")
    precondition(UInt(bitPattern: base) & 3 == 0, "an area aligned to words")
    unsafe self.base = base
    self.byteCount = byteCount
  }

  /// The word at `offset`. Traps when it is not an aligned word of the area; offsets are our own.
  @inline(__always)
  private func word(_ offset: Int) -> UnsafeMutablePointer<Atomic<UInt32>> {
    precondition(offset >= 0 && offset & 3 == 0 && offset < byteCount, "a word outside its area")
    // In bounds and aligned; `Atomic` has the layout of its value.
    return unsafe (base + offset).assumingMemoryBound(to: Atomic<UInt32>.self)
  }

  /// Reads a word, once.
  @inline(__always)
  func load(_ offset: Int) -> UInt32 {
    unsafe UInt32(littleEndian: word(offset).pointee.load(ordering: .relaxed))
  }

  /// Reads a word. What the other side wrote before it is seen by what is read after it.
  @inline(__always)
  func loadAcquiring(_ offset: Int) -> UInt32 {
    unsafe UInt32(littleEndian: word(offset).pointee.load(ordering: .acquiring))
  }

  /// Writes a word.
  @inline(__always)
  func store(_ value: UInt32, _ offset: Int) {
    unsafe word(offset).pointee.store(value.littleEndian, ordering: .relaxed)
  }

  /// Reads whole words up to `end` from `offset` on, each once, into memory of our own. Traps when they do
  /// not fit.
  @inline(__always)
  func copyOut(_ offset: Int, _ end: Int, into target: inout MutableRawSpan) {
    precondition(offset >= 0 && offset <= end && (offset | end) & 3 == 0 && end <= byteCount, "no words")
    precondition(end - offset <= target.byteCount, "words that do not fit")
    // The words lie within the area and within the target, which is our own and no part of the area. Sums
    // stay below the length of the area. Most messages are of 2 to 4 words, hence the steps.
    unsafe target.withUnsafeMutableBytes { target in
      let target = unsafe target.baseAddress! - offset
      var place = offset
      while end &- place >= 16 {
        unsafe copyOut(place, target)
        unsafe copyOut(place &+ 4, target)
        unsafe copyOut(place &+ 8, target)
        unsafe copyOut(place &+ 12, target)
        place &+= 16
      }
      if end &- place >= 8 {
        unsafe copyOut(place, target)
        unsafe copyOut(place &+ 4, target)
        place &+= 8
      }
      if place < end { unsafe copyOut(place, target) }
    }
  }

  /// Reads the word at `place` into the same place of `target`.
  @inline(__always) @unsafe
  private func copyOut(_ place: Int, _ target: UnsafeMutableRawPointer) {
    let word = unsafe (base + place).assumingMemoryBound(to: Atomic<UInt32>.self)
    let value = unsafe word.pointee.load(ordering: .relaxed)
    unsafe target.storeBytes(of: value, toByteOffset: place, as: UInt32.self)
  }

  /// Writes whole words up to `end` from `offset` on, from memory of our own. Traps when they do not fit.
  @inline(__always)
  func copyIn(_ offset: Int, _ end: Int, from source: RawSpan) {
    precondition(offset >= 0 && offset <= end && (offset | end) & 3 == 0 && end <= byteCount, "no words")
    precondition(end - offset <= source.byteCount, "words that do not fit")
    // As in `copyOut`.
    unsafe source.withUnsafeBytes { source in
      let source = unsafe source.baseAddress! - offset
      var place = offset
      while end &- place >= 16 {
        unsafe copyIn(place, source)
        unsafe copyIn(place &+ 4, source)
        unsafe copyIn(place &+ 8, source)
        unsafe copyIn(place &+ 12, source)
        place &+= 16
      }
      if end &- place >= 8 {
        unsafe copyIn(place, source)
        unsafe copyIn(place &+ 4, source)
        place &+= 8
      }
      if place < end { unsafe copyIn(place, source) }
    }
  }

  /// Writes the word at `place` from the same place of `source`.
  @inline(__always) @unsafe
  private func copyIn(_ place: Int, _ source: UnsafeRawPointer) {
    let word = unsafe (base + place).assumingMemoryBound(to: Atomic<UInt32>.self)
    let value = unsafe source.loadUnaligned(fromByteOffset: place, as: UInt32.self)
    unsafe word.pointee.store(value, ordering: .relaxed)
  }

  /// Writes a word. Who sees it sees everything written before it.
  @inline(__always)
  func storeReleasing(_ value: UInt32, _ offset: Int) {
    unsafe word(offset).pointee.store(value.littleEndian, ordering: .releasing)
  }
}
