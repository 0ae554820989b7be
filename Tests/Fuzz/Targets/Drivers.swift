// The drivers, called in any order while their device lies.

import DeviceTypes
import Virtio
import Wire

// MARK: Queues

/// What the driver of a queue believes to be in flight, against what the queue says.
struct Ledger {
  var isOut: [256 of Bool] = InlineArray(repeating: false)
  var count = 0

  /// A token that is not in flight, if there is one.
  func free() -> Int? {
    for i in 0..<256 where !isOut[i] { return i }
    return nil
  }

  mutating func submit(_ token: Int) {
    isOut[token] = true
    count += 1
  }

  mutating func reclaim(_ token: UInt32) {
    precondition(token < 256 && isOut[Int(token)], "a buffer came back that was not in flight")
    isOut[Int(token)] = false
    count -= 1
  }
}

/// The driver side of one queue: transport, submission, reclamation, notifications.
@c(fuzz_queue_driver)
public func fuzzQueueDriver(_ data: UnsafePointer<UInt8>?, _ count: Int) {
  unsafe withLiar(data, count, deviceID: 63) { machine in
    do throws(DeviceFault) { try driveQueue(machine) } catch {}
  }
}

private func driveQueue(_ machine: LyingMachine) throws(DeviceFault) {
  var arena = machine.arena
  var transport = try MMIODriverTransport(machine.registers)
  let features = try transport.negotiate(supported: .mmioTransportBits)
  let size = try transport.queueSize(0, wanted: UInt16(1 + machine.pick(64)))
  guard
    var queue = DriverVirtqueue(
      index: 0, size: size, features: features, indirectCapacity: 4, from: &arena),
    let data = arena.allocateShared(byteCount: 4096, alignment: 16)
  else { fatalError("memory for everything") }
  try transport.enable(queue)
  try transport.start()
  var ledger = Ledger()
  while !machine.isOver {
    do throws(DeviceFault) {
      try stepQueue(machine, transport, &queue, data, &ledger)
    } catch {
      // As a driver does after a fault: everything comes back once, then the queue starts over.
      while let token = queue.reclaimAbandoned() { ledger.reclaim(token) }
      precondition(ledger.count == 0, "a buffer got lost")
      try transport.reset()
      queue.reset()
      _ = try transport.negotiate(supported: features, required: features)
      try transport.enable(queue)
      try transport.start()
    }
  }
}

private func stepQueue(
  _ machine: LyingMachine, _ transport: borrowing MMIODriverTransport<LiarRegisters>,
  _ queue: inout DriverVirtqueue, _ data: borrowing DMABuffer, _ ledger: inout Ledger
) throws(DeviceFault) {
  switch machine.pick(8) {
  case 0, 1, 2:
    let (count, readable) = (1 + machine.pick(6), machine.pick(3))
    guard let token = ledger.free() else { return }
    let segments: [6 of DMASegment] = InlineArray {
      data.segment(at: 64 * (token & 31) + 8 * $0, byteCount: 8)
    }
    let span = segments.span.extracting(first: count)
    if count <= queue.maximumSegmentCount,
      queue.submit(span, readableCount: min(readable, count), token: UInt32(token))
    {
      ledger.submit(token)
    }
  case 3: if queue.publish() { transport.notify(queue) }
  case 4:
    // A device cannot keep a driver busy with buffers that it was not given.
    var left = ledger.count
    while let used = try queue.reclaim() {
      precondition(left > 0 && used.byteCount <= 48, "more than was there")
      left -= 1
      ledger.reclaim(used.token)
    }
  case 5:
    if queue.enableNotifications() {
      // Else a driver that asks until there is nothing left would ask for ever.
      guard let used = try queue.reclaim() else { fatalError("a buffer is announced that is not there") }
      ledger.reclaim(used.token)
    }
  case 6: queue.disableNotifications()
  default:
    machine.act()
    _ = transport.takeInterrupts()
  }
  precondition(Int(queue.inFlight) == ledger.count, "the count of buffers in flight is off")
}

// MARK: Entropy

/// The entropy driver on a device without rules.
@c(fuzz_entropy_driver)
public func fuzzEntropyDriver(_ data: UnsafePointer<UInt8>?, _ count: Int) {
  unsafe withLiar(data, count, deviceID: DeviceID.entropy.rawValue) { machine in
    do throws(DeviceFault) {
      var arena = machine.arena
      let transport = try MMIODriverTransport(machine.registers)
      guard var driver = try EntropyDriver(transport, memory: &arena) else { return }
      while !machine.isOver {
        do throws(DeviceFault) { try stepEntropy(machine, &driver) } catch { break }
      }
      try driver.shutDown()
    } catch {}
  }
}

private func stepEntropy(
  _ machine: LyingMachine, _ driver: inout EntropyDriver<LiarRegisters>
) throws(DeviceFault) {
  switch machine.pick(4) {
  case 0: _ = try driver.request(byteCount: 1 + Int(machine.number() & 0xfff))
  case 1:
    var bytes = ByteArray<32>()
    var span = bytes.mutableBytes
    if let count = try driver.receive(into: &span) { precondition(count > 0 && count <= 32, "no count") }
  case 2: try driver.acknowledgeInterrupt()
  default: machine.act()
  }
}
