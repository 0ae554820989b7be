// The driver side's memory: what it shares with the device, and what it keeps to itself.

/// A piece of a buffer as a descriptor names it: where the device finds it, and how long it is.
public struct DMASegment: Equatable, Sendable {
  /// Address that the device uses, physical or translated (§6, ACCESS_PLATFORM).
  public var deviceAddress: UInt64
  /// Length in bytes.
  public var byteCount: UInt32

  /// `byteCount` bytes at `deviceAddress`.
  @inline(__always)
  public init(deviceAddress: UInt64, byteCount: UInt32) {
    self.deviceAddress = deviceAddress
    self.byteCount = byteCount
  }
}

/// Memory that a driver shares with its device. Owned: moving it into a driver ends all other access.
///
/// While a request that names it is in flight the device may change it at any time. Every access copies.
@safe
public struct DMABuffer: ~Copyable {
  /// Address that the device uses.
  public let deviceAddress: UInt64
  /// Length in bytes.
  public let byteCount: Int
  /// Address in our own space, for code that hands the memory on.
  @unsafe public let base: UnsafeMutableRawPointer

  /// The caller promises that `base` is valid for `byteCount` bytes as long as the buffer or its device uses
  /// it, that nothing else accesses it, and that the device sees it at `deviceAddress`.
  @unsafe
  public init(base: UnsafeMutableRawPointer, byteCount: Int, deviceAddress: UInt64) {
    precondition(byteCount >= 0, "a negative length")
    unsafe self.base = base
    self.byteCount = byteCount
    self.deviceAddress = deviceAddress
  }

  /// No memory, until there is some: a buffer of no bytes.
  public init() {
    // Never accessed.
    unsafe base = UnsafeMutableRawPointer(bitPattern: 16).unsafelyUnwrapped
    byteCount = 0
    deviceAddress = 0
  }

  /// The `byteCount` bytes from `offset` as a segment. Traps when they do not lie within the buffer.
  @inline(__always)
  public func segment(at offset: Int, byteCount: Int) -> DMASegment {
    check(offset, byteCount)
    return DMASegment(deviceAddress: deviceAddress + UInt64(offset), byteCount: UInt32(byteCount))
  }

  /// The whole buffer as a segment.
  public var segment: DMASegment { segment(at: 0, byteCount: byteCount) }

  /// The little-endian integer at `offset`, which need not be aligned. Traps outside the buffer.
  @inline(__always)
  public func load<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type = T.self, at offset: Int) -> T {
    check(offset, MemoryLayout<T>.size)
    return unsafe T(littleEndian: (base + offset).loadUnaligned(as: T.self))
  }

  /// Stores `value` little-endian at `offset`. Traps outside the buffer.
  @inline(__always)
  public func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at offset: Int) {
    check(offset, MemoryLayout<T>.size)
    unsafe (base + offset).storeBytes(of: value.littleEndian, as: T.self)
  }

  /// Copies `source` to `offset`. Traps when it does not fit.
  public func copyIn(from source: RawSpan, at offset: Int = 0) {
    check(offset, source.byteCount)
    if source.byteCount == 0 { return }
    let target = unsafe UnsafeMutableRawBufferPointer(start: base + offset, count: source.byteCount)
    unsafe source.withUnsafeBytes { unsafe target.copyMemory(from: $0) }
  }

  /// Copies the bytes from `offset` out. Traps when fewer than `target.byteCount` are there.
  public func copyOut(to target: inout MutableRawSpan, from offset: Int = 0) {
    check(offset, target.byteCount)
    if target.byteCount == 0 { return }
    let source = unsafe UnsafeRawBufferPointer(start: base + offset, count: target.byteCount)
    unsafe target.withUnsafeMutableBytes { unsafe $0.copyMemory(from: source) }
  }

  /// Sets every byte to zero.
  public func zero() { zero(at: 0, byteCount: byteCount) }

  /// Sets `byteCount` bytes from `offset` to zero. Traps outside the buffer.
  public func zero(at offset: Int, byteCount: Int) {
    check(offset, byteCount)
    if byteCount == 0 { return }
    unsafe (base + offset).initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
  }

  /// The ring area at `offset`, for the queue that owns this buffer.
  @inline(__always)
  func area(at offset: Int, byteCount: Int) -> RingArea {
    check(offset, byteCount)
    return unsafe RingArea(base: base + offset, byteCount: byteCount)
  }

  @inline(__always)
  private func check(_ offset: Int, _ count: Int) {
    // As unsigned numbers, negative ones are too large; the difference is only looked at when it is none.
    precondition(
      UInt(bitPattern: offset) <= UInt(bitPattern: byteCount)
        && UInt(bitPattern: count) <= UInt(bitPattern: byteCount &- offset),
      "outside the buffer")
  }
}

