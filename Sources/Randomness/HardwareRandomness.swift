// A random bit generator that is seeded and reseeded by an entropy device, for entropy devices of our own.
// The hardware is trusted to be random, as there is nothing else to trust, but not to work.

public import DeviceTypes
public import Virtio
import Wire

/// Random bytes for the entropy devices of guests, from the entropy of a hardware device (virtio 1.4 §5.4).
///
/// There is none before the hardware has given a seed, and never one that is fixed. When the hardware fails
/// later, there are bytes until `RandomGenerator.requestLimit`, and then no more.
public struct HardwareRandomness<Registers: RegisterAccess & ~Copyable>: ~Copyable {
  /// Seeds in a row that are refused before the hardware is given up.
  public static var refusalLimit: Int { 8 }

  private var driver: EntropyDriver<Registers>
  private var generator: RandomGenerator?
  private var seed = ByteArray<48>()
  private var seedCount = 0
  /// The seed before, to recognise a source that repeats itself.
  private var lastSeed = ByteArray<48>()
  private var refusals = 0
  /// What was wrong with the hardware, if anything: it is not asked any more.
  public private(set) var fault: DeviceFault?

  /// Asks the hardware for a seed. `service` at its interrupts.
  public init(_ driver: consuming EntropyDriver<Registers>) {
    precondition(driver.requestByteCountMax >= RandomGenerator.seedByteCount, "no room for a seed")
    self.driver = driver
    ask()
  }

  /// Whether there are random bytes.
  public var isSeeded: Bool { generator != nil }

  /// Acknowledges the interrupt of the hardware and takes what it has brought.
  public mutating func service() {
    if fault != nil { return }
    do throws(DeviceFault) {
      try driver.acknowledgeInterrupt()
      var bytes = ByteArray<48>()
      var all = bytes.mutableBytes
      var part = all._mutatingExtracting(first: wantedCount - seedCount)
      guard let count = try driver.receive(into: &part) else { return }
      for i in 0..<count { seed[seedCount + i] = bytes[i] }
      seedCount += count
    } catch {
      fault = error
      return
    }
    if seedCount == wantedCount { useSeed() }
    if seedCount > 0 || generator == nil { ask() }
  }

  private var wantedCount: Int {
    generator == nil ? RandomGenerator.seedByteCount : RandomGenerator.reseedByteCount
  }

  /// Asks for what is missing of a seed, unless that is under way.
  private mutating func ask() {
    if fault != nil { return }
    do throws(DeviceFault) {
      _ = try driver.request(byteCount: wantedCount - seedCount)
    } catch {
      fault = error
    }
  }

  /// Puts a whole seed to use, unless it cannot be random: the same byte throughout, or the last one again
  /// (a continuous test as of FIPS 140-2, section 4.9.2).
  private mutating func useSeed() {
    let count = wantedCount
    var (isConstant, isRepeated) = (true, true)
    for i in 0..<count {
      if seed[i] != seed[0] { isConstant = false }
      if seed[i] != lastSeed[i] { isRepeated = false }
    }
    if isConstant || isRepeated {
      refusals += 1
      if refusals >= Self.refusalLimit { fault = .invalidResponse }
      seedCount = 0
      // Asked again, although nothing is left over.
      return ask()
    }
    refusals = 0
    lastSeed = seed
    if generator == nil {
      generator = RandomGenerator(material: seed.bytes)
    } else {
      generator?.reseed(seed.bytes.extracting(first: count))
    }
    seed = ByteArray()
    seedCount = 0
  }

  /// Writes random bytes to the start of `range` and returns how many: as many as there is room for, and at
  /// most `RandomGenerator.requestByteLimit`; 0 when there are none.
  public mutating func fill(_ range: GuestRange) -> UInt32 {
    if generator == nil { return 0 }
    let count = min(range.byteCount, UInt32(RandomGenerator.requestByteLimit))
    var done: UInt32 = 0
    while done < count {
      var bytes = ByteArray<256>()
      let part = min(256, count - done)
      var all = bytes.mutableBytes
      var target = all._mutatingExtracting(first: Int(part))
      guard generator?.generate(into: &target) == true else { break }
      range.dropFirst(done).copyIn(from: bytes.bytes.extracting(first: Int(part)))
      done += part
    }
    if generator?.wantsReseed == true { ask() }
    return done
  }
}
