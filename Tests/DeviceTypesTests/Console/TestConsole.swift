// A host's end of console ports for tests, and a bench with a fake driver on a console device.

import DeviceTypes
import TestSupport
import Virtio
import Wire

/// Keeps what was written and gives what the test put in.
struct TestConsole: ConsoleBackend {
  var output: [[UInt8]] = Array(repeating: [], count: 4)
  /// Bytes that each port still takes.
  var room: [UInt32] = Array(repeating: .max, count: 4)
  var input: [[UInt8]] = Array(repeating: [], count: 4)
  /// Ports that claim to have input.
  var pretends = false
  /// Keeps only the number of bytes written.
  var countsOnly = false
  var writtenByteCount = 0
  var emergencies: [UInt8] = []
  var openings: [Opening] = []

  struct Opening: Equatable {
    var port: Int
    var isOpen: Bool
  }

  mutating func write(_ range: GuestRange, port: Int) -> UInt32 {
    let count = min(range.byteCount, room[port])
    room[port] -= count
    writtenByteCount += Int(count)
    if countsOnly { return count }
    for i in 0..<count {
      var byte = ByteArray<1>()
      var target = byte.mutableBytes
      range.dropFirst(i).copyOut(to: &target)
      output[port].append(byte[0])
    }
    return count
  }

  func hasInput(port: Int) -> Bool { pretends || !input[port].isEmpty }

  mutating func read(into range: GuestRange, port: Int) -> UInt32 {
    let count = min(Int(range.byteCount), input[port].count)
    for i in 0..<count {
      var byte = ByteArray<1>()
      byte[0] = input[port][i]
      range.dropFirst(UInt32(i)).copyIn(from: byte.bytes)
    }
    input[port].removeFirst(count)
    return UInt32(count)
  }

  mutating func setDriverOpen(_ isOpen: Bool, port: Int) {
    openings.append(Opening(port: port, isOpen: isOpen))
  }

  mutating func emergencyWrite(_ byte: UInt8) { emergencies.append(byte) }
}

typealias TestConsoleDevice = ConsoleDevice<TestConsole, 3>
typealias ConsoleBench = Bench<TestConsoleDevice, 8>

/// The queues as the clause numbers them, for three ports.
let receiveQueues = [0, 4, 6]
let transmitQueues = [1, 5, 7]

/// A console device with a fake driver, and the steps that many tests share.
struct ConsoleFixture {
  let memory = TestMemory()
  let bench: ConsoleBench
  var driver: FakeDriver<LoopbackRegisters<TestConsoleDevice, 8>>
  private var controlUsed: UInt16 = 0
  /// Control receive buffers that the device has.
  private var offered: Set<UInt16> = []

  init(features: Features = ConsoleFeature.all) {
    let device = TestConsoleDevice(backend: TestConsole(), features: features)
    bench = ConsoleBench(device, memory)
    driver = FakeDriver(bench.registers, memory)
  }

  /// Where the data of queue `index` and descriptor `slot` goes.
  func data(_ index: Int, _ slot: UInt16 = 0) -> UInt64 {
    memory.address + 0x10000 + UInt64(index) * 0x1000 + UInt64(slot) * 0x100
  }

  /// Starts with MULTIPORT, and all queues.
  mutating func startMultiport(_ more: Features = .none) {
    controlUsed = 0
    offered = []
    driver.start(features: ConsoleFeature.multiport | more, queues: 0..<8)
  }

  /// Starts without MULTIPORT.
  mutating func startPlain(_ features: Features = .none) {
    driver.start(features: features, queues: 0..<2)
  }

  /// Sends a control message.
  mutating func send(_ id: UInt32, _ event: UInt16, _ value: UInt16 = 0) {
    memory.store(id, data(3))
    memory.store(event, data(3) + 4)
    memory.store(value, data(3) + 6)
    driver.offer(3, 0, address: data(3), byteCount: 8, deviceWritable: false)
  }

  /// Sees to it that `count` control receive buffers are offered, and returns the messages that came.
  mutating func messages(_ count: Int = 8, byteCount: UInt32 = 0x100) -> [[UInt8]] {
    for slot in 0..<8 as Range<UInt16> where offered.count < count && !offered.contains(slot) {
      offered.insert(slot)
      driver.offer(2, slot, address: data(2, slot), byteCount: byteCount, deviceWritable: true)
    }
    var result: [[UInt8]] = []
    while controlUsed != driver.usedIndex(2) {
      let used = driver.used(2, controlUsed)
      result.append(memory.bytes(data(2, UInt16(used.id)), Int(used.byteCount)))
      offered.remove(UInt16(used.id))
      controlUsed &+= 1
    }
    return result
  }

  /// Writes `text` to `port` as one buffer.
  mutating func write(_ text: String, port: Int, slot: UInt16 = 0) {
    let queue = transmitQueues[port]
    memory.write(Array(text.utf8), data(queue, slot))
    driver.offer(
      queue, slot, address: data(queue, slot), byteCount: UInt32(text.utf8.count), deviceWritable: false)
  }

  /// Offers an empty buffer for input of `port`.
  mutating func offerInput(port: Int, slot: UInt16 = 0, byteCount: UInt32 = 0x100) {
    let queue = receiveQueues[port]
    driver.offer(queue, slot, address: data(queue, slot), byteCount: byteCount, deviceWritable: true)
  }

  /// What the device has put into buffer `position` of `port`.
  func input(port: Int, _ position: UInt16) -> [UInt8] {
    let queue = receiveQueues[port]
    let used = driver.used(queue, position)
    return memory.bytes(data(queue, UInt16(used.id)), Int(used.byteCount))
  }
}

extension [UInt8] {
  /// The UTF-8 of `text`.
  init(_ text: String) { self = Array(text.utf8) }
}
