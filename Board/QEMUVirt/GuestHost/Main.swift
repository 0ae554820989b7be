// The guest host: an image for EL2 that runs a stock Linux kernel as a guest on our virtio devices.

import DeviceTree
import Machine

@main struct Main {
  /// What the guest gets. The kernel and the RAM disk are loaded by QEMU; `initrd=` says how long the latter
  /// is.
  private static var table: GuestTable {
    GuestTable(
      memory: AddressRange(base: 0x5000_0000, size: 0x2000_0000), initrdByteCount: 0,
      disk: AddressRange(base: 0x7000_0000, size: 64 << 20), firstCore: 0, coreCount: 1,
      arguments: "console=hvc0")
  }

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
    var table = table
    do throws(BootOptionError) {
      table.initrdByteCount = try options(tree).number("initrd=") ?? 0
    } catch {
      Serial.put("vireo: initrd= takes the length of the RAM disk in bytes")
      return
    }
    do throws(GuestError) {
      try GuestHost.run(table, on: tree)
    } catch {
      Serial.put("vireo: the guest cannot be run: ")
      Serial.put(describing: error)
    }
  }

  private static func options(_ tree: DeviceTree) -> BootOptions {
    do throws(DeviceTreeError) {
      return try tree.bootOptions()
    } catch {
      return BootOptions()
    }
  }
}
