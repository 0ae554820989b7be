// The disks of the guests: RAM disks, which outlive a restart of their guest.

import DeviceTree
import DeviceTypes
import Machine
import Virtio

/// The guests' disks.
struct Disks: DeviceKind, ~Copyable {
  private typealias Transport = MMIODeviceTransport<BlockDevice<MemoryDisk>, PendingLine, 1>
  private static var slot: Int { 1 }

  private var transports: PerGuest<Transport>

  init(_ setup: HostSetup) {
    transports = PerGuest(count: setup.guestCount) {
      let range = setup.tables[$0].disk
      // The table says that nothing else is in this memory.
      let disk = unsafe PrivateMemory(
        base: UnsafeMutableRawPointer(bitPattern: UInt(range.base)).unsafelyUnwrapped,
        byteCount: Int(range.size))
      return Transport(
        device: BlockDevice(backend: MemoryDisk(disk)), line: PendingLine(guest: $0, slot: Self.slot),
        memory: setup.memory(of: $0),
        transportFeatures: setup.offered(Transport.defaultTransportFeatures))
    }
  }

  mutating func read(guest: Int, at offset: Int, byteCount: Int) -> UInt64 {
    transports[guest].read(at: offset, byteCount: byteCount)
  }

  mutating func write(_ value: UInt64, guest: Int, at offset: Int, byteCount: Int) -> Bool {
    transports[guest].take(value, at: offset, byteCount: byteCount)
  }

  mutating func serve(guest: Int) -> Bool { transports[guest].run() }

  mutating func reset(guest: Int) { transports[guest].reset() }

  mutating func isQuiescent(guest: Int) -> Bool { transports[guest].isReset }
}
