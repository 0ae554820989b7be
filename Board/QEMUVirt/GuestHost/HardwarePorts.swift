// The ports of the board's console device, and whose they are: one named vireo.N carries the console of guest
// N, vireo.N.1 its second port; a port without a name that is a console is that of the guest of its number.

import DeviceTypes
import Machine
import Platform
import Virtio
import Wire

/// The board's console device.
struct HardwarePorts: ~Copyable {
  private static var limit: Int { 10 }

  let slot: HardwareSlot
  private var driver: ConsoleDriver<SlotRegisters, 10>
  /// The hardware's port of each port of each guest, and whether somebody is at its other end.
  private var owners = [8 of Int?](repeating: nil)
  private var openPorts = [8 of Bool](repeating: false)
  private var isBroken = false

  /// The device in `slot`; nil, and a line that says why, when it cannot be used.
  @inline(never)
  init?(_ slot: HardwareSlot, _ arena: inout DriverArena) {
    do throws(DeviceFault) {
      guard let driver = try ConsoleDriver<SlotRegisters, 10>(try slot.transport(), memory: &arena) else {
        Hardware.line("cannot be used: the memory for devices is too small", slot)
        return nil
      }
      self.driver = driver
    } catch {
      Hardware.line("cannot be used as a console", error, slot)
      return nil
    }
    self.slot = slot
  }

  /// Takes the news of the device.
  mutating func poll() {
    if isBroken { return }
    do throws(DeviceFault) {
      for _ in 0..<64 where try !driver.poll() { break }
      for index in 0..<8 {
        owners[index] = nil
        openPorts[index] = false
      }
      for port in 0..<Self.limit {
        let state = driver.port(port)
        guard state.isPresent, let owner = Self.owner(port, state) else { continue }
        owners[owner] = port
        openPorts[owner] = state.isDeviceOpen || state.isConsole
        // Input comes to an open port only.
        if !state.isOpen { _ = try driver.setOpen(true, port: port) }
      }
    } catch {
      fail(error)
    }
  }

  private static func owner(_ port: Int, _ state: ConsolePort) -> Int? {
    let name = state.name
    if name.byteCount == 0 { return state.isConsole && port < 4 ? port * 2 : nil }
    let start: [6 of UInt8] = [0x76, 0x69, 0x72, 0x65, 0x6f, 0x2e]  // vireo.
    guard name.byteCount == 7 || name.byteCount == 9 else { return nil }
    for index in 0..<6 where name[index] != start[index] { return nil }
    guard name[6] >= 0x30, name[6] < 0x34 else { return nil }
    let console = Int(name[6] - 0x30) * 2
    if name.byteCount == 7 { return console }
    return name[7] == 0x2e && name[8] == 0x31 ? console + 1 : nil
  }

  /// Whether somebody is at the other end of a guest's port.
  func isOpen(_ guest: Int, _ port: Int) -> Bool { openPorts[guest * 2 + port] }

  /// Sends bytes of a guest. Returns how many were taken: all where nobody listens.
  mutating func write(_ bytes: RawSpan, _ guest: Int, _ port: Int) -> Int {
    guard !isBroken, let owner = owners[guest * 2 + port], openPorts[guest * 2 + port] else {
      return bytes.byteCount
    }
    do throws(DeviceFault) {
      return try driver.write(port: owner, bytes)
    } catch {
      fail(error)
      return bytes.byteCount
    }
  }

  /// Copies bytes for a guest to `target`. Returns how many.
  mutating func read(into target: inout MutableRawSpan, _ guest: Int, _ port: Int) -> Int {
    guard !isBroken, let owner = owners[guest * 2 + port] else { return 0 }
    do throws(DeviceFault) {
      return try driver.read(port: owner, into: &target)
    } catch {
      fail(error)
      return 0
    }
  }

  private mutating func fail(_ fault: DeviceFault) {
    isBroken = true
    // virtio 1.4 §2.4: from a reset on it leaves the memory alone.
    slot.registers.write32(0, at: 0x070)
    Hardware.line("failed as a console and is not used any more", fault, slot)
  }
}
