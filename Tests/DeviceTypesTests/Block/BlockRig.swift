// A block device under a driver that writes descriptors by hand.

import DeviceTypes
import TestSupport
import Virtio
import Wire

/// A piece of a buffer: an address, a length, and whether the device may write it.
struct Piece {
  let address: UInt64
  let byteCount: UInt32
  let isDeviceWritable: Bool

  init(_ address: UInt64, _ byteCount: UInt32, writable: Bool = false) {
    self.address = address
    self.byteCount = byteCount
    isDeviceWritable = writable
  }
}

struct BlockRig {
  typealias TestBench = Bench<BlockDevice<ScriptedDisk>, 4>

  let memory: TestMemory
  let script: DiskScript
  let bench: TestBench
  var driver: FakeDriver<LoopbackRegisters<BlockDevice<ScriptedDisk>, 4>>

  /// Where requests are put together: header, data and status of request `n`, far apart.
  static func header(_ n: Int = 0) -> UInt64 { testBase + 0x10000 + UInt64(n) * 0x4000 }
  static func data(_ n: Int = 0) -> UInt64 { header(n) + 0x1000 }
  static func status(_ n: Int = 0) -> UInt64 { header(n) + 0x3000 }

  init(_ script: DiskScript = DiskScript(), queueCount: Int = 1) {
    memory = TestMemory()
    self.script = script
    bench = TestBench(BlockDevice(backend: ScriptedDisk(script), queueCount: queueCount), memory)
    driver = FakeDriver(bench.registers, memory, queueSize: 64)
  }

  /// What the device offers.
  var offered: Features { bench.transport.offeredFeatures }

  /// Starts with every device-type feature that is offered, and `more` but not `less`.
  mutating func start(more: Features = .none, less: Features = .none, queues: Range<Int> = 0..<1) {
    let features = (offered & .deviceTypeBits | more).subtracting(less)
    driver.start(features: features, queues: queues)
  }

  /// Makes a buffer of `pieces` available, in descriptors from `first` on.
  mutating func submit(_ pieces: [Piece], first: UInt16 = 0, queue: Int = 0, notify: Bool = true) {
    for (i, piece) in pieces.enumerated() {
      let isLast = i == pieces.count - 1
      let flags = (piece.isDeviceWritable ? RingDescriptor.write : 0) | (isLast ? 0 : RingDescriptor.next)
      driver.descriptor(
        queue, first + UInt16(i), address: piece.address, byteCount: piece.byteCount, flags: flags,
        next: isLast ? 0 : first + UInt16(i) + 1)
    }
    driver.makeAvailable(queue, first, notify: notify)
  }

  /// Submits a request as drivers usually frame it, in the memory and descriptors of request `n`.
  mutating func send(
    _ type: UInt32, sector: UInt64 = 0, readable: [UInt8] = [], writable: UInt32 = 0, n: Int = 0,
    queue: Int = 0, notify: Bool = true
  ) {
    memory.write(list(BlockRequestHeader(type: BlockRequestType(type), sector: sector).bytes), Self.header(n))
    memory.write(readable, Self.data(n))
    memory.store(UInt8(0xee), Self.status(n))
    var pieces = [Piece(Self.header(n), 16)]
    if !readable.isEmpty { pieces.append(Piece(Self.data(n), UInt32(readable.count))) }
    if writable != 0 { pieces.append(Piece(Self.data(n), writable, writable: true)) }
    submit(
      pieces + [Piece(Self.status(n), 1, writable: true)], first: UInt16(4 * n), queue: queue, notify: notify)
  }

  /// The status byte of request `n`: 0xee as long as nobody wrote it.
  func status(_ n: Int = 0) -> UInt8 { memory.load(UInt8.self, Self.status(n)) }

  /// Sends a request and returns its status and used length.
  mutating func ask(
    _ type: BlockRequestType, sector: UInt64 = 0, readable: [UInt8] = [], writable: UInt32 = 0
  ) -> (status: UInt8, used: UInt32) {
    let position = driver.usedIndex(0)
    send(type.rawValue, sector: sector, readable: readable, writable: writable)
    guard driver.usedIndex(0) == position &+ 1 else { return (0xff, 0) }
    return (status(), driver.used(0, position).byteCount)
  }

  /// The first `count` bytes of the data of request `n`.
  func data(_ count: Int, _ n: Int = 0) -> [UInt8] { memory.bytes(Self.data(n), count) }

  /// A byte of the configuration space, and fields of 2 and 4 bytes.
  func configuration(_ offset: Int, _ byteCount: Int) -> UInt64 {
    bench.transport.read(at: MMIORegister.configuration + offset, byteCount: byteCount)
  }
}

/// `count` sectors of bytes that are nowhere on a fresh disk.
func pattern(_ seed: UInt8, sectors count: Int = 1) -> [UInt8] {
  (0..<count * 512).map { seed ^ UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
}
