import Glibc

/// The RAM of a QEMU virt machine, mapped into this process: what QEMU's devices read and write by DMA.
@safe public final class GuestRAM {
  /// Guest-physical address of the first byte, fixed by QEMU's virt machine.
  public static let base: UInt64 = 0x4000_0000

  /// Every byte of RAM; index 0 is guest-physical `base`. Valid as long as this object lives.
  @unsafe public let bytes: UnsafeMutableRawBufferPointer

  /// The anonymous file behind it, which QEMU opens as its memory backend.
  public let file: FileDescriptor

  private var own: [UnsafeMutableRawPointer] = unsafe []

  /// `size` bytes of zeros.
  public init(size: Int) throws(QTestError) {
    file = try .memory(size: size)
    let mapped = unsafe mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.number, 0)
    guard let start = unsafe mapped, unsafe start != MAP_FAILED else {
      throw .system(call: "mmap", errno: errno)
    }
    unsafe bytes = UnsafeMutableRawBufferPointer(start: start, count: size)
  }

  deinit {
    unsafe munmap(bytes.baseAddress, bytes.count)
    unsafe own.forEach { unsafe $0.deallocate() }
  }

  /// Memory that no device reaches, freed with this object.
  @unsafe
  func allocatePrivate(_ byteCount: Int) -> UnsafeMutableRawPointer {
    let block = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 16)
    unsafe own.append(block)
    return unsafe block
  }

  /// Reads a little-endian integer at a guest-physical address, which must lie in RAM.
  public func load<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type = T.self, at address: UInt64) -> T {
    T(littleEndian: unsafe bytes.loadUnaligned(fromByteOffset: Int(address - Self.base), as: T.self))
  }

  /// Writes a little-endian integer at a guest-physical address, which must lie in RAM.
  public func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at address: UInt64) {
    unsafe bytes.storeBytes(of: value.littleEndian, toByteOffset: Int(address - Self.base), as: T.self)
  }

  /// A copy of `count` bytes at a guest-physical address.
  public func read(_ count: Int, at address: UInt64) -> [UInt8] {
    let start = Int(address - Self.base)
    return unsafe Array(bytes[start..<start + count])
  }

  /// Copies `source` to a guest-physical address.
  public func write(_ source: [UInt8], at address: UInt64) {
    let start = Int(address - Self.base)
    unsafe bytes[start..<start + source.count].copyBytes(from: source)
  }
}
