public import Virtio

/// One access to a virtio-mmio window.
public struct RegisterEvent: Equatable, Sendable {
  /// A write, else a read.
  public var isWrite: Bool
  /// Offset in bytes.
  public var offset: Int
  /// Width in bytes.
  public var byteCount: Int
  /// The value read or written.
  public var value: UInt64

  /// A write of 32 bits.
  public static func write(_ value: UInt32, _ offset: Int) -> RegisterEvent {
    RegisterEvent(isWrite: true, offset: offset, byteCount: 4, value: UInt64(value))
  }
}

/// A virtio-mmio window whose every access is kept, served by whatever the test puts behind it.
public final class RegisterWindow {
  /// All accesses so far, in order.
  public var events: [RegisterEvent] = []
  /// Answers a read of (offset, byteCount).
  public var onRead: (Int, Int) -> UInt64 = { _, _ in 0 }
  /// Takes a write of (value, offset, byteCount).
  public var onWrite: (UInt64, Int, Int) -> Void = { _, _, _ in }

  /// A window with nothing behind it: reads give 0.
  public init() {}

  /// The registers as a driver takes them.
  public var registers: WindowRegisters { WindowRegisters(window: self) }

  /// Values written to the register at `offset`, in order.
  public func writes(to offset: Int) -> [UInt64] {
    events.filter { $0.isWrite && $0.offset == offset }.map(\.value)
  }

  /// Values read from the register at `offset`, in order.
  public func reads(of offset: Int) -> [UInt64] {
    events.filter { !$0.isWrite && $0.offset == offset }.map(\.value)
  }

  func read(_ offset: Int, _ byteCount: Int) -> UInt64 {
    let value = onRead(offset, byteCount)
    events.append(RegisterEvent(isWrite: false, offset: offset, byteCount: byteCount, value: value))
    return value
  }

  func write(_ value: UInt64, _ offset: Int, _ byteCount: Int) {
    events.append(RegisterEvent(isWrite: true, offset: offset, byteCount: byteCount, value: value))
    onWrite(value, offset, byteCount)
  }
}

/// A `RegisterWindow` as a driver's register access.
public struct WindowRegisters: RegisterAccess {
  let window: RegisterWindow

  /// See `RegisterAccess`.
  public func read8(_ offset: Int) -> UInt8 { UInt8(truncatingIfNeeded: window.read(offset, 1)) }
  /// See `RegisterAccess`.
  public func read16(_ offset: Int) -> UInt16 { UInt16(truncatingIfNeeded: window.read(offset, 2)) }
  /// See `RegisterAccess`.
  public func read32(_ offset: Int) -> UInt32 { UInt32(truncatingIfNeeded: window.read(offset, 4)) }
  /// See `RegisterAccess`.
  public func write8(_ value: UInt8, _ offset: Int) { window.write(UInt64(value), offset, 1) }
  /// See `RegisterAccess`.
  public func write16(_ value: UInt16, _ offset: Int) { window.write(UInt64(value), offset, 2) }
  /// See `RegisterAccess`.
  public func write32(_ value: UInt32, _ offset: Int) { window.write(UInt64(value), offset, 4) }
}

extension RegisterWindow {
  /// Accesses that §4.2.2.2 forbids a driver: undefined locations, wrong direction, wrong width, wrong order.
  /// `fields` are the configuration fields as (offset, byteCount); 64-bit fields count as two of 32 bits.
  public func violations(configurationFields fields: [(offset: Int, byteCount: Int)] = []) -> [String] {
    let readable: Set = [
      0x000, 0x004, 0x008, 0x00c, 0x010, 0x034, 0x044, 0x060, 0x070, 0x0b0, 0x0b4, 0x0b8, 0x0bc, 0x0c0, 0x0fc,
    ]
    let writable: Set = [
      0x014, 0x020, 0x024, 0x030, 0x038, 0x044, 0x050, 0x064, 0x070, 0x080, 0x084, 0x090, 0x094, 0x0a0, 0x0a4,
      0x0ac, 0x0c0,
    ]
    return events.compactMap { event in
      if event.offset >= 0x100 {
        let isField = fields.contains { field in
          let widths = field.byteCount == 8 ? [(0, 4), (4, 4)] : [(0, field.byteCount)]
          return widths.contains { event.offset == 0x100 + field.offset + $0.0 && event.byteCount == $0.1 }
        }
        return isField ? nil : "configuration access \(event)"
      }
      let allowed = event.isWrite ? writable : readable
      return event.byteCount == 4 && allowed.contains(event.offset) ? nil : "register access \(event)"
    }
  }
}
