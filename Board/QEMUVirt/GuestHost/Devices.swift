// The virtio devices of a guest, a slot each. To add one: a stored transport, and a case in each switch.

import DeviceTypes
import Machine
import Virtio

/// An interrupt of the guest: an edge for each event, by the distributor's pending register.
struct PendingLine: InterruptLine {
  let slot: UInt32

  mutating func setAsserted(_ isAsserted: Bool) {
    if isAsserted { Interrupts.pend(Board.firstUnwiredInterrupt + slot) }
  }
}

/// What a guest finds behind its virtio-mmio windows.
struct GuestDevices: ~Copyable {
  static var count: Int { 2 }

  var console: MMIODeviceTransport<ConsoleDevice<SerialPort, 1>, PendingLine, 4>
  var disk: MMIODeviceTransport<BlockDevice<MemoryDisk>, PendingLine, 1>

  init(memory: GuestMemory, disk: consuming MemoryDisk) {
    console = MMIODeviceTransport(
      device: ConsoleDevice(backend: SerialPort()), line: PendingLine(slot: 0), memory: memory)
    self.disk = MMIODeviceTransport(
      device: BlockDevice(backend: disk), line: PendingLine(slot: 1), memory: memory)
  }

  /// A guest's read within window `slot`; windows without a device read as an empty slot.
  mutating func read(slot: Int, at offset: Int, byteCount: Int) -> UInt64 {
    switch slot {
    case 0: console.read(at: offset, byteCount: byteCount)
    case 1: disk.read(at: offset, byteCount: byteCount)
    default: 0
    }
  }

  /// A guest's write within window `slot`.
  mutating func write(_ value: UInt64, slot: Int, at offset: Int, byteCount: Int) {
    switch slot {
    case 0:
      console.write(value, at: offset, byteCount: byteCount)
      // What a notification left beyond its budget is not announced again. The guest's only core is here, so
      // there is an end to it.
      while console.run() {}
    case 1:
      disk.write(value, at: offset, byteCount: byteCount)
      while disk.run() {}
    default: break
    }
  }

  /// Lets every device look at its backend.
  mutating func poll() {
    console.poll()
    while console.run() {}
    disk.poll()
    while disk.run() {}
  }
}
