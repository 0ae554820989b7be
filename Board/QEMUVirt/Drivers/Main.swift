// The driver image: finds the virtio devices of the board and does real work on them.

import DeviceTree
import Machine

@main struct Main {
  static func main() {
    Serial.line("vireo: driver image")
    Layout.print()
    do throws(StartupError) {
      let tree = try Startup.run()
      run(tree)
    } catch {
      fail { Serial.put(describing: error) }
    }
  }

  private static func run(_ tree: DeviceTree) {
    let options: BootOptions
    let slots: Int
    do throws(DeviceTreeError) {
      options = try tree.bootOptions()
      slots = try Inventory.print(tree)
    } catch {
      fail { Serial.put(describing: error) }
    }
    SelfTest.run(options)
    if slots == 0 {
      fail { Serial.put("the device tree has no virtio,mmio node") }
    }
    if !options.contains("check") {
      var prompt = Prompt()
      prompt.run(tree)
    }
    Serial.line("vireo: result=pass")
    Power.off(status: 0)
  }

  /// Says why on a line of its own and ends the run with exit status 1.
  static func fail(_ describe: () -> Void) -> Never {
    Serial.put("vireo: error: ")
    describe()
    Serial.newLine()
    Serial.line("vireo: result=fail")
    Power.off(status: 1)
  }
}
