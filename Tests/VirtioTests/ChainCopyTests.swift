// The cursor over a buffer: copies in steps that do not follow the cut into descriptors.

import Testing
import TestSupport
import Virtio
import Wire

@Suite struct ChainCopyTests {
  @Test(arguments: ringFeatureMatrix)
  func `copies in steps go on where the last one ended`(_ features: Features) throws {
    let memory = TestMemory()
    var arena = memory.arena()
    var driver = DriverVirtqueue(
      index: 0, size: 8, features: features, indirectCapacity: 4, from: &arena)!
    let data = arena.allocateShared(byteCount: 64, alignment: 16)!
    for i in 0..<12 { data.store(UInt8(i), at: i) }
    // Readable bytes 0-5 and 6-11, writable 12-17 and 18-23.
    let segments: [4 of DMASegment] = InlineArray { data.segment(at: 6 * $0, byteCount: 6) }
    let accepted = driver.submit(segments.span, readableCount: 2, token: 1)
    #expect(accepted)
    _ = driver.publish()
    var device = DeviceVirtqueue(maximumSize: 8, memory: memory.guest)
    try device.makeReady(size: 8, at: driver.addresses, features: features)
    var chain = try device.next()!

    var four = ByteArray<4>()
    try chain.read(&four, device)
    #expect(four.load(UInt32.self, at: 0) == 0x0302_0100)
    let skipped = try chain.skip(3, device)
    #expect(skipped == 3)
    try chain.read(&four, device)
    #expect(four.load(UInt32.self, at: 0) == 0x0a09_0807)
    let rest = try chain.skip(100, device)
    #expect(rest == 1)
    for step in 0..<3 {
      for i in 0..<4 { four[i] = UInt8(100 + 4 * step + i) }
      try chain.write(four, device)
    }
    try device.use(chain, written: 12)
    _ = device.endService()
    let used = try driver.reclaim()
    #expect(used?.byteCount == 12)
    for i in 0..<12 { #expect(data.load(UInt8.self, at: 12 + i) == UInt8(100 + i)) }
  }

  @Test(arguments: ringFeatureMatrix)
  func `a second write goes on within the descriptor`(_ features: Features) throws {
    let memory = TestMemory()
    var arena = memory.arena()
    var driver = DriverVirtqueue(index: 0, size: 8, features: features, from: &arena)!
    let data = arena.allocateShared(byteCount: 64, alignment: 16)!
    let segments: [2 of DMASegment] = InlineArray { data.segment(at: 8 * $0, byteCount: 8) }
    let accepted = driver.submit(segments.span, readableCount: 0, token: 1)
    #expect(accepted)
    _ = driver.publish()
    var device = DeviceVirtqueue(maximumSize: 8, memory: memory.guest)
    try device.makeReady(size: 8, at: driver.addresses, features: features)
    var chain = try device.next()!
    var four = ByteArray<4>()
    for step in 0..<3 {
      for i in 0..<4 { four[i] = UInt8(4 * step + i) }
      try chain.write(four, device)
    }
    try device.use(chain, written: 12)
    for i in 0..<12 { #expect(data.load(UInt8.self, at: i) == UInt8(i)) }
  }
}
