// System control for guests: an SCMI platform, of which each guest is an agent, over HVC and a page of shared
// memory or over a device of its own. A guest sees its own resources, and what the board shares with all.

import CMachine
import DeviceTypes
import Machine
import SCMI
import SCMIVirtio
import Virtio

/// The platform, and the channel or the device of each guest. Everything is under one lock.
@safe struct ControlState: ~Copyable {
  typealias Platform = SCMIPlatform<GuestResources, 4, 32>
  typealias Port = PlatformPort<GuestResources, 4, 32>

  // Allocated once and never freed; the devices' ports are used under the lock too.
  private let place: UnsafeMutablePointer<Platform>
  var channels: PerGuest<PlatformChannel>
  var devices: PerGuest<GuestTransport>

  /// The platform.
  var platform: Platform {
    unsafeAddress { unsafe UnsafePointer(place) }
    unsafeMutableAddress { unsafe place }
  }

  init(_ setup: borrowing HostSetup) {
    let place = UnsafeMutablePointer<Platform>.allocate(capacity: 1)
    unsafe place.initialize(to: Platform(backend: GuestResources(guestCount: setup.guestCount)))
    for guest in 0..<setup.guestCount {
      let hasDevice = setup.tables[guest].hasControlDevice
      let agent = unsafe place.pointee.addAgent(
        AgentDescription(
          name: SCMIName("guest"), hasPlatformToAgentChannel: hasDevice, systemPower: .controls,
          system: UInt8(guest)))
      unsafe ResourceTable.grant(guest, to: agent, isTold: hasDevice, &place.pointee)
    }
    unsafe self.place = place
    channels = PerGuest(count: setup.guestCount) { Control.channel(of: $0) }
    devices = PerGuest(setup, slot: Control.slot) {
      unsafe GuestDevice(SCMIDevice(backend: Port(place, agent: Control.agent($0))))
    }
  }

  /// Answers the command in a guest's channel.
  mutating func serve(_ guest: Int) {
    _ = unsafe channels[guest].serve(Control.agent(guest), &place.pointee)
  }

  /// Sends what the platform has for agents behind devices. Returns where the system of `guest` is to go.
  @inline(never)
  mutating func finish(_ guest: Int) -> SystemPowerState? {
    for guest in 0..<devices.count where platform.hasMessage(for: Control.agent(guest)) {
      if Control.hasDevice(guest) { devices[guest].poll() }
    }
    return platform.backend.wishes[guest].take()
  }
}

/// System control as guests reach it.
enum Control {
  /// The window of the device.
  static var slot: Int { 4 }
  /// Where a guest finds the page, and how much of it is the channel: room for the 104 bytes of Linux's.
  static var address: UInt64 { 0x0b00_0000 }
  static var pageByteCount: UInt64 { 0x1000 }
  static var areaByteCount: Int { 0x80 }
  /// The call: a fast one of the range for services of the platform.
  static var functionID: UInt32 { 0x8200_0010 }

  // Set once before any guest runs; the pages are for ever.
  nonisolated(unsafe) private static var pages: UnsafeMutableRawPointer?
  nonisolated(unsafe) private static var lock: Locked<ControlState>?
  nonisolated(unsafe) private static var devices: UInt32 = 0

  /// The agent that a guest is.
  static func agent(_ guest: Int) -> AgentID { AgentID(UInt8(guest + 1)) }
  /// Whether a guest's agent is behind a device, and not behind the call.
  static func hasDevice(_ guest: Int) -> Bool { unsafe devices >> UInt32(guest) & 1 != 0 }

