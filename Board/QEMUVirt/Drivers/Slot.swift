// A virtio-mmio slot of the board: its registers, its interrupt, and who uses it.

import DeviceTree
import Machine
import Virtio

/// The registers of a slot as drivers want them. `MMIORegion` orders them against memory.
struct SlotRegisters: RegisterAccess {
  let region: MMIORegion

  func read8(_ offset: Int) -> UInt8 { region.read8(offset) }
  func read16(_ offset: Int) -> UInt16 { region.read16(offset) }
  func read32(_ offset: Int) -> UInt32 { region.read32(offset) }
  func write8(_ value: UInt8, _ offset: Int) { region.write8(value, at: offset) }
  func write16(_ value: UInt16, _ offset: Int) { region.write16(value, at: offset) }
  func write32(_ value: UInt32, _ offset: Int) { region.write32(value, at: offset) }
}

typealias SlotTransport = MMIODriverTransport<SlotRegisters>

/// Why work with a device ended.
enum TaskError: Error {
  /// The device broke the protocol, or cannot be used.
  case device(DeviceFault)
  /// The device did not answer in time.
  case timedOut(StaticString)
  /// The memory for devices is too small.
  case outOfMemory
  /// The device's interrupt cannot be had.
  case interrupt(InterruptError)
  /// What was asked for did not come out as it should.
  case wrong(StaticString)
}

/// A slot of the device tree.
struct Slot {
  /// Its place among the slots of the device tree.
  let index: Int
  let registers: MMIORegion
  let interrupt: InterruptSource

  /// virtio 1.4 §4.2.2: offsets of InterruptStatus and InterruptACK, the bit of a configuration change.
  private static let status = 0x060
  private static let acknowledge = 0x064
  private static let configurationChange: UInt32 = 2

  /// What is in the slot.
  func transport() throws(DeviceFault) -> SlotTransport {
    try SlotTransport(SlotRegisters(region: registers))
  }

  /// Lends out the memory for devices and enables the slot's interrupt, for `body` to use the device; takes
  /// both back when it is done, well or not.
  func use(
    _ body: (consuming SlotTransport, inout DriverArena) throws(TaskError) -> Void
  ) throws(TaskError) {
    do throws(InterruptError) {
      try StatusLatch.attach(
        index, to: registers, status: Self.status, acknowledge: Self.acknowledge, interrupt: interrupt)
    } catch {
      throw .interrupt(error)
    }
    var arena = DeviceMemory.lend()
    var failure: TaskError?
    do throws(TaskError) {
      try body(try found(), &arena)
    } catch {
      failure = error
    }
    Interrupts.disable(interrupt.identifier)
    _ = StatusLatch.take(index)
    try release()
    if let failure { throw failure }
  }

  private func found() throws(TaskError) -> SlotTransport {
    do throws(DeviceFault) {
      return try transport()
    } catch {
      throw .device(error)
    }
  }

  /// A device that was reset knows no memory any more. One that does not let itself be reset keeps it: then
  /// nothing else can be done in this run.
  private func release() throws(TaskError) {
    var device = try found()
    do throws(DeviceFault) {
      try device.reset()
    } catch {
      throw .device(error)
    }
    DeviceMemory.giveBack()
  }

  /// Prints what driver and device agreed on.
  func reportNegotiated(_ transport: borrowing SlotTransport) {
    Report.begin("negotiated")
    Serial.put(decimal: UInt64(index))
    Serial.put(" features=")
    Serial.put(transport.features)
    Serial.newLine()
  }

  /// Sleeps until the device interrupts. Throws when it has not done so by the deadline, or has given up.
  func wait(until deadline: Deadline, for what: StaticString) throws(TaskError) {
    guard Interrupts.wait(until: deadline, for: { StatusLatch.isSet(index) }) else { throw .timedOut(what) }
    let bits = StatusLatch.take(index)
    // virtio 1.4 §2.1.2: a device that needs a reset says so with a configuration change.
    if bits & Self.configurationChange != 0, try found().needsReset { throw .device(.needsReset) }
  }
}

/// What `body` returns; a fault of the device becomes an error of the task.
@inline(__always)
func checked<Result>(_ body: () throws(DeviceFault) -> Result) throws(TaskError) -> Result {
  do throws(DeviceFault) {
    return try body()
  } catch {
    throw .device(error)
  }
}
