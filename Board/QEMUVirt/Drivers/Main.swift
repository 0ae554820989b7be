// The driver image: finds the virtio devices of the board and does real work on them.

import DeviceTree
import Machine
import Platform
import Wire

@main struct Main {
  static func main() {
    Serial.line("Vireo: virtio drivers in Embedded Swift, on bare metal")
    Layout.print()
    do throws(StartupError) {
      run(try Startup.run())
    } catch {
      fail { Serial.put(describing: error) }
    }
  }

  private static func run(_ tree: DeviceTree) -> Never {
    take(tree)
    if Inventory.count == 0 {
      fail { Serial.put("the device tree has no virtio,mmio node") }
    }
    Inventory.print()
    if Orders.isCheck {
      // What is wrong with the machine itself would only come up again.
      if !Report.hasErrors { Tasks.all() }
      Report.end(passed: !Report.hasErrors)
    }
    var prompt = Prompt()
    prompt.run()
    Report.end(passed: true)
  }

  /// Takes the orders and the inventory from the tree.
  private static func take(_ tree: DeviceTree) {
    var options = BootOptions()
    do throws(DeviceTreeError) {
      try tree.readBootOptions(into: &options)
      try Inventory.read(tree)
    } catch {
      fail { Serial.put(describing: error) }
    }
    SelfTest.run(options)
    do throws(BootOptionError) {
      try Orders.take(options)
    } catch {
      fail { Serial.put("the boot options inorder= and eventidx= are 0 or 1") }
    }
  }

  /// Says why on a line of its own and ends the run.
  private static func fail(_ describe: () -> Void) -> Never {
    Report.beginError()
    describe()
    Serial.newLine()
    Report.end(passed: false)
  }
}
