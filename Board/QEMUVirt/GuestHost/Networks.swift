// The network interfaces of the guests: on one switch, whose uplink is the board's network interface.

import DeviceTree
import DeviceTypes
import Machine
import Platform
import Virtio
import Wire

/// The guests' network interfaces.
struct Networks: DeviceKind, ~Copyable {
  private static var slot: Int { 2 }

  private var transports: PerGuest<GuestTransport>
  private let fabric: FabricReference
  private let guestCount: Int
  private let hardware: HardwareSlot?
  private let uplink: UplinkReference?
  /// The guest that is looked at first when the uplink has room again.
  private var nextGuest = 0

  init(_ setup: borrowing HostSetup, _ arena: inout DriverArena) {
    guestCount = setup.guestCount
    let slot = HardwareSlots.last(.network)
    var uplink: UplinkReference?
    if let slot {
      if let made = NetworkUplink(slot, guestCount: setup.guestCount, &arena) {
        uplink = UplinkReference(made)
      }
    } else {
      Report.line("the network of the guests leads nowhere: give QEMU a virtio-net-device", guest: nil)
    }
    let mtu = uplink?.with { $0.mtu } ?? nil
    let fabric = FabricReference()
    transports = PerGuest(setup, slot: Self.slot) { guest in
      GuestDevice(
        NetworkDevice(
          backend: GuestNetworkPort(guest: guest, fabric: fabric),
          settings: NetworkDeviceSettings(mac: setup.tables[guest].address, mtu: mtu)))
    }
    hardware = uplink == nil ? nil : slot
    self.uplink = uplink
    fabric.set(NetworkFabric(transports: transports, setup, uplink: uplink))
    self.fabric = fabric
    if let hardware {
      Hardware.listen(to: hardware, context: 0) { _ in Networks.serveHardware() }
      // What it had to say while it was set up was no edge for anybody.
      Interrupts.pend(hardware.interrupt.identifier)
    }
  }

  /// The hardware has something to say. The lock is given to others every few frames.
  private static func serveHardware() {
    for _ in 0..<8 {
      if !Devices.networks.with({ $0.interrupt() }) { return }
    }
    // There is no end to it: the guest of this core, if it has one, has a turn.
    Devices.networks.with { $0.interruptAgain() }
  }

  /// Returns whether there may be more.
  private mutating func interrupt() -> Bool {
    guard let hardware, let uplink else { return false }
    uplink.with { $0.acknowledge() }
    let isMore = fabric.with { $0.receive() }
    settle()
    return isMore || Hardware.isInterrupting(hardware)
  }

  private func interruptAgain() {
    if let hardware { Interrupts.pend(hardware.interrupt.identifier) }
  }

  /// Has the guests look at what the uplink sent, and fill the room that this made, the one that was last
  /// served last.
  private mutating func settle() {
    settleUplink()
    fabric.with { $0.finishDeliveries() }
  }

  private mutating func settleUplink() {
    guard let uplink else { return }
    for _ in 0..<4 {
      let news = uplink.with { $0.collect() }
      if news == 0 { return }
      // All of them: one may wait for room that another had.
      for step in 0..<guestCount {
        let guest = (nextGuest + step) % guestCount
        transports[guest].look(for: guest)
      }
      nextGuest = (nextGuest + 1) % guestCount
    }
    // The rest soon: the hardware is fast.
    interruptAgain()
  }

  // MARK: Guests

  mutating func read(guest: Int, at offset: Int, byteCount: Int) -> UInt64 {
    transports[guest].read(at: offset, byteCount: byteCount)
  }

  mutating func write(_ value: UInt64, guest: Int, at offset: Int, byteCount: Int) -> Bool {
    let isLeft = transports[guest].take(value, at: offset, byteCount: byteCount)
    settle()
    return isLeft
  }

  mutating func serve(guest: Int) -> Bool {
    let isLeft = transports[guest].run()
    settle()
    return isLeft
  }

  mutating func reset(guest: Int) {
    uplink?.with { $0.beginWait() }
    transports[guest].reset()
    fabric.with { $0.forget(guest: guest) }
  }

  mutating func isQuiescent(guest: Int) -> Bool {
    settle()
    if transports[guest].isReset { return true }
    uplink?.with { $0.checkProgress(of: guest) }
    return transports[guest].isReset
  }
}
