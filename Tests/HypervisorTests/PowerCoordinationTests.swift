import Hypervisor
import Testing

@Suite struct PowerCoordinationTests {
  func guest() -> PowerCoordination {
    let affinities: [2 of UInt64] = [2, 0x100]
    var power = PowerCoordination(affinities: affinities.span, memory: 0x4800_0000..<0x5000_0000)
    power.started(0)
    return power
  }

  @Test func startsACoreOnce() {
    var power = guest()
    let entry: UInt64 = 0x4800_0000
    #expect(power.call(0xc400_0004, 0x100, 0, 0, core: 0) == .result(1))
    #expect(
      power.call(0xc400_0003, 0x100, entry, 7, core: 0) == .start(core: 1, entry: entry, context: 7))
    #expect(power.call(0xc400_0003, 0x100, entry, 7, core: 0) == .result(-5))
    #expect(power.call(0xc400_0004, 0x100, 0, 0, core: 0) == .result(2))
    power.started(1)
    #expect(power.call(0xc400_0003, 0x100, entry, 7, core: 0) == .result(-4))
    #expect(power.call(0x8400_0002, 0, 0, 0, core: 1) == .stop)
    #expect(power.call(0xc400_0004, 0x100, 0, 0, core: 0) == .result(1))
    #expect(!power.isOff)
    #expect(power.call(0x8400_0002, 0, 0, 0, core: 0) == .stop)
    #expect(power.isOff)
  }

  @Test(arguments: [
    (0xc400_0003 as UInt64, 1 as UInt64, 0x4800_0000 as UInt64, -2 as Int64),
    (0xc400_0003, 0x100, 0x47ff_fffc, -9), (0xc400_0003, 0x100, 0x5000_0000, -9),
    (0xc400_0003, 0x100, 0x4800_0002, -9), (0xc400_0003, .max, .max, -2),
    (0xc400_0004, 0x100, 1, -2), (0xc400_0012, 5, 0, -2), (0x8400_0099, 0, 0, -1), (0, 0, 0, -1),
    (0xc600_0000, 0, 0, -1),
  ]) func refuses(_ function: UInt64, _ x1: UInt64, _ x2: UInt64, _ answer: Int64) {
    var power = guest()
    #expect(power.call(function, x1, x2, 0, core: 0) == .result(answer))
  }

  @Test func versionsAndFeatures() {
    var power = guest()
    #expect(power.call(0x8400_0000, 0, 0, 0, core: 0) == .result(0x1_0001))
    #expect(power.call(0x8000_0000, 0, 0, 0, core: 0) == .result(0x1_0001))
    #expect(power.call(0x8400_000a, 0x8000_0000, 0, 0, core: 0) == .result(0))
    #expect(power.call(0x8400_000a, 0xc400_0003, 0, 0, core: 0) == .result(0))
    #expect(power.call(0x8400_000a, 0x8400_0005, 0, 0, core: 0) == .result(-1))
    #expect(power.call(0x8000_0001, 0x8000_8000, 0, 0, core: 0) == .result(-1))
    #expect(power.call(0x8400_0008, 0, 0, 0, core: 0) == .powerOff)
    #expect(power.call(0x8400_0009, 0, 0, 0, core: 0) == .restart)
    #expect(power.call(0x8400_0001, 0, 0, 0, core: 0) == .wait)
  }
}
