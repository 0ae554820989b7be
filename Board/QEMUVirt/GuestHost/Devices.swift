// The virtio devices of the guests: a kind for each window. To add one: a lock, and a line in each function.

import Machine
import Platform
import Virtio

/// What guests find behind their virtio-mmio windows: 0 console, 1 disk, 2 network, 3 entropy, 4 SCMI. At
/// most one of the locks is held at a time.
enum Devices {
  /// How many windows a guest has; not all of them need a device.
  static var count: Int { 5 }

  // Set once before any guest runs.
  nonisolated(unsafe) private static var consoleLock: Locked<Consoles>?
  nonisolated(unsafe) private static var diskLock: Locked<Disks>?
  nonisolated(unsafe) private static var networkLock: Locked<Networks>?
  nonisolated(unsafe) private static var randomnessLock: Locked<GuestRandomness>?

  /// The consoles of all guests.
  static var consoles: Locked<Consoles> { unsafe consoleLock.unsafelyUnwrapped }
  /// The disks of all guests.
  static var disks: Locked<Disks> { unsafe diskLock.unsafelyUnwrapped }
  /// The network interfaces of all guests.
  static var networks: Locked<Networks> { unsafe networkLock.unsafelyUnwrapped }

  /// Calls `body` with the entropy devices of all guests, if there are any.
  static func withRandomness<Result>(_ body: (inout GuestRandomness) -> Result) -> Result? {
    unsafe randomnessLock?.with(body)
  }

  /// Makes the devices of all guests, and takes into use what is behind them.
  static func start(_ setup: borrowing HostSetup) {
    Hardware.find(setup.tree)
    InterruptBits.start()
    var arena = DeviceMemory.lend()
    unsafe consoleLock = Locked(Consoles(setup, &arena))
    unsafe diskLock = Locked(Disks(setup, &arena))
    unsafe networkLock = Locked(Networks(setup, &arena))
    if let randomness = GuestRandomness(setup, &arena) { unsafe randomnessLock = Locked(randomness) }
  }

  /// Whether there is a device behind window `slot` of a guest.
  static func hasDevice(slot: Int, guest: Int) -> Bool {
    switch slot {
    case 0, 1, 2: true
    case 3: unsafe randomnessLock != nil
    case 4: Control.hasDevice(guest)
    default: false
    }
  }

  /// A guest's read within window `slot`; windows without a device read as an empty slot.
  @_optimize(speed)
  static func read(guest: Int, slot: Int, at offset: Int, byteCount: Int) -> UInt64 {
    // Where there is no device, no bit is ever set.
    if offset == MMIORegister.interruptStatus, byteCount == 4 {
      return UInt64(InterruptBits(guest: guest, slot: slot).value)
    }
    return switch slot {
    case 0: consoles.with { $0.read(guest: guest, at: offset, byteCount: byteCount) }
    case 1: disks.with { $0.read(guest: guest, at: offset, byteCount: byteCount) }
    default: readSeldom(guest: guest, slot: slot, at: offset, byteCount: byteCount)
    }
  }

  /// The same for devices that are not read often. Apart, so that the others cost less.
  @inline(never)
  private static func readSeldom(guest: Int, slot: Int, at offset: Int, byteCount: Int) -> UInt64 {
    switch slot {
    case 2: networks.with { $0.read(guest: guest, at: offset, byteCount: byteCount) }
    case 3: withRandomness { $0.read(guest: guest, at: offset, byteCount: byteCount) } ?? 0
    case 4: Control.read(guest: guest, at: offset, byteCount: byteCount)
    default: 0
    }
  }

  /// A guest's write within window `slot`.
  @_optimize(speed)
  static func write(_ value: UInt64, guest: Int, slot: Int, at offset: Int, byteCount: Int) {
    if offset == MMIORegister.interruptAcknowledge, byteCount == 4 {
      return InterruptBits(guest: guest, slot: slot).clear(UInt32(truncatingIfNeeded: value))
    }
    let isLeft =
      switch slot {
      case 0: consoles.with { $0.write(value, guest: guest, at: offset, byteCount: byteCount) }
      case 1: disks.with { $0.write(value, guest: guest, at: offset, byteCount: byteCount) }
      default: writeSeldom(value, guest: guest, slot: slot, at: offset, byteCount: byteCount)
      }
    if isLeft { Cores.serveLater(guest) }
  }

  /// As `readSeldom`.
  @inline(never)
  private static func writeSeldom(
    _ value: UInt64, guest: Int, slot: Int, at offset: Int, byteCount: Int
  ) -> Bool {
    switch slot {
    case 2: networks.with { $0.write(value, guest: guest, at: offset, byteCount: byteCount) }
    case 3: withRandomness { $0.write(value, guest: guest, at: offset, byteCount: byteCount) } ?? false
    case 4: Control.write(value, guest: guest, at: offset, byteCount: byteCount)
    default: false
    }
  }

  /// Serves once what is left of a guest's work.
  static func serve(guest: Int) {
    var isLeft = consoles.with { $0.serve(guest: guest) }
    isLeft = disks.with { $0.serve(guest: guest) } || isLeft
    isLeft = networks.with { $0.serve(guest: guest) } || isLeft
    isLeft = withRandomness { $0.serve(guest: guest) } ?? false || isLeft
    isLeft = Control.serve(guest: guest) || isLeft
    if isLeft { Cores.serveLater(guest) }
  }

  /// Resets all devices of a guest.
  static func reset(guest: Int) {
    consoles.with { $0.reset(guest: guest) }
    disks.with { $0.reset(guest: guest) }
    networks.with { $0.reset(guest: guest) }
    withRandomness { $0.reset(guest: guest) }
  }

  /// Whether those resets are complete.
  static func isQuiescent(guest: Int) -> Bool {
    consoles.with { $0.isQuiescent(guest: guest) } && disks.with { $0.isQuiescent(guest: guest) }
      && networks.with { $0.isQuiescent(guest: guest) }
      && withRandomness { $0.isQuiescent(guest: guest) } ?? true
  }
}
