import Testing

@testable import DriverChecks

@Suite struct `FIPS 140-2 tests` {
  /// The same counts, computed in the most obvious way.
  private struct Naive {
    var ones = 0
    var nibbles = [Int](repeating: 0, count: 16)
    var runs = [[Int]](repeating: [Int](repeating: 0, count: 6), count: 2)
    var longest = 0

    init(_ bytes: [UInt8]) {
      let bits = bytes.flatMap { byte in (0..<8).map { Int(byte >> (7 - $0) & 1) } }
      ones = bits.filter { $0 == 1 }.count
      for start in stride(from: 0, to: bits.count, by: 4) {
        nibbles[bits[start] * 8 + bits[start + 1] * 4 + bits[start + 2] * 2 + bits[start + 3]] += 1
      }
      var start = 0
      for end in 1...bits.count where end == bits.count || bits[end] != bits[start] {
        runs[bits[start]][min(end - start, 6) - 1] += 1
        longest = max(longest, end - start)
        start = end
      }
    }
  }

  private static func statistics(_ bytes: [UInt8]) -> BlockStatistics {
    var block = BlockStatistics()
    for byte in bytes { block.add(byte) }
    block.endRun()
    return block
  }

  @Test func `counts are those of a naive count`() {
    var random = Seeded(2)
    for _ in 0..<10 {
      // Long runs need bits that are alike.
      let sparse = Bool.random(using: &random)
      let bytes = (0..<2500).map { _ in
        let byte = UInt8.random(in: 0...255, using: &random)
        return sparse && byte & 3 != 0 ? 0xff : byte
      }
      let block = Self.statistics(bytes)
      let naive = Naive(bytes)
      #expect(block.ones == naive.ones)
      #expect((0..<16).map { block.nibbles[$0] } == naive.nibbles)
      #expect((0..<6).map { block.zeroRuns[$0] } == naive.runs[0])
      #expect((0..<6).map { block.oneRuns[$0] } == naive.runs[1])
      #expect(block.longestRun == naive.longest)
    }
  }

  @Test(arguments: [(9725, false), (9726, true), (10274, true), (10275, false)])
  func `monobit bounds`(ones: Int, passes: Bool) {
    var block = BlockStatistics()
    block.ones = ones
    #expect(block.passesMonobit == passes)
  }

  /// 5000 values; f + d and f - d occurrences instead of f and f add 2d² to the sum of squares.
  @Test(arguments: [(0, false), (18, false), (20, true), (84, true), (86, false)])
  func `poker bounds`(distance: Int, passes: Bool) {
    var block = BlockStatistics()
    for index in 0..<16 { block.nibbles[index] = index < 8 ? 312 : 313 }
    block.nibbles[0] += distance
    block.nibbles[1] -= distance
    let counts = (0..<16).map { Double(block.nibbles[$0]) }
    let statistic = 16.0 / 5000 * counts.reduce(0) { $0 + $1 * $1 } - 5000
    #expect((statistic > 2.16 && statistic < 46.17) == passes)
    #expect(block.passesPoker == passes)
  }

  private static let intervals = [
    2315...2685, 1114...1386, 527...723, 240...384, 103...209, 103...209,
  ]

  @Test(arguments: 0..<6) func `runs bounds`(length: Int) {
    let interval = Self.intervals[length]
    let values = [interval.lowerBound - 1, interval.lowerBound, interval.upperBound, interval.upperBound + 1]
    for (value, passes) in zip(values, [false, true, true, false]) {
      var block = BlockStatistics()
      for index in 0..<6 {
        block.zeroRuns[index] = Self.intervals[index].lowerBound
        block.oneRuns[index] = Self.intervals[index].upperBound
      }
      #expect(block.passesRuns)
      block.zeroRuns[length] = value
      #expect(block.passesRuns == passes)
      block.zeroRuns[length] = interval.lowerBound
      block.oneRuns[length] = value
      #expect(block.passesRuns == passes)
    }
  }

  @Test func `a run of 25 passes, one of 26 fails`() {
    #expect(Self.statistics([0xff, 0xff, 0xff, 0x80, 0x55]).passesLongRun)
    #expect(!Self.statistics([0xff, 0xff, 0xff, 0xc0, 0x55]).passesLongRun)
    #expect(!Self.statistics([0x80, 0, 0, 0, 0x1f]).passesLongRun)
  }

  @Test func `a good source passes, block by block`() {
    var random = Seeded(3)
    let bytes = (0..<1 << 20).map { _ in UInt8.random(in: 0...255, using: &random) }
    var test = RandomnessTest()
    bytes.withBytes { test.add($0) }
    #expect(test.blockCount == 419)
    #expect(test.passes)
    #expect(test.failedBlockCount <= 2)
  }

  @Test func `nothing at all does not pass`() {
    let test = RandomnessTest()
    #expect(!test.passes)
  }

  @Test func `bad sources fail the tests they should`() {
    func test(_ bytes: [UInt8]) -> RandomnessTest {
      var test = RandomnessTest()
      bytes.withBytes { test.add($0) }
      return test
    }
    let zeros = test([UInt8](repeating: 0, count: 2500 * 6))
    #expect(zeros.blockCount == 6 && zeros.failedBlockCount == 6 && !zeros.passes)
    #expect(zeros.monobitFailures == 6 && zeros.pokerFailures == 6)
    #expect(zeros.runsFailures == 6 && zeros.longRunFailures == 6)

    let alternating = test([UInt8](repeating: 0x55, count: 2500))
    #expect(alternating.monobitFailures == 0 && alternating.longRunFailures == 0)
    #expect(alternating.pokerFailures == 1 && alternating.runsFailures == 1)
    #expect(alternating.failedBlockCount == 1 && alternating.passes)

    var random = Seeded(7)
    let biased = test((0..<2500 * 6).map { _ in UInt8.random(in: 0...255, using: &random) & 0xfe })
    #expect(biased.monobitFailures == 6 && biased.pokerFailures == 6 && biased.runsFailures == 6)
    #expect(biased.longRunFailures == 0 && biased.failedBlockCount == 6 && !biased.passes)
  }

  @Test func `the pattern stream is SplitMix64`() {
    var stream = SplitMix64(seed: 1_234_567)
    #expect(stream.next() == 6_457_827_717_110_365_317)
    #expect(stream.next() == 3_203_168_211_198_807_973)
    #expect(stream.next() == 9_817_491_932_198_370_423)
  }
}
