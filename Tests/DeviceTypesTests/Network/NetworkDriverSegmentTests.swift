// The network driver for hosts that pass frames on: sent from where they lie, held where they came in.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

@Suite struct NetworkDriverSegmentTests: NetworkDriverSuite {
  let memory: TestMemory
  let device: FakeDevice

  init() {
    memory = TestMemory()
    device = .network(memory)
  }

  private var place: UInt64 { memory.address + 0x1000 }

  private func settings(bufferCount: Int = 4, segmentCount: Int = 0) -> NetworkDriverSettings {
    NetworkDriverSettings(
      features: Self.mergeable | NetworkFeature.mtu, receiveBufferCount: 4, receiveBufferByteCount: 64,
      transmitBufferCount: bufferCount, transmitByteCount: 1514, transmitSegmentCount: segmentCount)
  }

  /// Sends the bytes with a head of `head` bytes and the rest in segments of `cut` bytes at `place`.
  private func send<Registers: RegisterAccess>(
    _ driver: inout NetworkDriver<Registers, 1>, _ bytes: [UInt8], head: Int, cut: Int, token: UInt32
  ) throws -> NetworkSubmission {
    memory.write(bytes, place)
    var segments = [DMASegment(deviceAddress: 0, byteCount: 0)]
    for start in stride(from: head, to: bytes.count, by: cut) {
      let count = min(cut, bytes.count - start)
      segments.append(DMASegment(deviceAddress: place + UInt64(start), byteCount: UInt32(count)))
    }
    let start = Array(bytes.prefix(head))
    var list = segments.mutableSpan
    // Bytes have no padding.
    let result = unsafe try driver.transmit(head: start.span.bytes, segments: &list, token: token)
    driver.publishTransmissions()
    return result
  }

  @Test func `a frame goes out from where it lies, and its token comes back once`() throws {
    var driver = try makeDriver(Self.mergeable, settings: settings())
    let bytes = frame(byteCount: 300)
    let result = try send(&driver, bytes, head: 64, cut: 100, token: 77)
    #expect(result == .accepted)
    let early = try driver.nextTransmitted()
    #expect(early == nil)
    let buffer = try #require(device.take(1))
    #expect(buffer.elements.map { $0.byteCount } == [76, 100, 100, 36])
    #expect(buffer.elements.dropFirst().map { $0.address } == [place + 64, place + 164, place + 264])
    #expect(memory.bytes(buffer.elements[0].address, 76) == NetworkHeader().list + bytes.prefix(64))
    device.use(1, id: UInt32(buffer.id), byteCount: 0)
    let token = try driver.nextTransmitted()
    #expect(token == 77)
    let again = try driver.nextTransmitted()
    #expect(again == nil)
  }

  @Test func `tokens and frames that are copied do not disturb each other`() throws {
    var driver = try makeDriver(Self.mergeable, settings: settings())
    for round in 0..<20 as Range<UInt32> {
      let copied = try driver.transmit(frame(seed: Int(round)))
      let sent = try send(&driver, frame(byteCount: 100), head: 64, cut: 20, token: round)
      #expect(copied == .accepted && sent == .accepted)
      #expect(device.consume(1)?.count == 72 && device.consume(1)?.count == 112)
      let token = try driver.nextTransmitted()
      #expect(token == round)
    }
  }

  @Test func `a full queue says so, and has room when something was used`() throws {
    var driver = try makeDriver(Self.mergeable, settings: settings(bufferCount: 4))
    let first = try driver.hasRoom(frameCount: 4, segmentCount: 0)
    // More than there will ever be: nothing is in flight that would be worth waiting for.
    let absurd = try driver.hasRoom(frameCount: 100, segmentCount: 1000)
    #expect(first && absurd)
    for token in 0..<2 as Range<UInt32> {
      let sent = try send(&driver, frame(byteCount: 100), head: 64, cut: 36, token: token)
      #expect(sent == .accepted)
    }
    let room = try driver.hasRoom(frameCount: 1, segmentCount: 0)
    let full = try send(&driver, frame(byteCount: 100), head: 64, cut: 36, token: 9)
    #expect(!room && full == .full)
    _ = device.consume(1)
    let token = try driver.nextTransmitted()
    let now = try driver.hasRoom(frameCount: 1, segmentCount: 1)
    #expect(token == 0 && now)
    let tooMuch = try driver.hasRoom(frameCount: 1, segmentCount: 2)
    #expect(!tooMuch)
  }

