// Sets the guests up and starts them.

import CMachine
import DeviceTree
import Hypervisor
import Machine
import Wire

/// All guests of the board.
enum GuestHost {
  // Set once before any guest runs, allocated once and never freed.
  nonisolated(unsafe) private static var guests: UnsafeMutablePointer<Guest>?
  nonisolated(unsafe) private static var count = 0
  nonisolated(unsafe) private static var givenOptions = BootOptions()

  /// How many guests there are.
  static var guestCount: Int { unsafe count }
  /// Calls `body` with the boot options.
  static func withOptions<Result, Failure: Error>(
    _ body: (borrowing BootOptions) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try unsafe body(givenOptions)
  }

  /// Takes the boot options over from the device tree; none if they are too long.
  static func readOptions(_ tree: DeviceTree) {
    do throws(DeviceTreeError) { try unsafe tree.readBootOptions(into: &givenOptions) } catch {}
  }

  /// Calls `body` with guest `index`. By reference, for speed: nobody changes it.
  @inline(__always)
  static func withGuest<Result>(_ index: Int, _ body: (inout Guest) -> Result) -> Result {
    // There are as many as the contexts of the cores name.
    unsafe body(&guests.unsafelyUnwrapped[index])
  }

  /// The life of guest `index`.
  @inline(__always)
  static func life(of index: Int) -> Locked<GuestLifecycle> {
    // As above.
    unsafe guests.unsafelyUnwrapped[index].life
  }

  /// Runs the guests, whose payloads are in memory already. Throws, before any runs, what keeps them from it.
  static func run(_ setup: borrowing HostSetup) throws(GuestError) -> Never {
    let controller: InterruptController
    do throws(DeviceTreeError) {
      controller = try setup.tree.interruptController()
    } catch {
      throw .deviceTree(error)
    }
    let redistributors = MMIORegion(controller.redistributors)!  // `Startup` uses it
    try setup.check(coreCount: Interrupts.coreCount(redistributors))
    for i in 0..<setup.guestCount { try OwnMapping.add(setup.tables[i].memory) }
    try Payload.check(setup.tables[0])
    if withOptions({ $0.contains("trace") }) { Trace.start() }
    // From here on this core takes interrupts only where it asks for them.
    machine_mask_all()
    Devices.start(setup)
    Control.start(setup)
    let place = UnsafeMutablePointer<Guest>.allocate(capacity: setup.guestCount)
    for i in 0..<setup.guestCount {
      let table = setup.tables[i]
      let tables = try translation(table)
      unsafe (place + i).initialize(to: Guest(table, tables: tables, controller: controller))
    }
    unsafe guests = place
    unsafe count = setup.guestCount
    try Cores.start(setup, redistributors)
  }

  /// The translations of a guest: its RAM is mapped one to one, and the page of its agent.
  private static func translation(_ table: GuestTable) throws(GuestError) -> StageTwo<TablePool> {
    do throws(StageTwoError) {
      var tables = try StageTwo(TablePool())
      try tables.map(
        guest: table.memory.base, physical: table.memory.base, byteCount: table.memory.size, .normal)
      try tables.map(
        guest: Control.address, physical: Control.page(of: table.index), byteCount: Control.pageByteCount,
        .uncached)
      return tables
    } catch {
      throw .notMappable
    }
  }
}

/// What can be asked of guests, from any core and at any time, without a lock held.
enum Guests {
  /// Ends the guest if it runs, and starts it from its payload.
  static func restart(_ index: Int) { stop(index, .restart) }

  /// Ends the guest.
  static func powerOff(_ index: Int) { stop(index, .off) }

  /// Ends the guest if it runs; then it becomes `goal`. Does nothing for a guest that does not exist.
  static func stop(_ index: Int, _ goal: GuestGoal) {
    guard index >= 0, index < GuestHost.guestCount else { return }
    GuestHost.life(of: index).with { $0.stop(goal) }
    bringOut(index)
  }

  /// Makes every core of the guest leave it, if it has to.
  static func bringOut(_ index: Int) {
    GuestHost.life(of: index).with { life in
      GuestHost.withGuest(index) { if life.mustLeave { $0.setTranslated(false) } }
    }
    Cores.wake(GuestHost.withGuest(index) { $0.table.cores })
  }

  /// Ends the run once every guest is off.
  static func endIfAllAreOff() {
    var anyCrashed = false
    for i in 0..<GuestHost.guestCount {
      let (isOff, hasCrashed) = GuestHost.life(of: i).with { ($0.isOff, $0.hasCrashed) }
      guard isOff else { return }
      anyCrashed = anyCrashed || hasCrashed
    }
    Trace.save()
    Power.off(status: anyCrashed ? 73 : 0)
  }
}
