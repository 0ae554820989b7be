// A driver without manners: it writes whatever it likes into the rings of a device-side virtqueue.

import TestSupport
import Virtio
import Wire

/// Flag bits of a descriptor, as the driver writes them.
enum Flag {
  static let next: UInt16 = 1
  static let write: UInt16 = 2
  static let indirect: UInt16 = 4
  static let available: UInt16 = 1 << 7
  static let used: UInt16 = 1 << 15
}

/// A descriptor with nothing checked. `next` is the following index when nil (split), or an ID (packed).
struct RawElement: Sendable {
  var address: UInt64
  var length: UInt32
  var flags: UInt16 = 0
  var next: UInt16?
}

/// The three areas of one queue in test memory, written by hand.
struct RawRing {
  let memory: TestMemory
  let format: RingFormat
  let size: UInt16
  let addresses: QueueAddresses

  /// The areas of a queue of `size` at the start of `memory`, cleared.
  init(_ memory: TestMemory, _ format: RingFormat, size: UInt16) {
    self.memory = memory
    self.format = format
    self.size = size
    let layout = RingLayout(format, size: size)!
    let driver = memory.address + UInt64(layout.descriptorAreaByteCount)
    let device = (driver + UInt64(layout.driverAreaByteCount) + 3) & ~3
    addresses = QueueAddresses(descriptorArea: memory.address, driverArea: driver, deviceArea: device)
    let end = device + UInt64(layout.deviceAreaByteCount)
    memory.write([UInt8](repeating: 0, count: Int(end - memory.address)), memory.address)
  }

  var features: Features { format == .packed ? .ringPacked : .none }

  /// An address for data, behind the rings.
  var data: UInt64 { memory.address + UInt64(memory.byteCount / 2) }

  /// Writes one descriptor into a table or ring at `table`.
  func write(_ element: RawElement, _ index: Int, in table: UInt64, marks: UInt16 = 0) {
    let at = table + UInt64(index) * 16
    memory.store(element.address, at)
    memory.store(element.length, at + 8)
    let other = element.next ?? (format == .split ? UInt16(truncatingIfNeeded: index + 1) : 5)
    memory.store(format == .split ? element.flags : other, at + 12)
    memory.store(format == .split ? other : element.flags | marks, at + 14)
  }

  /// Makes `elements` available as the ring's first buffer.
  func offer(_ elements: [RawElement]) {
    for (i, element) in elements.enumerated() {
      write(element, i, in: addresses.descriptorArea, marks: Flag.available)
    }
    if format == .split { expose([0]) }
  }

  /// Split: fills the available ring with `heads` from its start, and sets the index.
  func expose(_ heads: [UInt16], index: UInt16? = nil) {
    for (i, head) in heads.enumerated() {
      memory.store(head, addresses.driverArea + 4 + UInt64(i % Int(size)) * 2)
    }
    memory.store(index ?? UInt16(truncatingIfNeeded: heads.count), addresses.driverArea + 2)
  }

  /// Writes an indirect table at `data` and offers one descriptor that refers to it.
  func offerIndirect(
    _ elements: [RawElement], length: UInt32? = nil, flags: UInt16 = Flag.indirect, address: UInt64? = nil
  ) {
    for (i, element) in elements.enumerated() { write(element, i, in: data) }
    offer([
      RawElement(address: address ?? data, length: length ?? UInt32(elements.count * 16), flags: flags)
    ])
  }

  /// How many buffers the device has published as used.
  var usedCount: Int {
    if format == .split { return Int(memory.load(UInt16.self, addresses.deviceArea + 2)) }
    let both = Flag.available | Flag.used
    return (0..<Int(size)).count {
      memory.load(UInt16.self, addresses.descriptorArea + UInt64($0) * 16 + 14) & both == both
    }
  }
}

/// What became of a service call.
enum Outcome: Equatable {
  case fault(DriverFault)
  case served(buffers: Int, bytes: Int)
}

/// How a device looks at its buffers.
enum Manner: CaseIterable {
  /// Each taken by itself, and its elements step by step.
  case stepwise
  /// Each taken by itself and looked at as a whole.
  case whole
  /// All of them in one call, each as a whole.
  case service
}

/// One service call: takes, walks and uses everything. `steps` counts the elements seen.
func serve(_ queue: inout DeviceVirtqueue, steps: inout Int, _ manner: Manner = .stepwise) -> Outcome {
  var buffers = 0
  var bytes = 0
  func look(
    _ chain: inout DescriptorChain, _ queue: borrowing DeviceVirtqueue
  ) throws(DriverFault) -> UInt32? {
    if manner != .stepwise {
      try chain.forEachDescriptor(queue) { (element) throws(DriverFault) in
        steps += 1
        bytes += Int(element.range.byteCount)
      }
    }
    // Step by step, or nothing left.
    while let element = try chain.nextDescriptor(queue) {
      steps += manner == .stepwise ? 1 : 1000
      bytes += Int(element.range.byteCount)
    }
    return 0
  }
  do throws(DriverFault) {
    if manner == .service {
      buffers = try queue.serve(look)
    } else {
      while var chain = try queue.next() {
        _ = try look(&chain, queue)
        try queue.use(chain, written: 0)
        buffers += 1
      }
    }
  } catch {
    queue.stop()
    return .fault(error)
  }
  _ = queue.endService()
  return .served(buffers: buffers, bytes: bytes)
}

func serve(_ queue: inout DeviceVirtqueue) -> Outcome {
  var steps = 0
  return serve(&queue, steps: &steps)
}

/// Whether `queue`, after a reset, serves a well-formed buffer of a clean ring.
func recovers(_ queue: inout DeviceVirtqueue, _ old: RawRing, features: Features) -> Bool {
  queue.reset()
  let ring = RawRing(old.memory, old.format, size: old.size)
  do throws(DriverFault) {
    try queue.makeReady(size: ring.size, at: ring.addresses, features: features)
  } catch {
    return false
  }
  ring.offer([RawElement(address: ring.data, length: 12)])
  let outcome = serve(&queue)
  return outcome == .served(buffers: 1, bytes: 12) && ring.usedCount == 1
}

/// xorshift64*: the same numbers for the same seed, everywhere.
struct SeededRandom: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 | 1 }

  mutating func next() -> UInt64 {
    state ^= state >> 12
    state ^= state << 25
    state ^= state >> 27
    return state &* 0x2545_f491_4f6c_dd1d
  }

  /// A number of `range`, evenly enough.
  mutating func pick(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + Int(next() >> 33) % (range.upperBound - range.lowerBound + 1)
  }

  /// True once in `n`.
  mutating func oneIn(_ n: Int) -> Bool { pick(1...n) == 1 }
}
