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

// MARK: Console

/// The console driver on a device without rules.
@c(fuzz_console_driver)
public func fuzzConsoleDriver(_ data: UnsafePointer<UInt8>?, _ count: Int) {
  unsafe withLiar(data, count, deviceID: DeviceID.console.rawValue) { machine in
    do throws(DeviceFault) {
      var arena = machine.arena
      let transport = try MMIODriverTransport(machine.registers)
      guard var driver = try ConsoleDriver<LiarRegisters, 2>(transport, memory: &arena) else { return }
      while !machine.isOver {
        do throws(DeviceFault) { try stepConsole(machine, &driver) } catch { break }
      }
      try driver.shutDown()
    } catch {}
  }
}

private func stepConsole(
  _ machine: LyingMachine, _ driver: inout ConsoleDriver<LiarRegisters, 2>
) throws(DeviceFault) {
  // One port more than the driver has room for.
  let port = machine.pick(4) - 1
  var bytes = ByteArray<600>()
  switch machine.pick(10) {
  case 0, 1: _ = try driver.poll()
  case 2:
    var span = bytes.mutableBytes
    let count = try driver.read(port: port, into: &span)
    precondition(count >= 0 && count <= 600, "more than was asked for")
  case 3:
    let count = try driver.write(port: port, bytes.bytes)
    precondition(count >= 0 && count <= 600, "more than there was")
  case 4: _ = try driver.setOpen(machine.pick(2) == 1, port: port)
  case 5: _ = try driver.isDrained(port: port)
  case 6: _ = driver.emergencyWrite(65)
  default: machine.act()
  }
}

// MARK: Block

/// The block driver on a device without rules.
@c(fuzz_block_driver)
public func fuzzBlockDriver(_ data: UnsafePointer<UInt8>?, _ count: Int) {
  unsafe withLiar(data, count, deviceID: DeviceID.block.rawValue) { machine in
    do throws(DeviceFault) {
      var arena = machine.arena
      let transport = try MMIODriverTransport(machine.registers)
      var options = BlockDriverOptions()
      options.queueCount = 1 + machine.pick(2)
      options.queueSize = 16
      options.indirectCapacity = UInt16(machine.pick(2)) * 6
      guard var driver = try BlockDriver(transport, memory: &arena, options: options),
        let data = arena.allocateShared(byteCount: 4096, alignment: 512)
      else { return }
      while !machine.isOver {
        do throws(BlockFailure) {
          try stepBlock(machine, &driver, data)
        } catch .device {
          try driver.reset()
          while driver.nextCompletion() != nil {}
          try driver.restart()
        } catch {}
      }
      try driver.reset()
    } catch {}
  }
}

private func stepBlock(
  _ machine: LyingMachine, _ driver: inout BlockDriver<LiarRegisters>, _ data: borrowing DMABuffer
) throws(BlockFailure) {
  let queue = machine.pick(driver.queueCount)
  let sector = UInt64(machine.number())
  let lengths: [3 of Int] = InlineArray { _ in 512 * machine.pick(3) + 256 * (machine.pick(8) / 6) }
  let segments: [3 of DMASegment] = InlineArray { data.segment(at: 1024 * $0, byteCount: lengths[$0]) }
  let ranges: [2 of BlockRange] = InlineArray { _ in
    BlockRange(sector: UInt64(machine.number()), sectorCount: machine.number() & 0xffff, flags: 1)
  }
  switch machine.pick(16) {
  case 0, 1: _ = try driver.submitRead(sector: sector, into: segments.span, queue: queue)
  case 2: _ = try driver.submitWrite(sector: sector, from: segments.span, queue: queue)
  case 3: _ = try driver.submitFlush(queue: queue)
  case 4: _ = try driver.submitGetID(queue: queue)
  case 5: _ = try driver.submitGetLifetime(queue: queue)
  case 6: _ = try driver.submitDiscard(ranges.span, queue: queue)
  case 7: _ = try driver.submitWriteZeroes(ranges.span, queue: queue)
  case 8: _ = try driver.submitSecureErase(ranges.span, queue: queue)
  case 9: try driver.setWriteback(machine.pick(2) == 1)
  case 10, 11:
    try driver.service()
    // No more can have ended than there is room for.
    for _ in 0..<33 where driver.nextCompletion() == nil { return }
    fatalError("completions without end")
  case 12:
    _ = try driver.handleInterrupt()
    _ = driver.prepareToWait()
  case 13:
    do throws(DeviceFault) { try driver.resetQueue(queue) } catch {}
  default: machine.act()
  }
}

// MARK: Network

/// The network driver on a device without rules.
@c(fuzz_network_driver)
public func fuzzNetworkDriver(_ data: UnsafePointer<UInt8>?, _ count: Int) {
  unsafe withLiar(data, count, deviceID: DeviceID.network.rawValue) { machine in
    do throws(DeviceFault) {
      var arena = machine.arena
      let transport = try MMIODriverTransport(machine.registers)
      let simple = NetworkDriverSettings.simpleFeatures
      // Partial checksums on reception and a command to switch them, and more to configure.
      let more =
        NetworkFeature.guestChecksum | NetworkFeature.controlGuestOffloads | NetworkFeature.controlVLAN
        | NetworkFeature.guestAnnounce
      let settings = NetworkDriverSettings(
        features: machine.pick(2) == 0 ? simple : simple | more,
        receiveBufferCount: 4, receiveBufferByteCount: 256, transmitBufferCount: 4)
      guard
        var driver = try NetworkDriver<LiarRegisters, 2>(transport, memory: &arena, settings: settings)
      else { return }
      while !machine.isOver {
        do throws(DeviceFault) {
          try stepNetwork(machine, &driver)
        } catch .featureMissing {
        } catch {
          break
        }
      }
      try driver.shutDown()
    } catch {}
  }
}

private func stepNetwork(
  _ machine: LyingMachine, _ driver: inout NetworkDriver<LiarRegisters, 2>
) throws(DeviceFault) {
  var bytes = ByteArray<1600>()
  switch machine.pick(12) {
  case 0, 1:
    var span = bytes.mutableBytes
    if let frame = try driver.receive(into: &span),
      case .partial(let start, let offset) = frame.offload.checksum
    {
      precondition(Int(start) + Int(offset) + 2 <= frame.byteCount, "a checksum beyond the frame")
    }
  case 2, 3:
    let length = Int(machine.number() & 0x7ff) % 1600
    let pair = machine.pick(driver.activePairCount)
    _ = try driver.transmit(bytes.bytes.extracting(first: length), pair: pair)
  case 4: _ = try driver.transmissionIsComplete()
  case 5: _ = try driver.acknowledgeInterrupt()
  case 6: _ = try driver.usePairs(1 + machine.pick(driver.pairCount))
  case 7: _ = try driver.set(vlan: UInt16(machine.number() & 0xfff), true)
  case 8: _ = try driver.setAddress(MACAddress(2, 0, 0, 0, 0, 2))
  case 9:
    _ = try driver.setReceiveOffloads(machine.pick(2) == 0 ? .none : driver.receiveOffloads)
    _ = try driver.acknowledgeAnnouncement()
  default: machine.act()
  }
}
