// One guest: its memory, its cores, its interrupts and its devices.

import CMachine
import DeviceTree
import DeviceTypes
import Hypervisor
import Machine
import Virtio

/// A frame of the board's interrupt controller, for the filters.
struct ControllerFrame: InterruptRegisters {
  let region: MMIORegion
  func read32(_ offset: Int) -> UInt32 { region.read32(offset) }
  func write32(_ value: UInt32, _ offset: Int) { region.write32(value, at: offset) }
  func write8(_ value: UInt8, _ offset: Int) { region.write8(value, at: offset) }
  func write64(_ value: UInt64, _ offset: Int) { region.write64(value, at: offset) }
}

/// A guest and all that it has.
struct Guest: ~Copyable {
  let table: GuestTable
  var devices: GuestDevices
  var power: PowerCoordination
  /// Its view of the distributor.
  let shared: InterruptFilter
  /// Its view of the private interrupts of its cores.
  let own: InterruptFilter
  let distributor: ControllerFrame
  let redistributors: ControllerFrame

  init(_ table: GuestTable, disk: consuming MemoryDisk, controller: InterruptController) {
    self.table = table
    // The guest's RAM is mapped one to one, here and for the guest, and nothing of ours is in it.
    let ram = unsafe GuestRegion(
      address: table.memory.base, byteCount: table.memory.size,
      host: UnsafeMutableRawPointer(bitPattern: UInt(table.memory.base)).unsafelyUnwrapped)
    devices = GuestDevices(memory: GuestMemory(ram), disk: disk)
    var affinities = InlineArray<8, UInt64>(repeating: 0)
    var sharedSet = InterruptSet()
    for i in 0..<GuestDevices.count { sharedSet.insert(Int(Board.firstUnwiredInterrupt) + i) }
    var shared = InterruptFilter(owned: sharedSet)
    for i in 0..<table.coreCount {
      affinities[i] = UInt64(table.firstCore + i)
      shared.addCore(affinity: affinities[i])
    }
    self.shared = shared
    var ownSet = InterruptSet()
    for id in 0..<16 { ownSet.insert(id) }
    ownSet.insert(Int(Board.timerInterrupt))
    own = InterruptFilter(owned: ownSet)
    let end = table.memory.base + table.memory.size
    power = PowerCoordination(
      affinities: affinities.span.extracting(first: table.coreCount), memory: table.memory.base..<end)
    distributor = ControllerFrame(region: MMIORegion(controller.distributor)!)
    redistributors = ControllerFrame(region: MMIORegion(controller.redistributors)!)
  }

  /// A read that stage 2 did not translate. Where the guest has nothing, it reads zero.
  mutating func read(_ address: UInt64, byteCount: Int) -> UInt64 {
    if let (slot, offset) = slot(of: address) {
      return devices.read(slot: slot, at: offset, byteCount: byteCount)
    }
    if let offset = offset(of: address, in: Board.distributor, 0x1_0000) {
      return ControllerIdentity.distributor(offset, distributor)
        ?? shared.read(offset, byteCount: byteCount, distributor)
    }
    guard let (core, offset) = redistributor(address) else { return 0 }
    if offset >= 0x1_0000 { return own.read(offset - 0x1_0000, byteCount: byteCount, frame(core, 0x1_0000)) }
    return ControllerIdentity.redistributor(
      offset, byteCount: byteCount, isLast: core == table.coreCount - 1, frame(core, 0))
  }

  /// A write that stage 2 did not translate. Where the guest has nothing, it changes nothing.
  mutating func write(_ value: UInt64, _ address: UInt64, byteCount: Int) {
    if let (slot, offset) = slot(of: address) {
      devices.write(value, slot: slot, at: offset, byteCount: byteCount)
    } else if let offset = offset(of: address, in: Board.distributor, 0x1_0000) {
      shared.write(value, offset, byteCount: byteCount, distributor)
    } else if let (core, offset) = redistributor(address), offset >= 0x1_0000 {
      own.write(value, offset - 0x1_0000, byteCount: byteCount, frame(core, 0x1_0000))
    }
  }

  @inline(__always)
  private func slot(of address: UInt64) -> (Int, Int)? {
    let offset = address &- Board.virtioBase
    guard offset < UInt64(GuestDevices.count) * Board.virtioStride else { return nil }
    return (Int(offset / Board.virtioStride), Int(offset % Board.virtioStride))
  }

  private func offset(of address: UInt64, in base: UInt64, _ byteCount: UInt64) -> Int? {
    address &- base < byteCount ? Int(address - base) : nil
  }

  /// Which of the guest's cores a redistributor address belongs to, and the offset within its two frames.
  private func redistributor(_ address: UInt64) -> (Int, Int)? {
    let first = Board.redistributors + UInt64(table.firstCore) * Board.redistributorStride
    let offset = address &- first
    guard offset < UInt64(table.coreCount) * Board.redistributorStride else { return nil }
    return (Int(offset / Board.redistributorStride), Int(offset % Board.redistributorStride))
  }

  private func frame(_ core: Int, _ offset: UInt64) -> ControllerFrame {
    let base = redistributors.region.base + UInt64(table.firstCore + core) * Board.redistributorStride
    // Within the window that the device tree gave, as the board has that many cores.
    return ControllerFrame(region: MMIORegion(base: base + offset, size: 0x1_0000)!)
  }
}
