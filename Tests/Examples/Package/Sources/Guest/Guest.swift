// Vireo as a Swift package: our driver draws random bytes from our device, over one piece of memory.

import DeviceTypes
import Virtio
import Wire

/// A source that counts.
struct Counter: EntropyBackend {
  var next: UInt8 = 1

  mutating func fill(_ range: GuestRange) -> UInt32 {
    var byte = ByteArray<1>()
    byte[0] = next
    next += 1
    range.prefix(1).copyIn(from: byte.bytes)
    return 1
  }
}

struct NoLine: InterruptLine {
  mutating func setAsserted(_ isAsserted: Bool) {}
}

typealias Transport = MMIODeviceTransport<EntropyDevice<Counter>, NoLine, 1>

/// The device, where driver and host both reach it.
final class Machine {
  var transport: Transport

  init(_ memory: GuestMemory) {
    transport = Transport(device: EntropyDevice(backend: Counter()), line: NoLine(), memory: memory)
  }
}

/// What the driver knows of the device: its registers.
struct Registers: RegisterAccess {
  let machine: Machine

  func read8(_ offset: Int) -> UInt8 { UInt8(machine.transport.read(at: offset, byteCount: 1)) }
  func read16(_ offset: Int) -> UInt16 { UInt16(machine.transport.read(at: offset, byteCount: 2)) }
  func read32(_ offset: Int) -> UInt32 { UInt32(machine.transport.read(at: offset, byteCount: 4)) }
  func write8(_ value: UInt8, _ offset: Int) {
    machine.transport.write(UInt64(value), at: offset, byteCount: 1)
  }
  func write16(_ value: UInt16, _ offset: Int) {
    machine.transport.write(UInt64(value), at: offset, byteCount: 2)
  }
  func write32(_ value: UInt32, _ offset: Int) {
    machine.transport.write(UInt64(value), at: offset, byteCount: 4)
  }
}

@main enum Guest {
  static func main() throws {
    let size = 1 << 16
    // Both pieces of memory live as long as the program, and nothing else accesses them.
    let ram = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 4096)
    let own = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 4096)
    let region = unsafe GuestRegion(address: 0x8000_0000, byteCount: UInt64(size), host: ram)
    let machine = Machine(GuestMemory(region))
    var arena = unsafe DriverArena(
      shared: DMABuffer(base: ram, byteCount: size, deviceAddress: 0x8000_0000),
      own: PrivateMemory(base: own, byteCount: size))
    let found = try EntropyDriver(
      try MMIODriverTransport(Registers(machine: machine)), memory: &arena, bufferByteCount: 64,
      ringFeatures: .ringPacked)
    guard var driver = found else { fatalError("too little memory") }
    var drawn: [UInt8] = []
    while drawn.count < 4 {
      _ = try driver.request(byteCount: 1)
      var bytes = ByteArray<64>()
      var target = bytes.mutableBytes
      guard try driver.receive(into: &target) == 1 else { fatalError("no byte came") }
      drawn.append(bytes[0])
    }
    precondition(drawn == [1, 2, 3, 4], "other bytes came")
    print("Vireo as a package: \(drawn)")
  }
}
