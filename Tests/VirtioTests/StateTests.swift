// The saved state of a device, and bytes that are none.

import Testing
import TestSupport
import Virtio

@Suite struct StateTests {
  private static let features: [Features] = [.none, .eventIndex, .ringPacked, .ringPacked | .eventIndex]

  /// A machine whose device took over from `machine`'s, over the same memory.
  private func successor(_ machine: ScratchMachine) throws -> Bench<ScratchDevice, 4> {
    let bench = Bench<ScratchDevice, 4>(ScratchDevice(machine.state), machine.ram)
    try bench.transport.restore(try machine.transport.savedState())
    return bench
  }

  @Test func `every step of the initialization is restored as it was`() throws {
    let machine = ScratchMachine()
    let ring = RingView(machine.ram, size: 8)
    let readable = [
      MMIORegister.status, MMIORegister.queueReady, MMIORegister.interruptStatus, MMIORegister.queueSizeMax,
      MMIORegister.configurationGeneration, MMIORegister.deviceFeatures, MMIORegister.configuration,
    ]
    let steps: [(UInt32, Int)] = [
      (1, MMIORegister.status), (3, MMIORegister.status), (1, MMIORegister.deviceFeaturesSelect),
      (1, MMIORegister.driverFeaturesSelect), (Features.version1.word(1), MMIORegister.driverFeatures),
      (11, MMIORegister.status), (77, MMIORegister.configuration), (1, MMIORegister.queueSelect),
      (8, MMIORegister.queueSize),
      (UInt32(ring.addresses.descriptorArea), MMIORegister.queueDescriptorLow),
      (UInt32(ring.addresses.driverArea), MMIORegister.queueDriverLow),
      (UInt32(ring.addresses.deviceArea), MMIORegister.queueDeviceLow), (1, MMIORegister.queueReady),
      (15, MMIORegister.status), (0xff, MMIORegister.status),
    ]
    for (value, offset) in steps {
      machine.write(value, offset)
      let before = readable.map { machine.read($0) }
      let bench = try successor(machine)
      #expect(readable.map { UInt32(bench.transport.read(at: $0, byteCount: 4)) } == before)
      #expect(try bench.transport.savedState() == machine.transport.savedState())
      // The machine goes on with the successor.
      machine.window.onRead = { bench.transport.read(at: $0, byteCount: $1) }
      machine.window.onWrite = { bench.transport.write($0, at: $1, byteCount: $2) }
      swap(&machine.transport, &bench.transport)
      machine.window.onRead = { [unowned machine] in machine.transport.read(at: $0, byteCount: $1) }
      machine.window.onWrite = { [unowned machine] in machine.transport.write($0, at: $1, byteCount: $2) }
    }
    #expect(machine.status == 0x8f)
  }

  @Test func `the interrupt line and what it stands for are restored`() throws {
    let machine = ScratchMachine()
    machine.bringUp(rings: [RingView(machine.ram, size: 8)])
    machine.state.changesConfiguration = true
    machine.transport.poll()
    let bench = try successor(machine)
    #expect(bench.transport.line.isAsserted)
    #expect(bench.transport.read(at: MMIORegister.interruptStatus, byteCount: 4) == 2)
    #expect(bench.transport.read(at: MMIORegister.configurationGeneration, byteCount: 4) == 1)
    bench.transport.write(2, at: MMIORegister.interruptAcknowledge, byteCount: 4)
    let idle = try successor(machine)
    #expect(idle.transport.line.isAsserted)
    #expect(!bench.transport.line.isAsserted)
  }

  @Test func `a buffer that was announced before is served after`() throws {
    let machine = ScratchMachine()
    let ring = RingView(machine.ram, size: 8)
    machine.bringUp(rings: [ring])
    machine.transport.defersNotifications = true
    for round in 0..<20 as Range<UInt16> {
      ring[split: 0] = RingDescriptor(testBase + 0x10000, 4, RingDescriptor.write)
      ring.offer(0)
      machine.write(0, MMIORegister.queueNotify)
      let bench = try successor(machine)
      #expect(ring.usedIndex == round)
      let hasMore = bench.transport.run()
      #expect(!hasMore && ring.usedIndex == round + 1)
      swap(&machine.transport, &bench.transport)
      machine.transport.defersNotifications = true
    }
  }

