// A driver that does what the input says: some of it right, so that it gets far, and some of it wrong.

import Virtio

/// A device type under attack, with whatever its backend needs.
protocol AttackedDevice: VirtioDevice, ~Copyable {
  /// A device over `backing`, which nothing else uses.
  static func make(_ input: inout Input, backing: consuming PrivateMemory) -> Self
  /// Something happens at the device's back: data arrives, a request ends.
  mutating func event(_ input: inout Input)
  /// Ends everything that is under way, so that a reset can complete.
  mutating func settle()
}

extension AttackedDevice where Self: ~Copyable {
  mutating func event(_ input: inout Input) {}
  mutating func settle() {}
}

/// An interrupt line that nobody listens to.
struct NoLine: InterruptLine {
  mutating func setAsserted(_ isAsserted: Bool) {}
}

/// The driver's view of one queue: where it is, and what comes next.
struct AttackedQueue {
  var next: UInt16 = 0
  var wrap = true
  var available: UInt16 = 0
}

/// The driver, its memory and the device's registers.
struct Attacker<Device: AttackedDevice & ~Copyable, let queueCount: Int>: ~Copyable {
  var transport: MMIODeviceTransport<Device, NoLine, queueCount>
  let memory: FuzzMemory
  var queues: [queueCount of AttackedQueue] = InlineArray(repeating: AttackedQueue())
  var isPacked = false
  var size: UInt16 = 16

  init(_ input: inout Input, _ memory: FuzzMemory, _ guest: GuestMemory) {
    self.memory = memory
    transport = MMIODeviceTransport(
      device: Device.make(&input, backing: memory.backing()), line: NoLine(), memory: guest,
      transportFeatures: .mmioTransportBits.subtracting(.accessPlatform))
  }

  // Each queue has 4 KiB at the start of memory; data lies behind them.
  private func base(_ queue: Int) -> Int { queue * 4096 }
  private var data: Int { queueCount * 4096 }

  private mutating func write(_ value: UInt32, _ register: Int) {
    transport.write(UInt64(value), at: register, byteCount: 4)
  }

  /// One step.
  mutating func step(_ input: inout Input) {
    switch input.pick(16) {
    case 0:
      let (offset, width) = (Int(input.next(UInt16.self) % 0x200), 1 << input.pick(4))
      transport.write(UInt64(input.number()), at: offset, byteCount: width)
    case 1:
      write(input.number(), 4 * input.pick(0x44))
    case 2:
      _ = transport.read(at: Int(input.next(UInt16.self) % 0x200), byteCount: 1 << input.pick(4))
    case 3: memory.scribble(&input)
    case 4: bringUp(&input)
    case 5, 6, 7, 8: offer(&input)
    case 9, 10: write(UInt32(input.pick(queueCount)), MMIORegister.queueNotify)
    case 11: transport.device.event(&input)
    case 12: transport.poll()
    case 13: work()
    case 14: resetQueue(&input)
    default:
      transport.setBudget(UInt16(1 + input.pick(8)), queue: input.pick(queueCount))
      transport.defersNotifications = input.oneIn(2)
      write(UInt32(input.next(UInt8.self)), MMIORegister.status)
    }
  }

  /// Runs while there is work. The driver does nothing meanwhile, so it has to come to an end.
  mutating func work() {
    for _ in 0..<100_000 where !transport.run() { return }
    fatalError("work without end")
  }

  /// Whatever happened, a reset completes and leaves a device that can be started.
  mutating func finish() {
    work()
    write(0, MMIORegister.status)
    transport.device.settle()
    transport.poll()
    precondition(transport.read(at: MMIORegister.status, byteCount: 4) == 0, "a reset without end")
    negotiate(.none, deviceFeatures: .none)
    precondition(transport.status.contains(.featuresOK), "no second life")
    write(0, MMIORegister.status)
  }

  /// A reset, then all steps up to DRIVER_OK with features and sizes of the input.
  private mutating func bringUp(_ input: inout Input) {
    write(0, MMIORegister.status)
    transport.device.settle()
    let choice = input.next(UInt8.self)
    let ring: [6 of Features] = [
      .eventIndex, .indirectDescriptors, .inOrder, .ringPacked, .ringReset, .suspend,
    ]
    var features = Features.none
    for i in 0..<6 where choice & (1 << UInt8(i)) != 0 { features = features | ring[i] }
    // Mostly all that is offered, as a driver takes it; otherwise any subset.
    let mask = choice & 0x80 == 0 ? .max : input.next(UInt64.self)
    let offered = transport.offeredFeatures & .deviceTypeBits
    negotiate(features, deviceFeatures: Features(low: offered.low & mask, high: offered.high))
    isPacked = transport.driverFeatures.contains(.ringPacked)
    size = isPacked ? UInt16(1 + input.pick(64)) : 1 << UInt16(input.pick(7))
    for i in 0..<queueCount { enable(i) }
    write(15, MMIORegister.status)
  }

