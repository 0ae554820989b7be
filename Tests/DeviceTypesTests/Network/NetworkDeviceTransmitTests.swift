// Packet transmission of the network device, against a driver that writes what it likes.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

@Suite struct NetworkDeviceTransmitTests {
  /// A UDP packet with a partial checksum; header and ports as in `udpFrame`.
  private let packet = udpFrame(from: (1, 1000), to: (2, 2000), byteCount: 100)

  @Test(arguments: [[], [12], [5], [12, 14], [1, 1, 1, 9, 0, 1, 1], [0, 12, 0, 0, 60]])
  func `a frame is taken however it is cut into descriptors`(_ cut: [Int]) {
    var rig = NetworkRig()
    rig.start()
    let bytes = frame(byteCount: 80)
    rig.transmit(.with(), bytes, cut: cut)
    #expect(rig.link.sent.map { $0.bytes } == [bytes])
    #expect(rig.link.sent[0].offload == .complete)
    #expect(rig.driver.used(1, 0).byteCount == 0)
    #expect(rig.bench.transport.line.eventCount == 1)
    // No copy of the device's own: one piece for each descriptor that holds some of the frame.
    #expect(rig.link.pieceCounts[0] <= cut.count + 1)
  }

  @Test func `5.1.9.2.2 device: ignores flags that it does not know`() {
    var rig = NetworkRig(transmit: .all)
    rig.start(NetworkFeature.checksum)
    for flags in [2, 4, 16, 32, 64, 128, 0xf6] as [UInt8] { rig.transmit(.with(flags: flags), packet) }
    #expect(rig.link.sent.count == 7)
    #expect(rig.link.sent.allSatisfy { $0.offload == .complete })
    rig.transmit(.with(flags: 0xf7, start: 34, offset: 6), packet)
    #expect(rig.link.sent[7].offload == .udp4())
  }

  @Test func `5.1.9.2.2 device: without NEEDS_CSUM the checksum fields are not used`() {
    var rig = NetworkRig(transmit: .all)
    rig.start(NetworkFeature.checksum)
    // Were they used, the frame would be refused.
    rig.transmit(.with(start: 0xffff, offset: 0xffff), packet)
    #expect(rig.link.sent.map { $0.offload } == [.complete])
  }

  @Test func `5.1.9.2.2 device: hdr_len is a hint that is never relied upon`() {
    var rig = NetworkRig(transmit: .all)
    rig.start(NetworkFeature.checksum | NetworkFeature.hostUFO)
    for (hint, seen) in [(0, 0), (42, 42), (100, 100), (101, 100), (0xffff, 100)] as [(UInt16, UInt16)] {
      rig.transmit(
        .with(flags: 1, type: 3, headerLength: hint, segmentSize: 40, start: 34, offset: 6), packet)
      #expect(rig.link.sent.last?.offload.headerLength == seen)
      #expect(rig.link.sent.last?.bytes == packet)
    }
  }

  @Test func `5.1.9.2.2 device: frames of both kinds of UDP tunnel at once are not accepted`() {
    var rig = NetworkRig(transmit: .all)
    rig.start(Features(low: 0x7801))
    for type in [0x60, 0x61, 0x64, 0xe1] as [UInt8] {
      rig.transmit(.with(flags: 1, type: type, segmentSize: 40, start: 34, offset: 6), packet)
    }
    #expect(rig.link.sent.isEmpty)
    #expect(rig.bench.transport.device.droppedTransmitCount == 4)
    // Lost, and not a fault: the buffers come back.
    #expect(rig.driver.usedIndex(1) == 4 && rig.fault == nil)
  }

  @Test func `5.1.9.2.2 device: frames of a UDP tunnel without checksum or segmentation are not accepted`() {
    var rig = NetworkRig(transmit: .all)
    rig.start(Features(low: 0x7801))
    for (flags, type) in [(0, 0x21), (2, 0x21), (3, 0x41), (1, 0x20), (8, 0), (9, 1)] as [(UInt8, UInt8)] {
      rig.transmit(.with(flags: flags, type: type, segmentSize: 40, start: 34, offset: 6), packet)
    }
    #expect(rig.link.sent.isEmpty)
    #expect(rig.driver.usedIndex(1) == 6 && rig.fault == nil)
  }

  @Test func `5.1.9.2.2 device: without NEEDS_CSUM the backend is told that the checksum is not known`() {
    var rig = NetworkRig(transmit: .all)
    rig.start(NetworkFeature.checksum)
    // DATA_VALID is for drivers only.
    rig.transmit(.with(flags: 2), packet)
    #expect(rig.link.sent[0].offload.checksum == .unchecked)
  }

  @Test func `5.1.9.2 a partial checksum is completed from the fields of the header`() {
    var rig = NetworkRig(transmit: .all)
    rig.start(NetworkFeature.checksum)
    rig.transmit(.with(flags: 1, start: 34, offset: 6), packet)
    guard case .partial(let start, let offset) = rig.link.sent[0].offload.checksum else {
      Issue.record("no partial checksum")
      return
    }
    var bytes = rig.link.sent[0].bytes
    completeChecksum(&bytes, start: start, offset: offset)
    let pseudo: [UInt8] = [10, 0, 0, 1, 10, 0, 0, 2, 0, 17, 0, 66]
    #expect(onesComplementSum(pseudo + bytes[34...]) == 0xffff)
  }

