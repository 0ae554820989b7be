// A device that does what the input says: registers that mostly tell the truth, and used rings that mostly do
// not. The driver under attack must come to a result or a fault, and never touch memory that is not its own.

import Virtio

/// The registers and rings of a device without rules.
@safe
struct Liar {
  var memory: FuzzMemory
  var input: Input
  var deviceID: UInt32
  var offered: Features
  var configuration: [64 of UInt8] = InlineArray(repeating: 0)
  /// Above 0: one register read in so many is a lie.
  var lieInterval = 0
  var status: UInt32 = 0
  var generation: UInt32 = 0
  var interruptStatus: UInt32 = 0
  var selects: [4 of UInt32] = InlineArray(repeating: 0)
  var accepted = Features.none
  var queues: [8 of LiarQueue] = InlineArray(repeating: LiarQueue())

  init(_ memory: FuzzMemory, _ input: Input, deviceID: UInt32) {
    self.memory = memory
    self.input = input
    self.deviceID = deviceID
    let choice = self.input.next(UInt8.self)
    lieInterval = choice & 1 == 0 ? 0 : 1 + self.input.pick(64)
    let ring: [5 of Features] = [.eventIndex, .indirectDescriptors, .inOrder, .ringPacked, .ringReset]
    offered = .version1 | Features(low: choice & 2 == 0 ? 0xffffff : self.input.next(UInt64.self) & 0xffffff)
    let rings = self.input.next(UInt8.self)
    for i in 0..<5 where rings & (1 << UInt8(i)) != 0 { offered = offered | ring[i] }
    for i in 0..<32 { configuration[i] = self.input.oneIn(4) ? self.input.next() : UInt8(i & 1) }
  }

  var isPacked: Bool { accepted.contains(.ringPacked) }
}

/// One queue as the driver set it up.
struct LiarQueue {
  var size: UInt32 = 0
  var isReady = false
  /// Low halves of the three areas.
  var areas: [3 of UInt32] = InlineArray(repeating: 0)
  var nextAvailable: UInt16 = 0
  var nextUsed: UInt16 = 0
  var wrap = true

  func offset(_ area: Int) -> Int { Int(areas[area]) - Int(FuzzMemory.address) }
}

extension Liar {
  mutating func read(_ offset: Int, _ byteCount: Int) -> UInt32 {
    if lieInterval != 0 && !input.isEmpty && input.pick(lieInterval) == 1 { return input.number() }
    let queue = Int(selects[2] & 7)
    switch offset {
    case MMIORegister.magicValue: return MMIORegister.magic
    case MMIORegister.version: return 2
    case MMIORegister.deviceID: return deviceID
    case MMIORegister.deviceFeatures: return offered.word(selects[0])
    case MMIORegister.queueSizeMax: return 64
    case MMIORegister.queueReady: return queues[queue].isReady ? 1 : 0
    case MMIORegister.interruptStatus: return interruptStatus
    case MMIORegister.status: return readStatus()
    case MMIORegister.configurationGeneration: return generation
    case MMIORegister.configuration...:
      var value: UInt32 = 0
      for i in 0..<byteCount {
        value |= UInt32(configuration[(offset - MMIORegister.configuration + i) & 63]) << UInt32(8 * i)
      }
      return value
    default: return 0
    }
  }

  /// A driver that waits for its device looks here: meanwhile the device goes on, or in the end gives up.
  private mutating func readStatus() -> UInt32 {
    if input.isEmpty {
      if status & 4 != 0 { status |= 64 }
    } else if status & 4 != 0 {
      act()
    }
    return status
  }

  mutating func write(_ value: UInt32, _ offset: Int) {
    let queue = Int(selects[2] & 7)
    switch offset {
    case MMIORegister.deviceFeaturesSelect: selects[0] = value
    case MMIORegister.driverFeaturesSelect: selects[1] = value
    case MMIORegister.queueSelect: selects[2] = value
    case MMIORegister.driverFeatures: _ = accepted.setWord(selects[1], value)
    case MMIORegister.queueSize: queues[queue].size = value
    case MMIORegister.queueDescriptorLow: queues[queue].areas[0] = value
    case MMIORegister.queueDriverLow: queues[queue].areas[1] = value
    case MMIORegister.queueDeviceLow: queues[queue].areas[2] = value
    case MMIORegister.queueReady:
      queues[queue].isReady = value == 1
      queues[queue].nextAvailable = 0
      queues[queue].nextUsed = 0
      queues[queue].wrap = true
    case MMIORegister.interruptAcknowledge: interruptStatus &= ~value
    case MMIORegister.status:
      status = value & 0xff
      if value == 0 { queues = InlineArray(repeating: LiarQueue()) }
    default: break
    }
  }

  /// What the device does between two calls of the driver.
  mutating func act() {
    let queue = input.pick(8)
    switch input.pick(8) {
    case 0: memory.scribble(&input)
    case 1:
      configuration[input.pick(64)] = input.next()
      generation &+= UInt32(input.pick(2))
      interruptStatus |= 2
    case 2:
      interruptStatus = input.number()
      if input.oneIn(8) { status |= 64 }
    case 3: use(queue, isHonest: false)
    default: use(queue, isHonest: true)
    }
  }

