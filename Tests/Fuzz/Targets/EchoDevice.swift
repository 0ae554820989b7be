// A device type without meaning: the queues alone, with everything a device can do to them.

import Virtio
import Wire

/// Reads what the buffer holds, writes it back, and decides by the first byte what becomes of the buffer.
struct EchoDevice: VirtioDevice, ~Copyable {
  var deviceID: DeviceID { DeviceID(63) }
  var usesBuffersInOrder: Bool { false }
  func queueSizeMax(_ index: Int) -> UInt16 { 64 }
  var configurationByteCount: Int { 13 }

  private var parked: [64 of ParkedChain?] = InlineArray { _ in nil }
  private var queues = [64 of Int](repeating: 0)
  private var count = 0
  /// Buffers to take before the device has had enough.
  var appetite = 64

  mutating func process(queue index: Int, _ context: inout DeviceContext) throws(DriverFault) {
    while appetite > 0, var chain = try context.queues[index].next() {
      var bytes = ByteArray<24>()
      var span = bytes.mutableBytes
      let read = try chain.read(into: &span, context.queues[index])
      let first = read == 0 ? 0 : bytes[0] & 7
      if first == 1 && count < 64 {
        queues[count] = index
        parked[count] = try context.queues[index].park(chain)
        count += 1
      } else if first == 2 {
        context.queues[index].giveBack(try context.queues[index].park(chain))
        if bytes[1] & 1 != 0 { context.queues[index].spendBudget() }
        appetite -= 1
        return
      } else if first == 3 {
        let part = try chain.nextPart(deviceWritable: bytes[1] & 1 != 0, context.queues[index])
        let written = part.map { min($0.byteCount, 3) } ?? 0
        part.map { $0.prefix(written).zero() }
        try context.queues[index].use(chain, written: 0)
      } else if first == 4 {
        var room: UInt64 = 0
        try chain.forEachDescriptor(context.queues[index]) { (element) throws(DriverFault) in
          room += UInt64(element.range.byteCount)
          element.range.prefix(min(element.range.byteCount, 1)).zero()
        }
        precondition(room <= UInt64(UInt32.max), "more than a chain may have")
        try context.queues[index].use(chain, written: 0)
      } else {
        var written: UInt32 = 0
        for _ in 0..<4 { written += UInt32(try chain.write(bytes.bytes, context.queues[index])) }
        try context.queues[index].use(chain, written: written)
      }
    }
  }

  mutating func poll(_ context: inout DeviceContext) throws(DriverFault) {
    for i in 0..<64 where i < 4 * (appetite & 15) {
      guard let chain = parked[i].take() else { continue }
      context.queues[queues[i]].use(chain, written: 0)
    }
    if parked[0] == nil && parked[63] == nil { count = 0 }
    appetite = 64
    for i in context.queues.indices { try process(queue: i, &context) }
  }
}

extension EchoDevice: AttackedDevice {
  static func make(_ input: inout Input, backing: consuming PrivateMemory) -> EchoDevice { EchoDevice() }
  mutating func event(_ input: inout Input) { appetite = input.pick(64) }
}

/// The transport and both queue formats, under a driver without rules.
@c(fuzz_queue_device)
public func fuzzQueueDevice(_ data: UnsafePointer<UInt8>?, _ count: Int) {
  unsafe withInput(data, count) { input, memory, guest in
    var attacker = Attacker<EchoDevice, 3>(&input, memory, guest)
    attack(&attacker, &input)
  }
}
