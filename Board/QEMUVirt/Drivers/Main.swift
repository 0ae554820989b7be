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
    let inventory: Inventory
    do throws(DeviceTreeError) {
      options = try tree.bootOptions()
      inventory = try Inventory(printing: tree)
    } catch {
      fail { Serial.put(describing: error) }
    }
    SelfTest.run(options)
    if options.contains("check") {
      if inventory.isIncomplete { fail { inventory.printWhatIsMissing() } }
    } else {
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
