// What the image does with its devices.

import Machine
import Virtio

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
  static func all(_ inventory: Inventory, _ orders: Orders) {
    run(.entropy, inventory, orders)
    run(.echo, inventory, orders)
  }

  /// One task. An error is reported.
  static func run(_ task: Task, _ inventory: Inventory, _ orders: Orders) {
    guard let slot = inventory.first(task.device) else {
      Report.beginError()
      Serial.put("there is no ")
      Serial.put(task.device)
      Serial.line(" device")
      return
    }
    do throws(TaskError) {
      switch task {
      case .entropy: try EntropyTask.run(slot, orders)
      case .echo: try EchoTask.run(slot, orders)
      default: break
      }
    } catch {
      Report.beginError()
      Serial.put(task.device)
      Serial.put(": ")
      Serial.put(describing: error)
      Serial.newLine()
    }
  }
}
