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

  /// Writes a word. Who sees it sees everything written before it.
  @inline(__always)
  func storeReleasing(_ value: UInt32, _ offset: Int) {
    unsafe word(offset).pointee.store(value.littleEndian, ordering: .releasing)
  }
}