  /// Sets everything up. Before the translations of guests are made.
  static func start(_ setup: borrowing HostSetup) {
    let byteCount = setup.guestCount * Int(pageByteCount)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: Int(pageByteCount))
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    unsafe pages = memory
    for guest in 0..<setup.guestCount where setup.tables[guest].hasControlDevice {
      unsafe devices |= 1 << UInt32(guest)
    }
    unsafe lock = Locked(ControlState(setup))
  }

  /// Where the page of a guest is.
  static func page(of guest: Int) -> UInt64 {
    unsafe UInt64(UInt(bitPattern: pages.unsafelyUnwrapped)) + UInt64(guest) * pageByteCount
  }

  /// A free channel in the page of a guest.
  static func channel(of guest: Int) -> PlatformChannel {
    // Within what was allocated, and of no other use on this side.
    let base = unsafe UnsafeMutableRawPointer(bitPattern: UInt(page(of: guest))).unsafelyUnwrapped
    let channel = unsafe PlatformChannel(commands: SharedArea(base: base, byteCount: areaByteCount))
    settle(guest)
    return channel
  }

  // MARK: What guests do

  /// A guest rings: serves it. What the call returns; NOT_SUPPORTED for any other call.
  @inline(never)
  static func call(_ guest: Int, _ x0: UInt64, _ x1: UInt64, _ x2: UInt64) -> UInt64 {
    guard !hasDevice(guest), DoorbellCall(functionID: functionID).verdict(x0, x1, x2) == .doorbell else {
      return .max
    }
    change(guest) { state in
      settle(guest)
      state.serve(guest)
      settle(guest)
    }
    return DoorbellCall.success
  }

  /// The guest's device: see `DeviceKind`.
  static func read(guest: Int, at offset: Int, byteCount: Int) -> UInt64 {
    hasDevice(guest)
      ? unsafe lock.unsafelyUnwrapped.with { $0.devices[guest].read(at: offset, byteCount: byteCount) } : 0
  }

  /// As `read`.
  static func write(_ value: UInt64, guest: Int, at offset: Int, byteCount: Int) -> Bool {
    guard hasDevice(guest) else { return false }
    var isLeft = false
    change(guest) { isLeft = $0.devices[guest].take(value, at: offset, byteCount: byteCount) }
    return isLeft
  }

  /// As `read`.
  static func serve(guest: Int) -> Bool {
    guard hasDevice(guest) else { return false }
    var isLeft = false
    change(guest) { isLeft = $0.devices[guest].run() }
    return isLeft
  }

  /// The guest starts over.
  static func reset(guest: Int) {
    change(guest) { state in
      state.devices[guest].reset()
      state.platform.resetAgent(agent(guest))
      state.platform.backend.startOver(guest)
      state.channels[guest].restart()
      settle(guest)
    }
  }

  /// The guest begins: it finds the source of entropy with its clock, even if it never asks for one.
  static func begin(guest: Int) {
    change(guest) { state in
      state.platform.backend.isSourceOn = true
      state.platform.backend.note(guest)
    }
  }

  /// A guest reads or writes a register of its real-time clock.
  @inline(never)
  static func readClock(_ guest: Int, _ offset: Int) -> UInt64 {
    unsafe UInt64(lock.unsafelyUnwrapped.with { $0.platform.backend.guests[guest].realTime.read(offset) })
  }

  /// As `readClock`.
  @inline(never)
  static func writeClock(_ value: UInt64, _ guest: Int, _ offset: Int) {
    unsafe lock.unsafelyUnwrapped.with {
      $0.platform.backend.guests[guest].realTime.write(UInt32(truncatingIfNeeded: value), offset)
    }
  }

  // MARK: What the host does

  /// Time has passed: the guest's sensors have new values.
  @inline(never)
  static func tick(_ guest: Int) {
    change(guest) { state in
      state.platform.sensorUpdated(
        SensorID(ResourceTable.sensor(guest, ResourceTable.GuestSensor.temperature.rawValue)))
      if state.platform.backend.isTremorDue(guest) {
        state.platform.sensorUpdated(
          SensorID(ResourceTable.sensor(guest, ResourceTable.GuestSensor.tremor.rawValue)))
      }
    }
  }

  /// Asks a guest to end by itself. Nothing for one that cannot be told.
  static func requestShutdown(_ guest: Int) {
    guard guest >= 0, guest < GuestHost.guestCount else { return }
    change(guest) { state in
      state.platform.requestSystemPower(.shutdown, isGraceful: true, system: UInt8(guest))
    }
  }

  /// Does something with the platform, then sends its events, and has what changed take effect. No lock is
  /// held.
  private static func change(_ guest: Int, _ body: (inout ControlState) -> Void) {
    let before = Effects(guest)
    let wish = unsafe lock.unsafelyUnwrapped.with { state -> SystemPowerState? in
      body(&state)
      return state.finish(guest)
    }
    takeEffect(since: before, wish, guest)
  }

  /// Has devices and cores look at what has changed, and the guest go where it asked to.
  @inline(never)
  private static func takeEffect(since before: Effects, _ wish: SystemPowerState?, _ guest: Int) {
    if before.isSourceOn != Gates.isSourceOn || before.entropy != Gates.entropy(guest) {
      Devices.withRandomness { $0.lookAtGates() }
    }
    if before.share != Gates.share(guest) { Cores.wake(GuestHost.withGuest(guest) { $0.table.cores }) }
    switch wish {
    case .some(.shutdown): Guests.powerOff(guest)
    case .some(.coldReset): Guests.restart(guest)
    default: break
    }
  }

  /// What a guest's gates were before a change.
  private struct Effects {
    let isSourceOn = Gates.isSourceOn
    let entropy: UInt32
    let share: UInt32

    init(_ guest: Int) {
      entropy = Gates.entropy(guest)
      share = Gates.share(guest)
    }
  }

  /// The guest maps the page uncached, and we do not: nothing of it stays in our caches.
  private static func settle(_ guest: Int) {
    machine_clean(page(of: guest), page(of: guest) + UInt64(areaByteCount))
  }
}
