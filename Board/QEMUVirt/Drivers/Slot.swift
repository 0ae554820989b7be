// A virtio-mmio slot of the board: its registers and its interrupt.

import DeviceTree
import Machine
import Virtio

/// The registers of a slot as drivers want them. `MMIORegion` orders them against memory. Not inlined: an
/// image has hundreds of these, and each waits for the device anyway.
struct SlotRegisters: RegisterAccess {
  let region: MMIORegion

  @inline(never) func read8(_ offset: Int) -> UInt8 { region.read8(offset) }
  @inline(never) func read16(_ offset: Int) -> UInt16 { region.read16(offset) }
  @inline(never) func read32(_ offset: Int) -> UInt32 { region.read32(offset) }
  @inline(never) func write8(_ value: UInt8, _ offset: Int) { region.write8(value, at: offset) }
  @inline(never) func write16(_ value: UInt16, _ offset: Int) { region.write16(value, at: offset) }
  @inline(never) func write32(_ value: UInt32, _ offset: Int) { region.write32(value, at: offset) }
}

typealias SlotTransport = MMIODriverTransport<SlotRegisters>

/// A slot of the device tree.
struct Slot {
  /// What the device tree says of it.
  struct Place {
    let registers: MMIORegion
    let interrupt: InterruptSource
  }

  /// Its place among the slots of the device tree.
  let index: Int

  /// virtio 1.4 §4.2.2: offsets of InterruptStatus and InterruptACK, the bit of a configuration change.
  private static let status = 0x060
  private static let acknowledge = 0x064
  private static let configurationChange: UInt32 = 2

  var place: Place { Inventory.place(index) }

  /// What is in the slot.
  func transport() throws(DeviceFault) -> SlotTransport {
    try SlotTransport(SlotRegisters(region: place.registers))
  }

  /// What is in the slot, to be taken into use.
  func device() throws(Failed) -> SlotTransport {
    do throws(DeviceFault) {
      return try transport()
    } catch {
      throw Report.failed(error)
    }
  }

  /// Enables the interrupt.
  func listen() throws(Failed) {
    let place = place
    do throws(InterruptError) {
      try StatusLatch.attach(
        index, to: place.registers, status: Self.status, acknowledge: Self.acknowledge,
        interrupt: place.interrupt)
    } catch {
      throw Report.failed("the device's interrupt has a number that the controller does not have")
    }
  }

  /// Disables the interrupt, and resets the device, so that it knows no memory any more.
  func release() throws(Failed) {
    Interrupts.disable(place.interrupt.identifier)
    _ = StatusLatch.take(index)
    do throws(DeviceFault) {
      var transport = try transport()
      try transport.reset()
    } catch {
      throw Report.failed(error)
    }
  }

  /// Prints what driver and device agreed on.
  func reportNegotiated(_ features: Features) {
    Report.begin("negotiated")
    Serial.put(decimal: UInt64(index))
    Serial.put(" features=")
    Serial.put(features)
    Serial.newLine()
  }

  /// Sleeps until the device interrupts. False when it has not done so by the deadline, or has given up.
  @inline(never) func sleep(until deadline: Deadline) -> Bool {
    guard Interrupts.wait(until: deadline, for: { StatusLatch.isSet(index) }) else { return false }
    // virtio 1.4 §2.1.2: a device that needs a reset says so with a configuration change.
    return StatusLatch.take(index) & Self.configurationChange == 0 || !needsReset
  }

  /// As `sleep`, and throws where that returns false.
  func wait(until deadline: Deadline, for what: StaticString) throws(Failed) {
    if !sleep(until: deadline) { throw failure(what) }
  }

  /// Says why the device does not answer.
  @inline(never) func failure(_ what: StaticString) -> Failed {
    if needsReset { return Report.failed(.needsReset) }
    Report.beginFailure()
    Serial.put("the device did not answer in time: ")
    Serial.line(what)
    return Failed()
  }

  private var needsReset: Bool { (try? transport())?.needsReset ?? false }
}

/// What `body` returns; a fault of the device ends the task.
@inline(__always)
func checked<Result>(_ body: () throws(DeviceFault) -> Result) throws(Failed) -> Result {
  do throws(DeviceFault) {
    return try body()
  } catch {
    throw Report.failed(error)
  }
}
