// virtio 1.4 §4.2.2 MMIO Device Register Layout, as QEMU's device models show it: proves the harness itself.

import QTestSupport
import Testing
import Virtio

@Suite struct `QEMU's registers` {
  /// Offsets of the registers this file reads.
  private enum Offset {
    static let magicValue: UInt64 = 0x000
    static let version: UInt64 = 0x004
    static let deviceID: UInt64 = 0x008
    static let queueSel: UInt64 = 0x030
    static let queueSizeMax: UInt64 = 0x034
  }

  @Test func `every device type answers with magic, version 2, its id and a first queue`() throws {
    let (local, remote) = (SocketPath(), SocketPath())
    let qemu = try QEMU(
      Machine.entropy(slot: 0) + Machine.nullBlock(slot: 1, bytes: 1 << 20)
        + Machine.network(slot: 2, local: local.path, remote: remote.path)
        + Machine.serial(slot: 3, ports: 4))
    for (slot, id) in [(0, 4), (1, 2), (2, 1), (3, 3)] as [(Int, UInt64)] {
      let base = VirtioSlot.address(slot)
      #expect(try qemu.read(.word, at: base + Offset.magicValue) == 0x7472_6976)
      #expect(try qemu.read(.word, at: base + Offset.version) == 2)
      #expect(try qemu.read(.word, at: base + Offset.deviceID) == id)
      try qemu.write(.word, 0, at: base + Offset.queueSel)
      #expect(try qemu.read(.word, at: base + Offset.queueSizeMax) == 1024)
    }
    withExtendedLifetime((local, remote)) {}
  }

  @Test func `a window without a device has id 0`() throws {
    let qemu = try QEMU([])
    #expect(try qemu.read(.word, at: VirtioSlot.address(5) + Offset.magicValue) == 0x7472_6976)
    #expect(try qemu.read(.word, at: VirtioSlot.address(5) + Offset.deviceID) == 0)
  }

  @Test func `a machine that cannot start says why`() {
    #expect {
      _ = try QEMU(["-device", "no-such-device"])
    } throws: { error in
      "\(error)".contains("no-such-device")
    }
  }

  @Test func `memory is shared with the machine`() throws {
    let qemu = try QEMU([])
    qemu.ram.store(UInt32(0x1234_5678), at: GuestRAM.base + 0x100)
    #expect(try qemu.read(.word, at: GuestRAM.base + 0x100) == 0x1234_5678)
    try qemu.write(.half, 0xabcd, at: GuestRAM.base + 0x102)
    #expect(qemu.ram.load(UInt32.self, at: GuestRAM.base + 0x100) == 0xabcd_5678)
  }

  @Test func `a legacy device is refused as such, an empty window as such`() throws {
    let qemu = try QEMU(["-global", "virtio-mmio.force-legacy=true"] + Machine.entropy(slot: 0))
    try qemu.run { qemu in
      #expect(throws: DeviceFault.legacyDevice) { _ = try MMIODriverTransport(QTestRegisters(qemu)) }
      #expect(throws: DeviceFault.legacyDevice) { _ = try MMIODriverTransport(QTestRegisters(qemu, slot: 1)) }
    }
    let modern = try QEMU(Machine.entropy(slot: 0))
    try modern.run { qemu in
      #expect(throws: DeviceFault.noDevice) { _ = try MMIODriverTransport(QTestRegisters(qemu, slot: 1)) }
      #expect(throws: DeviceFault.notVirtio) { _ = try MMIODriverTransport(RAMRegisters(qemu)) }
    }
  }
}

/// Registers where there is only RAM.
private struct RAMRegisters: RegisterAccess {
  let ram: GuestRAM

  init(_ qemu: QEMU) { ram = qemu.ram }

  func read8(_ offset: Int) -> UInt8 { ram.load(at: GuestRAM.base + UInt64(offset)) }
  func read16(_ offset: Int) -> UInt16 { ram.load(at: GuestRAM.base + UInt64(offset)) }
  func read32(_ offset: Int) -> UInt32 { ram.load(at: GuestRAM.base + UInt64(offset)) }
  func write8(_ value: UInt8, _ offset: Int) { ram.store(value, at: GuestRAM.base + UInt64(offset)) }
  func write16(_ value: UInt16, _ offset: Int) { ram.store(value, at: GuestRAM.base + UInt64(offset)) }
  func write32(_ value: UInt32, _ offset: Int) { ram.store(value, at: GuestRAM.base + UInt64(offset)) }
}
