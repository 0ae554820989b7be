// FIPS 140-2 section 4.9.1 (with change notice 1) Power-Up Tests: the statistical tests of random number
// generators, on blocks of 20,000 bits, most significant bit of a byte first.

/// What is counted in one block.
struct BlockStatistics {
  /// Bytes in a block.
  static let byteCount = 2500

  /// Bits that are one.
  var ones = 0
  /// How often each 4-bit value occurs.
  var nibbles = InlineArray<16, Int>(repeating: 0)
  /// Runs of zeros of length 1 to 5, and 6 or longer.
  var zeroRuns = InlineArray<6, Int>(repeating: 0)
  /// The same for ones.
  var oneRuns = InlineArray<6, Int>(repeating: 0)
  /// The longest run.
  var longestRun = 0

  private var runBit: UInt8 = 2
  private var runLength = 0

  init() {}

  mutating func add(_ byte: UInt8) {
    ones += byte.nonzeroBitCount
    nibbles[Int(byte >> 4)] += 1
    nibbles[Int(byte & 0xf)] += 1
    for shift in (0..<8 as Range<UInt8>).reversed() {
      let bit = byte >> shift & 1
      if bit == runBit {
        runLength += 1
      } else {
        endRun()
        runBit = bit
        runLength = 1
      }
    }
  }

  /// Counts the run that is under way; after the last byte of the block.
  mutating func endRun() {
    if runLength == 0 { return }
    let index = min(runLength, 6) - 1
    if runBit == 0 { zeroRuns[index] += 1 } else { oneRuns[index] += 1 }
    longestRun = max(longestRun, runLength)
    runLength = 0
  }

  /// 9,725 < ones < 10,275.
  var passesMonobit: Bool { ones > 9725 && ones < 10275 }

  /// 2.16 < 16/5000 · Σ f(i)² - 5000 < 46.17, for the sum alone.
  var passesPoker: Bool {
    var sum = 0
    for index in 0..<16 { sum += nibbles[index] * nibbles[index] }
    return sum > 1_563_175 && sum <= 1_576_928
  }

  /// Every length, of zeros and of ones, within its interval.
  var passesRuns: Bool {
    for index in 0..<6 {
      let low = Self.shortest[index]
      let high = Self.most[index]
      if zeroRuns[index] < low || zeroRuns[index] > high { return false }
      if oneRuns[index] < low || oneRuns[index] > high { return false }
    }
    return true
  }

  /// No run of 26 or more.
  var passesLongRun: Bool { longestRun < 26 }

  private static let shortest: InlineArray<6, Int> = [2315, 1114, 527, 240, 103, 103]
  private static let most: InlineArray<6, Int> = [2685, 1386, 723, 384, 209, 209]
}

/// The tests over a stream of bytes. A block that is not complete at the end counts for nothing.
public struct RandomnessTest {
  /// Blocks tested.
  public private(set) var blockCount = 0
  /// Blocks that failed the monobit test.
  public private(set) var monobitFailures = 0
  /// Blocks that failed the poker test.
  public private(set) var pokerFailures = 0
  /// Blocks that failed the runs test.
  public private(set) var runsFailures = 0
  /// Blocks that failed the long run test.
  public private(set) var longRunFailures = 0
  /// Blocks that failed at least one of them.
  public private(set) var failedBlockCount = 0

  private var block = BlockStatistics()
  private var filled = 0

  /// No bytes yet.
  public init() {}

  /// Adds bytes.
  public mutating func add(_ bytes: RawSpan) {
    for offset in bytes.byteOffsets {
      block.add(bytes.byte(offset))
      filled += 1
      if filled == BlockStatistics.byteCount { finishBlock() }
    }
  }

  /// How many blocks of 419, the whole ones in 1 MiB, may fail. Of a perfect source about one block in 1,250
  /// fails, so one stream in four has a failure; six or more happen less than twice in a million streams.
  public static let tolerance = 5

  /// Whether at least one block was tested and no more failed than the tolerance.
  public var passes: Bool { blockCount > 0 && failedBlockCount <= Self.tolerance }

  private mutating func finishBlock() {
    block.endRun()
    let (monobit, poker) = (block.passesMonobit, block.passesPoker)
    let (runs, longRun) = (block.passesRuns, block.passesLongRun)
    blockCount += 1
    if !monobit { monobitFailures += 1 }
    if !poker { pokerFailures += 1 }
    if !runs { runsFailures += 1 }
    if !longRun { longRunFailures += 1 }
    if !(monobit && poker && runs && longRun) { failedBlockCount += 1 }
    block = BlockStatistics()
    filled = 0
  }
}
