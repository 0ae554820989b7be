// The network driver against a device that answers what it likes: transmitted frames.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

@Suite struct NetworkDriverTransmitTests: NetworkDriverSuite {
  let memory: TestMemory
  let device: FakeDevice

  init() {
    memory = TestMemory()
    device = .network(memory)
  }

  /// The header with which `offload` goes out, or nil when it is refused.
  private func header(
    _ offload: NetworkOffload, _ features: Features, byteCount: Int = 60
  ) throws -> NetworkHeader? {
    var driver = try makeDriver(features, settings: settings(features))
    guard try driver.transmit(frame(byteCount: byteCount), offload) == .accepted else { return nil }
    return NetworkHeader(list: Array(device.consume(1)!.prefix(12)))
  }

  private static let offloads = Features(low: 0x7801)

  private func segmented(_ kind: NetworkSegmentation.Kind, hasECN: Bool = false) -> NetworkOffload {
    .udp4(NetworkSegmentation(kind, segmentSize: 20, hasECN: hasECN))
  }

  @Test func `5.1.9.2.1 driver: the header is as long as that of received frames`() throws {
    for features in [Features.none, NetworkFeature.mergeableBuffers, Self.offloads] {
      var driver = try makeDriver(features, settings: settings(features, count: 32))
      _ = try driver.transmit(frame(byteCount: 33))
      #expect(device.consume(1).map { Array($0.dropFirst(12)) } == frame(byteCount: 33))
      device.answer(0, filled(frame(byteCount: 33)))
      let received = try driver.receive()
      #expect(received?.bytes == frame(byteCount: 33))
    }
  }

  @Test func `5.1.9.2.1 driver: num_buffers is zero`() throws {
    for offload in [NetworkOffload.complete, .udp4(), segmented(.udp)] {
      let header = try header(offload, Self.offloads | NetworkFeature.mergeableBuffers)
      #expect(header?.bufferCount == 0)
    }
  }

  @Test func `5.1.9.2.1 driver: without CSUM flags are zero and partial checksums are refused`() throws {
    let complete = try header(.complete, .none)
    #expect(complete == .with())
    let valid = try header(NetworkOffload(checksum: .valid), .none)
    #expect(valid == .with())
    let partial = try header(.udp4(), .none)
    #expect(partial == nil)
  }

  @Test func `5.1.9.2.1 driver: TCPV4 only with HOST_TSO4`() throws {
    let with = try header(segmented(.tcp4), Self.offloads)
    #expect(with?.segmentationType == 1)
    let without = try header(segmented(.tcp4), Self.offloads.subtracting(NetworkFeature.hostTSO4))
    #expect(without == nil)
  }

  @Test func `5.1.9.2.1 driver: TCPV6 only with HOST_TSO6`() throws {
    let with = try header(segmented(.tcp6), Self.offloads)
    #expect(with?.segmentationType == 4)
    let without = try header(segmented(.tcp6), Self.offloads.subtracting(NetworkFeature.hostTSO6))
    #expect(without == nil)
  }

  @Test func `5.1.9.2.1 driver: UDP only with HOST_UFO`() throws {
    let with = try header(segmented(.udp), Self.offloads)
    #expect(with?.segmentationType == 3)
    let without = try header(segmented(.udp), Self.offloads.subtracting(NetworkFeature.hostUFO))
    #expect(without == nil)
  }

  @Test func `5.1.9.2.1 driver: never UDP_L4, a tunnel or its checksum`() throws {
    device.features = Features(low: .max & ~(1 << 34 | 1 << 35), high: .max)
    for kind in [NetworkSegmentation.Kind.tcp4, .tcp6, .udp] {
      let header = try header(segmented(kind), Self.offloads)
      #expect(header?.flags == 1 && [1, 3, 4].contains(header?.segmentationType))
    }
    _ = try makeDriver(
      Features(low: 0xffe0_0000_0000_0000, high: .max), settings: settings(Features(low: .max, high: .max)))
    #expect(device.driverFeatures == .version1)
  }

  @Test func `5.1.9.2.1 driver: TCP with ECN only with HOST_ECN, and then with its bit`() throws {
    let with = try header(segmented(.tcp4, hasECN: true), Self.offloads)
    #expect(with?.segmentationType == 0x81)
    let without = try header(
      segmented(.tcp4, hasECN: true), Self.offloads.subtracting(NetworkFeature.hostECN))
    #expect(without == nil)
  }