/// Where a driver gets its memory from, at set-up only.
public protocol DriverMemory: ~Copyable {
  /// Zeroed memory shared with the device, or nil when there is no more. `alignment` is a power of two.
  mutating func allocateShared(byteCount: Int, alignment: Int) -> DMABuffer?
  /// Zeroed memory that no device can reach, aligned to 16, or nil when there is no more.
  mutating func allocatePrivate(byteCount: Int) -> PrivateMemory?
}

/// Memory that only this side accesses, lent for ever by a `DriverMemory`.
@safe
public struct PrivateMemory: ~Copyable {
  /// Length in bytes.
  public let byteCount: Int
  let base: UnsafeMutableRawPointer

  /// The caller promises `byteCount` zeroed bytes at `base`, aligned to 16, that nothing else ever accesses.
  @unsafe
  public init(base: UnsafeMutableRawPointer, byteCount: Int) {
    unsafe self.base = base
    self.byteCount = byteCount
  }

  /// No memory, until there is some: no bytes.
  public init() {
    // Never accessed.
    unsafe base = UnsafeMutableRawPointer(bitPattern: 16).unsafelyUnwrapped
    byteCount = 0
  }

  /// The bytes.
  public var bytes: RawSpan {
    @_lifetime(borrow self)
    get {
      let buffer = unsafe UnsafeRawBufferPointer(start: base, count: byteCount)
      // The memory is ours for ever, and the borrow keeps writers away.
      return unsafe _overrideLifetime(RawSpan(_unsafeBytes: buffer), borrowing: self)
    }
  }

  /// The bytes, to be changed.
  public var mutableBytes: MutableRawSpan {
    @_lifetime(&self)
    mutating get {
      let buffer = unsafe UnsafeMutableRawBufferPointer(start: base, count: byteCount)
      // As above; the access is exclusive.
      return unsafe _overrideLifetime(MutableRawSpan(_unsafeBytes: buffer), mutating: &self)
    }
  }

  /// The integer at `offset` as `store` left it. Traps outside the memory.
  @inline(__always)
  public func load<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type = T.self, at offset: Int) -> T {
    check(offset, MemoryLayout<T>.size)
    return unsafe (base + offset).loadUnaligned(as: T.self)
  }

  /// Stores `value` at `offset`. Traps outside the memory.
  @inline(__always)
  public mutating func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at offset: Int) {
    check(offset, MemoryLayout<T>.size)
    unsafe (base + offset).storeBytes(of: value, as: T.self)
  }

  /// Sets `count` bytes from `offset` to zero. Traps outside the memory.
  public mutating func zero(at offset: Int, count: Int) {
    check(offset, count)
    if count == 0 { return }
    unsafe (base + offset).initializeMemory(as: UInt8.self, repeating: 0, count: count)
  }

  @inline(__always)
  private func check(_ offset: Int, _ count: Int) {
    // As unsigned numbers, negative ones are too large; the difference is only looked at when it is none.
    precondition(
      UInt(bitPattern: offset) <= UInt(bitPattern: byteCount)
        && UInt(bitPattern: count) <= UInt(bitPattern: byteCount &- offset),
      "outside the memory")
  }
}

/// A `DriverMemory` that hands out one block of shared and one of private memory, piece by piece.
@safe
public struct DriverArena: DriverMemory, ~Copyable {
  private let shared: DMABuffer
  private let own: PrivateMemory
  private var sharedUsed = 0
  private var ownUsed = 0

  /// Hands out `shared` and `own`, both zeroed here first.
  public init(shared: consuming DMABuffer, own: consuming PrivateMemory) {
    shared.zero()
    // All of the block is ours.
    unsafe own.base.initializeMemory(as: UInt8.self, repeating: 0, count: own.byteCount)
    self.shared = shared
    self.own = own
  }

  /// Bytes of shared memory left.
  public var sharedByteCount: Int { shared.byteCount - sharedUsed }

  /// See `DriverMemory`.
  public mutating func allocateShared(byteCount: Int, alignment: Int) -> DMABuffer? {
    // Alignment counts for the device, so it is the device's address that is aligned.
    let address = shared.deviceAddress + UInt64(sharedUsed)
    let padding = Int(truncatingIfNeeded: (0 &- address) & UInt64(alignment - 1))
    guard byteCount >= 0, padding + byteCount <= sharedByteCount else { return nil }
    let start = sharedUsed + padding
    sharedUsed = start + byteCount
    // A piece of our block that is handed out once.
    return unsafe DMABuffer(
      base: shared.base + start, byteCount: byteCount, deviceAddress: shared.deviceAddress + UInt64(start))
  }

  /// See `DriverMemory`.
  public mutating func allocatePrivate(byteCount: Int) -> PrivateMemory? {
    let rounded = (byteCount + 15) & ~15
    guard byteCount >= 0, rounded <= own.byteCount - ownUsed else { return nil }
    defer { ownUsed += rounded }
    // As above.
    return unsafe PrivateMemory(base: own.base + ownUsed, byteCount: byteCount)
  }
}
