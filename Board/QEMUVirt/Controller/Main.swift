// The system controller: an image whose first core is an SCMI platform that serves the other cores, its
// agents, over shared memory with interrupts both ways. The agents try it out and say how it went; then the
// run ends.

import DeviceTree
import Machine
import Wire

@main struct Main {
  static func main() {
    do throws(StartupError) {
      let tree = try Startup.run()
      Serial.line("vireo: system controller")
      start(tree)
    } catch {
      Serial.put("vireo: this machine cannot be used: ")
      Serial.put(describing: error)
      Serial.newLine()
    }
    Report.end(passed: false)
  }

  private static func start(_ tree: DeviceTree) {
    let controller: InterruptController
    let timer: InterruptSource
    do throws(DeviceTreeError) {
      controller = try tree.interruptController()
      timer = try tree.timerInterrupt(Cores.timer)
    } catch {
      Serial.put("vireo: ")
      Serial.put(describing: error)
      Serial.newLine()
      return
    }
    let redistributors = MMIORegion(controller.redistributors)!  // `Startup` uses it
    guard Interrupts.coreCount(redistributors) > Agents.count else {
      Serial.line("vireo: there are too few cores: start QEMU with -smp 3")
      return
    }
    Controller.prepare()
    Cores.start(redistributors, timer: timer)
    Controller.run()
  }
}
