// The entropy devices of the guests, on the hardware's. Without that there are none: what a guest takes for
// random has to be so.

import DeviceTree
import DeviceTypes
import Machine
import Platform
import Randomness
import Virtio
import Wire

/// What the guests' entropy devices draw from.
@safe struct SharedRandomness: EntropyBackend {
  fileprivate let source: UnsafeMutablePointer<HardwareRandomness<SlotRegisters>>

  mutating func fill(_ range: GuestRange) -> UInt32 {
    // Never freed, and used under the lock of the kind only.
    Gates.isSourceOn ? unsafe source.pointee.fill(range) : 0
  }
}

/// The guests' entropy devices.
@safe struct GuestRandomness: DeviceKind, ~Copyable {
  static var slot: Int { 3 }

  private var transports: PerGuest<GuestTransport>
  private let hardware: HardwareSlot
  private let source: UnsafeMutablePointer<HardwareRandomness<SlotRegisters>>
  private var isFailureReported = false
  /// The gate of each guest's device, as it was when it was looked at last.
  private var gates = [4 of UInt32](repeating: 0)

  /// Nil, and a line that says why, when the board has no entropy device that works.
  init?(_ setup: borrowing HostSetup, _ arena: inout DriverArena) {
    guard let slot = HardwareSlots.last(.entropy) else {
      Report.line(
        "guests get no entropy device, as this board has none: give QEMU -device virtio-rng-device",
        guest: nil)
      return nil
    }
    guard RandomGenerator.passesSelfTest() else {
      Report.line("guests get no entropy device: the random bit generator fails its self test", guest: nil)
      return nil
    }
    guard let source = unsafe Self.start(slot, &arena) else { return nil }
    hardware = slot
    unsafe self.source = source
    transports = PerGuest(setup, slot: Self.slot) { _ in
      unsafe GuestDevice(EntropyDevice(backend: SharedRandomness(source: source)))
    }
    // Random bytes cost much time each, and nobody else gets any meanwhile.
    for guest in 0..<transports.count { transports[guest].setBudget(4, queue: 0) }
    Hardware.listen(to: slot, context: 0) { _ in Devices.withRandomness { $0.interrupt() } }
    // What it has said so far made no interrupt, and more of it would make none.
    interrupt()
  }

  private static func start(
    _ slot: HardwareSlot, _ arena: inout DriverArena
  ) -> UnsafeMutablePointer<HardwareRandomness<SlotRegisters>>? {
    do throws(DeviceFault) {
      guard let driver = try EntropyDriver(try slot.transport(), memory: &arena, bufferByteCount: 64) else {
        Hardware.line("cannot be used: the memory for devices is too small", slot)
        return nil
      }
      let place = UnsafeMutablePointer<HardwareRandomness<SlotRegisters>>.allocate(capacity: 1)
      // Allocated once and never freed.
      unsafe place.initialize(to: HardwareRandomness(driver))
      return unsafe place
    } catch {
      Hardware.line("cannot be used as a source of entropy", error, slot)
      return nil
    }
  }

  /// The hardware has something to say.
  private mutating func interrupt() {
    // One that never stops is left: it interrupts again when it has news.
    for _ in 0..<8 {
      unsafe source.pointee.service()
      if !Hardware.isInterrupting(hardware) { break }
    }
    if let fault = unsafe source.pointee.fault, !isFailureReported {
      isFailureReported = true
      Hardware.line("gives no entropy any more", fault, hardware)
    }
    pollAll()
  }

  private mutating func pollAll() {
    for guest in 0..<transports.count {
      transports[guest].look(for: guest)
    }
  }

  /// The platform has changed a gate: a device without power, or held in reset, or that had one, is as after
  /// power-on; with its source's clock back, buffers that waited are filled.
  mutating func lookAtGates() {
    for guest in 0..<transports.count where gates[guest] != Gates.entropy(guest) {
      gates[guest] = Gates.entropy(guest)
      transports[guest].reset()
    }
    pollAll()
  }

  /// Whether nobody answers at the guest's window.
  private func isDead(_ guest: Int) -> Bool { Gates.entropy(guest) & 1 != 0 }

  mutating func read(guest: Int, at offset: Int, byteCount: Int) -> UInt64 {
    isDead(guest) ? 0 : transports[guest].read(at: offset, byteCount: byteCount)
  }

  mutating func write(_ value: UInt64, guest: Int, at offset: Int, byteCount: Int) -> Bool {
    isDead(guest) ? false : transports[guest].take(value, at: offset, byteCount: byteCount)
  }

  mutating func serve(guest: Int) -> Bool { transports[guest].run() }

  mutating func reset(guest: Int) { transports[guest].reset() }

  mutating func isQuiescent(guest: Int) -> Bool { transports[guest].isReset }
}
