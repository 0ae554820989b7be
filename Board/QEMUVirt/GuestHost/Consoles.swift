// The consoles of the guests: each with a second port, on the UART and the ports of the console device.

import DeviceTree
import DeviceTypes
import Machine
import Platform
import Virtio
import Wire

/// The guests' consoles.
struct Consoles: DeviceKind, ~Copyable {
  private static var slot: Int { 0 }

  private var transports: PerGuest<GuestTransport>
  private let terminal: TerminalReference
  private let hardware: HardwareSlot?

  init(_ setup: borrowing HostSetup, _ arena: inout DriverArena) {
    let slot = HardwareSlots.last(.console)
    let terminal = TerminalReference(ConsoleTerminal(guestCount: setup.guestCount))
    if let slot { terminal.with { $0.ports = HardwarePorts(slot, &arena) } }
    hardware = terminal.with { $0.ports == nil } ? nil : slot
    transports = PerGuest(setup, slot: Self.slot) { guest in
      var device = GuestDevice.Console(backend: GuestConsole(guest: guest, terminal: terminal))
      device.addPort(1, name: Self.name("vireo.1"), isOpen: false)
      return GuestDevice(device)
    }
    self.terminal = terminal
    if let hardware {
      Hardware.listen(to: hardware, context: 0) { _ in Devices.consoles.with { $0.interrupt() } }
      // What it had to say while it was set up was no edge for anybody.
      Interrupts.pend(hardware.interrupt.identifier)
    }
  }

  private static func name(_ text: FixedText) -> ConsolePortName {
    let bytes = text.bytes
    var name = ConsolePortName()
    for index in bytes.indices { name.append(bytes[index]) }
    return name
  }

  /// Serves what was typed on the UART.
  static func takeInput() {
    while true {
      // Guests are ended and started without a lock.
      switch Devices.consoles.with({ $0.takeInput() }) {
      case .restart(let guest): Guests.restart(guest)
      case .powerOff(let guest): Guests.powerOff(guest)
      case .shutDown(let guest): Control.requestShutdown(guest)
      default: return
      }
    }
  }

  private mutating func takeInput() -> ConsoleCommand {
    let command = terminal.with { $0.takeInput() }
    // A switch shows all at once.
    _ = terminal.with { $0.drain(limit: 8192) }
    pollAll()
    return command
  }

  /// The board's console device has something to say.
  private mutating func interrupt() {
    guard let hardware else { return }
    for _ in 0..<8 {
      terminal.with { $0.ports!.poll() }
      pollAll()
      if !Hardware.isInterrupting(hardware) { return }
    }
    Interrupts.pend(hardware.interrupt.identifier)
  }

  private mutating func pollAll() {
    for guest in 0..<transports.count {
      let isOpen = terminal.with { $0.ports?.isOpen(guest, 1) ?? false }
      transports[guest].device.setOpen(isOpen, port: 1)
      transports[guest].look(for: guest)
    }
  }

  /// Shows a part of what the guest printed. Returns whether there is more, and the guest is the one shown.
  @inline(never)
  private mutating func show(_ guest: Int) -> Bool {
    terminal.with { $0.drain(limit: 256) && $0.screen.focus == guest }
  }

  // MARK: Guests

  @_optimize(speed)
  mutating func read(guest: Int, at offset: Int, byteCount: Int) -> UInt64 {
    transports[guest].read(at: offset, byteCount: byteCount)
  }

  @_optimize(speed)
  mutating func write(_ value: UInt64, guest: Int, at offset: Int, byteCount: Int) -> Bool {
    let isLeft = transports[guest].take(value, at: offset, byteCount: byteCount)
    return show(guest) || isLeft
  }

  mutating func serve(guest: Int) -> Bool {
    let isMore = show(guest)
    // Output that had no room may have some now.
    transports[guest].poll()
    return transports[guest].run() || isMore
  }

  mutating func reset(guest: Int) {
    transports[guest].reset()
    terminal.with { $0.forgetInput(guest: guest) }
  }

  mutating func isQuiescent(guest: Int) -> Bool { transports[guest].isReset }
}