  @Test(
    arguments: [
      // CVE-2024-11614: the checksum beyond the frame.
      .with(flags: 1, start: 99, offset: 0), .with(flags: 1, start: 34, offset: 65),
      .with(flags: 1, start: 0xffff, offset: 0xffff), .with(flags: 1, start: 100, offset: 0),
      // Segmentation without what it needs.
      .with(flags: 0, type: 1, segmentSize: 40, start: 34, offset: 6),
      .with(flags: 1, type: 1, segmentSize: 0, start: 34, offset: 6),
      .with(flags: 1, type: 0x83, segmentSize: 40, start: 34, offset: 6),
      .with(flags: 1, type: 5, segmentSize: 40, start: 34, offset: 6),
    ] as [NetworkHeader])
  func `an offload that makes no sense costs its frame and nothing else`(_ header: NetworkHeader) {
    var rig = NetworkRig(transmit: .all)
    rig.start(Features(low: 0x7801))
    rig.transmit(header, packet)
    rig.transmit(.with(flags: 1, start: 98, offset: 0), packet)
    #expect(rig.link.sent.count == 1)
    #expect(rig.driver.usedIndex(1) == 2)
    #expect(rig.bench.transport.device.droppedTransmitCount == 1)
    #expect(rig.fault == nil)
  }

  @Test(arguments: [0, 1, 3, 4, 0x81])
  func `an offload that was not negotiated costs its frame`(_ type: UInt8) {
    var rig = NetworkRig(transmit: .all)
    rig.start()
    rig.transmit(.with(flags: 1, type: type, segmentSize: 40, start: 34, offset: 6), packet)
    #expect(rig.link.sent.isEmpty && rig.fault == nil)
    #expect(rig.driver.usedIndex(1) == 1)
  }

  @Test func `frames that are too short or too long are lost`() {
    var rig = NetworkRig()
    rig.start()
    rig.transmit(.with(), [UInt8](repeating: 1, count: 13))
    rig.transmit(.with(), [])
    rig.transmit(.with(), frame(byteCount: 65594))
    #expect(rig.link.sent.isEmpty)
    rig.transmit(.with(), frame(byteCount: 14))
    #expect(rig.link.sent.count == 1)
    #expect(rig.driver.usedIndex(1) == 4 && rig.fault == nil)
  }

  @Test func `overlapping descriptors of 4 GiB together are one frame that is too long`() {
    var rig = NetworkRig()
    rig.start()
    let start = rig.allocate(12)
    rig.submit(
      1, [(start, 12)] + Array(repeating: (rig.memory.address, rig.memory.byteCount), count: 31), readable: 32
    )
    #expect(rig.link.sent.isEmpty)
    #expect(rig.driver.usedIndex(1) == 1 && rig.fault == nil)
  }

  @Test(arguments: [0, 1, 11])
  func `a buffer shorter than the header is a fault`(_ byteCount: Int) {
    var rig = NetworkRig()
    rig.start()
    rig.transmit([UInt8](repeating: 0, count: byteCount))
    #expect(rig.fault == .bufferTooShort)
    #expect(rig.driver.status.contains(.needsReset))
  }

  @Test func `a frame outside of memory is a fault`() {
    var rig = NetworkRig()
    rig.start()
    rig.submit(1, [(rig.memory.address, 12), (1 << 40, 60)], readable: 2)
    #expect(rig.fault == .addressOutsideMemory)
    #expect(rig.link.sent.isEmpty)
  }

  @Test func `a busy link keeps the frames, in order`() {
    var rig = NetworkRig()
    rig.start()
    rig.link.room = 1
    for seed in 0..<4 { rig.transmit(.with(), frame(seed: seed)) }
    #expect(rig.link.sent.count == 1 && rig.driver.usedIndex(1) == 1)
    let hasWork = rig.bench.transport.hasWork
    #expect(!hasWork)
    rig.bench.transport.poll()
    #expect(rig.link.sent.count == 1)
    rig.link.room = 2
    rig.bench.transport.poll()
    #expect(rig.driver.usedIndex(1) == 3)
    rig.link.room = 100
    rig.bench.transport.poll()
    #expect(rig.link.sent.map { $0.bytes } == (0..<4).map { frame(seed: $0) })
    #expect(rig.driver.usedIndex(1) == 4)
  }

  @Test func `a reset forgets the frame that had no room`() {
    var rig = NetworkRig()
    rig.start()
    rig.link.room = 0
    rig.transmit(.with(), frame())
    rig.start()
    rig.link.room = 100
    rig.bench.transport.poll()
    #expect(rig.link.sent.isEmpty && rig.fault == nil)
    rig.transmit(.with(), frame(seed: 5))
    #expect(rig.link.sent.map { $0.bytes } == [frame(seed: 5)])
  }

  @Test func `with the link down frames are lost`() {
    var rig = NetworkRig()
    rig.start()
    rig.bench.transport.device.linkIsUp = false
    rig.transmit(.with(), frame())
    #expect(rig.link.sent.isEmpty && rig.driver.usedIndex(1) == 1)
  }

  @Test func `5.1.4.1 device: forwards frames up to the MTU`() {
    var rig = NetworkRig(mtu: 1280)
    rig.start(NetworkFeature.mtu)
    rig.transmit(.with(), frame(byteCount: 1294))
    rig.transmit(.with(), frame(vlan: 5, byteCount: 1298))
    #expect(rig.link.sent.map { $0.bytes.count } == [1294, 1298])
    rig.transmit(.with(), frame(byteCount: 1295))
    rig.transmit(.with(), frame(vlan: 5, byteCount: 1299))
    #expect(rig.link.sent.count == 2)
    #expect(rig.driver.usedIndex(1) == 4)
  }
}
