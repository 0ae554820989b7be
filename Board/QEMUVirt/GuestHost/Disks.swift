// The disks of the guests. Guest g has the g-th hardware disk of the board, in the order of QEMU's command
// line; when there is but one, each guest has an equal part of it; a guest that has neither has a RAM disk,
// which like the others outlives a restart of its guest.

import DeviceTree
import DeviceTypes
import Machine
import Platform
import Virtio
import Wire

/// The guests' disks.
struct Disks: DeviceKind, ~Copyable {
  private static var slot: Int { 1 }

  private var transports: PerGuest<GuestTransport>
  private var hardware: HardwareDisks

  init(_ setup: borrowing HostSetup, _ arena: inout DriverArena) {
    var hardware = HardwareDisks(guestCount: setup.guestCount, &arena)
    transports = PerGuest(setup, slot: Self.slot) {
      GuestDevice(BlockDevice(backend: Self.backend($0, setup, &hardware)))
    }
    self.hardware = hardware
    for i in 0..<self.hardware.count {
      guard let disk = self.hardware[i] else { continue }
      Hardware.listen(to: disk.slot, context: i) { index in
        Devices.disks.with { $0.interrupt(Int(index)) }
      }
      // What it has said so far made no interrupt, and more of it would make none.
      interrupt(i)
    }
  }

  private static func backend(
    _ guest: Int, _ setup: borrowing HostSetup, _ hardware: inout HardwareDisks
  ) -> GuestDisk {
    if let share = hardware.share(of: guest, memory: setup.memory(of: guest)) { return GuestDisk(share) }
    Report.line(
      "has no hardware disk, and gets a RAM disk: give QEMU one more virtio-blk-device", guest: guest)
    let range = setup.tables[guest].disk
    // The table says that nothing else is in this memory.
    return unsafe GuestDisk(
      MemoryDisk(
        PrivateMemory(
          base: UnsafeMutableRawPointer(bitPattern: UInt(range.base)).unsafelyUnwrapped,
          byteCount: Int(range.size))))
  }

  // MARK: Hardware

  /// A hardware disk has something to say.
  private mutating func interrupt(_ index: Int) {
    guard let disk = hardware[index] else { return }
    // One that never stops is left: it interrupts again when it has news.
    for _ in 0..<8 {
      unsafe disk.shared.pointee.service()
      if !Hardware.isInterrupting(disk.slot) { break }
    }
    finish(index)
  }

  /// Hands on what a hardware disk has done.
  private mutating func finish(_ index: Int) {
    guard let disk = hardware[index] else { return }
    report(index)
    for guest in 0..<transports.count where hardware.isDivided || guest == index {
      transports[guest].look(for: guest)
    }
    unsafe disk.shared.pointee.publish()
  }

  /// Says what the hardware did wrong, once each time.
  private mutating func report(_ index: Int) {
    guard var disk = hardware[index] else { return }
    let failureCount = unsafe disk.shared.pointee.failureCount
    if failureCount == disk.reportedFailureCount { return }
    disk.reportedFailureCount = failureCount
    hardware[index] = disk
    unsafe Hardware.line("failed as a disk", disk.shared.pointee.lastFault ?? .needsReset, disk.slot)
    if unsafe disk.shared.pointee.isBroken {
      Hardware.line("is not used any more", disk.slot)
    }
  }

  /// Tells the hardware what came of a call of a guest's device.
  @inline(never)
  private mutating func publish(_ guest: Int) {
    if let disk = hardware.disk(of: guest) { unsafe disk.shared.pointee.publish() }
  }

  // MARK: Guests

  @_optimize(speed)
  mutating func read(guest: Int, at offset: Int, byteCount: Int) -> UInt64 {
    transports[guest].read(at: offset, byteCount: byteCount)
  }

  @_optimize(speed)
  mutating func write(_ value: UInt64, guest: Int, at offset: Int, byteCount: Int) -> Bool {
    let isLeft = transports[guest].take(value, at: offset, byteCount: byteCount)
    // §4.2.2: a device takes requests at QueueNotify, and at DRIVER_OK in Status those that waited for it.
    if offset == 0x050 || offset == 0x070 { publish(guest) }
    return isLeft
  }

  mutating func serve(guest: Int) -> Bool {
    let isLeft = transports[guest].run()
    publish(guest)
    return isLeft
  }

  mutating func reset(guest: Int) {
    transports[guest].reset()
    publish(guest)
  }

  mutating func isQuiescent(guest: Int) -> Bool {
    if transports[guest].isReset { return true }
    checkProgress(hardware.isDivided ? 0 : guest)
    return transports[guest].isReset
  }

  /// Looks every half minute whether a hardware disk still answers: nothing else would end the wait of a
  /// reset for one that does not.
  private mutating func checkProgress(_ index: Int) {
    guard var disk = hardware[index], disk.nextCheck.hasPassed else { return }
    disk.nextCheck = .after(milliseconds: 30_000)
    hardware[index] = disk
    unsafe disk.shared.pointee.checkProgress()
    finish(index)
  }
}
