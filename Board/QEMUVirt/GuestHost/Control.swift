// System control for guests: an SCMI platform, of which each guest is an agent over HVC and a page of shared
// memory. A guest sees its own resources, and what the board shares with all.

import CMachine
import Machine
import SCMI

/// The platform and the channel of each guest.
struct ControlState: ~Copyable {
  var platform: SCMIPlatform<GuestResources, 4, 32>
  var channels: PerGuest<PlatformChannel>

  init(guestCount: Int) {
    platform = SCMIPlatform(backend: GuestResources(guestCount: guestCount))
    for guest in 0..<guestCount {
      // No channel to the agent: the call is all that there is.
      let agent = platform.addAgent(
        AgentDescription(
          name: SCMIName("guest"), hasPlatformToAgentChannel: false, systemPower: .controls,
          system: UInt8(guest)))
      ResourceTable.grant(guest, to: agent, isTold: false, &platform)
    }
    channels = PerGuest(count: guestCount) { Control.channel(of: $0) }
  }
}

enum Control {
  /// Where a guest finds the page, and how much of it is the channel.
  static var address: UInt64 { 0x0b00_0000 }
  static var pageByteCount: UInt64 { 0x1000 }
  static var areaByteCount: Int { 0x80 }
  /// The call: a fast one of the range for services of the platform.
  static var functionID: UInt32 { 0x8200_0010 }

  // Set once before any guest runs; the pages are for ever.
  nonisolated(unsafe) private static var pages: UnsafeMutableRawPointer?
  nonisolated(unsafe) private static var lock: Locked<ControlState>?

  /// Sets everything up. Before the translations of guests are made.
  static func start(guestCount: Int) {
    let byteCount = guestCount * Int(pageByteCount)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: Int(pageByteCount))
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    unsafe pages = memory
    unsafe lock = Locked(ControlState(guestCount: guestCount))
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

  /// A guest rings: serves it. What the call returns; NOT_SUPPORTED for any other call.
  @inline(never)
  static func call(_ guest: Int, _ x0: UInt64, _ x1: UInt64, _ x2: UInt64) -> UInt64 {
    guard DoorbellCall(functionID: functionID).verdict(x0, x1, x2) == .doorbell else { return .max }
    let before = Effects(guest)
    let wish = unsafe lock.unsafelyUnwrapped.with { state -> SystemPowerState? in
      settle(guest)
      _ = state.channels[guest].serve(AgentID(UInt8(guest + 1)), &state.platform)
      settle(guest)
      return state.platform.backend.wishes[guest].take()
    }
    apply(since: before, guest)
    switch wish {
    case .some(.shutdown): Guests.powerOff(guest)
    case .some(.coldReset): Guests.restart(guest)
    default: break
    }
    return DoorbellCall.success
  }

  /// What a guest's gates were before a call, to see what it changed.
  private struct Effects {
    let isSourceOn = Gates.isSourceOn
    let entropy: UInt32
    let share: UInt32

    init(_ guest: Int) {
      entropy = Gates.entropy(guest)
      share = Gates.share(guest)
    }
  }

  /// Has devices and cores look at what has changed. No lock is held.
  private static func apply(since before: Effects, _ guest: Int) {
    if before.isSourceOn != Gates.isSourceOn || before.entropy != Gates.entropy(guest) {
      Devices.withRandomness { $0.lookAtGates() }
    }
    if before.share != Gates.share(guest) { Cores.wake(GuestHost.withGuest(guest) { $0.table.cores }) }
  }

  /// The guest starts over.
  static func reset(guest: Int) {
    let before = Effects(guest)
    unsafe lock.unsafelyUnwrapped.with { state in
      state.platform.resetAgent(AgentID(UInt8(guest + 1)))
      state.platform.backend.startOver(guest)
      state.channels[guest] = channel(of: guest)
    }
    apply(since: before, guest)
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

  /// The guest maps the page uncached, and we do not: nothing of it stays in our caches.
  private static func settle(_ guest: Int) {
    machine_clean(page(of: guest), page(of: guest) + UInt64(areaByteCount))
  }
}