  @Test func `frames that cannot be sent are refused`() throws {
    var driver = try makeDriver(Self.mergeable | NetworkFeature.mtu, settings: settings())
    for (byteCount, head, cut) in [(60, 13, 100), (1515, 64, 1500), (300, 64, 50)] {
      let result = try send(&driver, frame(byteCount: byteCount), head: head, cut: cut, token: 1)
      #expect(result == .refused)
    }
    var empty = [DMASegment](repeating: DMASegment(deviceAddress: place, byteCount: 0), count: 2)
    let head = frame()
    var list = empty.mutableSpan
    let result = unsafe try driver.transmit(head: head.span.bytes, segments: &list, token: 1)
    #expect(result == .refused)
    #expect(device.take(1) == nil)
  }

  @Test(arguments: ringFeatureMatrix)
  func `every ring format carries segments`(_ ring: Features) throws {
    let link = TestLink()
    let bench = NetworkBench(makeNetworkDevice(link), memory)
    var arena = memory.arena()
    var driver = try LoopbackNetworkDriver<1>(
      try MMIODriverTransport(bench.registers), memory: &arena,
      settings: settings(bufferCount: 16, segmentCount: 8), ringFeatures: ring)!
    link.isSlow = true
    for round in 0..<40 as Range<UInt32> {
      let bytes = frame(byteCount: 100 + 30 * Int(round), seed: Int(round))
      let sent = try send(&driver, bytes, head: 64, cut: 200, token: round)
      #expect(sent == .accepted && link.sent.last?.bytes == bytes)
      let early = try driver.nextTransmitted()
      #expect(early == nil)
      link.finish(link.pending[0])
      let events = bench.transport.line.eventCount
      bench.transport.poll()
      #expect(bench.transport.line.eventCount == events + 1)
      let token = try driver.nextTransmitted()
      #expect(token == round)
    }
  }

  @Test func `a received frame is held where it lies, and its buffers go back cleared`() throws {
    var driver = try makeDriver(Self.mergeable, settings: settings())
    let bytes = frame(byteCount: 500)
    let size = 300
    let first = try #require(device.take(0))
    let second = try #require(device.take(0))
    let slot = Int(first.elements[0].byteCount)
    memory.write(NetworkHeader.with(bufferCount: 2).list + bytes.prefix(size - 12), first.elements[0].address)
    memory.write(Array(bytes.dropFirst(size - 12)), second.elements[0].address)
    #expect(slot >= size)
    device.use(0, id: UInt32(first.id), byteCount: UInt32(size))
    device.use(0, id: UInt32(second.id), byteCount: UInt32(500 - size + 12))
    let held = try driver.holdFrame()
    #expect(held?.byteCount == 500 && driver.heldSegmentCount == 2)
    let places = (0..<2).map { driver.heldSegment($0) }
    #expect(places.flatMap { memory.bytes($0.deviceAddress, Int($0.byteCount)) } == bytes)
    driver.releaseFrame()
    for place in places {
      #expect(memory.bytes(place.deviceAddress, Int(place.byteCount)).allSatisfy { $0 == 0 })
    }
    let none = try driver.holdFrame()
    #expect(none == nil)
    // All four are there again.
    for _ in 0..<4 { #expect(device.answer(0, filled(frame(byteCount: 48)))) }
    for _ in 0..<4 {
      let received = try driver.receive()
      #expect(received?.bytes == frame(byteCount: 48))
    }
  }
}
