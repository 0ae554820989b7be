// What the image does with its devices, one at a time.

import Machine
import Platform
import Virtio
import Wire

/// A piece of work with one device.
enum Task {
  case disk
  case diskWrite
  case network
  case entropy
  case echo

  /// The type of device that it needs.
  var device: DeviceID {
    switch self {
    case .disk, .diskWrite: .block
    case .network: .network
    case .entropy: .entropy
    case .echo: .console
    }
  }
}

enum Tasks {
  /// Every task once. One that fails does not keep the others from their turn.
  static func all() {
    run(.disk)
    run(.diskWrite)
    run(.network)
    run(.entropy)
    run(.echo)
  }

  /// One task, with the first device of its type. What goes wrong is reported.
  @inline(never) static func run(_ task: Task) {
    let type = task.device
    guard let slot = Inventory.first(type) else {
      Report.beginError()
      Serial.put("there is no ")
      Serial.put(type)
      Serial.line(" device")
      return
    }
    Report.begin(about: type)
    do throws(Failed) {
      try slot.listen()
      var arena = DeviceMemory.lend()
      do throws(Failed) {
        try work(task, slot, &arena)
      } catch {}
      // A device that does not let itself be reset keeps the memory: then no other can be used in this run.
      try slot.release()
      DeviceMemory.giveBack()
    } catch {
      Report.error("the device is still in use: nothing more can be done")
      Report.end(passed: false)
    }
  }

  private static func work(_ task: Task, _ slot: Slot, _ arena: inout DriverArena) throws(Failed) {
    switch task {
    case .disk: try DiskTask.read(slot, &arena)
    case .diskWrite: try DiskTask.write(slot, &arena)
    case .network: try NetworkTask.run(slot, &arena)
    case .entropy: try EntropyTask.run(slot, &arena)
    case .echo: try EchoTask.run(slot, &arena)
    }
  }
}
