// The SCMI device against a driver that writes what it likes.

import DeviceTypes
import TestSupport
import Testing
import Virtio

@Suite struct SCMIDeviceTests {
  let memory = TestMemory()
  let bench: SCMIBench
  var driver: FakeDriver<LoopbackRegisters<SCMIDevice<ScriptedPlatform>, 2>>
  var data: UInt64 { memory.address + 0x10000 }

  init() {
    bench = SCMIBench(SCMIDevice(backend: ScriptedPlatform()), memory)
    driver = FakeDriver(bench.registers, memory)
  }

  private mutating func start(_ features: Features = SCMIFeature.platformToAgent) {
    driver.start(features: features, queues: 0..<2)
  }

  /// Makes `command` available with `room` bytes for the response, at the buffer of `slot`.
  private mutating func send(_ command: [UInt8], slot: UInt16 = 0, room: UInt32 = 256, notify: Bool = true) {
    let at = data + UInt64(slot) * 0x1000
    memory.write(command, at)
    for i in 0..<256 as Range<UInt64> { memory.store(UInt8(0xee), at + 0x800 + i) }
    driver.descriptor(0, slot, address: at, byteCount: UInt32(command.count), flags: 1, next: slot + 1)
    driver.descriptor(0, slot + 1, address: at + 0x800, byteCount: room, flags: 2)
    driver.makeAvailable(0, slot, notify: notify)
  }

  /// The response in the buffer of `slot`, as long as used entry `position` says.
  private func response(_ position: UInt16, slot: UInt16 = 0) -> [UInt8] {
    let used = driver.used(0, position)
    #expect(used.id == UInt32(slot))
    return memory.bytes(data + UInt64(slot) * 0x1000 + 0x800, Int(used.byteCount))
  }

  /// Offers an event buffer of `byteCount` bytes in `slot`.
  private mutating func offerEvent(_ slot: UInt16, byteCount: UInt32 = 64, notify: Bool = true) {
    driver.offer(
      1, slot, address: data + 0x20000 + UInt64(slot) * 256, byteCount: byteCount, deviceWritable: true,
      notify: notify)
  }

  private func event(_ position: UInt16, slot: UInt16) -> [UInt8] {
    let used = driver.used(1, position)
    #expect(used.id == UInt32(slot))
    return memory.bytes(data + 0x20000 + UInt64(slot) * 256, Int(used.byteCount))
  }

  // MARK: Features

  @Test(arguments: [false, true], [false, true])
  func `5.17.3.1 device: offers what the platform has something for`(_ events: Bool, _ regions: Bool) {
    bench.transport.device.backend.implementsEvents = events
    if regions { bench.transport.device.backend.regions[1] = SharedMemoryRegion(address: 0, byteCount: 1) }
    let offered = bench.transport.offeredFeatures
    #expect(offered.contains(SCMIFeature.platformToAgent) == events)
    #expect(offered.contains(SCMIFeature.sharedMemory) == regions)
    let sizes = (0..<3).map { bench.transport.device.queueSizeMax($0) }
    #expect(sizes == [64, events ? 64 : 0, 0])
  }

  @Test mutating func `5.17.6.4.1 device: regions have the identifiers of the table`() {
    let region = SharedMemoryRegion(address: 0x9000_0000, byteCount: 0x100)
    for id in [0, 1, 3, 4, 0x7f, 0x80, 0xff, 0x100] as [UInt32] {
      bench.transport.device.backend.regions[id] = region
    }
    let before = bench.transport.device.sharedMemoryRegion(1)
    #expect(before == nil)
    start(SCMIFeature.all)
    let found = (0...0x200 as ClosedRange<UInt32>).filter {
      bench.transport.device.sharedMemoryRegion($0) == region
    }
    #expect(found == [1, 3, 0x80, 0xff])
    start(SCMIFeature.platformToAgent)
    let without = bench.transport.device.sharedMemoryRegion(1)
    #expect(without == nil)
  }

  // MARK: cmdq

  @Test mutating func `a response follows its command in the same buffer`() {
    start()
    send(scmiMessage([1, 2, 3, 4]))
    #expect(bench.transport.device.backend.commands == [scmiMessage([1, 2, 3, 4])])
    #expect(response(0) == scmiMessage([0, 0, 0, 0, 1, 2, 3, 4]))
    #expect(bench.transport.line.eventCount == 1)
  }

  @Test mutating func `5.17.6.1.1 device: processes every available command of a burst`() {
    start()
    bench.transport.setBudget(1, queue: 0)
    for slot in [0, 2, 4, 6] as [UInt16] { send(scmiMessage([UInt8(slot)]), slot: slot, notify: false) }
    driver.registers.write32(0, MMIORegister.queueNotify)
    while bench.transport.run() {}
    #expect(driver.usedIndex(0) == 4)
    for slot in [0, 2, 4, 6] as [UInt16] {
      #expect(response(slot / 2, slot: slot) == scmiMessage([0, 0, 0, 0, UInt8(slot)]))
    }
  }

