import Hypervisor
import Testing

@Suite struct `The life of a guest` {
  private static func guest(cores: Int = 2) -> GuestLifecycle {
    let affinities: [4 of UInt64] = [0, 1, 2, 3]
    let power = PowerCoordination(
      affinities: affinities.span.extracting(first: cores), memory: 0x6000_0000..<0x8000_0000)
    return GuestLifecycle(power: power, coreCount: cores)
  }

  /// A guest whose first core runs.
  private static func running(cores: Int = 2) -> GuestLifecycle {
    var guest = guest(cores: cores)
    _ = guest.next(0)
    _ = guest.settled()
    guest.begin(entry: 0x6000_0000, context: 0x6700_0000)
    _ = guest.next(0)
    return guest
  }

  private static let coreOn: UInt64 = 0xc400_0003

  @Test func `it starts on its first core`() {
    var guest = Self.guest()
    #expect(guest.next(1) == .wait)
    #expect(guest.next(0) == .settle)
    #expect(guest.settled() == .load)
    guest.begin(entry: 0x6000_0000, context: 0x6700_0000)
    #expect(guest.next(1) == .wait)
    #expect(guest.next(0) == .enter(entry: 0x6000_0000, context: 0x6700_0000))
    #expect(!guest.mustLeave)
    #expect(guest.startCount == 1)
  }

  @Test func `a core that was turned on enters once`() {
    var guest = Self.running()
    let on = guest.call(Self.coreOn, 1, 0x6000_1000, 42, core: 0)
    #expect(on == .start(core: 1, entry: 0x6000_1000, context: 42))
    #expect(guest.next(1) == .enter(entry: 0x6000_1000, context: 42))
    #expect(guest.next(1) == .wait)
    #expect(guest.call(Self.coreOn, 1, 0x6000_1000, 42, core: 0) == .result(-4))
  }

  @Test func `a core that turned itself off can be turned on again`() {
    var guest = Self.running()
    _ = guest.call(Self.coreOn, 1, 0x6000_1000, 0, core: 0)
    _ = guest.next(1)
    #expect(guest.call(0x8400_0002, 0, 0, 0, core: 1) == .stop)
    #expect(!guest.mustLeave)
    #expect(guest.leave(1) == false)
    #expect(
      guest.call(Self.coreOn, 1, 0x6000_2000, 0, core: 0) == .start(core: 1, entry: 0x6000_2000, context: 0))
    #expect(guest.next(1) == .enter(entry: 0x6000_2000, context: 0))
  }

  @Test func `without its last core it is off`() {
    var guest = Self.running()
    #expect(guest.call(0x8400_0002, 0, 0, 0, core: 0) == .stop)
    #expect(guest.mustLeave)
    #expect(guest.leave(0) == true)
    #expect(guest.next(0) == .settle)
    #expect(guest.settled() == .off(crashed: false))
  }

  @Test func `a reset waits for every core`() {
    var guest = Self.running()
    _ = guest.call(Self.coreOn, 1, 0x6000_1000, 0, core: 0)
    _ = guest.next(1)
    #expect(guest.call(0x8400_0009, 0, 0, 0, core: 1) == .restart)
    #expect(guest.mustLeave)
    #expect(guest.leave(1) == false)
    #expect(guest.next(1) == .wait)
    #expect(guest.leave(0) == true)
    #expect(guest.next(1) == .wait)
    #expect(guest.next(0) == .settle)
    #expect(guest.settled() == .load)
    guest.begin(entry: 0x6000_0000, context: 0)
    #expect(guest.next(1) == .wait)
    #expect(guest.next(0) == .enter(entry: 0x6000_0000, context: 0))
    // The second core is off again.
    #expect(guest.call(0xc400_0004, 1, 0, 0, core: 0) == .result(1))
    #expect(guest.startCount == 2)
  }

  @Test func `a core that was turned on when the guest ended does not start`() {
    var guest = Self.running()
    _ = guest.call(Self.coreOn, 1, 0x6000_1000, 0, core: 0)
    _ = guest.call(0x8400_0009, 0, 0, 0, core: 0)
    #expect(guest.next(1) == .wait)
    #expect(guest.leave(0) == true)
    #expect(guest.next(0) == .settle)
    #expect(guest.settled() == .load)
    guest.begin(entry: 0x6000_0000, context: 0)
    #expect(guest.next(1) == .wait)
  }

  @Test func `a guest that is off follows a restart and nothing else`() {
    var guest = Self.running()
    guest.stop(.crashed)
    #expect(guest.leave(0) == true)
    _ = guest.next(0)
    #expect(guest.settled() == .off(crashed: true))
    #expect(guest.isOff && guest.hasCrashed)
    guest.stop(.off)
    #expect(guest.hasCrashed)
    #expect(guest.next(0) == .wait)
    guest.stop(.restart)
    #expect(!guest.isOff)
    #expect(guest.next(0) == .settle)
    #expect(guest.settled() == .load)
  }

  @Test func `what was asked for last counts`() {
    var guest = Self.running()
    guest.stop(.restart)
    guest.stop(.off)
    guest.stop(.crashed)
    _ = guest.leave(0)
    _ = guest.next(0)
    #expect(guest.settled() == .off(crashed: false))
  }

  @Test func `a wish that comes while it is loaded is heard`() {
    var guest = Self.running()
    guest.stop(.restart)
    _ = guest.leave(0)
    _ = guest.next(0)
    #expect(guest.settled() == .load)
    guest.stop(.off)
    guest.begin(entry: 0x6000_0000, context: 0)
    #expect(guest.next(0) == .settle)
    #expect(guest.settled() == .off(crashed: false))
  }
}
