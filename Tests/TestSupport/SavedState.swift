public import Virtio

extension MMIODeviceTransport where Device: ~Copyable, Line: ~Copyable {
  /// The saved state.
  public mutating func savedState() throws(StateFault) -> [UInt8] {
    var bytes = [UInt8](repeating: 0xee, count: 1 << 16)
    var span = bytes.mutableSpan
    // Bytes have no padding.
    var writer = StateWriter(unsafe span.mutableBytes)
    try save(into: &writer)
    precondition(writer.isComplete, "a state of more than 64 KiB")
    let count = writer.byteCount
    return Array(bytes.prefix(count))
  }

  /// Restores `bytes`.
  public mutating func restore(_ bytes: [UInt8]) throws(StateFault) {
    // As above.
    var reader = StateReader(unsafe bytes.span.bytes)
    try restore(from: &reader)
  }

  /// What restoring `bytes` throws.
  public mutating func restoreFault(_ bytes: [UInt8]) -> StateFault? {
    do { try restore(bytes) } catch { return error }
    return nil
  }
}

extension Bench where Device: ~Copyable {
  /// Saves the device and goes on with `device`, a new one restored from that, as after a move to another
  /// host.
  public func migrate(to device: consuming Device, _ memory: TestMemory) throws {
    let bytes = try transport.savedState()
    transport = MMIODeviceTransport(device: device, line: CountingLine(), memory: memory.guest)
    try transport.restore(bytes)
    while transport.run() {}
  }
}
