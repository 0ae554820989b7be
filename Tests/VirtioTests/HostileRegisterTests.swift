// Malicious drivers against the registers of our device: any order of accesses, any value, any width. The
// device ends in a defined state, touches nothing it must not, and works after a reset.

import TestSupport
import Testing
import Virtio

/// Where tests put the data that devices write.
private let dataAddress = testBase + 0x8000

extension ScratchMachine {
  /// Offers one buffer of 16 device-writable bytes as descriptor `index` of a split ring.
  fileprivate func offer(_ ring: RingView, _ index: UInt16 = 0) {
    ring[split: Int(index)] = RingDescriptor(dataAddress, 16, RingDescriptor.write)
    ring.offer(index)
  }

  /// Whether a reset and a clean start lead to a working device.
  fileprivate func recovers() -> Bool {
    write(0, MMIORegister.status)
    guard status == 0, read(MMIORegister.interruptStatus) == 0, !transport.line.isAsserted,
      transport.fault == nil
    else { return false }
    state.behaviour = .fill
    let ring = RingView(ram, size: 16)
    bringUp(rings: [ring])
    ram.store(UInt64(0), dataAddress)
    offer(ring)
    write(0, MMIORegister.queueNotify)
    return status == 15 && ring.usedIndex == 1 && ring[used: 0] == (0, 16)
      && ram.load(UInt64.self, dataAddress) == 0xa5a5_a5a5_a5a5_a5a5
  }

  fileprivate func isReady(_ queue: UInt32) -> Bool {
    write(queue, MMIORegister.queueSelect)
    return read(MMIORegister.queueReady) == 1
  }
}

/// Takes a buffer in one service and uses it in the next, as a device does at a limit of its own.
private struct SlowDevice: VirtioDevice, ~Copyable {
  var deviceID: DeviceID { DeviceID(42) }
  func queueSizeMax(_ index: Int) -> UInt16 { 16 }
  private var held: ParkedChain?

  mutating func process(queue index: Int, _ context: inout DeviceContext) throws(DriverFault) {
    if let chain = held.take() {
      context.queues[index].use(chain, written: 0)
    } else if let chain = try context.queues[index].next() {
      held = try context.queues[index].park(chain)
      context.queues[index].needsService = true
    }
  }
}

@Suite struct HostileRegisterTests {
  @Test("A device that stopped within a buffer finishes it, and only then is suspended")
  func suspendedWithinBuffer() throws {
    let memory = TestMemory()
    let bench = Bench<SlowDevice, 1>(SlowDevice(), memory)
    var arena = memory.arena()
    var transport = try MMIODriverTransport(bench.registers)
    let features = try transport.negotiate(supported: .suspend)
    var queue = DriverVirtqueue(index: 0, size: 16, features: features, from: &arena)!
    try transport.enable(queue)
    try transport.start()
    let data = arena.allocateShared(byteCount: 16, alignment: 16)!
    for token in 0..<2 as Range<UInt32> {
      let accepted = queue.submit(data.segment, deviceWritable: true, token: token)
      #expect(accepted)
    }
    if queue.publish() { transport.notify(queue) }
    let early = try transport.suspend()
    #expect(!early && bench.transport.hasWork)
    let more = bench.transport.run()
    #expect(!more)
    let isSuspended = try transport.suspend()
    #expect(isSuspended)
    let first = try queue.reclaim()
    let second = try queue.reclaim()
    #expect(first?.token == 0 && second == nil)
    try transport.resume()
    while bench.transport.run() {}
    let last = try queue.reclaim()
    #expect(last?.token == 1)
  }

  @Test(
    "Queue sizes that the device does not have", arguments: [0, 3, 17, 32, 32768, 65535, 65536, 65552, .max])
  func queueSize(_ size: UInt32) {
    let machine = ScratchMachine()
    let ring = RingView(machine.ram, size: 16)
    machine.bringUp(rings: [ring])
    machine.write(1, MMIORegister.queueSelect)
    machine.write(size, MMIORegister.queueSize)
    machine.write(UInt32(testBase), MMIORegister.queueDescriptorLow)
    machine.write(1, MMIORegister.queueReady)
    #expect(machine.read(MMIORegister.queueReady) == 0)
    #expect(machine.status == 15 | 64)
    #expect(machine.transport.fault == .invalidQueueSize)
    // Nothing is served any more, on no queue.
    machine.offer(ring)
    machine.write(0, MMIORegister.queueNotify)
    machine.transport.poll()
    #expect(ring.usedIndex == 0)
    #expect(machine.recovers())
  }

