// Fixed-size byte buffers and little-endian fields: the only way wire structures are decoded and encoded.
// The bytes come from an untrusted peer; offsets come from our own code.

/// `count` bytes held inline, with little-endian access to integer fields.
///
/// Wire structures read and write their fields through it; the layout of Swift structs is never relied on.
@frozen
public struct ByteArray<let count: Int>: Sendable {
  @usableFromInline var storage: [count of UInt8]

  /// All bytes zero.
  @inline(__always)
  public init() { storage = [count of UInt8](repeating: 0) }

  /// The first bytes of `source`, as many as fit, and zeros after them.
  public init(prefixOf source: RawSpan) {
    self.init()
    let size = min(count, source.byteCount)
    var target = mutableBytes
    // Both sides hold at least `size` bytes, and cannot overlap: the target is a new value.
    unsafe target.withUnsafeMutableBytes { target in
      unsafe source.withUnsafeBytes { source in
        unsafe target.copyMemory(from: UnsafeRawBufferPointer(rebasing: source.prefix(size)))
      }
    }
  }

  /// The byte at `index`. Traps outside `0 ..< count`.
  @inline(__always)
  public subscript(index: Int) -> UInt8 {
    get { storage[index] }
    set { storage[index] = newValue }
  }

  /// The little-endian field at byte `offset`, which need not be aligned. Traps when it does not fit.
  @inline(__always)
  public func load<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type = T.self, at offset: Int) -> T {
    // Checked: `unsafeLoadUnaligned` itself preconditions that the field lies within the span; every bit
    // pattern of an integer is a value.
    unsafe T(littleEndian: storage.span.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: T.self))
  }

  /// Stores `value` little-endian at byte `offset`. Traps when it does not fit.
  @inline(__always)
  public mutating func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at offset: Int) {
    var span = storage.mutableSpan
    // Any byte pattern is a valid UInt8; the span covers bytes we own, and `storeBytes` checks bounds.
    var bytes = unsafe span.mutableBytes
    bytes.storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
  }

  /// A read-only view of the bytes.
  public var bytes: RawSpan {
    @inline(__always) @_lifetime(borrow self)
    get { unsafe storage.span.bytes }  // the span borrows `self`
  }

  /// A mutable view of the bytes.
  public var mutableBytes: MutableRawSpan {
    @inline(__always) @_lifetime(&self)
    mutating get {
      // The pointer covers `storage` and is used only by the span, which borrows `self` exclusively.
      var span = storage.mutableSpan
      let buffer = unsafe span.withUnsafeMutableBytes { unsafe $0 }
      return unsafe _overrideLifetime(MutableRawSpan(_unsafeBytes: buffer), mutating: &self)
    }
  }
}

extension RawSpan {
  /// The little-endian field at byte `offset`, which need not be aligned. Traps when it does not fit.
  ///
  /// For bytes that are large and in memory: a load from a `ByteArray` that is borrowed copies all of it.
  @inline(__always)
  public func field<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type = T.self, at offset: Int) -> T {
    // As in `ByteArray.load`.
    unsafe T(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: T.self))
  }
}

extension MutableRawSpan {
  /// The little-endian field at byte `offset`, which need not be aligned. Traps when it does not fit.
  @inline(__always)
  public func field<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type = T.self, at offset: Int) -> T {
    bytes.field(at: offset)
  }

  /// Stores `value` little-endian at byte `offset`. Traps when it does not fit.
  @inline(__always) @_lifetime(self: copy self)
  public mutating func setField<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at offset: Int) {
    storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
  }
}
