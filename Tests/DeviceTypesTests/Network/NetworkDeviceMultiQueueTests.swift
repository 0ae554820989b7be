// Several pairs of queues, on the device's side.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

@Suite struct NetworkDeviceMultiQueueTests {
  private let memory = TestMemory()
  private let link = TestLink()
  private let bench: MultiNetworkBench
  private var driver: FakeDriver<LoopbackRegisters<NetworkDevice<TestBackend, 4>, 9>>
  private static let features =
    NetworkFeature.controlQueue | NetworkFeature.multiQueue | NetworkFeature.mac | .ringReset

  init() {
    bench = MultiNetworkBench(makeNetworkDevice(link), memory)
    driver = FakeDriver(bench.registers, memory)
  }

  private mutating func start(_ features: Features = Self.features) {
    driver.start(features: features, queues: 0..<9)
    for pair in 0..<4 { supply(pair) }
  }

  private func place(_ pair: Int) -> UInt64 { memory.address + 0x80000 + UInt64(pair) * 0x1000 }

  private mutating func supply(_ pair: Int) {
    for slot in 0..<4 as Range<UInt16> {
      driver.offer(
        2 * pair, slot, address: place(pair) + UInt64(slot) * 256, byteCount: 256, deviceWritable: true,
        notify: false)
    }
  }

  /// Transmits a frame on a pair; the queue's slots are used in turn.
  private mutating func transmit(_ bytes: [UInt8], pair: Int) {
    let at = place(pair) + 0x800
    memory.write([UInt8](repeating: 0, count: 12) + bytes, at)
    driver.offer(2 * pair + 1, 0, address: at, byteCount: UInt32(12 + bytes.count), deviceWritable: false)
  }

  /// Sets the number of pairs and returns the answer.
  private mutating func usePairs(_ count: UInt16) -> UInt8 {
    let at = memory.address + 0x90000
    memory.write([4, 0, UInt8(count & 0xff), UInt8(count >> 8), 0xee], at)
    driver.descriptor(8, 0, address: at, byteCount: 4, flags: 1, next: 1)
    driver.descriptor(8, 1, address: at + 4, byteCount: 1, flags: 2)
    driver.makeAvailable(8, 0)
    return memory.load(UInt8.self, at + 4)
  }

  /// Lets a frame arrive; the pair that gets it.
  private func arrive(_ bytes: [UInt8]) -> Int? {
    let before = (0..<4).map { driver.usedIndex(2 * $0) }
    link.offer(bytes)
    bench.transport.poll()
    return (0..<4).first(where: { driver.usedIndex(2 * $0) != before[$0] })
  }

  private func flow(_ index: UInt8) -> [UInt8] { udpFrame(from: (1, UInt16(index)), to: (2, 5000)) }
  private func back(_ index: UInt8) -> [UInt8] { udpFrame(from: (2, 5000), to: (1, UInt16(index))) }

  @Test mutating func `5.1.9.5.6.2 device: after initialization only receiveq1 is used`() {
    start()
    for index in 0..<4 as Range<UInt8> {
      transmit(flow(index), pair: Int(index))
      #expect(arrive(back(index)) == 0)
    }
    // And after a reset again.
    #expect(usePairs(4) == 0)
    start()
    transmit(flow(3), pair: 3)
    #expect(arrive(back(3)) == 0)
    #expect(bench.transport.fault == nil)
  }

  @Test mutating func `5.1.9.5.6 a flow is received where it was transmitted`() {
    start()
    #expect(usePairs(4) == 0)
    let frames = [flow(1), flow(2), flow(3), flow(7)]
    for (pair, bytes) in frames.enumerated() { transmit(bytes, pair: pair) }
    for (pair, index) in ([1, 2, 3, 7] as [UInt8]).enumerated() { #expect(arrive(back(index)) == pair) }
    // It moves with its next frame; what was never transmitted goes to the first queue.
    transmit(flow(2), pair: 3)
    #expect(arrive(back(2)) == 3)
    #expect(arrive(frame()) == 0)
  }

  @Test mutating func `5.1.9.5.6.2 device: no frames in queues beyond virtqueue_pairs`() {
    start()
    #expect(usePairs(4) == 0)
    transmit(flow(7), pair: 3)
    #expect(arrive(back(7)) == 3)
    #expect(usePairs(2) == 0)
    #expect(arrive(back(7)) == 0)
    #expect(usePairs(4) == 0)
    #expect(arrive(back(7)) == 3)
  }

  @Test mutating func `a transmitq out of use waits until it is in use`() {
    start()
    transmit(flow(1), pair: 2)
    #expect(link.sent.isEmpty && driver.usedIndex(5) == 0)
    bench.transport.poll()
    let hasWork = bench.transport.run()
    #expect(!hasWork)
    #expect(link.sent.isEmpty)
    #expect(usePairs(3) == 0)
    #expect(link.sent.count == 1 && driver.usedIndex(5) == 1)
  }

  @Test mutating func `a number of pairs that the device does not have is refused`() {
    start()
    #expect(usePairs(3) == 0)
    for count in [0, 5, 8, 0x8000, 0xffff] as [UInt16] { #expect(usePairs(count) == 1) }
    transmit(flow(7), pair: 2)
    #expect(arrive(back(7)) == 2)
  }

  @Test mutating func `5.1.9.5.6.2 device: another queue takes the frames of one that is reset`() {
    start()
    #expect(usePairs(3) == 0)
    transmit(flow(7), pair: 2)
    reset(queue: 4)
    #expect(arrive(back(7)) == 0)
    driver.setUpQueue(4)
    supply(2)
    #expect(arrive(back(7)) == 2)
  }

  @Test mutating func `5.1.9.5.6.2 device: with all receive queues reset the frame is dropped`() {
    start()
    #expect(usePairs(2) == 0)
    reset(queue: 0)
    reset(queue: 2)
    #expect(arrive(frame()) == nil)
    #expect(link.waiting.isEmpty)
    driver.setUpQueue(2)
    supply(1)
    #expect(arrive(frame()) == 1)
  }

  private func reset(queue index: Int) {
    driver.registers.write32(UInt32(index), MMIORegister.queueSelect)
    driver.registers.write32(1, MMIORegister.queueReset)
    #expect(driver.registers.read32(MMIORegister.queueReset) == 0)
  }

  @Test mutating func `a queue that is reset while its frame waits for room`() {
    start()
    #expect(usePairs(2) == 0)
    link.room = 0
    transmit(flow(7), pair: 1)
    reset(queue: 3)
    link.room = 10
    bench.transport.poll()
    #expect(link.sent.isEmpty && bench.transport.fault == nil)
    driver.setUpQueue(3)
    transmit(flow(6), pair: 1)
    #expect(link.sent.map { $0.bytes } == [flow(6)])
  }

  @Test mutating func `a receiveq that is reset does not make its pair forget a frame to transmit`() {
    start()
    #expect(usePairs(2) == 0)
    link.room = 0
    transmit(flow(7), pair: 1)
    reset(queue: 2)
    link.room = 10
    bench.transport.poll()
    #expect(link.sent.map { $0.bytes } == [flow(7)])
  }

  @Test mutating func `without MQ a single pair is used, and other queues do nothing`() {
    start(NetworkFeature.controlQueue)
    for pair in 1..<4 { transmit(flow(1), pair: pair) }
    #expect(link.sent.isEmpty)
    #expect(arrive(frame()) == 0)
    #expect(bench.transport.fault == nil)
  }
}
