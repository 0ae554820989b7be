// The network driver against a device that answers what it likes: received frames.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

@Suite struct NetworkDriverReceiveTests: NetworkDriverSuite {
  let memory: TestMemory
  let device: FakeDevice

  init() {
    memory = TestMemory()
    device = .network(memory)
  }

  @Test func `5.1.9.4.2 driver: ignores flags that it does not know`() throws {
    var driver = try makeDriver()
    for flags in [4, 8, 16, 32, 64, 128, 0xfe] as [UInt8] {
      device.answer(0, filled(frame(), .with(flags: flags, bufferCount: 1)))
      let received = try driver.receive()
      #expect(received?.bytes == frame() && received?.offload == .complete)
    }
  }

  @Test func `5.1.9.4.2 driver: without NEEDS_CSUM, or with RSC_INFO, the checksum fields are not used`()
    throws
  {
    let features = NetworkFeature.guestChecksum
    var driver = try makeDriver(features, settings: settings(features))
    device.answer(0, filled(frame(), .with(start: 34, offset: 6, bufferCount: 1)))
    let complete = try driver.receive()
    #expect(complete?.offload == .complete)
    device.answer(0, filled(frame(), .with(flags: 5, start: 34, offset: 6, bufferCount: 1)))
    let none = try driver.receive()
    #expect(none == nil)
    device.answer(0, filled(frame(), .with(flags: 1, start: 34, offset: 6, bufferCount: 1)))
    let partial = try driver.receive()
    #expect(partial?.offload == .udp4())
  }

  @Test func `5.1.9.4.2 driver: hdr_len is a hint that is never relied upon`() throws {
    let features = NetworkFeature.guestChecksum | NetworkFeature.guestUFO | NetworkFeature.mergeableBuffers
    var driver = try makeDriver(features, settings: settings(features, count: 32))
    for (hint, seen) in [(0, 0), (42, 42), (61, 60), (0xffff, 60)] as [(UInt16, UInt16)] {
      let header = NetworkHeader.with(
        flags: 1, type: 3, headerLength: hint, segmentSize: 20, start: 34, offset: 6, bufferCount: 1)
      device.answer(0, filled(frame(), header))
      let received = try driver.receive()
      #expect(received?.offload.headerLength == seen)
      #expect(received?.bytes == frame())
    }
  }

  @Test func `5.1.9.4.2 driver: a checksum that nobody vouches for is handed up as such`() throws {
    let features = NetworkFeature.guestChecksum
    var driver = try makeDriver(features, settings: settings(features))
    for (flags, expected) in [(0, .unchecked), (2, .valid)] as [(UInt8, NetworkChecksum)] {
      device.answer(0, filled(frame(), .with(flags: flags, bufferCount: 1)))
      let received = try driver.receive()
      #expect(received?.offload.checksum == expected)
    }
    // Not negotiated, not believed.
    var other = try makeDriver(.none)
    device.answer(0, filled(frame(), .with(flags: 2, bufferCount: 1)))
    let received = try other.receive()
    #expect(received?.offload.checksum == .unchecked)
  }

  @Test(
    arguments: [
      .with(flags: 1, type: 0x61, segmentSize: 20, start: 34, offset: 6, bufferCount: 1),
      .with(flags: 1, type: 0x60, segmentSize: 20, start: 34, offset: 6, bufferCount: 1),
    ] as [NetworkHeader])
  func `5.1.9.4.2 driver: frames of both kinds of UDP tunnel at once are not accepted`(
    _ header: NetworkHeader
  ) throws {
    try refuses(header)
  }

  @Test(
    arguments: [
      .with(flags: 0, type: 0x21, segmentSize: 20, bufferCount: 1),
      .with(flags: 3, type: 0x21, segmentSize: 20, start: 34, offset: 6, bufferCount: 1),
      .with(flags: 1, type: 0x40, start: 34, offset: 6, bufferCount: 1),
      .with(flags: 9, start: 34, offset: 6, bufferCount: 1),
    ] as [NetworkHeader])
  func `5.1.9.4.2 driver: frames of a UDP tunnel without checksum or segmentation are not accepted`(
    _ header: NetworkHeader
  ) throws {
    try refuses(header)
  }

  @Test(
    arguments: [
      .with(flags: 1, start: 59, offset: 0, bufferCount: 1),
      .with(flags: 1, start: 0xffff, offset: 0xffff, bufferCount: 1),
      .with(flags: 0, type: 1, segmentSize: 20, bufferCount: 1),
      .with(flags: 1, type: 1, segmentSize: 0, start: 34, offset: 6, bufferCount: 1),
      .with(flags: 1, type: 5, segmentSize: 20, start: 34, offset: 6, bufferCount: 1),
    ] as [NetworkHeader])
  func `a header that makes no sense costs its frame`(_ header: NetworkHeader) throws {
    try refuses(header)
  }

