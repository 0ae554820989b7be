// A virtio-mmio slot of the board at work: its interrupt, and waiting for it.

import DeviceTree
import Machine
import Platform
import Virtio
import Wire

/// A slot that is worked with.
struct Slot {
  /// Its place among the slots of the board.
  let index: Int

  /// virtio 1.4 §4.2.2: offsets of InterruptStatus and InterruptACK, the bit of a configuration change.
  private static let status = 0x060
  private static let acknowledge = 0x064
  private static let configurationChange: UInt32 = 2

  var place: HardwareSlot { HardwareSlots.slot(index) }

  /// What is in the slot, to be taken into use.
  func device() throws(Failed) -> SlotTransport {
    do throws(DeviceFault) {
      return try place.transport()
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
      var transport = try place.transport()
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
  func wait(until deadline: Deadline, for what: FixedText) throws(Failed) {
    if !sleep(until: deadline) { throw failure(what) }
  }

  /// Says why the device does not answer.
  @inline(never) func failure(_ what: FixedText) -> Failed {
    if needsReset { return Report.failed(.needsReset) }
    Report.beginFailure()
    Serial.put("the device did not answer in time: ")
    Serial.line(what)
    return Failed()
  }

  private var needsReset: Bool { (try? place.transport())?.needsReset ?? false }
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
