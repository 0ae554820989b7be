// Interrupt status of devices, read and acknowledged when the interrupt comes, and kept until somebody asks.

public import DeviceTree

/// For devices with a status register and an acknowledge register whose bits clear those of the status, as
/// virtio-mmio has them (virtio 1.4 §4.2.2): the interrupt handler moves the bits into a latch.
public enum StatusLatch {
  /// How many devices there can be.
  public static let limit = 64

  private struct Device {
    var registers: MMIORegion?
    var status = 0
    var acknowledge = 0
    var bits: UInt32 = 0
  }

  // Written by the handler, and by `take` with interrupts masked.
  nonisolated(unsafe) private static var devices = InlineArray<64, Device>(repeating: Device())

  /// Latches the status of a device from now on.
  ///
  /// - Parameters:
  ///   - index: Names the device in the other calls; below `limit`.
  ///   - status: Offset of the status register, 32 bits.
  ///   - acknowledge: Offset of the acknowledge register, 32 bits.
  public static func attach(
    _ index: Int, to registers: MMIORegion, status: Int, acknowledge: Int, interrupt: InterruptSource
  ) throws(InterruptError) {
    precondition(index >= 0 && index < limit)
    Interrupts.masked {
      unsafe devices[index] = Device(registers: registers, status: status, acknowledge: acknowledge)
    }
    try Interrupts.enable(interrupt, context: UInt(index)) { StatusLatch.latch(Int($0)) }
  }

  /// Whether `take` would give anything.
  public static func isSet(_ index: Int) -> Bool { Interrupts.masked { unsafe devices[index].bits } != 0 }

  /// The bits since the last call, each once.
  public static func take(_ index: Int) -> UInt32 {
    Interrupts.masked {
      let bits = unsafe devices[index].bits
      unsafe devices[index].bits = 0
      return bits
    }
  }

  /// Empties the status register. A bit that comes between reading and acknowledging keeps the line up, which
  /// an edge-triggered interrupt does not tell of again: so it is read until it is empty, within reason. A
  /// device that never stops is left; its bits are known all the same.
  private static func latch(_ index: Int) {
    guard let registers = unsafe devices[index].registers else { return }
    for _ in 0..<8 {
      let bits = registers.read32(unsafe devices[index].status)
      if bits == 0 { return }
      unsafe devices[index].bits |= bits
      registers.write32(bits, at: unsafe devices[index].acknowledge)
    }
  }
}
