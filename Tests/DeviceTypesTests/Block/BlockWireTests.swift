// The structures of §5.2 against literal bytes, in both directions.

import DeviceTypes
import Testing
import Virtio
import Wire

/// The bytes of `bytes`, to compare with a literal.
func list<let count: Int>(_ bytes: ByteArray<count>) -> [UInt8] { (0..<count).map { bytes[$0] } }

/// `list` the other way.
func byteArray<let count: Int>(_ list: [UInt8]) -> ByteArray<count> {
  var bytes = ByteArray<count>()
  for (i, byte) in list.enumerated() { bytes[i] = byte }
  return bytes
}

@Suite struct BlockWireTests {
  @Test func `a request header`() {
    let bytes: [UInt8] = [13, 0, 0, 0, 0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1]
    let header = BlockRequestHeader(type: .writeZeroes, sector: 0x0102_0304_0506_0708)
    #expect(list(header.bytes) == bytes)
    #expect(BlockRequestHeader(byteArray(bytes)) == header)
    // The reserved field is not looked at.
    #expect(BlockRequestHeader(byteArray(Array(bytes[0..<4] + [9, 9, 9, 9] + bytes[8...]))) == header)
  }

  @Test func `a range`() {
    let bytes: [UInt8] = [8, 7, 6, 5, 4, 3, 2, 1, 4, 3, 2, 1, 1, 0, 0, 0x80]
    let range = BlockRange(sector: 0x0102_0304_0506_0708, sectorCount: 0x0102_0304, flags: 0x8000_0001)
    #expect(list(range.bytes) == bytes)
    #expect(BlockRange(byteArray(bytes)) == range)
    #expect(range.mayUnmap)
    #expect(!BlockRange(sector: 0, sectorCount: 1, flags: 2).mayUnmap)
  }

  @Test func `the lifetime`() {
    let bytes: [UInt8] = [1, 0, 2, 0, 3, 1]
    let lifetime = BlockLifetime(preEndOfLife: 1, estimateA: 2, estimateB: 0x103)
    #expect(list(lifetime.bytes) == bytes)
    #expect(BlockLifetime(byteArray(bytes)) == lifetime)
    #expect(lifetime.withoutReservedValues == BlockLifetime(preEndOfLife: 1, estimateA: 2, estimateB: 0))
    #expect(
      BlockLifetime(preEndOfLife: 4, estimateA: 12, estimateB: 11).withoutReservedValues
        == BlockLifetime(preEndOfLife: 0, estimateA: 0, estimateB: 11))
  }

  @Test func `the configuration`() {
    var configuration = BlockConfiguration()
    configuration.sectorCount = 0x0102_0304_0506_0708
    configuration.sizeMax = 0x1112_1314
    configuration.segMax = 0x2122_2324
    configuration.blockSize = 0x3132_3334
    configuration.topology.physicalBlockExponent = 0x41
    configuration.topology.alignmentOffset = 0x42
    configuration.topology.minimumBlockCount = 0x4344
    configuration.topology.optimalBlockCount = 0x4546_4748
    configuration.writeback = 1
    configuration.queueCount = 0x5152
    configuration.discard = BlockRangeLimits(sectorCount: 0x61, rangeCount: 0x62, sectorAlignment: 0x63)
    configuration.writeZeroes = BlockRangeLimits(sectorCount: 0x71, rangeCount: 0x72)
    configuration.writeZeroesMayUnmap = 1
    configuration.secureErase = BlockRangeLimits(sectorCount: 0x81, rangeCount: 0x82, sectorAlignment: 0x83)
    #expect(
      list(configuration.encoded()) == [
        8, 7, 6, 5, 4, 3, 2, 1,  // capacity
        0x14, 0x13, 0x12, 0x11, 0x24, 0x23, 0x22, 0x21,  // size_max, seg_max
        0, 0, 0, 0, 0x34, 0x33, 0x32, 0x31,  // geometry, blk_size
        0x41, 0x42, 0x44, 0x43, 0x48, 0x47, 0x46, 0x45,  // topology
        1, 0, 0x52, 0x51,  // writeback, unused0, num_queues
        0x61, 0, 0, 0, 0x62, 0, 0, 0, 0x63, 0, 0, 0,  // discard
        0x71, 0, 0, 0, 0x72, 0, 0, 0, 1, 0, 0, 0,  // write zeroes, unused1
        0x81, 0, 0, 0, 0x82, 0, 0, 0, 0x83, 0, 0, 0,  // secure erase
      ])
  }

  @Test func `numbers of the clause`() {
    let features: [(Features, Int)] = [
      (BlockFeature.sizeMax, 1), (BlockFeature.segMax, 2), (BlockFeature.geometry, 4),
      (BlockFeature.readOnly, 5), (BlockFeature.blockSize, 6), (BlockFeature.flush, 9),
      (BlockFeature.topology, 10), (BlockFeature.configurableCache, 11), (BlockFeature.multiqueue, 12),
      (BlockFeature.discard, 13), (BlockFeature.writeZeroes, 14), (BlockFeature.lifetime, 15),
      (BlockFeature.secureErase, 16),
    ]
    for (feature, bit) in features { #expect(feature == .bit(bit)) }
    let types: [(BlockRequestType, UInt32)] = [
      (.read, 0), (.write, 1), (.flush, 4), (.getID, 8), (.getLifetime, 10), (.discard, 11),
      (.writeZeroes, 13), (.secureErase, 14),
    ]
    for (type, number) in types { #expect(type.rawValue == number) }
    #expect([BlockStatus.ok, .inputOutputError, .unsupported].map(\.rawValue) == [0, 1, 2])
    #expect(BlockStatus(2).isDefined && !BlockStatus(3).isDefined)
  }
}
