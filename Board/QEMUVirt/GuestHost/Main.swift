// The guest host: an image for EL2 that runs stock Linux kernels as guests on our virtio devices. Its boot
// options are in Options.swift, its memory map in Layout.swift.
//
// QEMU's semihosting, by which the image ends with an exit status, serves guests as well: leave it out where
// guests are not to be trusted with the files of the machine that QEMU runs on. The image then ends by PSCI.

import DeviceTree
import Machine
import Wire

@main struct Main {
  static func main() {
    do throws(StartupError) {
      let tree = try Startup.run()
      run(tree)
    } catch {
      Serial.put("vireo: this machine cannot be used: ")
      Serial.put(describing: error)
    }
    Serial.newLine()
    Power.off(status: 1)
  }

  private static func run(_ tree: DeviceTree) {
    GuestHost.readOptions(tree)
    var setup = HostSetup(tree: tree)
    do throws(OptionError) {
      try GuestHost.withOptions { options throws(OptionError) in try setup.apply(options) }
    } catch {
      Serial.put("vireo: ")
      Serial.put(describing: error)
      return
    }
    do throws(GuestError) {
      try GuestHost.run(setup)
    } catch {
      Serial.put("vireo: the guests cannot be run: ")
      Serial.put(describing: error)
    }
  }
}