  @Test mutating func `5.17.6.1.1 device: a status other than SUCCESS comes alone`() {
    start()
    bench.transport.device.backend.answers = [[0xfe, 0xff, 0xff, 0xff, 9, 9, 9, 9]]
    send(scmiMessage([]))
    #expect(response(0) == scmiMessage([0xfe, 0xff, 0xff, 0xff]))
    #expect(memory.bytes(data + 0x808, 1) == [0xee])
  }

  @Test mutating func `5.17.6.1.1 device: a request for events succeeds without buffers for them`() {
    start()
    bench.transport.device.backend.echoesEvents = true
    send(scmiMessage([1]))
    #expect(response(0) == scmiMessage([0, 0, 0, 0, 1]))
    #expect(driver.usedIndex(1) == 0)
    offerEvent(0)
    #expect(event(0, slot: 0) == scmiMessage(type: 3, [1]))
  }

  @Test(arguments: [false, true])
  mutating func `5.17.6.1.1 device: the platform is told whether it may have events`(_ events: Bool) {
    start(events ? SCMIFeature.platformToAgent : .none)
    #expect(bench.transport.device.backend.starts == [events])
    bench.transport.device.backend.echoesEvents = true
    offerEvent(0)
    send(scmiMessage([1]))
    bench.transport.poll()
    // A queue that does not exist for this driver is left alone, ready or not.
    #expect(driver.usedIndex(1) == (events ? 1 : 0))
    #expect(response(0) == scmiMessage([0, 0, 0, 0, 1]))
  }

  @Test(arguments: [8, 11] as [UInt32])
  mutating func `the platform knows how much room there is, and the next command works`(_ room: UInt32) {
    start()
    send(scmiMessage([1, 2, 3, 4]), room: room)
    #expect(bench.transport.device.backend.rooms == [Int(room)])
    #expect(response(0) == scmiMessage(scmiProtocolError))
    #expect(memory.bytes(data + 0x800 + UInt64(room), 1) == [0xee])
    send(scmiMessage([1]))
    #expect(response(1) == scmiMessage([0, 0, 0, 0, 1]))
  }

  @Test(arguments: [256, 257, 4000])
  mutating func `a command longer than any is a protocol error, and the next works`(_ count: Int) {
    start()
    bench.transport.device.backend.answers = [[0, 0, 0, 0]]
    // The bytes up to the response's memory, and again what is before them.
    let at = data
    memory.write(scmiMessage([]), at)
    driver.descriptor(0, 0, address: at, byteCount: UInt32(count), flags: 1, next: 1)
    driver.descriptor(0, 1, address: data + 0x8000, byteCount: 256, flags: 2)
    driver.makeAvailable(0, 0)
    let status = count == 256 ? [0, 0, 0, 0] : scmiProtocolError
    #expect(driver.used(0, 0) == (0, 8))
    #expect(memory.bytes(data + 0x8000, 8) == scmiMessage(status))
    #expect(bench.transport.device.backend.commands.count == (count == 256 ? 1 : 0))
    bench.transport.device.backend.answers = []
    send(scmiMessage([7]))
    #expect(response(1) == scmiMessage([0, 0, 0, 0, 7]))
  }

