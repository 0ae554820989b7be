// One guest as its cores see it: its view of the interrupt controller, its life, its translation.

import CMachine
import DeviceTree
import Hypervisor
import Machine

/// A frame of the board's interrupt controller, for the filters.
struct ControllerFrame: InterruptRegisters {
  let region: MMIORegion
  func read32(_ offset: Int) -> UInt32 { region.read32(offset) }
  func write32(_ value: UInt32, _ offset: Int) { region.write32(value, at: offset) }
  func write8(_ value: UInt8, _ offset: Int) { region.write8(value, at: offset) }
  func write64(_ value: UInt64, _ offset: Int) { region.write64(value, at: offset) }
}

/// A guest and all that it has but its devices. Nothing in it changes once guests run but `life` and, under
/// its lock, the translations.
struct Guest: ~Copyable {
  let table: GuestTable
  /// A bit for each core of the board that is its own.
  let cores: UInt16
  let life: Locked<GuestLifecycle>
  /// Its translations, changed under the lock of `life` only.
  private var tables: StageTwo<TablePool>
  /// VTTBR_EL2.
  let translation: UInt64
  /// Its view of the distributor.
  private var shared: InterruptFilter
  /// Its view of the private interrupts of its cores.
  private var own: InterruptFilter
  let distributor: ControllerFrame
  let redistributors: MMIORegion

  init(_ table: GuestTable, tables: consuming StageTwo<TablePool>, controller: InterruptController) {
    self.table = table
    cores = table.cores
    translation = tables.translationBase(identifier: UInt8(table.index + 1))
    self.tables = tables
    var affinities = InlineArray<8, UInt64>(repeating: 0)
    var sharedSet = InterruptSet()
    for slot in 0..<Devices.count { sharedSet.insert(Int(Board.interrupt(guest: table.index, slot: slot))) }
    var shared = InterruptFilter(owned: sharedSet)
    for i in 0..<table.coreCount {
      affinities[i] = UInt64(table.firstCore + i)
      shared.addCore(affinity: affinities[i])
    }
    self.shared = shared
    var ownSet = InterruptSet()
    for id in 0..<Int(SoftwareInterrupt.guestLimit) { ownSet.insert(id) }
    ownSet.insert(Int(Board.timerInterrupt))
    own = InterruptFilter(owned: ownSet)
    let memory = table.memory.base..<table.memory.base + table.memory.size
    let power = PowerCoordination(
      affinities: affinities.span.extracting(first: table.coreCount), memory: memory)
    life = Locked(GuestLifecycle(power: power, coreCount: table.coreCount))
    // `Startup` and `GuestHost.run` have looked at both.
    distributor = ControllerFrame(region: MMIORegion(controller.distributor)!)
    redistributors = MMIORegion(controller.redistributors)!
  }

  /// Lets the guest reach its memory, or stops whatever runs in it: even a core that takes no interrupt any
  /// more, as a guest may bring about by the active priorities of its own interrupts. Under the lock of
  /// `life`.
  mutating func setTranslated(_ isTranslated: Bool) {
    tables.setEnabled(isTranslated)
    machine_invalidate_translation(translation)
  }

  /// A read that stage 2 did not translate and that is not in a device's window. Where the guest has nothing,
  /// it reads zero.
  mutating func read(_ address: UInt64, byteCount: Int) -> UInt64 {
    let offset = address &- Board.distributor
    if offset < 0x1_0000 {
      return ControllerIdentity.distributor(Int(offset), distributor)
        ?? shared.read(Int(offset), byteCount: byteCount, distributor)
    }
    guard let (core, offset) = redistributor(address) else { return 0 }
    if offset >= 0x1_0000 { return own.read(offset - 0x1_0000, byteCount: byteCount, frame(core, 0x1_0000)) }
    return ControllerIdentity.redistributor(
      offset, byteCount: byteCount, isLast: core == table.coreCount - 1, frame(core, 0))
  }

  /// A write that stage 2 did not translate and that is not in a device's window. Where the guest has
  /// nothing, it changes nothing.
  mutating func write(_ value: UInt64, _ address: UInt64, byteCount: Int) {
    let offset = address &- Board.distributor
    if offset < 0x1_0000 {
      Interrupts.changingRegisters { shared.write(value, Int(offset), byteCount: byteCount, distributor) }
    } else if let (core, offset) = redistributor(address), offset >= 0x1_0000 {
      let frame = frame(core, 0x1_0000)
      Interrupts.changingRegisters { own.write(value, offset - 0x1_0000, byteCount: byteCount, frame) }
    }
  }

  /// Its shared interrupts as after power-on: disabled, not pending, not active, edges, of middling priority,
  /// to its first core.
  mutating func resetSharedInterrupts() {
    Interrupts.changingRegisters {
      for slot in 0..<Devices.count {
        let id = Int(Board.interrupt(guest: table.index, slot: slot))
        clear(1 << UInt32(id % 32), id / 32 * 4, distributor)
        distributor.write8(0xa0, 0x400 + id)
        let configuration = 0xc00 + id / 16 * 4
        let edge: UInt32 = 0b10 << UInt32(id % 16 * 2)
        distributor.write32(distributor.read32(configuration) | edge, configuration)
        distributor.write64(UInt64(table.firstCore), 0x6000 + id * 8)
      }
    }
  }

  /// Disables the private interrupts of one of its cores, forgets them, and gives them a middling priority.
  mutating func resetPrivateInterrupts(_ core: Int) {
    let frame = frame(core, 0x1_0000)
    clear(own.owned.word(0), 0, frame)
    // After power-on theirs is the highest: those of the host would wait behind one that the guest never
    // takes.
    for id in 0..<32 where own.owned.word(0) & 1 << UInt32(id) != 0 { frame.write8(0xa0, 0x400 + id) }
  }

  /// ICENABLER, ICPENDR and ICACTIVER.
  private func clear(_ bits: UInt32, _ offset: Int, _ frame: ControllerFrame) {
    frame.write32(bits, 0x180 + offset)
    frame.write32(bits, 0x280 + offset)
    frame.write32(bits, 0x380 + offset)
  }

  /// Which of the guest's cores a redistributor address belongs to, and the offset within its two frames.
  private func redistributor(_ address: UInt64) -> (Int, Int)? {
    let first = Board.redistributors + UInt64(table.firstCore) * Board.redistributorStride
    let offset = address &- first
    guard offset < UInt64(table.coreCount) * Board.redistributorStride else { return nil }
    return (Int(offset / Board.redistributorStride), Int(offset % Board.redistributorStride))
  }

  private func frame(_ core: Int, _ offset: UInt64) -> ControllerFrame {
    let base = redistributors.base + UInt64(table.firstCore + core) * Board.redistributorStride
    // Within the window that the device tree gave, as the board has that many cores.
    return ControllerFrame(region: MMIORegion(base: base + offset, size: 0x1_0000)!)
  }
}
