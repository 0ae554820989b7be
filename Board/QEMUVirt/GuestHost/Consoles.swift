// The consoles of the guests, on the board's UART: output of all, input to the first.

import DeviceTree
import DeviceTypes
import Machine
import Virtio

/// The guests' consoles.
struct Consoles: DeviceKind, ~Copyable {
  private typealias Transport = MMIODeviceTransport<ConsoleDevice<SerialPort, 1>, PendingLine, 4>
  private static var slot: Int { 0 }

  private var transports: PerGuest<Transport>

  init(_ setup: HostSetup) {
    transports = PerGuest(count: setup.guestCount) {
      Transport(
        device: ConsoleDevice(backend: SerialPort(takesInput: $0 == 0)),
        line: PendingLine(guest: $0, slot: Self.slot), memory: setup.memory(of: $0),
        transportFeatures: setup.offered(Transport.defaultTransportFeatures))
    }
  }

  /// Something was typed. Called on the first core.
  mutating func interrupt() {
    transports[0].poll()
    if transports[0].hasWork { Cores.serveLater(0) }
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
