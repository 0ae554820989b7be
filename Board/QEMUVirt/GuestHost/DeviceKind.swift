// What the devices of one kind have in common: those of every guest share a lock with each other and with the
// hardware behind them, so that data of one can go to another.

import CMachine
import DeviceTree
import DeviceTypes
import Machine
import Virtio

/// All devices of one kind, a transport for each guest, and the hardware behind them. Its methods run under
/// the lock of the kind, on any core, with interrupts masked.
protocol DeviceKind: ~Copyable {
  /// A guest's read within its window.
  mutating func read(guest: Int, at offset: Int, byteCount: Int) -> UInt64
  /// A guest's write within its window. Returns whether a notification left something beyond its budget:
  /// then `serve` is called soon.
  mutating func write(_ value: UInt64, guest: Int, at offset: Int, byteCount: Int) -> Bool
  /// Serves what was left of one guest, once within its budget. Returns whether something is still left.
  mutating func serve(guest: Int) -> Bool
  /// Resets the guest's device as a driver does, before the guest starts and after it ended.
  mutating func reset(guest: Int)
  /// Whether that reset is complete: nothing reaches the guest's memory any more.
  mutating func isQuiescent(guest: Int) -> Bool
}

/// InterruptStatus of a guest's device (virtio 1.4 §4.2.2). It is here and not in the transport, so that a
/// guest's core that takes an interrupt waits for nobody: its handler reads and acknowledges while the core
/// that sent it is still at the device.
@safe struct InterruptBits {
  // Set once before any device is made, allocated once and never freed.
  nonisolated(unsafe) private static var words: UnsafeMutablePointer<UInt32>?

  private let word: UnsafeMutablePointer<UInt32>

  /// Makes those of all devices.
  static func start() {
    let count = Board.guestLimit * Devices.count
    unsafe words = UnsafeMutablePointer<UInt32>.allocate(capacity: count)
    unsafe words.unsafelyUnwrapped.initialize(repeating: 0, count: count)
  }

  init(guest: Int, slot: Int) {
    precondition(guest >= 0 && guest < Board.guestLimit, "no such guest")
    precondition(slot >= 0 && slot < Devices.count, "no such device")
    // There are as many as the limits say.
    unsafe word = Self.words.unsafelyUnwrapped + guest * Devices.count + slot
  }

  var value: UInt32 { unsafe machine_bits(word) }
  /// Returns whether one of the bits was clear.
  func set(_ bits: UInt32) -> Bool { unsafe machine_set_bits(word, bits) & bits != bits }
  func clear(_ bits: UInt32) { unsafe machine_clear_bits(word, bits) }
}

/// An interrupt of a guest: an edge for each event, by the distributor's pending register.
struct PendingLine: InterruptLine {
  let guest: Int
  let identifier: UInt32
  private let bits: InterruptBits

  init(guest: Int, slot: Int) {
    self.guest = guest
    identifier = Board.interrupt(guest: guest, slot: slot)
    bits = InterruptBits(guest: guest, slot: slot)
  }

  mutating func setAsserted(_ isAsserted: Bool) {
    if !isAsserted { bits.clear(.max) }
  }

  mutating func raise(_ events: UInt32) {
    // An event that is not acknowledged yet stands for this one too: the driver looks at its queues after it
    // has acknowledged.
    if !bits.set(events) { return }
    Interrupts.pend(identifier)
    if Trace.isOn { Trace.record(.guestInterrupt, guest: guest, UInt64(identifier)) }
  }
}

extension MMIODeviceTransport where Device: ~Copyable, Line: ~Copyable {
  /// Writes to the window; whether something was left beyond a budget.
  @inline(__always)
  mutating func take(_ value: UInt64, at offset: Int, byteCount: Int) -> Bool {
    write(value, at: offset, byteCount: byteCount)
    return hasWork
  }

  /// virtio 1.4 §4.2.2: a zero in Status resets the device.
  mutating func reset() { write(0, at: 0x070, byteCount: 4) }

  /// §4.2.2.2: Status reads zero once the reset is complete.
  var isReset: Bool { mutating get { read(at: 0x070, byteCount: 4) == 0 } }
}

extension HostSetup {
  /// A guest's memory as its devices see it.
  func memory(of guest: Int) -> GuestMemory {
    let memory = tables[guest].memory
    // RAM that is mapped one to one, here and for the guest, and nothing of ours is in it.
    return unsafe GuestMemory(
      GuestRegion(
        address: memory.base, byteCount: memory.size,
        host: UnsafeMutableRawPointer(bitPattern: UInt(memory.base)).unsafelyUnwrapped))
  }

  /// What a transport offers, of what it can.
  func offered(_ features: Features) -> Features {
    offersPackedRings ? features : features.subtracting(.ringPacked)
  }
}