  /// Uses a buffer of the queue: the next one, filled with bytes of the input, or one that is made up.
  private mutating func use(_ index: Int, isHonest: Bool) {
    let queue = queues[index]
    guard queue.isReady, queue.size > 0, queue.size <= 64 else { return }
    interruptStatus |= 1
    let head = isPacked ? queue.nextAvailable : availableHead(queue)
    var (count, id, room): (UInt16, UInt16, UInt32) = (0, head, 0)
    var at = queue.offset(0) + 16 * Int(head)
    for _ in 0..<queue.size {
      count += 1
      let (address, length) = (memory.load(UInt64.self, at: at), memory.load(UInt32.self, at: at + 8))
      let (first, second) = (memory.load(UInt16.self, at: at + 12), memory.load(UInt16.self, at: at + 14))
      let flags = isPacked ? second : first
      if isPacked { id = first }
      if flags & 2 != 0 {
        fill(address, length)
        room = room &+ length
      }
      if flags & 1 == 0 { break }
      let next = isPacked ? (UInt32(head) + UInt32(count)) % queue.size : UInt32(second) % queue.size
      at = queue.offset(0) + 16 * Int(next)
    }
    let written = input.oneIn(3) ? input.number() : room
    publish(index, isHonest ? id : input.next(), written, count)
  }

  private func availableHead(_ queue: LiarQueue) -> UInt16 {
    let slot = UInt32(queue.nextAvailable) % queue.size
    return memory.load(UInt16.self, at: queue.offset(1) + 4 + 2 * Int(slot)) % UInt16(queue.size)
  }

  /// The first bytes of a device-writable element.
  private mutating func fill(_ address: UInt64, _ length: UInt32) {
    let offset = Int(truncatingIfNeeded: address &- FuzzMemory.address)
    for i in 0..<Int(min(length, 16)) { memory.store(input.next(UInt8.self), at: offset &+ i) }
  }

  private mutating func publish(_ index: Int, _ id: UInt16, _ written: UInt32, _ count: UInt16) {
    var queue = queues[index]
    let size = UInt16(queue.size)
    if isPacked {
      let at = queue.offset(0) + 16 * Int(queue.nextUsed)
      memory.store(written, at: at + 8)
      memory.store(id, at: at + 12)
      memory.store((queue.wrap ? 0x8080 : 0) | (written == 0 ? 0 : 2) as UInt16, at: at + 14)
      queue.nextUsed += count
      if queue.nextUsed >= size {
        queue.nextUsed -= size
        queue.wrap.toggle()
      }
      queue.nextAvailable = queue.nextUsed
    } else {
      let at = queue.offset(2) + 4 + 8 * Int(queue.nextUsed % size)
      memory.store(UInt32(id), at: at)
      memory.store(written, at: at + 4)
      queue.nextUsed &+= 1
      queue.nextAvailable &+= 1
      memory.store(queue.nextUsed, at: queue.offset(2) + 2)
    }
    queues[index] = queue
  }
}

/// Register access to a `Liar` elsewhere.
@safe
struct LiarRegisters: RegisterAccess {
  let liar: UnsafeMutablePointer<Liar>

  /// The caller keeps `liar` as long as the driver is used.
  @unsafe
  init(_ liar: UnsafeMutablePointer<Liar>) { unsafe self.liar = liar }

  // The pointer outlives the driver; nothing else refers to the value during a call.
  func read8(_ offset: Int) -> UInt8 { unsafe UInt8(truncatingIfNeeded: liar.pointee.read(offset, 1)) }
  func read16(_ offset: Int) -> UInt16 { unsafe UInt16(truncatingIfNeeded: liar.pointee.read(offset, 2)) }
  func read32(_ offset: Int) -> UInt32 { unsafe liar.pointee.read(offset, 4) }
  func write8(_ value: UInt8, _ offset: Int) { unsafe liar.pointee.write(UInt32(value), offset) }
  func write16(_ value: UInt16, _ offset: Int) { unsafe liar.pointee.write(UInt32(value), offset) }
  func write32(_ value: UInt32, _ offset: Int) { unsafe liar.pointee.write(value, offset) }
}

/// A run against one driver: its memory, and the device whose input also decides what the driver does.
@safe
struct LyingMachine {
  private let liar: UnsafeMutablePointer<Liar>

  /// The caller keeps `liar` as long as the machine.
  @unsafe
  init(_ liar: UnsafeMutablePointer<Liar>) { unsafe self.liar = liar }

  var registers: LiarRegisters { unsafe LiarRegisters(liar) }
  var arena: DriverArena { unsafe liar.pointee.memory.arena() }
  var isOver: Bool { unsafe liar.pointee.input.isEmpty }

  /// The next choice of `count`, for what the driver does.
  func pick(_ count: Int) -> Int { unsafe liar.pointee.input.pick(count) }
  func number() -> UInt32 { unsafe liar.pointee.input.number() }
  /// The device acts.
  func act() { unsafe liar.pointee.act() }
}

/// Runs `body` with a device of type `deviceID`, whose memory is freed after it.
@unsafe
func withLiar(
  _ data: UnsafePointer<UInt8>?, _ count: Int, deviceID: UInt32, _ body: (LyingMachine) -> Void
) {
  let memory = FuzzMemory()
  let liar = UnsafeMutablePointer<Liar>.allocate(capacity: 1)
  // The fuzzer keeps its bytes as long as the run takes.
  let input = unsafe Input(UnsafeRawBufferPointer(start: data, count: count))
  unsafe liar.initialize(to: Liar(memory, input, deviceID: deviceID))
  unsafe body(LyingMachine(liar))
  unsafe liar.deinitialize(count: 1)
  unsafe liar.deallocate()
  memory.free()
}
