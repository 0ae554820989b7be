// Interrupts through a GICv3: the distributor, this core's redistributor and the CPU interface in system
// registers.

import CMachine
public import DeviceTree

/// Why interrupts cannot be had.
public enum InterruptError: Error, Equatable {
  /// The processor has no GIC system registers, or does not let EL1 use them.
  case noSystemRegisters
  /// The redistributor windows hold no frame of this core.
  case noRedistributor
  /// The controller did not wake up, or did not finish a change, in time.
  case notAnswering
  /// The identifier is none of a private or shared peripheral interrupt that `Interrupts` can serve.
  case badIdentifier
}

/// What runs when an interrupt comes: with interrupts masked, on a stack of its own, and short.
public typealias InterruptHandler = @convention(c) (_ context: UInt) -> Void

/// The interrupts of this core. `start` comes first, once.
public enum Interrupts {
  /// One more than the largest identifier that can have a handler.
  public static let identifierLimit: UInt32 = 256

  private struct Entry {
    var handler: InterruptHandler?
    var context: UInt = 0
  }

  private static let privateLimit: UInt32 = 32
  /// At EL1 the interrupts of an image are in group 1; at EL2 they are in group 0, and group 1 is the
  /// guests'.
  private static let ownsGroup1 = MACHINE_GROUP == 1
  private static let spuriousStart: UInt64 = 1020
  private static let attempts = 1_000_000

  // Changed by the first core only, with interrupts masked or before the interrupt that reads it is enabled.
  nonisolated(unsafe) private static var entries = InlineArray<256, Entry>(repeating: Entry())
  nonisolated(unsafe) private static var distributor: MMIORegion?
  nonisolated(unsafe) private static var privateFrame: MMIORegion?
  /// Affinity of the core that shared interrupts go to.
  nonisolated(unsafe) private static var target: UInt64 = 0
  /// Held while a register is read and written back.
  nonisolated(unsafe) private static var registers = RegisterLock()
  /// How many interrupts came that had no handler; each was disabled.
  nonisolated(unsafe) public private(set) static var unexpectedCount: UInt64 = 0

  /// Turns the controller on with every interrupt disabled, and lets this core take interrupts.
  ///
  /// - Parameters:
  ///   - distributor: The distributor's registers, 64 KiB.
  ///   - redistributors: The redistributor frames, two or four times 64 KiB for each core.
  public static func start(
    distributor: MMIORegion, redistributors: MMIORegion
  ) throws(InterruptError) {
    guard machine_read_features() >> 24 & 0xf != 0 else { throw .noSystemRegisters }
    machine_write_icc_sre(machine_read_icc_sre() | 1)
    guard machine_read_icc_sre() & 1 != 0 else { throw .noSystemRegisters }

    try startDistributor(distributor)
    let frame = try startRedistributor(redistributors)
    startInterface()
    unsafe self.distributor = distributor
    unsafe privateFrame = frame
    unsafe target = machine_read_affinity() & 0xff_00ff_ffff
    machine_unmask_irq()
  }

  /// Sends the shared interrupts that have a handler, and those that get one later, to another core, which
  /// then runs the handlers.
  public static func route(to affinity: UInt64) {
    guard let distributor = unsafe distributor else { return }
    unsafe target = affinity
    for identifier in Int(privateLimit)..<Int(identifierLimit) where unsafe entries[identifier].handler != nil
    {
      distributor.write64(affinity, at: Register.route + identifier * 8)
    }
  }

  /// Lets a further core take interrupts, of those that `sent` names: a bit for each of the 16 that cores
  /// send to each other, or of the other private ones. Its interrupts stay masked. Returns its private frame.
  public static func startCore(
    redistributors: MMIORegion, sent: UInt32
  ) throws(InterruptError) -> MMIORegion {
    machine_write_icc_sre(machine_read_icc_sre() | 1)
    let frame = try startRedistributor(redistributors)
    startInterface()
    accept(sent, in: frame)
    return frame
  }

  /// The same for the first core, which `start` was called on.
  public static func acceptSent(_ sent: UInt32) {
    guard let frame = unsafe privateFrame else { return }
    accept(sent, in: frame)
  }

  private static func accept(_ sent: UInt32, in frame: MMIORegion) {
    let groups = frame.read32(Register.group)
    frame.write32(ownsGroup1 ? groups | sent : groups & ~sent, at: Register.group)
    for identifier in 0..<32 where sent & 1 << UInt32(identifier) != 0 {
      frame.write8(UInt8(MACHINE_PRIORITY), at: Register.priority + identifier)
    }
    frame.write32(sent, at: Register.setEnable)
    if !ownsGroup1 { acceptWake(in: frame) }
  }

