// The memory of both sides, allocated to the byte: the address sanitizer sees the first access beyond it.

import Virtio

/// Memory that one side gives and both use, and memory of the driver's own.
@safe
struct FuzzMemory {
  /// Address as the device sees it.
  static let address: UInt64 = 0x4000_0000
  static let byteCount = 1 << 16
  static let ownByteCount = 1 << 17

  private let shared: UnsafeMutableRawPointer
  private let own: UnsafeMutableRawPointer

  /// Everything zero.
  init() {
    unsafe shared = .allocate(byteCount: Self.byteCount, alignment: 4096)
    unsafe own = .allocate(byteCount: Self.ownByteCount, alignment: 4096)
    unsafe shared.initializeMemory(as: UInt8.self, repeating: 0, count: Self.byteCount)
    unsafe own.initializeMemory(as: UInt8.self, repeating: 0, count: Self.ownByteCount)
  }

  /// Frees it. Nothing made from it may be used any more.
  func free() {
    unsafe shared.deallocate()
    unsafe own.deallocate()
  }

  /// The shared memory as a device sees it: two regions, the second small.
  func guest(_ table: UnsafeMutableBufferPointer<GuestRegion>) -> GuestMemory {
    let first = Self.byteCount - 4096
    // Valid until `free`; the caller keeps the table as long as the memory.
    unsafe table.initializeElement(
      at: 0, to: GuestRegion(address: Self.address, byteCount: UInt64(first), host: shared))
    unsafe table.initializeElement(
      at: 1,
      to: GuestRegion(address: Self.address + UInt64(first), byteCount: 4096, host: shared + first))
    return unsafe GuestMemory(regions: UnsafeBufferPointer(table))
  }

  /// The shared memory and the private one as a driver's. Zeroed by the arena.
  func arena() -> DriverArena {
    unsafe DriverArena(
      shared: DMABuffer(base: shared, byteCount: Self.byteCount, deviceAddress: Self.address),
      own: PrivateMemory(base: own, byteCount: Self.ownByteCount))
  }

  /// Memory for what is behind a device.
  func backing() -> PrivateMemory { unsafe PrivateMemory(base: own, byteCount: 1 << 14) }

  /// Stores `value` at `offset` of the shared memory, or nothing when it does not fit.
  func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at offset: Int) {
    guard offset >= 0, offset <= Self.byteCount - MemoryLayout<T>.size else { return }
    unsafe (shared + offset).storeBytes(of: value.littleEndian, as: T.self)
  }

  /// The integer at `offset` of the shared memory, 0 when it does not fit.
  func load<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type = T.self, at offset: Int) -> T {
    guard offset >= 0, offset <= Self.byteCount - MemoryLayout<T>.size else { return 0 }
    return unsafe T(littleEndian: (shared + offset).loadUnaligned(as: T.self))
  }

  /// Writes up to 64 bytes of the input anywhere.
  func scribble(_ input: inout Input) {
    var offset = Int(input.next(UInt16.self))
    for _ in 0..<input.pick(64) {
      store(input.next(UInt8.self), at: offset)
      offset += 1
    }
  }
}
