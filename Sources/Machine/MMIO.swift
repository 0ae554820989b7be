// Volatile access to device registers at physical addresses, which the image maps one to one.

import CMachine
import _Volatile

/// A window of device registers. Accesses are volatile, one for each call, and ordered against memory as
/// drivers need it: a write comes after every earlier access to memory, a read before every later one.
public struct MMIORegion: Sendable {
  /// Physical address of the first register.
  public let base: UInt64
  /// Length in bytes.
  public let size: UInt64

  /// A window that lies within the device addresses of the board, or nil: other addresses are not mapped as
  /// device memory, and an access to them would fault.
  @inline(never)
  public init?(base: UInt64, size: UInt64) {
    let start = machine_device_start()
    let end = machine_device_end()
    guard base >= start, base < end, base & 0b111 == 0, size > 0, size <= end - base else { return nil }
    self.base = base
    self.size = size
  }

  /// Reads 8 bits. Traps beyond the window.
  @inline(never) public func read8(_ offset: Int) -> UInt8 {
    // The window is device memory for ever and the offset is checked.
    let value = unsafe VolatileMappedRegister<UInt8>(unsafeBitPattern: address(offset, 1)).load()
    machine_load_barrier()
    return value
  }

  /// Reads 16 bits at an even offset. Traps beyond the window.
  @inline(never) public func read16(_ offset: Int) -> UInt16 {
    // As in read8.
    let value = unsafe VolatileMappedRegister<UInt16>(unsafeBitPattern: address(offset, 2)).load()
    machine_load_barrier()
    return value
  }

  /// Reads 32 bits at an offset that is a multiple of 4. Traps beyond the window.
  @inline(never) public func read32(_ offset: Int) -> UInt32 {
    // As in read8.
    let value = unsafe VolatileMappedRegister<UInt32>(unsafeBitPattern: address(offset, 4)).load()
    machine_load_barrier()
    return value
  }

  /// Reads 64 bits at an offset that is a multiple of 8. Traps beyond the window.
  @inline(never) public func read64(_ offset: Int) -> UInt64 {
    // As in read8.
    let value = unsafe VolatileMappedRegister<UInt64>(unsafeBitPattern: address(offset, 8)).load()
    machine_load_barrier()
    return value
  }

  /// Writes 8 bits. Traps beyond the window.
  @inline(never) public func write8(_ value: UInt8, at offset: Int) {
    machine_store_barrier()
    // As in read8.
    unsafe VolatileMappedRegister<UInt8>(unsafeBitPattern: address(offset, 1)).store(value)
  }

  /// Writes 16 bits at an even offset. Traps beyond the window.
  @inline(never) public func write16(_ value: UInt16, at offset: Int) {
    machine_store_barrier()
    // As in read8.
    unsafe VolatileMappedRegister<UInt16>(unsafeBitPattern: address(offset, 2)).store(value)
  }

  /// Writes 32 bits at an offset that is a multiple of 4. Traps beyond the window.
  @inline(never) public func write32(_ value: UInt32, at offset: Int) {
    machine_store_barrier()
    // As in read8.
    unsafe VolatileMappedRegister<UInt32>(unsafeBitPattern: address(offset, 4)).store(value)
  }

  /// Writes 64 bits at an offset that is a multiple of 8. Traps beyond the window.
  @inline(never) public func write64(_ value: UInt64, at offset: Int) {
    machine_store_barrier()
    // As in read8.
    unsafe VolatileMappedRegister<UInt64>(unsafeBitPattern: address(offset, 8)).store(value)
  }

  @inline(__always) private func address(_ offset: Int, _ width: Int) -> UInt {
    precondition(offset >= 0 && offset & (width - 1) == 0 && UInt64(offset) + UInt64(width) <= size)
    return UInt(base) + UInt(offset)
  }
}