  @Test("Ring addresses that are not memory, misaligned, or wrap around")
  func queueAddresses() {
    let areas = [
      MMIORegister.queueDescriptorLow, MMIORegister.queueDriverLow, MMIORegister.queueDeviceLow,
    ]
    let wrong: [(UInt64, DriverFault)] = [
      (0, .addressOutsideMemory), (.max - 15, .addressOutsideMemory), (testBase + 1, .misalignedRing),
      (testBase - 16, .addressOutsideMemory), (testBase + (1 << 20) - 16, .addressOutsideMemory),
    ]
    let machine = ScratchMachine()
    for area in areas {
      for (address, fault) in wrong {
        machine.write(0, MMIORegister.status)
        machine.bringUp(rings: [])
        machine.write(0, MMIORegister.queueSelect)
        machine.write(16, MMIORegister.queueSize)
        for other in areas {
          let value = other == area ? address : testBase
          machine.write(UInt32(truncatingIfNeeded: value), other)
          machine.write(UInt32(truncatingIfNeeded: value >> 32), other + 4)
        }
        machine.write(1, MMIORegister.queueReady)
        #expect(machine.transport.fault == fault, "\(area) at \(address)")
        #expect(machine.read(MMIORegister.queueReady) == 0)
        #expect(machine.status == 15 | 64)
      }
    }
    #expect(machine.recovers())
  }

  @Test("Registers rewritten after the queue was made ready have no effect")
  func rewrittenRegisters() {
    let machine = ScratchMachine()
    let ring = RingView(machine.ram, size: 16)
    let other = RingView(machine.ram, at: testBase + 0x4000, size: 16)
    machine.bringUp(rings: [ring])
    machine.enable(other)
    machine.write(32768, MMIORegister.queueSize)
    machine.write(2, MMIORegister.queueReady)
    machine.write(.max, MMIORegister.driverFeatures)
    machine.offer(other)
    machine.offer(ring)
    machine.write(0, MMIORegister.queueNotify)
    #expect(ring.usedIndex == 1 && other.usedIndex == 0)
    #expect(machine.isReady(0) && machine.status == 15)
    #expect(machine.transport.driverFeatures == .version1)
    #expect(machine.recovers())
  }

  @Test("Notifications of queues that are not there, not ready, or too early")
  func wrongNotifications() {
    let machine = ScratchMachine()
    let rings = [RingView(machine.ram, size: 16)]
    for index in [0, 1, 2, 3, 4, 63, 64, 65, 0xffff, 0x1_0000, .max] as [UInt32] {
      machine.write(index, MMIORegister.queueNotify)
    }
    machine.bringUp(rings: rings)
    machine.offer(rings[0])
    // Queue 1 is not ready, 2 and 3 do not exist, the rest is beyond the transport; 0x1_0000 is not 0.
    for index in [1, 2, 3, 4, 63, 64, 65, 0xffff, 0x1_0000, .max] as [UInt32] {
      machine.write(index, MMIORegister.queueNotify)
      machine.transport.availableBuffer(queue: Int(index))
    }
    machine.transport.availableBuffer(queue: -1)
    #expect(machine.state.processed == [0])  // the one at DRIVER_OK
    #expect(rings[0].usedIndex == 0 && machine.status == 15)
    machine.write(0, MMIORegister.queueNotify)
    #expect(rings[0].usedIndex == 1)
    #expect(machine.recovers())
  }

  @Test("With NOTIFICATION_DATA the upper half is not a queue")
  func notificationData() {
    let machine = ScratchMachine()
    let ring = RingView(machine.ram, size: 16)
    machine.bringUp(.notificationData, rings: [ring])
    machine.offer(ring)
    machine.write(0xffff_0000, MMIORegister.queueNotify)
    #expect(ring.usedIndex == 1)
  }

