// The disks of the board, in the order of QEMU's command line, and which guest has what of them.

import DeviceTypes
import Machine
import Platform
import Virtio
import Wire

/// A disk of the board that is in use.
@safe struct HardwareDisk {
  let slot: HardwareSlot
  let shared: UnsafeMutablePointer<SharedDisk<SlotRegisters>>
  /// Failures of it that were reported.
  var reportedFailureCount = 0
  /// When to look again whether it still answers.
  var nextCheck = Deadline.after(milliseconds: 0)
}

/// The disks of the board.
struct HardwareDisks: ~Copyable {
  // One for each guest at most.
  private var disks = [4 of HardwareDisk?](repeating: nil)
  private(set) var count = 0
  /// Whether there is one disk only, and more than one guest: each then has the same part of it.
  let isDivided: Bool
  private let guestCount: Int

  /// Takes as many disks into use as there are guests.
  init(guestCount: Int, _ arena: inout DriverArena) {
    self.guestCount = guestCount
    var slot = HardwareSlots.last(.block)
    let isOnly = slot.map { HardwareSlots.last(.block, before: $0.index) == nil } ?? false
    isDivided = isOnly && guestCount > 1
    while let next = slot, count < guestCount {
      if let shared = unsafe Self.start(next, shareCount: isDivided ? guestCount : 1, &arena) {
        disks[count] = unsafe HardwareDisk(slot: next, shared: shared)
      }
      count += 1
      slot = HardwareSlots.last(.block, before: next.index)
    }
  }

  /// Takes a disk into use; nil, and a line that says why, when it cannot be.
  @inline(never)
  private static func start(
    _ slot: HardwareSlot, shareCount: Int, _ arena: inout DriverArena
  ) -> UnsafeMutablePointer<SharedDisk<SlotRegisters>>? {
    var options = BlockDriverOptions()
    // In order, a request of one guest would wait for those of another.
    options.ringFeatures = Features.mmioTransportBits.subtracting(.inOrder)
    options.queueSize = 256
    // What Linux sends most goes through a table, and takes one descriptor of the queue.
    options.indirectCapacity = 34
    options.segmentLimit = SharedDisk<SlotRegisters>.segmentLimit
    do throws(DeviceFault) {
      guard var driver = try BlockDriver(try slot.transport(), memory: &arena, options: options) else {
        Hardware.line("cannot be used: the memory for devices is too small", slot)
        return nil
      }
      let identifier = name(&driver)
      let place = UnsafeMutablePointer<SharedDisk<SlotRegisters>>.allocate(capacity: 1)
      // Allocated once and never freed.
      unsafe place.initialize(
        to: SharedDisk(driver, shareCount: shareCount, identifier: identifier))
      return unsafe place
    } catch {
      Hardware.line("cannot be used as a disk", error, slot)
      return nil
    }
  }

  /// What the disk calls itself; nothing when it does not say within a second.
  private static func name(_ driver: inout BlockDriver<SlotRegisters>) -> ByteArray<20> {
    let deadline = Deadline.after(milliseconds: 1000)
    do throws(BlockFailure) {
      return try driver.getID { !deadline.hasPassed }
    } catch {
      return ByteArray()
    }
  }

  /// What guest `guest` has: the disk with its number, or its part of the only one; nil for neither.
  mutating func disk(of guest: Int) -> HardwareDisk? { disks[isDivided ? 0 : guest] }

  /// The disk with a number, from 0 on, that interrupts name.
  subscript(index: Int) -> HardwareDisk? {
    mutating get { disks[index] }
    set { disks[index] = newValue }
  }

  /// The block backend of a guest, if it has a hardware disk.
  @inline(never)
  mutating func share(of guest: Int, memory: GuestMemory) -> DriverDisk<SlotRegisters>? {
    guard let disk = disk(of: guest) else { return nil }
    // Never freed, and used under the lock of the disks only. Guest RAM is mapped one to one, for the
    // hardware too.
    let all = unsafe disk.shared.pointee.driver.sectorCount
    // Whole MiB: every alignment that a disk may want.
    let part = isDivided ? all / UInt64(guestCount) & ~2047 : .max
    return unsafe DriverDisk(
      disk.shared, share: isDivided ? guest : 0, firstSector: isDivided ? part * UInt64(guest) : 0,
      sectorCount: part, memory: memory)
  }
}