  private mutating func negotiate(_ ringFeatures: Features, deviceFeatures: Features) {
    write(1, MMIORegister.status)
    write(3, MMIORegister.status)
    let features = ringFeatures | deviceFeatures | .version1
    for word in 0..<4 as Range<UInt32> {
      write(word, MMIORegister.driverFeaturesSelect)
      write(features.word(word), MMIORegister.driverFeatures)
    }
    write(11, MMIORegister.status)
  }

  private mutating func enable(_ i: Int) {
    for offset in stride(from: base(i), to: base(i) + 4096, by: 8) { memory.store(UInt64(0), at: offset) }
    queues[i] = AttackedQueue()
    write(UInt32(i), MMIORegister.queueSelect)
    write(UInt32(size), MMIORegister.queueSize)
    let address = UInt32(FuzzMemory.address) + UInt32(base(i))
    write(address, MMIORegister.queueDescriptorLow)
    write(address + 1024, MMIORegister.queueDriverLow)
    write(address + 2048, MMIORegister.queueDeviceLow)
    write(0, MMIORegister.queueDescriptorHigh)
    write(0, MMIORegister.queueDriverHigh)
    write(0, MMIORegister.queueDeviceHigh)
    write(1, MMIORegister.queueReady)
  }

  private mutating func resetQueue(_ input: inout Input) {
    let i = input.pick(queueCount)
    write(UInt32(i), MMIORegister.queueSelect)
    write(1, input.oneIn(2) ? MMIORegister.queueReset : MMIORegister.queueReady)
    if input.oneIn(2) { transport.device.settle() }
    if input.oneIn(2) { enable(i) }
  }

  /// One buffer, mostly well-formed: device-readable elements with bytes of the input, then writable ones.
  private mutating func offer(_ input: inout Input) {
    let i = input.pick(queueCount)
    let (readable, writable) = (input.pick(4), input.pick(4))
    let count = max(1, readable + writable)
    let isIndirect = input.oneIn(3)
    let first = queues[i].next
    var place = data + Int(input.next(UInt8.self)) * 64
    for element in 0..<count {
      let flag: UInt16 = element >= readable ? 2 : 0
      let length = element == 0 && readable > 0 ? 8 * UInt32(1 + input.pick(8)) : input.number() % 0x2000
      if element < readable {
        for byte in 0..<min(Int(length), 24) { memory.store(input.next(UInt8.self), at: place + byte) }
      }
      let next: UInt16 = element == count - 1 ? 0 : 1
      if isIndirect {
        describe(3072 + base(i) + 16 * element, place, length, flag | next, link: UInt16(element + 1))
      } else {
        describeInRing(i, place, length, flag | next)
      }
      place += Int(min(length, 0x1000))
    }
    if isIndirect { describeInRing(i, 3072 + base(i), UInt32(16 * count), 4) }
    // Now and then one field is anything.
    if input.oneIn(16) {
      memory.store(input.next(UInt16.self), at: base(i) + 16 * Int(first) + input.pick(16))
    }
    if isPacked { return }
    memory.store(first, at: base(i) + 1024 + 4 + 2 * Int(queues[i].available & (size - 1)))
    queues[i].available &+= 1
    memory.store(queues[i].available, at: base(i) + 1024 + 2)
  }

  private mutating func describeInRing(_ i: Int, _ place: Int, _ length: UInt32, _ flags: UInt16) {
    let at = base(i) + 16 * Int(queues[i].next)
    let marks: UInt16 = queues[i].wrap ? 0x80 : 0x8000
    queues[i].next += 1
    if queues[i].next >= size {
      queues[i].next = 0
      queues[i].wrap.toggle()
    }
    describe(at, place, length, isPacked ? flags | marks : flags, link: queues[i].next)
  }

  private func describe(_ at: Int, _ place: Int, _ length: UInt32, _ flags: UInt16, link: UInt16) {
    memory.store(FuzzMemory.address + UInt64(place), at: at)
    memory.store(length, at: at + 8)
    memory.store(isPacked ? link : flags, at: at + 12)
    memory.store(isPacked ? flags : link, at: at + 14)
  }
}

/// One run of a device target.
func attack<Device: AttackedDevice & ~Copyable, let queueCount: Int>(
  _ attacker: inout Attacker<Device, queueCount>, _ input: inout Input
) {
  while !input.isEmpty { attacker.step(&input) }
  attacker.finish()
}
