// The virtio devices of the guests: a kind for each window. To add one: a lock, and a line in each function.

import Machine

/// What guests find behind their virtio-mmio windows: 0 console, 1 disk, 2 network, 3 entropy. At most one of
/// the locks is held at a time.
enum Devices {
  /// How many windows a guest has.
  static var count: Int { 2 }

  // Set once before any guest runs.
  nonisolated(unsafe) private static var consoleLock: Locked<Consoles>?
  nonisolated(unsafe) private static var diskLock: Locked<Disks>?

  /// The consoles of all guests.
  static var consoles: Locked<Consoles> { unsafe consoleLock.unsafelyUnwrapped }
  /// The disks of all guests.
  static var disks: Locked<Disks> { unsafe diskLock.unsafelyUnwrapped }

  /// Makes the devices of all guests.
  static func start(_ setup: HostSetup) {
    unsafe consoleLock = Locked(Consoles(setup))
    unsafe diskLock = Locked(Disks(setup))
  }

  /// A guest's read within window `slot`; windows without a device read as an empty slot.
  static func read(guest: Int, slot: Int, at offset: Int, byteCount: Int) -> UInt64 {
    switch slot {
    case 0: consoles.with { $0.read(guest: guest, at: offset, byteCount: byteCount) }
    case 1: disks.with { $0.read(guest: guest, at: offset, byteCount: byteCount) }
    default: 0
    }
  }

  /// A guest's write within window `slot`.
  static func write(_ value: UInt64, guest: Int, slot: Int, at offset: Int, byteCount: Int) {
    let isLeft =
      switch slot {
      case 0: consoles.with { $0.write(value, guest: guest, at: offset, byteCount: byteCount) }
      case 1: disks.with { $0.write(value, guest: guest, at: offset, byteCount: byteCount) }
      default: false
      }
    if isLeft { Cores.serveLater(guest) }
  }

  /// Serves once what is left of a guest's work.
  static func serve(guest: Int) {
    var isLeft = consoles.with { $0.serve(guest: guest) }
    isLeft = disks.with { $0.serve(guest: guest) } || isLeft
    if isLeft { Cores.serveLater(guest) }
  }

  /// Resets all devices of a guest.
  static func reset(guest: Int) {
    consoles.with { $0.reset(guest: guest) }
    disks.with { $0.reset(guest: guest) }
  }

  /// Whether those resets are complete.
  static func isQuiescent(guest: Int) -> Bool {
    consoles.with { $0.isQuiescent(guest: guest) } && disks.with { $0.isQuiescent(guest: guest) }
  }
}