  @Test("DRIVER_OK without FEATURES_OK needs a reset; so does nothing else of a status out of order")
  func statusOutOfOrder() {
    let machine = ScratchMachine()
    machine.write(4, MMIORegister.status)
    #expect(machine.status & 64 != 0)
    #expect(machine.transport.fault == .malformedRequest)
    #expect(machine.recovers())
    let ring = RingView(machine.ram, size: 16)
    machine.bringUp(rings: [ring])
    // Backwards, undefined bits, the device's own bit: nothing is cleared, nothing of these is set.
    for value in [1, 2, 3, 8, 11, 32, 64, 0x100, 0xffff_ff00] as [UInt32] {
      machine.write(value, MMIORegister.status)
      #expect(machine.status == 15, "\(value)")
    }
    machine.write(128, MMIORegister.status)
    #expect(machine.status == 128 | 15)
    machine.offer(ring)
    machine.write(0, MMIORegister.queueNotify)
    #expect(ring.usedIndex == 0)
    #expect(machine.recovers())
  }

  @Test("The first fault is the one that is kept")
  func firstFault() {
    let machine = ScratchMachine()
    let ring = RingView(machine.ram, size: 16)
    machine.bringUp(rings: [ring])
    ring.offer(99)
    machine.write(0, MMIORegister.queueNotify)
    #expect(machine.transport.fault == .indexOutOfRange)
    machine.enable(RingView(machine.ram, QueueAddresses(), size: 16), queue: 1)
    machine.write(4, MMIORegister.status)
    #expect(machine.transport.fault == .indexOutOfRange)
    #expect(machine.recovers())
  }

  @Test("Accesses of every offset and width, before and after the start, change nothing they must not")
  func wildAccesses() {
    let machine = ScratchMachine()
    let ring = RingView(machine.ram, size: 16)
    var random = SeededRandom(7)
    for isLive in [false, true] {
      if isLive { machine.bringUp(rings: [ring]) }
      let status = machine.status
      for offset in -16..<0x140 {
        for width in [-1, 0, 1, 2, 3, 4, 5, 8, 16] {
          _ = machine.transport.read(at: offset, byteCount: width)
          // Aligned 32-bit accesses are the only ones that reach a control register.
          if width == 4 && offset & 3 == 0 && offset >= 0 && offset < 0x100 { continue }
          machine.transport.write(random.next(), at: offset, byteCount: width)
        }
      }
      for offset in [Int.min, Int.max, Int.max - 7, 0x1_0000_0000] {
        _ = machine.transport.read(at: offset, byteCount: 4)
        machine.transport.write(.max, at: offset, byteCount: 8)
      }
      #expect(machine.status == status)
    }
    #expect(machine.recovers())
  }

  @Test("Random register writes in any order", arguments: 1...8 as ClosedRange<UInt64>)
  func randomWrites(_ seed: UInt64) {
    let machine = ScratchMachine()
    var random = SeededRandom(seed)
    let ring = RingView(machine.ram, size: 16)
    let values: [UInt32] = [
      0, 1, 3, 4, 8, 11, 15, 16, 31, 128, 0xffff, .max, UInt32(testBase), UInt32(ring.addresses.driverArea),
      UInt32(ring.addresses.deviceArea),
    ]
    for _ in 0..<4000 {
      if random.oneIn(40) {
        machine.write(0, MMIORegister.status)
        machine.bringUp([.none, .eventIndex, .suspend, .ringReset][random.pick(0...3)], rings: [ring])
      }
      machine.write(values[random.pick(0...values.count - 1)], random.pick(0...0x44) * 4)
      if random.oneIn(4) { ring.offer(UInt16(truncatingIfNeeded: random.pick(0...16))) }
      if random.oneIn(8) { machine.transport.poll() }
      if random.oneIn(8) { _ = machine.transport.run() }
      _ = machine.read(random.pick(0...0x44) * 4)
    }
    #expect(machine.recovers(), "seed \(seed)")
  }

