// Guest RAM for tests: one block that both sides share, plus private memory for the driver.

public import Virtio

/// A block of "guest RAM" at a guest address, freed with the object.
@safe
public final class TestMemory {
  /// Guest (and device) address of the first byte.
  public let address: UInt64
  /// Length in bytes.
  public let byteCount: Int
  private let base: UnsafeMutableRawPointer
  private let own: UnsafeMutableRawPointer
  private let ownByteCount: Int

  /// `byteCount` zeroed bytes at guest `address`.
  public init(byteCount: Int = 1 << 20, address: UInt64 = 0x4000_0000, ownByteCount: Int = 1 << 20) {
    self.address = address
    self.byteCount = byteCount
    self.ownByteCount = ownByteCount
    unsafe base = .allocate(byteCount: byteCount, alignment: 4096)
    unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    unsafe own = .allocate(byteCount: ownByteCount, alignment: 4096)
  }

  deinit {
    unsafe base.deallocate()
    unsafe own.deallocate()
  }

  /// The block as one region. Valid while the object lives.
  public var region: GuestRegion {
    unsafe GuestRegion(address: address, byteCount: UInt64(byteCount), host: base)
  }

  /// The block as one that sees it elsewhere has it.
  public func region(at address: UInt64) -> GuestRegion {
    unsafe GuestRegion(address: address, byteCount: UInt64(byteCount), host: base)
  }

  /// The block as the device sees it.
  public var guest: GuestMemory { GuestMemory(region) }

  /// A driver's memory in the upper half of the block, and private memory. Take it once.
  public func arena() -> DriverArena {
    let half = byteCount / 2
    return unsafe DriverArena(
      shared: DMABuffer(
        base: base + half, byteCount: byteCount - half, deviceAddress: address + UInt64(half)),
      own: PrivateMemory(base: own, byteCount: ownByteCount))
  }

  private func pointer(_ at: UInt64, _ count: Int) -> UnsafeMutableRawPointer {
    precondition(at >= address && at + UInt64(count) <= address + UInt64(byteCount), "outside test memory")
    return unsafe base + Int(at - address)
  }

  /// The little-endian integer at guest address `at`.
  public func load<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type = T.self, _ at: UInt64) -> T {
    unsafe T(littleEndian: pointer(at, MemoryLayout<T>.size).loadUnaligned(as: T.self))
  }

  /// Stores `value` little-endian at guest address `at`.
  public func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, _ at: UInt64) {
    unsafe pointer(at, MemoryLayout<T>.size).storeBytes(of: value.littleEndian, as: T.self)
  }

  /// `count` bytes from guest address `at`.
  public func bytes(_ at: UInt64, _ count: Int) -> [UInt8] {
    (0..<count).map { load(UInt8.self, at + UInt64($0)) }
  }

  /// Writes `bytes` to guest address `at`.
  public func write(_ bytes: [UInt8], _ at: UInt64) {
    for (i, byte) in bytes.enumerated() { store(byte, at + UInt64(i)) }
  }
}
