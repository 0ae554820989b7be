// Little-endian fields of messages in private memory. Offsets come from our own code; a field that does not
// fit is our own bug and traps.

extension RawSpan {
  /// The little-endian field at byte `offset`, which need not be aligned. Traps when it does not fit.
  @inline(__always)
  public func load<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type = T.self, at offset: Int) -> T {
    // Checked: `unsafeLoadUnaligned` itself preconditions that the field lies within the span; every bit
    // pattern of an integer is a value.
    unsafe T(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: T.self))
  }
}

extension MutableRawSpan {
  /// Stores `value` little-endian at byte `offset`. Traps when it does not fit.
  @inline(__always) @_lifetime(self: copy self)
  public mutating func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at offset: Int) {
    storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
  }

  /// Copies the bytes of `source` from `offset` on to the same place here. Traps when they do not fit.
  @_lifetime(self: copy self)
  public mutating func copy(_ source: RawSpan, from offset: Int) {
    precondition(offset >= 0 && offset <= source.byteCount && source.byteCount <= byteCount, "no room")
    // Checked above; both are whole spans of bytes, and one that can be written overlaps no other.
    unsafe withUnsafeMutableBytes { target in
      unsafe source.withUnsafeBytes { source in
        guard let to = target.baseAddress, let from = source.baseAddress else { return }
        unsafe (to + offset).copyMemory(from: from + offset, byteCount: source.count - offset)
      }
    }
  }
}

extension ByteArray {
  /// A read-only view of the first `byteCount` bytes through exclusive access, which copies nothing where
  /// borrowing a stored array would. Traps beyond `count`.
  @inline(__always) @_lifetime(&self)
  public mutating func view(_ byteCount: Int) -> RawSpan {
    precondition(byteCount >= 0 && byteCount <= count, "a view beyond its array")
    var span = storage.mutableSpan
    // The pointer covers `storage` and is used only by the span, which borrows `self` exclusively.
    let buffer = unsafe span.withUnsafeMutableBytes { UnsafeRawBufferPointer($0) }
    let all = unsafe RawSpan(_unsafeBytes: buffer)
    return unsafe _overrideLifetime(all.extracting(0..<byteCount), mutating: &self)
  }

  /// The bytes of `text`, as many as fit, and zeros after them.
  public init(_ text: StaticString) {
    self.init()
    var target = mutableBytes
    // The text, a literal, has that many bytes, and this array at least `size`.
    let size = min(count, text.utf8CodeUnitCount)
    unsafe target.withUnsafeMutableBytes { target in
      unsafe target.baseAddress?.copyMemory(from: text.utf8Start, byteCount: size)
    }
  }
}
