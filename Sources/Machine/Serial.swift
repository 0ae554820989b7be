// Text on the PL011 of the board: byte by byte, with no heap and no String formatting.

import CMachine
public import Wire

/// The serial console of the board. Output waits for room in the UART's FIFO; input is in `SerialInput`.
public enum Serial {
  enum Register {
    static let data = 0x00
    static let flags = 0x18
    static let interruptMask = 0x38
    static let interruptClear = 0x44
  }

  /// The registers at the address of the linker script.
  static var registers: MMIORegion {
    guard let region = MMIORegion(base: machine_early_uart(), size: 0x1000) else {
      preconditionFailure("the UART of the linker script lies outside the device window")
    }
    return region
  }

  nonisolated(unsafe) private static var lock = RegisterLock()

  /// Calls `body` while no other core that asks writes. For images that use several cores; interrupts of this
  /// one are masked already.
  public static func exclusively<Result>(_ body: () -> Result) -> Result {
    unsafe lock.acquire()
    let result = body()
    unsafe lock.release()
    return result
  }

  /// Waits a while for the other cores to be done, for what is said whatever they do.
  static func claim() {
    for _ in 0..<1_000_000 where unsafe lock.tryAcquire() { return }
  }

  /// Writes one byte as it is.
  @inline(never)
  public static func put(byte: UInt8) {
    let registers = registers
    while registers.read32(Register.flags) & (1 << 5) != 0 {}  // transmit FIFO full
    registers.write32(UInt32(byte), at: Register.data)
  }

  /// Writes a text.
  @inline(never)
  public static func put(_ text: FixedText) {
    let bytes = text.bytes
    for index in bytes.indices { put(byte: bytes[index]) }
  }

  /// Writes bytes that come from outside: what is not printable ASCII appears as a full stop.
  public static func put(untrusted bytes: RawSpan) {
    for index in bytes.byteOffsets {
      // The index is one of the span's.
      let byte = unsafe bytes.unsafeLoad(fromUncheckedByteOffset: index, as: UInt8.self)
      put(byte: byte >= 0x20 && byte < 0x7f ? byte : 0x2e)
    }
  }

  /// Writes a number in decimal, without leading zeros.
  @inline(never)
  public static func put(decimal value: UInt64) {
    var divisor: UInt64 = 1
    while value / divisor >= 10 { divisor *= 10 }
    while divisor > 0 {
      put(byte: 0x30 + UInt8(value / divisor % 10))
      divisor /= 10
    }
  }

  /// Writes the low `digits` hexadecimal digits of a number, 1 to 16, without a prefix.
  @inline(never)
  public static func put(hex value: UInt64, digits: Int = 16) {
    precondition(digits >= 1 && digits <= 16)
    for position in (0..<digits).reversed() {
      let digit = UInt8(value >> UInt64(position * 4) & 0xf)
      put(byte: digit < 10 ? 0x30 + digit : 0x57 + digit)
    }
  }

  /// Writes spaces.
  public static func put(spaces count: Int) {
    for _ in 0..<max(count, 0) { put(byte: 0x20) }
  }

  /// Ends a line.
  @inline(never)
  public static func newLine() {
    put(byte: 0x0d)
    put(byte: 0x0a)
  }

  /// Writes a text and ends the line.
  @inline(never)
  public static func line(_ text: FixedText) {
    put(text)
    newLine()
  }
}
