// Random bytes for guests from a hardware entropy device: our driver on our device, with a source that does
// what the test says, and on a device that lies.

import DeviceTypes
import Randomness
import Testing
import TestSupport
import Virtio
import Wire

/// What the hardware gives.
final class EntropyScript {
  /// Bytes that are there now.
  var available = 0
  /// How many of them it gives at once.
  var portion = 100
  /// The same byte always, instead of others each time.
  var constant: UInt8?
  /// The same seed always.
  var repeats = false
  /// Bytes given so far.
  var given = 0
}

struct ScriptedEntropy: EntropyBackend {
  let script: EntropyScript

  mutating func fill(_ range: GuestRange) -> UInt32 {
    let count = min(Int(range.byteCount), script.available, script.portion)
    script.available -= count
    for i in 0..<count {
      var byte = ByteArray<1>()
      let position = script.repeats ? i : script.given + i
      byte[0] = script.constant ?? UInt8(truncatingIfNeeded: position &* 131 &+ position >> 8)
      range.dropFirst(UInt32(i)).copyIn(from: byte.bytes)
    }
    script.given += count
    return UInt32(count)
  }
}

@Suite struct HardwareRandomnessTests {
  private typealias HardwareBench = Bench<EntropyDevice<ScriptedEntropy>, 1>

  private final class Rig {
    let script = EntropyScript()
    let memory = TestMemory()
    let bench: HardwareBench
    var randomness: HardwareRandomness<LoopbackRegisters<EntropyDevice<ScriptedEntropy>, 1>>

    init() throws {
      bench = Bench(EntropyDevice(backend: ScriptedEntropy(script: script)), memory)
      var arena = memory.arena()
      randomness = HardwareRandomness(
        try EntropyDriver(try MMIODriverTransport(bench.registers), memory: &arena, bufferByteCount: 64)!)
    }

    /// Lets the hardware go on until it has nothing more to say.
    func turn() {
      bench.transport.poll()
      for _ in 0..<100 where bench.transport.line.isAsserted { randomness.service() }
    }

    /// Bytes drawn into guest memory, and the 0xee behind them.
    func draw(_ count: UInt32) throws -> [UInt8] {
      memory.write(Array(repeating: 0xee, count: Int(count) + 1), testBase)
      let range = try memory.guest.range(at: testBase, byteCount: count)
      let done = randomness.fill(range)
      #expect(memory.load(UInt8.self, testBase + UInt64(done)) == 0xee)
      return memory.bytes(testBase, Int(done))
    }
  }

  @Test func `there are no bytes before the hardware gave a whole seed`() throws {
    let rig = try Rig()
    rig.script.portion = 7
    #expect(try rig.draw(16) == [])
    rig.script.available = 47
    rig.turn()
    var isSeeded = rig.randomness.isSeeded
    #expect(!isSeeded)
    #expect(try rig.draw(16) == [])
    rig.script.available = 1
    rig.turn()
    isSeeded = rig.randomness.isSeeded
    #expect(isSeeded)
    #expect(try rig.draw(16).count == 16)
    #expect(rig.script.given == 48)
  }

  @Test func `the bytes are those of the generator with that seed`() throws {
    let rig = try Rig()
    rig.script.available = 48
    rig.turn()
    let seed = (0..<48).map { UInt8(truncatingIfNeeded: $0 * 131) }
    var generator = unsafe RandomGenerator(material: seed.span.bytes)
    var expected: [UInt8] = []
    for _ in 0..<2 {
      var bytes = ByteArray<256>()
      var target = bytes.mutableBytes
      let isDone = generator.generate(into: &target)
      #expect(isDone)
      expected += (0..<256).map { bytes[$0] }
    }
    #expect(try rig.draw(512) == expected)
  }

  @Test func `one call gives a kilobyte at most`() throws {
    let rig = try Rig()
    rig.script.available = 48
    rig.turn()
    #expect(try rig.draw(1).count == 1)
    #expect(try rig.draw(1023).count == 1023)
    #expect(try rig.draw(5000).count == 1024)
  }