  private func refuses(_ header: NetworkHeader) throws {
    let features = Features(low: 0x782) | NetworkFeature.mergeableBuffers
    var driver = try makeDriver(features, settings: settings(features, count: 32))
    device.answer(0, filled(frame(), header))
    device.answer(0, filled(frame(seed: 3)))
    let received = try driver.receive()
    #expect(received?.bytes == frame(seed: 3))
  }

  @Test func `frames without end that cannot be accepted are a fault`() throws {
    var driver = try makeDriver(Self.mergeable, settings: settings(Self.mergeable, count: 8))
    for _ in 0..<8 { device.answer(0, filled(frame(), .with(flags: 1, start: 0xffff, bufferCount: 1))) }
    #expect(fault { _ = try driver.receive() } == .invalidResponse)
    // A fault stays.
    #expect(fault { _ = try driver.transmit(frame()) } == .invalidResponse)
  }

  @Test func `a frame over several buffers is put together`() throws {
    var driver = try makeDriver(Self.mergeable, settings: settings(Self.mergeable, count: 32))
    for round in 0..<20 {
      let bytes = frame(byteCount: 300, seed: round)
      let raw = filled(bytes, .with(bufferCount: 5))
      for part in 0..<5 { device.answer(0, Array(raw[(part * 64)..<min(raw.count, part * 64 + 64)])) }
      device.answer(0, filled(frame(byteCount: 50, seed: round)))
      let first = try driver.receive()
      #expect(first?.bytes == bytes)
      let second = try driver.receive()
      #expect(second?.bytes == frame(byteCount: 50, seed: round))
    }
  }

  @Test func `a frame longer than the target is cut off, and told`() throws {
    var driver = try makeDriver(Self.mergeable, settings: settings(Self.mergeable, count: 32))
    let bytes = frame(byteCount: 100)
    let raw = filled(bytes, .with(bufferCount: 2))
    device.answer(0, Array(raw[..<64]))
    device.answer(0, Array(raw[64...]))
    var target = ByteArray<60>()
    var span = target.mutableBytes
    let received = try driver.receive(into: &span)
    #expect(received?.byteCount == 100)
    #expect((0..<60).map { target[$0] } == Array(bytes[..<60]))
  }

  @Test(arguments: [0, 9, 0xffff] as [UInt16])
  func `a number of buffers that cannot be is a fault`(_ count: UInt16) throws {
    var driver = try makeDriver(Self.mergeable, settings: settings(Self.mergeable, count: 8))
    device.answer(0, filled(frame(), .with(bufferCount: count)))
    #expect(fault { _ = try driver.receive() } == .invalidResponse)
  }

  @Test func `a frame whose buffers are not all there is a fault`() throws {
    var driver = try makeDriver(Self.mergeable, settings: settings(Self.mergeable, count: 8))
    device.answer(0, filled(frame(), .with(bufferCount: 3)))
    device.answer(0, [1])
    #expect(fault { _ = try driver.receive() } == .invalidResponse)
  }

  @Test(
    arguments: [
      (0, 0, .invalidResponse), (0, 11, .invalidResponse), (0, 1 << 20, .usedLengthTooLong),
      (4, 72, .unknownBuffer), (0x1_0000, 72, .unknownBuffer), (.max, 72, .unknownBuffer),
    ] as [(UInt32, UInt32, DeviceFault)])
  func `a used entry that cannot be true stops the driver`(
    _ id: UInt32, _ byteCount: UInt32, _ expected: DeviceFault
  ) throws {
    var driver = try makeDriver(Self.mergeable, settings: settings(Self.mergeable, count: 4))
    device.use(0, id: id, byteCount: byteCount)
    for _ in 0..<2 { #expect(fault { _ = try driver.receive() } == expected) }
  }

  @Test func `a buffer that is used twice exposes nothing old`() throws {
    var driver = try makeDriver()
    device.answer(0, filled(frame()))
    device.use(0, id: 0, byteCount: 72)
    let first = try driver.receive()
    #expect(first?.bytes == frame())
    // The buffer was given back meanwhile, wiped.
    let second = try driver.receive()
    #expect(second?.bytes == [UInt8](repeating: 0, count: 60))
  }

  @Test func `a device that claims what it did not write exposes nothing old`() throws {
    var driver = try makeDriver(.none, settings: settings(.none, count: 1))
    device.answer(0, filled([UInt8](repeating: 0xaa, count: 200)))
    let first = try driver.receive()
    #expect(first?.bytes == [UInt8](repeating: 0xaa, count: 200))
    device.answer(0, filled(frame(byteCount: 20)), byteCount: 212)
    let second = try driver.receive()
    #expect(second?.bytes == frame(byteCount: 20) + [UInt8](repeating: 0, count: 180))
  }

  @Test func `5.1.9.4 without mergeable buffers num_buffers says nothing`() throws {
    var driver = try makeDriver(.none)
    for count in [0, 1, 7, 0xffff] as [UInt16] {
      device.answer(0, filled(frame(), .with(bufferCount: count)))
      let received = try driver.receive()
      #expect(received?.bytes == frame())
    }
  }
}