  @Test func `what is under way cannot be saved`() throws {
    let machine = ScratchMachine()
    let ring = RingView(machine.ram, size: 8)
    machine.state.behaviour = .park
    machine.bringUp(.suspend, rings: [ring])
    ring[split: 0] = RingDescriptor(testBase + 0x10000, 4, RingDescriptor.write)
    ring.offer(0)
    machine.write(0, MMIORegister.queueNotify)
    #expect(throws: StateFault.busy) { try machine.transport.savedState() }
    machine.write(0x1f, MMIORegister.status)
    #expect(throws: StateFault.busy) { try machine.transport.savedState() }
    machine.state.usesParked = true
    machine.transport.poll()
    let suspended = try successor(machine)
    #expect(suspended.transport.read(at: MMIORegister.status, byteCount: 4) == 0x1b)
    // Nothing is consumed until the driver resumes the device (§3.4.2).
    machine.state.behaviour = .fill
    ring.offer(0)
    suspended.transport.write(0, at: MMIORegister.queueNotify, byteCount: 4)
    suspended.transport.poll()
    #expect(ring.usedIndex == 1)
    suspended.transport.write(0xf, at: MMIORegister.status, byteCount: 4)
    #expect(ring.usedIndex == 2)
    machine.state.isQuiescent = false
    machine.write(0, MMIORegister.status)
    #expect(throws: StateFault.busy) { try machine.transport.savedState() }
    #expect(machine.transport.restoreFault(try suspended.transport.savedState()) == .busy)
  }

  @Test func `a device that failed stays failed until a reset`() throws {
    let machine = ScratchMachine()
    let ring = RingView(machine.ram, size: 8)
    machine.bringUp(rings: [ring])
    ring.offer(9)
    machine.write(0, MMIORegister.queueNotify)
    let bench = try successor(machine)
    #expect(bench.transport.status.contains(.needsReset))
    ring.offer(0)
    bench.transport.write(0, at: MMIORegister.queueNotify, byteCount: 4)
    #expect(ring.usedIndex == 0)
    bench.transport.write(0, at: MMIORegister.status, byteCount: 4)
    #expect(bench.transport.status == .reset)
  }

  @Test func `another device refuses the state`() throws {
    let machine = ScratchMachine()
    machine.bringUp(.eventIndex, rings: [RingView(machine.ram, size: 8)])
    let bytes = try machine.transport.savedState()
    let poorer = Bench<ScratchDevice, 4>(ScratchDevice(machine.state), machine.ram, features: .none)
    #expect(poorer.transport.restoreFault(bytes) == .otherDevice)
    let narrower = Bench<ScratchDevice, 2>(ScratchDevice(machine.state), machine.ram)
    #expect(narrower.transport.restoreFault(bytes) == .otherDevice)
    let other = ScratchState()
    other.queueSizeMax = 8
    let smaller = Bench<ScratchDevice, 4>(ScratchDevice(other), machine.ram)
    #expect(smaller.transport.restoreFault(bytes) == .otherDevice)
    let elsewhere = Bench<ScratchDevice, 4>(
      ScratchDevice(machine.state), TestMemory(address: 0x1_0000_0000))
    #expect(elsewhere.transport.restoreFault(bytes) == .malformed)
    var newer = bytes
    newer[4] = 2
    let bench = Bench<ScratchDevice, 4>(ScratchDevice(machine.state), machine.ram)
    #expect(bench.transport.restoreFault(newer) == .unknownVersion)
    #expect(bench.transport.restoreFault(bytes + [0]) == .malformed)
    #expect(bench.transport.restoreFault(bytes) == nil)
  }

  @Test(arguments: Self.features)
  func `no bytes lead to anything but a fault or a working device`(_ features: Features) throws {
    let machine = ScratchMachine()
    let ring = RingView(machine.ram, size: 8)
    machine.bringUp(features | .suspend, rings: [ring])
    let bytes = try machine.transport.savedState()
    let bench = Bench<ScratchDevice, 4>(ScratchDevice(machine.state), machine.ram)
    for count in 0..<bytes.count {
      #expect(bench.transport.restoreFault(Array(bytes.prefix(count))) == .malformed)
      #expect(bench.transport.status == .reset && !bench.transport.line.isAsserted)
    }
    // The driver's rings hold whatever they hold; the device must stand it at any position.
    machine.ram.write((0..<0x200).map { UInt8(truncatingIfNeeded: $0 &* 151) }, testBase)
    var restored = 0
    for at in bytes.indices {
      for value in [0, 1, 2, 4, 7, 8, 0x10, 0x40, 0x7f, 0x80, 0xff] as [UInt8] {
        var changed = bytes
        changed[at] = value
        if bench.transport.restoreFault(changed) == nil { restored += 1 }
        for queue in 0..<4 as Range<UInt64> {
          bench.transport.write(queue, at: MMIORegister.queueNotify, byteCount: 4)
        }
        bench.transport.poll()
        _ = bench.transport.run()
      }
    }
    #expect(restored > bytes.count)
    #expect(bench.transport.restoreFault(bytes) == nil)
  }
}
