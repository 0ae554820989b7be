// Random traffic over both sides of a queue, beside a naive model. A failure names its seed.

import TestSupport
import Testing
import Virtio

/// Every combination of the ring features.
private let allRingFeatures: [Features] = (0..<16).map { choice in
  let features: [Features] = [.ringPacked, .eventIndex, .inOrder, .indirectDescriptors]
  return features.indices.reduce(Features.version1) {
    choice >> $1 & 1 == 1 ? $0 | features[$1] : $0
  }
}

/// Fewer, for what takes long.
private let someRingFeatures: [Features] = [
  .eventIndex, .inOrder, .ringPacked | .eventIndex, .ringPacked | .inOrder | .indirectDescriptors,
]

@Suite struct ModelTests {
  @Test(arguments: allRingFeatures)
  func smallRings(_ features: Features) throws {
    let sizes: [UInt16] = features.contains(.ringPacked) ? [1, 2, 3, 7, 64] : [1, 2, 4, 64]
    for size in sizes {
      for seed in 1...3 as ClosedRange<UInt64> {
        let longest = min(Int(size), 6)
        let rings = try ModelRings(features, size: size, seed: seed, longestChain: longest)
        try rings.run(400)
      }
    }
  }

  @Test("Chains as long as the ring", arguments: allRingFeatures)
  func longChains(_ features: Features) throws {
    for size in (features.contains(.ringPacked) ? [5, 16] : [8, 16]) as [UInt16] {
      let rings = try ModelRings(features, size: size, seed: 4, longestChain: Int(size))
      try rings.run(600)
    }
  }

  @Test("Indices that wrap around 2^16 more than once", arguments: someRingFeatures)
  func wrappedIndices(_ features: Features) throws {
    let rings = try ModelRings(features, size: 256, seed: 5, longestChain: 1)
    try rings.run(150_000, resets: false)
    #expect(rings.completedCount > 2 * 65536)
  }

  @Test("The largest rings", arguments: someRingFeatures)
  func largestRings(_ features: Features) throws {
    let rings = try ModelRings(features, size: 32768, seed: 6, longestChain: 300)
    try rings.run(3_000)
  }
}
