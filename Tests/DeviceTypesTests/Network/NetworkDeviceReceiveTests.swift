// Reception by the network device, into buffers of a driver that writes what it likes.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

@Suite struct NetworkDeviceReceiveTests {
  private static let all = Features(low: 0x782)
  private let packet = udpFrame(from: (1, 1000), to: (2, 2000), byteCount: 100)

  @Test func `5.1.9.4.1 device: num_buffers is 1 without mergeable buffers`() {
    var rig = NetworkRig()
    rig.start()
    let received = rig.receive(frame(byteCount: 100))
    #expect(received?.header == .with(bufferCount: 1))
    #expect(received?.bytes == frame(byteCount: 100))
    #expect(rig.driver.used(0, 0) == (0, 112))
  }

  @Test func `5.1.9.3.2 device: without mergeable buffers a frame takes one buffer or none`() {
    var rig = NetworkRig()
    rig.start()
    rig.supply([100])
    rig.supply([100])
    rig.link.offer(frame(byteCount: 100))
    rig.bench.transport.poll()
    // The frame is lost, the buffers stay.
    #expect(rig.link.waiting.isEmpty && rig.driver.usedIndex(0) == 0)
    rig.link.offer(frame(byteCount: 88))
    rig.bench.transport.poll()
    #expect(rig.driver.usedIndex(0) == 1)
    #expect(rig.driver.used(0, 0) == (0, 100))
  }

  @Test(arguments: [[[1526]], [[60], [60]], [[12], [12], [40], [200]], [[30, 1, 1], [5, 0, 10], [100]]])
  func `5.1.9.4.1 device: num_buffers counts the buffers of a frame`(_ buffers: [[Int]]) {
    var rig = NetworkRig()
    rig.start(NetworkFeature.mergeableBuffers)
    let places = buffers.map { rig.supply($0) }
    rig.link.offer(frame(byteCount: 80))
    rig.bench.transport.poll()
    let count = Int(rig.driver.usedIndex(0))
    let lengths = buffers.map { $0.reduce(0, +) }
    var left = 92
    var expected: [Int] = []
    for length in lengths where left > 0 {
      expected.append(min(length, left))
      left -= min(length, left)
    }
    #expect(count == expected.count)
    #expect((0..<count).map { Int(rig.driver.used(0, UInt16($0)).byteCount) } == expected)
    let bytes = zip(places, expected).flatMap { rig.memory.bytes($0.0, $0.1) }
    #expect(NetworkHeader(list: Array(bytes.prefix(12))) == .with(bufferCount: UInt16(count)))
    #expect(Array(bytes.dropFirst(12)) == frame(byteCount: 80))
  }

  @Test func `5.1.9.3.2 device: num_buffers is the number of buffers used for the packet`() {
    var rig = NetworkRig()
    rig.start(NetworkFeature.mergeableBuffers)
    let first = rig.supply([64])
    for _ in 0..<3 { rig.supply([64]) }
    rig.link.offer(frame(byteCount: 150))
    rig.bench.transport.poll()
    #expect(rig.driver.usedIndex(0) == 3)
    #expect(rig.memory.load(UInt16.self, first + 10) == 3)
  }

  @Test func `5.1.9.4.1 device: all buffers of a frame but the last are used to their full length`() {
    var rig = NetworkRig()
    rig.start(NetworkFeature.mergeableBuffers)
    for length in [33, 47, 12, 300] { rig.supply([length]) }
    rig.link.offer(frame(byteCount: 200))
    rig.bench.transport.poll()
    #expect((0..<4).map { rig.driver.used(0, $0).byteCount } == [33, 47, 12, 120])
  }

  @Test func `5.1.9.4.1 device: the buffers of a frame become used together`() {
    var rig = NetworkRig()
    rig.start(NetworkFeature.mergeableBuffers)
    rig.supply([64])
    rig.link.offer(frame(byteCount: 100))
    rig.bench.transport.poll()
    // One buffer does not suffice: none is used, until the second one is there.
    #expect(rig.driver.usedIndex(0) == 0)
    #expect(rig.bench.transport.line.eventCount == 0)
    rig.supply([64])
    #expect(rig.driver.usedIndex(0) == 2)
    #expect(rig.bench.transport.line.eventCount == 1)
  }