  @Test("Reset storms, with requests in flight that complete in a later life", arguments: [false, true])
  func resetStorm(_ isSlow: Bool) {
    let machine = ScratchMachine()
    for round in 0..<200 {
      machine.state.behaviour = .park
      let ring = RingView(machine.ram, size: 16)
      machine.bringUp(rings: [ring])
      machine.offer(ring)
      machine.write(0, MMIORegister.queueNotify)
      if round % 2 == 1 { ring.offer(99) }
      machine.write(0, MMIORegister.queueNotify)
      machine.state.isQuiescent = !isSlow
      for _ in 0..<3 { machine.write(0, MMIORegister.status) }
      #expect((machine.status == 0) == !isSlow)
      if isSlow {
        // Until the backend has let go the reset is under way, and what the driver does meanwhile is void.
        machine.bringUp(rings: [RingView(machine.ram, size: 16)])
        machine.write(0, MMIORegister.queueNotify)
        machine.transport.poll()
        machine.state.isQuiescent = true
        #expect(machine.status == 0)
      }
      let clean = RingView(machine.ram, size: 16)
      machine.bringUp(rings: [clean])
      machine.state.usesParked = true
      machine.transport.poll()
      machine.state.usesParked = false
      #expect(clean.usedIndex == 0 && machine.status == 15)
      machine.write(0, MMIORegister.status)
    }
    #expect(machine.recovers())
  }

  @Test("A queue reset with requests in flight: they complete in its next life, and are ignored")
  func queueReset() {
    let machine = ScratchMachine()
    machine.state.behaviour = .park
    let ring = RingView(machine.ram, size: 16)
    machine.bringUp(.ringReset, rings: [ring])
    machine.offer(ring)
    machine.write(0, MMIORegister.queueNotify)
    machine.state.isQuiescent = false
    machine.write(0, MMIORegister.queueSelect)
    machine.write(1, MMIORegister.queueReset)
    #expect(machine.read(MMIORegister.queueReset) == 1)
    // Neither enabling nor a second reset gets through before the first is done.
    machine.write(1, MMIORegister.queueReady)
    machine.write(1, MMIORegister.queueReset)
    machine.state.isQuiescent = true
    #expect(machine.read(MMIORegister.queueReset) == 0 && machine.read(MMIORegister.queueReady) == 0)
    let clean = RingView(machine.ram, size: 16)
    machine.enable(clean)
    #expect(machine.isReady(0))
    machine.state.usesParked = true
    machine.transport.poll()
    machine.state.usesParked = false
    #expect(clean.usedIndex == 0)
    machine.state.behaviour = .fill
    machine.offer(clean)
    machine.write(0, MMIORegister.queueNotify)
    #expect(clean.usedIndex == 1 && machine.status == 15)
    #expect(machine.recovers())
  }

  @Test("A queue that was reset has no size and no addresses left")
  func settingsAfterQueueReset() {
    let machine = ScratchMachine()
    let ring = RingView(machine.ram, size: 16)
    machine.bringUp(.ringReset, rings: [ring])
    machine.write(0, MMIORegister.queueSelect)
    machine.write(1, MMIORegister.queueReset)
    machine.write(1, MMIORegister.queueReady)
    #expect(machine.read(MMIORegister.queueReady) == 0)
    #expect(machine.transport.fault == .invalidQueueSize)
    #expect(machine.recovers())
  }

  @Test("A suspending device takes nothing, not even from a queue that is enabled meanwhile")
  func suspending() {
    let machine = ScratchMachine()
    machine.state.behaviour = .park
    let rings = [RingView(machine.ram, size: 16), RingView(machine.ram, at: testBase + 0x4000, size: 16)]
    machine.bringUp(.suspend, rings: [rings[0]])
    machine.offer(rings[0])
    machine.write(0, MMIORegister.queueNotify)
    machine.write(31, MMIORegister.status)
    #expect(machine.status == 31)
    machine.state.behaviour = .fill
    machine.enable(rings[1], queue: 1)
    for (i, ring) in rings.enumerated() {
      machine.offer(ring, UInt16(i))
      machine.write(UInt32(i), MMIORegister.queueNotify)
    }
    _ = machine.transport.run()
    #expect(rings[0].usedIndex == 0 && rings[1].usedIndex == 0)
    machine.state.usesParked = true
    machine.transport.poll()
    machine.state.usesParked = false
    #expect(machine.status == 27 && rings[0].usedIndex == 1)
    machine.write(31, MMIORegister.status)
    #expect(machine.status == 15 && rings[0].usedIndex == 2 && rings[1].usedIndex == 1)
    #expect(machine.recovers())
  }
}
