/// The widths in which the qtest protocol reaches device registers.
public enum AccessWidth: String, Sendable {
  /// 8 bits.
  case byte = "b"
  /// 16 bits.
  case half = "w"
  /// 32 bits.
  case word = "l"
  /// 64 bits.
  case double = "q"
}

extension QEMU {
  /// Reads guest-physical `address` as the CPU would.
  public func read(_ width: AccessWidth, at address: UInt64) throws(QTestError) -> UInt64 {
    let line = "read\(width.rawValue) 0x\(String(address, radix: 16))"
    let answer = try request(line)
    guard answer.hasPrefix("0x"), let value = UInt64(answer.dropFirst(2), radix: 16) else {
      throw .answer(command: line, got: String(answer))
    }
    return value
  }

  /// Writes guest-physical `address` as the CPU would.
  public func write(_ width: AccessWidth, _ value: UInt64, at address: UInt64) throws(QTestError) {
    _ = try request(
      "write\(width.rawValue) 0x\(String(address, radix: 16)) 0x\(String(value, radix: 16))")
  }
}

/// One virtio-mmio window of QEMU's virt machine.
public enum VirtioSlot {
  /// Number of windows.
  public static let count = 32

  /// Guest-physical address of window `index`, which `bus=virtio-mmio-bus.<index>` names.
  public static func address(_ index: Int) -> UInt64 {
    precondition((0..<count).contains(index))
    return 0x0a00_0000 + UInt64(index) * 0x200
  }
}
