public import Virtio

extension GuestRAM {
  /// Memory for drivers: all of RAM from `offset` on is shared, and `privateByteCount` bytes are this side's.
  /// Take each part of RAM once; the arena must not outlive this object.
  public func arena(at offset: Int = 0, privateByteCount: Int = 4 << 20) -> DriverArena {
    let own = unsafe allocatePrivate(privateByteCount)
    // The mapping and the block live as long as this object, which the test keeps beside its machine.
    return unsafe DriverArena(
      shared: DMABuffer(
        base: bytes.baseAddress! + offset, byteCount: bytes.count - offset,
        deviceAddress: Self.base + UInt64(offset)),
      own: PrivateMemory(base: own, byteCount: privateByteCount))
  }
}
