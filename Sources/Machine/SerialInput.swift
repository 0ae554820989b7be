// Bytes typed on the serial console, taken by interrupt.

public import DeviceTree

/// Input of the board's UART: the interrupt handler moves bytes from the FIFO into a ring, `next` takes them
/// out. Bytes that find the ring full are dropped.
public enum SerialInput {
  private static let capacity = 256
  // Used with interrupts masked and under the lock: the handler runs on the first core, `next` on any.
  nonisolated(unsafe) private static var lock = RegisterLock()
  nonisolated(unsafe) private static var ring = InlineArray<256, UInt8>(repeating: 0)
  nonisolated(unsafe) private static var first = 0
  nonisolated(unsafe) private static var count = 0

  /// Enables receiving.
  public static func start(interrupt: InterruptSource) throws(InterruptError) {
    let registers = Serial.registers
    registers.write32(0x7ff, at: Serial.Register.interruptClear)
    try Interrupts.enable(interrupt, context: 0) { _ in SerialInput.receive() }
    registers.write32(1 << 4 | 1 << 6, at: Serial.Register.interruptMask)  // received, and left waiting
  }

  /// Whether a byte is waiting.
  public static var isReady: Bool { locked { unsafe count } > 0 }

  /// The next byte, or nil if there is none.
  public static func next() -> UInt8? {
    locked {
      guard unsafe count > 0 else { return nil }
      let byte = unsafe ring[first]
      unsafe first = (first + 1) % capacity
      unsafe count -= 1
      return byte
    }
  }

  /// Empties the FIFO, which also takes the interrupt back; clearing it by hand would lose the byte that
  /// comes at that moment. What a fast sender leaves in the FIFO keeps the interrupt up.
  private static func receive() {
    let registers = Serial.registers
    unsafe lock.acquire()
    defer { unsafe lock.release() }
    for _ in 0..<64 {
      if registers.read32(Serial.Register.flags) & 1 << 4 != 0 { return }
      let byte = UInt8(truncatingIfNeeded: registers.read32(Serial.Register.data))
      guard unsafe count < capacity else { continue }
      unsafe ring[(first + count) % capacity] = byte
      unsafe count += 1
    }
  }

  private static func locked<Result>(_ body: () -> Result) -> Result {
    Interrupts.masked {
      unsafe lock.acquire()
      defer { unsafe lock.release() }
      return body()
    }
  }
}