  @Test(arguments: [.none, .eventIndex] as [Features])
  func `a full ring holds the frames back and goes on when buffers come`(_ features: Features) {
    // CVE-2020-16843.
    var rig = NetworkRig()
    rig.start(features | NetworkFeature.mergeableBuffers)
    for seed in 0..<5 { rig.link.offer(frame(byteCount: 100, seed: seed)) }
    rig.supply()
    rig.bench.transport.poll()
    #expect(rig.driver.usedIndex(0) == 1 && rig.link.waiting.count == 4)
    let hasWork = rig.bench.transport.hasWork
    #expect(!hasWork)
    let places = (0..<3).map { _ in rig.supply() }
    #expect(rig.driver.usedIndex(0) == 4 && rig.link.waiting.count == 1)
    for (index, place) in places.enumerated() {
      #expect(rig.memory.bytes(place + 12, 100) == frame(byteCount: 100, seed: index + 1))
    }
    rig.supply()
    #expect(rig.driver.usedIndex(0) == 5 && rig.link.waiting.isEmpty)
    #expect(rig.bench.transport.device.droppedReceiveCount == 0)
  }

  @Test func `a frame that the whole ring cannot hold is lost, and the next one comes`() {
    var rig = NetworkRig()
    rig.start(NetworkFeature.mergeableBuffers)
    for _ in 0..<32 { rig.supply([40], notify: false) }
    rig.link.offer(frame(byteCount: 1514))
    rig.link.offer(frame(byteCount: 60))
    rig.bench.transport.poll()
    #expect(rig.driver.usedIndex(0) == 2)
    #expect(rig.bench.transport.device.droppedReceiveCount == 1)
  }

  @Test func `a frame beyond what a service call may take is lost`() {
    var rig = NetworkRig()
    rig.start(NetworkFeature.mergeableBuffers)
    rig.bench.transport.setBudget(3, queue: 0)
    for _ in 0..<8 { rig.supply([40], notify: false) }
    rig.link.offer(frame(byteCount: 140))
    rig.link.offer(frame(byteCount: 60))
    rig.bench.transport.poll()
    while rig.bench.transport.hasWork { _ = rig.bench.transport.run() }
    #expect(rig.driver.usedIndex(0) == 2 && rig.link.waiting.isEmpty)
  }

  @Test func `a mergeable buffer shorter than the header is a fault`() {
    var rig = NetworkRig()
    rig.start(NetworkFeature.mergeableBuffers)
    rig.supply([20])
    rig.supply([11])
    rig.link.offer(frame(byteCount: 100))
    rig.bench.transport.poll()
    #expect(rig.fault == .bufferTooShort)
  }

  @Test func `a receive buffer outside of memory is a fault`() {
    var rig = NetworkRig()
    rig.start(NetworkFeature.mergeableBuffers)
    rig.supply([20])
    rig.submit(0, [(1 << 40, 1526)], readable: 0)
    rig.link.offer(frame(byteCount: 100))
    rig.bench.transport.poll()
    #expect(rig.fault == .addressOutsideMemory)
    // After a reset all is well again, with the frame that still waits.
    rig.start(NetworkFeature.mergeableBuffers)
    rig.supply()
    #expect(rig.driver.usedIndex(0) == 1)
  }