  /// This core may sleep while it waits for a lock.
  private static func acceptWake(in frame: MMIORegion) {
    let bit: UInt32 = 1 << UInt32(MACHINE_WAKE)
    frame.write32(frame.read32(Register.group) & ~bit, at: Register.group)
    frame.write8(UInt8(MACHINE_WAKE_PRIORITY), at: Register.priority + Int(MACHINE_WAKE))
    frame.write32(bit, at: Register.setEnable)
    machine_lock_may_sleep()
  }

  private static func startInterface() {
    machine_write_icc_pmr(0xff)
    machine_write_icc_bpr(0)
    machine_write_icc_ctlr(0)
    machine_write_icc_igrpen(1)
  }

  /// How many cores have a redistributor in the window.
  public static func coreCount(_ redistributors: MMIORegion) -> Int {
    var (count, offset) = (0, 0)
    while UInt64(offset) + 0x20000 <= redistributors.size {
      count += 1
      let type = redistributors.read64(offset + Register.type)
      if type & 1 << 4 != 0 { break }
      offset += type & 1 << 1 != 0 ? 0x40000 : 0x20000
    }
    return count
  }

  /// Calls `body` while no other core changes a register of the controller. Interrupts of this core are
  /// masked already.
  @inline(__always)
  public static func changingRegisters<Result>(_ body: () -> Result) -> Result {
    unsafe registers.acquire()
    let result = body()
    unsafe registers.release()
    return result
  }

  /// Gives an interrupt its handler and enables it.
  ///
  /// - Parameters:
  ///   - source: Of this core, or a shared one below `identifierLimit`.
  ///   - context: Handed to the handler as it is.
  public static func enable(
    _ source: InterruptSource, context: UInt, handler: @escaping InterruptHandler
  ) throws(InterruptError) {
    let identifier = source.identifier
    guard identifier >= 16, identifier < identifierLimit, let frame = frame(of: identifier) else {
      throw .badIdentifier
    }
    let wasMasked = mask()
    defer { restore(wasMasked) }
    unsafe entries[Int(identifier)] = Entry(handler: handler, context: context)
    unsafe registers.acquire()
    defer { unsafe registers.release() }

    let word = Int(identifier / 32) * 4
    let bit: UInt32 = 1 << (identifier % 32)
    let groups = frame.read32(Register.group + word)
    frame.write32(ownsGroup1 ? groups | bit : groups & ~bit, at: Register.group + word)
    frame.write8(UInt8(MACHINE_PRIORITY), at: Register.priority + Int(identifier))
    let configuration = Register.configuration + Int(identifier / 16) * 4
    let edge: UInt32 = 0b10 << (identifier % 16 * 2)
    let others = frame.read32(configuration) & ~edge
    frame.write32(source.trigger == .edge ? others | edge : others, at: configuration)
    if identifier >= privateLimit {
      frame.write64(unsafe target, at: Register.route + Int(identifier) * 8)
    }
    frame.write32(bit, at: Register.clearPending + word)
    frame.write32(bit, at: Register.setEnable + word)
  }

  /// Makes a shared interrupt pending, as if its line had an edge.
  public static func pend(_ identifier: UInt32) {
    guard identifier >= privateLimit, identifier < identifierLimit, let frame = frame(of: identifier) else {
      return
    }
    frame.write32(1 << (identifier % 32), at: Register.setPending + Int(identifier / 32) * 4)
  }

  /// Disables an interrupt.
  public static func disable(_ identifier: UInt32) {
    guard let frame = frame(of: identifier) else { return }
    frame.write32(1 << (identifier % 32), at: Register.clearEnable + Int(identifier / 32) * 4)
  }

  /// Sleeps until `ready` says yes or the deadline has passed; returns the last answer of `ready`.
  ///
  /// No wake-up is lost: `ready` is asked with interrupts masked, and the processor leaves its sleep for an
  /// interrupt that is pending although masked. `ready` has to be short, and may read what handlers write.
  @inline(never) public static func wait(until deadline: Deadline, for ready: () -> Bool) -> Bool {
    let wasMasked = mask()
    defer { restore(wasMasked) }
    while !ready() {
      if deadline.hasPassed { return false }
      Clock.wake(at: deadline)
      machine_wait_for_interrupt()
      machine_unmask_irq()
      machine_mask_irq()
    }
    return true
  }