  @Test func `it reseeds in time, and goes on meanwhile`() throws {
    let rig = try Rig()
    rig.script.available = 48
    rig.turn()
    for _ in 0..<RandomGenerator.reseedInterval { _ = try rig.draw(1) }
    // The hardware is slow: the guests do not notice.
    for _ in 0..<10 { #expect(try rig.draw(1).count == 1) }
    rig.script.available = 1000
    rig.turn()
    #expect(rig.script.given == 80)
    // And once is enough.
    for _ in 0..<10 { _ = try rig.draw(1) }
    rig.turn()
    #expect(rig.script.given == 80)
    for _ in 0..<RandomGenerator.reseedInterval { _ = try rig.draw(1) }
    rig.turn()
    #expect(rig.script.given == 112)
  }

  @Test func `hardware that stops is survived for a while, and no longer`() throws {
    let rig = try Rig()
    rig.script.available = 48
    rig.turn()
    let range = try rig.memory.guest.range(at: testBase, byteCount: 1)
    var count: UInt64 = 0
    while rig.randomness.fill(range) != 0 { count += 1 }
    #expect(count == RandomGenerator.requestLimit)
    rig.script.available = 32
    rig.turn()
    #expect(rig.randomness.fill(range) == 1)
  }

  @Test(arguments: [false, true])
  func `a source that cannot be random is refused`(_ repeats: Bool) throws {
    let rig = try Rig()
    if repeats {
      rig.script.available = 48
      rig.turn()
      rig.script.repeats = true
      for _ in 0..<RandomGenerator.reseedInterval { _ = try rig.draw(1) }
    } else {
      rig.script.constant = 0
    }
    rig.script.available = 10_000
    rig.turn()
    let isSeeded = rig.randomness.isSeeded
    #expect(isSeeded == repeats)
    let fault = rig.randomness.fault
    #expect(fault == .invalidResponse)
    // It is left alone from then on.
    let given = rig.script.given
    rig.turn()
    _ = try rig.draw(1)
    #expect(rig.script.given == given)
  }

  @Test func `a device that lies about what it gave is not asked again`() throws {
    let memory = TestMemory()
    let device = FakeDevice(.entropy, memory)
    var arena = memory.arena()
    var randomness = HardwareRandomness(
      try EntropyDriver(try MMIODriverTransport(device.registers), memory: &arena)!)
    let buffer = try #require(device.take(0))
    #expect(buffer.elements[0].byteCount == 48)
    device.use(0, id: UInt32(buffer.id), byteCount: 49)
    randomness.service()
    let (fault, isSeeded) = (randomness.fault, randomness.isSeeded)
    #expect(fault == .usedLengthTooLong)
    #expect(!isSeeded)
    randomness.service()
    let next = device.take(0)
    #expect(next == nil)
  }

  /// What a guest's device draws from.
  private struct Source: EntropyBackend {
    let rig: Rig
    mutating func fill(_ range: GuestRange) -> UInt32 { rig.randomness.fill(range) }
  }

  @Test func `a guest waits for the seed, and then draws through its device`() throws {
    let rig = try Rig()
    let memory = TestMemory(address: 0x6000_0000)
    let bench = Bench<EntropyDevice<Source>, 1>(EntropyDevice(backend: Source(rig: rig)), memory)
    var arena = memory.arena()
    var driver = try EntropyDriver(try MMIODriverTransport(bench.registers), memory: &arena)!
    _ = try driver.request(byteCount: 4096)
    bench.transport.poll()
    var bytes = ByteArray<4096>()
    var target = bytes.mutableBytes
    let none = try driver.receive(into: &target)
    #expect(none == nil)
    rig.script.available = 48
    rig.turn()
    bench.transport.poll()
    var second = bytes.mutableBytes
    let count = try driver.receive(into: &second)
    #expect(count == 1024)
    #expect((0..<1024).contains { bytes[$0] != 0 })
  }
}