  @Test func `5.1.9.2.1 driver: a partial checksum goes out with the fields to complete it`() throws {
    let packet = udpFrame(from: (1, 7), to: (2, 9), byteCount: 90)
    var driver = try makeDriver(Self.offloads)
    _ = try driver.transmit(packet, .udp4())
    let raw = device.consume(1)!
    let header = NetworkHeader(list: Array(raw.prefix(12)))
    #expect(header.flags == 1)
    var bytes = Array(raw.dropFirst(12))
    // The pseudo header's sum is in its place; completed, the packet is right.
    #expect(bytes == packet)
    completeChecksum(&bytes, start: header.checksumStart, offset: header.checksumOffset)
    #expect(onesComplementSum([10, 0, 0, 1, 10, 0, 0, 2, 0, 17, 0, 56] + bytes[34...]) == 0xffff)
    // Not beyond the frame.
    let beyond = try driver.transmit(packet, NetworkOffload(checksum: .partial(start: 89, offset: 0)))
    #expect(beyond == .refused)
  }

  @Test func `5.1.9.2.1 driver: gso_type is NONE when no segmentation was negotiated`() throws {
    for kind in [NetworkSegmentation.Kind.tcp4, .tcp6, .udp] {
      let header = try header(segmented(kind), NetworkFeature.checksum)
      #expect(header == nil)
    }
    let plain = try header(.udp4(), NetworkFeature.checksum)
    #expect(plain?.segmentationType == 0)
  }

  @Test func `5.1.9.2.1 driver: segmentation comes with NEEDS_CSUM and a size`() throws {
    let header = try header(segmented(.tcp4), Self.offloads)
    #expect(header?.flags == 1 && header?.segmentSize == 20)
    for offload in [
      NetworkOffload(segmentation: NetworkSegmentation(.tcp4, segmentSize: 20)),
      .udp4(NetworkSegmentation(.tcp4, segmentSize: 0)),
    ] {
      let refused = try self.header(offload, Self.offloads)
      #expect(refused == nil)
    }
  }

  @Test func `5.1.9.2.1 driver: hdr_len is not less than the headers`() throws {
    let own = try header(.udp4(NetworkSegmentation(.udp, segmentSize: 20), headerLength: 42), Self.offloads)
    #expect(own?.headerLength == 42)
    for byteCount in [60, 1000] {
      let header = try header(.complete, Self.offloads, byteCount: byteCount)
      #expect(header?.headerLength == UInt16(min(byteCount, 128)))
    }
  }

  @Test func `5.1.9.2.1 driver: never sets DATA_VALID or RSC_INFO`() throws {
    for offload in [NetworkOffload(checksum: .valid), .complete, .udp4(), segmented(.tcp6)] {
      let header = try header(offload, Self.offloads)
      #expect(header.map { $0.flags & 0xfe } == 0)
    }
  }

  @Test func `frames wait for room and go on when the device is done`() throws {
    let settings = NetworkDriverSettings(features: .none, transmitBufferCount: 4)
    var driver = try makeDriver(.none, settings: settings)
    for seed in 0..<4 {
      let submission = try driver.transmit(frame(seed: seed))
      #expect(submission == .accepted)
    }
    for _ in 0..<3 {
      let submission = try driver.transmit(frame())
      #expect(submission == .full)
    }
    var isComplete = try driver.transmissionIsComplete()
    #expect(!isComplete)
    #expect(device.consume(1)?.dropFirst(12).elementsEqual(frame(seed: 0)) == true)
    let submission = try driver.transmit(frame(seed: 9))
    #expect(submission == .accepted)
    for seed in [1, 2, 3, 9] {
      #expect(device.consume(1)?.dropFirst(12).elementsEqual(frame(seed: seed)) == true)
    }
    isComplete = try driver.transmissionIsComplete()
    #expect(isComplete)
  }

  @Test func `frames that are too short or too long are refused`() throws {
    var driver = try makeDriver(.none)
    for byteCount in [0, 13, 1519, 4000] {
      let submission = try driver.transmit([UInt8](repeating: 2, count: byteCount))
      #expect(submission == .refused)
    }
    #expect(device.take(1) == nil)
  }

  @Test func `a transmitted buffer that comes back wrong is a fault`() throws {
    var driver = try makeDriver(.none)
    _ = try driver.transmit(frame())
    // Nothing in it is device-writable.
    device.use(1, id: 0, byteCount: 1)
    #expect(fault { _ = try driver.transmit(frame()) } == .usedLengthTooLong)
    #expect(fault { _ = try driver.receive() } == .usedLengthTooLong)
  }
}