  /// Runs `body` with interrupts masked, so that it may touch what handlers write.
  public static func masked<Result>(_ body: () -> Result) -> Result {
    let wasMasked = mask()
    defer { restore(wasMasked) }
    return body()
  }

  private static func mask() -> Bool {
    let wasMasked = machine_read_interrupt_mask() & 1 << UInt64(MACHINE_MASK_BIT) != 0
    machine_mask_irq()
    return wasMasked
  }

  private static func restore(_ wasMasked: Bool) {
    if !wasMasked { machine_unmask_irq() }
  }

  /// Serves one interrupt: what the vectors do, and what a host does for one that came while a guest ran.
  /// Returns its identifier, if there was one. Below 16 are those that a core sends: they have no handlers.
  @discardableResult public static func serve() -> UInt32? {
    let identifier = machine_read_icc_iar() & 0xff_ffff
    guard identifier < spuriousStart else { return nil }
    if identifier < 16 {
      machine_write_icc_eoir(identifier)
      return UInt32(truncatingIfNeeded: identifier)
    }
    if identifier < UInt64(identifierLimit), let handler = unsafe entries[Int(identifier)].handler {
      unsafe handler(entries[Int(identifier)].context)
    } else {
      unsafe unexpectedCount += 1
      disable(UInt32(truncatingIfNeeded: identifier))
    }
    machine_write_icc_eoir(identifier)
    return UInt32(truncatingIfNeeded: identifier)
  }

  // MARK: The controller's registers

  private enum Register {
    static let control = 0x0000
    static let wake = 0x0014
    static let group = 0x0080
    static let setEnable = 0x0100
    static let clearEnable = 0x0180
    static let setPending = 0x0200
    static let clearPending = 0x0280
    static let priority = 0x0400
    static let configuration = 0x0c00
    static let route = 0x6000
    static let type = 0x0008
  }

  private static func frame(of identifier: UInt32) -> MMIORegion? {
    identifier < privateLimit ? unsafe privateFrame : unsafe distributor
  }

  private static func startDistributor(_ distributor: MMIORegion) throws(InterruptError) {
    guard distributor.size >= 0x10000 else { throw .notAnswering }
    distributor.write32(0, at: Register.control)
    try settle(distributor)
    let lines = (Int(distributor.read32(4)) & 0x1f) + 1
    for word in 1..<max(lines, 2) {
      distributor.write32(~0, at: Register.clearEnable + word * 4)
      if !ownsGroup1 { distributor.write32(~0, at: Register.group + word * 4) }
    }
    distributor.write32(1 << 4, at: Register.control)  // affinity routing
    try settle(distributor)
    distributor.write32(1 << 4 | 1 << 1 | (ownsGroup1 ? 0 : 1), at: Register.control)  // groups
    try settle(distributor)
  }

  /// Waits for the end of a change of the distributor.
  private static func settle(_ distributor: MMIORegion) throws(InterruptError) {
    for _ in 0..<attempts where distributor.read32(Register.control) & 1 << 31 == 0 { return }
    throw .notAnswering
  }

  /// Finds and wakes the frame pair of this core; returns the second frame, which holds its private
  /// interrupts.
  private static func startRedistributor(
    _ windows: MMIORegion
  ) throws(InterruptError) -> MMIORegion {
    let affinity = machine_read_affinity()
    let own = affinity & 0xff_ffff | affinity >> 8 & 0xff00_0000
    var offset = 0
    while UInt64(offset) + 0x20000 <= windows.size {
      let type = windows.read64(offset + Register.type)
      if type >> 32 == own {
        return try wake(windows, offset)
      }
      if type & 1 << 4 != 0 { break }  // the last one
      offset += type & 1 << 1 != 0 ? 0x40000 : 0x20000  // with frames for virtual interrupts
    }
    throw .noRedistributor
  }

  private static func wake(_ windows: MMIORegion, _ offset: Int) throws(InterruptError) -> MMIORegion {
    let register = offset + Register.wake
    windows.write32(windows.read32(register) & ~(1 << 1), at: register)
    for _ in 0..<attempts where windows.read32(register) & 1 << 2 == 0 {
      guard let frame = MMIORegion(base: windows.base + UInt64(offset) + 0x10000, size: 0x10000) else {
        break
      }
      frame.write32(~0, at: Register.clearEnable)
      if !ownsGroup1 { frame.write32(~0, at: Register.group) }
      return frame
    }
    throw .notAnswering
  }
}

@c(machine_interrupt) @used
func machineInterrupt() { Interrupts.serve() }
