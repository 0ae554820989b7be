// What the controller controls on this board: the system counter, and a ticker that it clocks itself.

import Machine
import SCMI

/// The resources. The ticker counts while its clock is on, at the rate of its clock.
struct Board: PlatformBackend {
  static var counter: Int { 0 }
  static var ticker: Int { 1 }

  var vendor: SCMIName { SCMIName("Vireo") }
  var subVendor: SCMIName { SCMIName("QEMU virt") }
  var implementationVersion: UInt32 { 1 }

  private(set) var isTicking = false
  private var rate: UInt64 = 100
  /// A rate that takes effect with the next tick, and whose it is.
  private var nextRate: UInt64 = 0
  private var operation: OperationID?
  /// When the ticker ticks next.
  private var due: UInt64 = 0

  // MARK: Clocks

  var clockCount: Int { 2 }

  func clock(_ clock: ClockID) -> ClockDescription {
    ClockDescription(
      rates: .list(count: clock.index == Self.counter ? 1 : 7),
      notifiesRateChanges: clock.index == Self.ticker)
  }

  func name(of clock: ClockID) -> SCMIName {
    clock.index == Self.counter ? SCMIName("system counter") : SCMIName("ticker of the controller")
  }

  func supportedRate(_ index: Int, of clock: ClockID) -> UInt64 {
    if clock.index == Self.counter { return Clock.ticksPerSecond }
    let rates: [7 of UInt64] = [10, 20, 50, 100, 200, 500, 1000]
    return rates[index]
  }

  func rate(of clock: ClockID) throws(SCMIStatus) -> UInt64 {
    clock.index == Self.counter ? Clock.ticksPerSecond : rate
  }

  /// The ticker takes a new rate between two ticks: at once if nobody waits for the answer.
  mutating func setRate(
    _ rate: UInt64, of clock: ClockID, operation: OperationID?
  ) throws(SCMIStatus) -> Progress {
    if clock.index == Self.counter { return .finished }  // it has one rate alone
    guard self.operation == nil else { throw .busy }
    guard let operation, isTicking else {
      self.rate = rate
      due = Clock.ticks + period
      return .finished
    }
    nextRate = rate
    self.operation = operation
    return .pending
  }

  func isEnabled(_ clock: ClockID) throws(SCMIStatus) -> Bool {
    clock.index == Self.counter || isTicking
  }

  /// The counter never stops.
  mutating func setEnabled(_ isEnabled: Bool, _ clock: ClockID) throws(SCMIStatus) {
    guard clock.index == Self.ticker else { return }
    isTicking = isEnabled
    due = Clock.ticks + period
  }

  mutating func restore(_ clock: ClockID) {
    if clock.index == Self.ticker { rate = 100 }
  }

  // MARK: The ticker

  private var period: UInt64 { Clock.ticksPerSecond / rate }

  /// Ticks if it is time. Returns an operation that is finished by that.
  mutating func tick() -> OperationID? {
    let now = Clock.ticks
    guard isTicking || operation != nil, now >= due else { return nil }
    if isTicking {
      let count = (now - due) / period + 1
      SharedMemory.ticks &+= UInt32(truncatingIfNeeded: count)
      due += count * period
    }
    guard let finished = operation else { return nil }
    rate = nextRate
    operation = nil
    due = now + period
    return finished
  }

  /// When `tick` has to be called.
  var deadline: Deadline {
    guard isTicking || operation != nil else { return .never }
    let now = Clock.ticks
    return .after(milliseconds: due <= now ? 0 : Clock.milliseconds(from: now, to: due) + 1)
  }
}
