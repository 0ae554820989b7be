// The registers of a virtio-mmio slot of the board, as drivers want them.

public import Machine
public import Virtio

/// Accesses to the registers of a slot. `MMIORegion` orders them against memory. Not inlined: an image has
/// hundreds of these, and each waits for the device anyway.
public struct SlotRegisters: RegisterAccess {
  let region: MMIORegion

  /// Registers at `region`.
  public init(region: MMIORegion) { self.region = region }

  /// See `RegisterAccess`.
  @inline(never) public func read8(_ offset: Int) -> UInt8 { region.read8(offset) }
  /// See `RegisterAccess`.
  @inline(never) public func read16(_ offset: Int) -> UInt16 { region.read16(offset) }
  /// See `RegisterAccess`.
  @inline(never) public func read32(_ offset: Int) -> UInt32 { region.read32(offset) }
  /// See `RegisterAccess`.
  @inline(never) public func write8(_ value: UInt8, _ offset: Int) { region.write8(value, at: offset) }
  /// See `RegisterAccess`.
  @inline(never) public func write16(_ value: UInt16, _ offset: Int) { region.write16(value, at: offset) }
  /// See `RegisterAccess`.
  @inline(never) public func write32(_ value: UInt32, _ offset: Int) { region.write32(value, at: offset) }
}

/// The driver's side of a slot.
public typealias SlotTransport = MMIODriverTransport<SlotRegisters>