  @Test func `frames that are absurdly short or long are lost`() {
    var rig = NetworkRig()
    rig.start(NetworkFeature.mergeableBuffers)
    for count in [0, 13, 65594] { #expect(rig.receive([UInt8](repeating: 2, count: count)) == nil) }
    #expect(rig.bench.transport.device.droppedReceiveCount == 3)
  }

  @Test func `a backend that fails loses the frame and no buffer`() {
    var rig = NetworkRig()
    rig.start()
    rig.link.isBroken = true
    #expect(rig.receive(frame()) == nil)
    #expect(rig.bench.transport.device.droppedReceiveCount == 1)
    rig.link.isBroken = false
    #expect(rig.receive(frame()) != nil)
    #expect(rig.driver.used(0, 0).id == 0)
  }

  @Test func `a driver that is not there yet, and a link that is down, cost the frames`() {
    var rig = NetworkRig()
    rig.driver.start(queues: [1])
    rig.link.offer(frame())
    rig.bench.transport.poll()
    #expect(rig.link.waiting.isEmpty)
    rig.start()
    rig.bench.transport.device.linkIsUp = false
    #expect(rig.receive(frame()) == nil && rig.link.waiting.isEmpty)
  }

  @Test func `a reset while a frame waits for room`() {
    var rig = NetworkRig()
    rig.start(NetworkFeature.mergeableBuffers)
    rig.supply([40])
    rig.link.offer(frame(byteCount: 100))
    rig.bench.transport.poll()
    #expect(rig.driver.usedIndex(0) == 0)
    rig.start(NetworkFeature.mergeableBuffers)
    let place = rig.supply([400])
    #expect(rig.driver.used(0, 0) == (0, 112))
    #expect(rig.memory.bytes(place + 12, 100) == frame(byteCount: 100))
  }

  // MARK: Offloads

  /// What `offload` looks like to a driver that negotiated `features`; nil when the frame does not come.
  private func header(_ offload: NetworkOffload, _ features: Features) -> NetworkHeader? {
    var rig = NetworkRig(receive: .all)
    rig.start(features)
    return rig.receive(packet, offload)?.header
  }

  private func segmented(_ kind: NetworkSegmentation.Kind, hasECN: Bool = false) -> NetworkOffload {
    .udp4(NetworkSegmentation(kind, segmentSize: 40, hasECN: hasECN), headerLength: 42)
  }

  @Test func `5.1.9.4.1 device: flags are zero without GUEST_CSUM`() {
    #expect(header(NetworkOffload(checksum: .valid), .none)?.flags == 0)
    #expect(header(.complete, .none)?.flags == 0)
  }

  @Test func `5.1.9.4.1 device: without GUEST_CSUM frames are fully checksummed or lost`() {
    #expect(header(.udp4(), .none) == nil)
    // The backend is told, and so can complete them.
    var rig = NetworkRig(receive: .all)
    rig.start()
    #expect(rig.link.receiveOffloads == .none)
    rig.start(Self.all)
    #expect(rig.link.receiveOffloads == .all)
  }

  @Test func `5.1.9.4.1 device: no TCPV4 without GUEST_TSO4`() {
    #expect(header(segmented(.tcp4), Self.all.subtracting(NetworkFeature.guestTSO4)) == nil)
    #expect(header(segmented(.tcp4), Self.all)?.segmentationType == 1)
  }

  @Test func `5.1.9.4.1 device: no UDP without GUEST_UFO`() {
    #expect(header(segmented(.udp), Self.all.subtracting(NetworkFeature.guestUFO)) == nil)
    #expect(header(segmented(.udp), Self.all)?.segmentationType == 3)
  }

  @Test func `5.1.9.4.1 device: no TCPV6 without GUEST_TSO6`() {
    #expect(header(segmented(.tcp6), Self.all.subtracting(NetworkFeature.guestTSO6)) == nil)
    #expect(header(segmented(.tcp6), Self.all)?.segmentationType == 4)
  }

  @Test func `5.1.9.4.1 device: never UDP_L4, a tunnel, its checksum or RSC_INFO`() {
    for kind in [NetworkSegmentation.Kind.tcp4, .tcp6, .udp] {
      let header = header(segmented(kind), Self.all)
      #expect(header?.flags == 1)
      #expect([1, 3, 4].contains(header?.segmentationType))
    }
    #expect(header(NetworkOffload(checksum: .valid), Self.all)?.flags == 2)
    var rig = NetworkRig(receive: NetworkOffloads(rawValue: .max))
    let offered = rig.bench.transport.offeredFeatures
    #expect((offered & Features(low: 0xffe0_0000_0000_0000, high: .max)).isEmpty)
    rig.start(Features(low: 1 << 54) | NetworkFeature.guestChecksum)
    #expect(!rig.driver.status.contains(.featuresOK))
  }

  @Test func `5.1.9.4.1 device: TCP with ECN only with GUEST_ECN, and then with its bit`() {
    #expect(header(segmented(.tcp4, hasECN: true), Self.all.subtracting(NetworkFeature.guestECN)) == nil)
    #expect(header(segmented(.tcp4, hasECN: true), Self.all)?.segmentationType == 0x81)
    #expect(header(segmented(.tcp6, hasECN: true), Self.all)?.segmentationType == 0x84)
    #expect(header(segmented(.tcp6), Self.all)?.segmentationType == 4)
  }

  @Test func `5.1.9.4.1 device: a partial checksum is passed on with the fields to complete it`() {
    var rig = NetworkRig(receive: .all)
    rig.start(Self.all)
    guard let received = rig.receive(packet, .udp4()) else {
      Issue.record("lost")
      return
    }
    #expect(received.header.flags == 1)
    var bytes = received.bytes
    completeChecksum(&bytes, start: received.header.checksumStart, offset: received.header.checksumOffset)
    let pseudo: [UInt8] = [10, 0, 0, 1, 10, 0, 0, 2, 0, 17, 0, 66]
    #expect(onesComplementSum(pseudo + bytes[34...]) == 0xffff)
  }

  @Test func `5.1.9.4.1 device: gso_type is NONE when no segmentation was negotiated`() {
    for kind in [NetworkSegmentation.Kind.tcp4, .tcp6, .udp] {
      #expect(header(segmented(kind), NetworkFeature.guestChecksum) == nil)
    }
    #expect(header(.udp4(), NetworkFeature.guestChecksum)?.segmentationType == 0)
  }

  @Test func `5.1.9.4.1 device: segmentation comes with NEEDS_CSUM and a size`() {
    let header = header(segmented(.tcp4), Self.all)
    #expect(header?.flags == 1 && header?.segmentSize == 40)
    let lacking = [
      NetworkOffload(segmentation: NetworkSegmentation(.tcp4, segmentSize: 40)),
      .udp4(NetworkSegmentation(.tcp4, segmentSize: 0)),
    ]
    for offload in lacking { #expect(self.header(offload, Self.all) == nil) }
  }

  @Test func `5.1.9.4.1 device: hdr_len is not less than the headers`() {
    #expect(header(segmented(.udp), Self.all)?.headerLength == 42)
    // Unless the backend knows better, more than all headers together.
    #expect(header(.udp4(), Self.all)?.headerLength == 100)
    #expect(header(.complete, .none)?.headerLength == 0)
  }

  @Test func `5.1.9.4.1 device: DATA_VALID only for what the backend has checked`() {
    #expect(header(NetworkOffload(checksum: .valid), Self.all)?.flags == 2)
    #expect(header(.complete, Self.all)?.flags == 0)
  }

  @Test func `5.1.4.1 device: nothing beyond the MTU is received`() {
    var rig = NetworkRig(receive: .all, mtu: 1280)
    rig.start(NetworkFeature.mtu | Self.all)
    #expect(rig.receive(frame(byteCount: 1294)) != nil)
    #expect(rig.receive(frame(byteCount: 1295)) == nil)
    #expect(rig.receive(frame(vlan: 3, byteCount: 1298)) != nil)
    #expect(rig.receive(frame(vlan: 3, byteCount: 1299)) == nil)
    // What is to be segmented does not count.
    #expect(rig.receive(frame(byteCount: 1400), segmented(.tcp4)) != nil)
    // Without the feature there is no such limit.
    rig.start()
    #expect(rig.receive(frame(byteCount: 1295)) != nil)
  }
}