  @Test mutating func `a message in pieces of one byte is one message`() {
    start()
    memory.write(scmiMessage([1, 2]), data)
    // 2 + 4 bytes to read, 1 + 9 to write.
    driver.descriptor(0, 0, address: data, byteCount: 2, flags: 1, next: 1)
    driver.descriptor(0, 1, address: data + 2, byteCount: 0, flags: 1, next: 2)
    driver.descriptor(0, 2, address: data + 2, byteCount: 4, flags: 1, next: 3)
    driver.descriptor(0, 3, address: data + 0x100, byteCount: 1, flags: 3, next: 4)
    driver.descriptor(0, 4, address: data + 0x200, byteCount: 9, flags: 2)
    driver.makeAvailable(0, 0)
    #expect(bench.transport.device.backend.rooms == [10])
    #expect(driver.used(0, 0) == (0, 10))
    #expect(
      memory.bytes(data + 0x100, 1) + memory.bytes(data + 0x200, 9) == scmiMessage([0, 0, 0, 0, 1, 2]))
  }

  @Test(
    arguments: [
      ([], 256), ([5], 256), ([5, 0, 0x40], 256), (scmiMessage([]), 7), (scmiMessage([1, 2]), 7),
      (scmiMessage([]), 0),
    ] as [([UInt8], UInt32)])
  mutating func `a buffer without room for header and status is the driver's fault`(
    command: [UInt8], room: UInt32
  ) {
    start()
    send(command, room: room)
    #expect(bench.transport.fault == .bufferTooShort)
    #expect(driver.status.contains(.needsReset))
    #expect(driver.usedIndex(0) == 0)
    // Nothing was carried out that cannot be answered.
    #expect(bench.transport.device.backend.commands.isEmpty)
    start()
    send(scmiMessage([1]))
    #expect(response(0) == scmiMessage([0, 0, 0, 0, 1]))
  }

  @Test mutating func `a reset releases the agent`() {
    start()
    let count = bench.transport.device.backend.resetCount
    driver.registers.write32(0, MMIORegister.status)
    #expect(bench.transport.device.backend.resetCount == count + 1)
  }

  // MARK: eventq

  @Test mutating func `5.17.6.3.1 device: delayed responses wait for buffers, and come in order`() {
    start()
    bench.transport.device.backend.events = (0..<4).map { scmiMessage(type: 2, [0, 0, 0, 0, $0]) }
    bench.transport.poll()
    #expect(driver.usedIndex(1) == 0)
    let hasWork = bench.transport.hasWork
    #expect(!hasWork)
    offerEvent(0)
    #expect(event(0, slot: 0) == scmiMessage(type: 2, [0, 0, 0, 0, 0]))
    offerEvent(1, notify: false)
    offerEvent(2, notify: false)
    bench.transport.poll()
    #expect(event(1, slot: 1) == scmiMessage(type: 2, [0, 0, 0, 0, 1]))
    #expect(event(2, slot: 2) == scmiMessage(type: 2, [0, 0, 0, 0, 2]))
    offerEvent(3)
    offerEvent(4)
    #expect(event(3, slot: 3) == scmiMessage(type: 2, [0, 0, 0, 0, 3]))
    // The last buffer waits for the next event.
    #expect(driver.usedIndex(1) == 4)
    bench.transport.device.backend.events = [scmiMessage(type: 3, [8])]
    bench.transport.poll()
    #expect(event(4, slot: 4) == scmiMessage(type: 3, [8]))
  }

  @Test mutating func `5.17.6.3.1 device: a failed delayed response is its status alone`() {
    start()
    offerEvent(0)
    bench.transport.device.backend.events = [scmiMessage(type: 2, scmiProtocolError + [1, 2, 3])]
    bench.transport.poll()
    #expect(event(0, slot: 0) == scmiMessage(type: 2, scmiProtocolError))
    // A notification has no status.
    offerEvent(1)
    bench.transport.device.backend.events = [scmiMessage(type: 3, scmiProtocolError + [1, 2, 3])]
    bench.transport.poll()
    #expect(event(1, slot: 1) == scmiMessage(type: 3, scmiProtocolError + [1, 2, 3]))
  }

  @Test mutating func `5.17.6.3.1 device: a notification that does not fit is omitted`() {
    start()
    offerEvent(0, byteCount: 6)
    bench.transport.device.backend.events = [scmiMessage(type: 3, [1, 2, 3]), scmiMessage(type: 3, [4, 5])]
    bench.transport.poll()
    #expect(event(0, slot: 0) == scmiMessage(type: 3, [4, 5]))
    #expect(driver.usedIndex(1) == 1)
    #expect(bench.transport.fault == nil)
  }

  @Test mutating func `a delayed response that does not fit is the driver's fault`() {
    start()
    offerEvent(0, byteCount: 6)
    bench.transport.device.backend.events = [scmiMessage(type: 2, [0, 0, 0, 0])]
    bench.transport.poll()
    #expect(bench.transport.fault == .bufferTooShort)
    #expect(driver.usedIndex(1) == 0)
  }

  @Test mutating func `a device-readable event buffer is the driver's fault`() {
    start()
    driver.offer(1, 0, address: data, byteCount: 64, deviceWritable: false)
    #expect(bench.transport.fault == nil)
    bench.transport.device.backend.events = [scmiMessage(type: 3, [1])]
    bench.transport.poll()
    #expect(bench.transport.fault == .malformedRequest)
  }

  @Test mutating func `an event that is gone leaves its buffer`() {
    start()
    offerEvent(0)
    bench.transport.device.backend.pretendsEvents = true
    bench.transport.poll()
    bench.transport.poll()
    #expect(driver.usedIndex(1) == 0)
    bench.transport.device.backend.events = [scmiMessage(type: 3, [1])]
    bench.transport.poll()
    #expect(event(0, slot: 0) == scmiMessage(type: 3, [1]))
    #expect(driver.usedIndex(1) == 1)
  }

  @Test mutating func `events keep to the budget`() {
    start()
    bench.transport.setBudget(1, queue: 1)
    for slot in 0..<4 as Range<UInt16> { offerEvent(slot) }
    bench.transport.device.backend.events = (0..<4).map { scmiMessage(type: 3, [$0]) }
    bench.transport.poll()
    #expect(driver.usedIndex(1) == 1)
    while bench.transport.run() {}
    #expect(driver.usedIndex(1) == 4)
  }
}
