// Commands, offloads and several pairs: our network driver on our network device.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

@Suite struct NetworkLoopbackControlTests {
  private let memory = TestMemory()
  private let link = TestLink()
  private static let everything = Features(low: 0xff_ffaf)

  private func makeDriver(
    _ bench: NetworkBench, _ features: Features, _ ring: Features = .mmioTransportBits
  ) throws -> LoopbackNetworkDriver<1> {
    var arena = memory.arena()
    return try LoopbackNetworkDriver<1>(
      try MMIODriverTransport(bench.registers), memory: &arena,
      settings: NetworkDriverSettings(features: features), ringFeatures: ring)!
  }

  @Test(arguments: ringFeatureMatrix)
  func `modes, tables and VLANs decide what is received`(_ ring: Features) throws {
    let bench = NetworkBench(makeNetworkDevice(link), memory)
    var driver = try makeDriver(bench, Self.everything, ring)
    let other = MACAddress(2, 7, 7, 7, 7, 7)
    let group = MACAddress(0x33, 0x33, 0, 0, 0, 1)
    func arrives(_ bytes: [UInt8], _ driver: inout LoopbackNetworkDriver<1>) throws -> Bool {
      link.offer(bytes)
      bench.transport.poll()
      return try driver.receive()?.bytes == bytes
    }
    var seen: [Bool] = []
    var steps: [Bool] = []
    for step in 0..<5 {
      switch step {
      case 1: steps.append(try driver.set(.promiscuous, true))
      case 2:
        _ = try driver.set(.promiscuous, false)
        let unicast: [1 of MACAddress] = [other]
        let multicast: [1 of MACAddress] = [group]
        steps.append(try driver.setTable(unicast: unicast.span, multicast: multicast.span))
      case 3: steps.append(try driver.set(vlan: 7, true))
      case 4: steps.append(try driver.set(.noMulticast, true))
      default: break
      }
      for bytes in [frame(), frame(to: other), frame(to: group), frame(vlan: 7)] {
        seen.append(try arrives(bytes, &driver))
      }
    }
    #expect(steps == [true, true, true, true])
    let no = false
    #expect(
      seen == [
        true, no, no, no, true, true, true, true, true, true, true, no, true, true, true, true, true, true,
        no,
        true,
      ])
    _ = try driver.setAddress(other)
    let own = try arrives(frame(to: other), &driver)
    let former = try arrives(frame(to: deviceMAC), &driver)
    #expect(own && !former)
    #expect(bench.transport.fault == nil)
  }

  @Test func `announcements and the link reach the driver`() throws {
    let bench = NetworkBench(makeNetworkDevice(link), memory)
    var driver = try makeDriver(bench, Self.everything)
    bench.transport.device.requestAnnouncement()
    bench.transport.poll()
    var status = try driver.acknowledgeInterrupt()
    #expect(status == NetworkStatus(linkIsUp: true, mustAnnounce: true))
    let isDone = try driver.acknowledgeAnnouncement()
    #expect(isDone)
    bench.transport.device.linkIsUp = false
    bench.transport.poll()
    status = try driver.acknowledgeInterrupt()
    #expect(status == NetworkStatus(linkIsUp: false, mustAnnounce: false))
    let isUp = driver.linkIsUp
    #expect(!isUp)
  }

  @Test func `offloads are carried through, both ways`() throws {
    let bench = NetworkBench(makeNetworkDevice(link, transmit: .all, receive: .all), memory)
    var driver = try makeDriver(bench, Self.everything)
    let kinds: [NetworkSegmentation.Kind] = [.tcp4, .tcp6, .udp]
    let offloads =
      [NetworkOffload.udp4(headerLength: 42)]
      + kinds.map { .udp4(NetworkSegmentation($0, segmentSize: 500, hasECN: $0 != .udp), headerLength: 54) }
    for offload in offloads {
      let submission = try driver.transmit(frame(byteCount: 1400), offload)
      #expect(submission == .accepted)
      #expect(link.sent.last?.offload == offload)
      link.offer(frame(byteCount: 20000), offload)
      bench.transport.poll()
      let received = try driver.receive()
      #expect(received?.bytes == frame(byteCount: 20000))
      #expect(received?.offload == offload)
    }
    let isDone = try driver.setReceiveOffloads(.none)
    #expect(isDone && link.receiveOffloads == .none)
  }

  @Test(arguments: ringFeatureMatrix)
  func `an interrupt tells that there is room again, and only then`(_ ring: Features) throws {
    let bench = NetworkBench(makeNetworkDevice(link), memory)
    var driver = try makeDriver(bench, NetworkDriverSettings.simpleFeatures, ring)
    for seed in 0..<100 { _ = try driver.transmit(frame(seed: seed)) }
    // While there is room, nobody needs to know that frames are done.
    #expect(link.sent.count == 100 && bench.transport.line.eventCount == 0)
    for _ in 0..<3 {
      link.room = 1
      var submission = NetworkSubmission.accepted
      while submission == .accepted { submission = try driver.transmit(frame()) }
      #expect(submission == .full)
      let events = bench.transport.line.eventCount
      link.room = 100
      bench.transport.poll()
      #expect(bench.transport.line.eventCount == events + 1)
      _ = try driver.acknowledgeInterrupt()
      for seed in 0..<50 {
        let submission = try driver.transmit(frame(seed: seed))
        #expect(submission == .accepted)
      }
      #expect(bench.transport.line.eventCount == events + 1)
    }
  }

  @Test func `frames of the largest MTU pass whole`() throws {
    let bench = NetworkBench(makeNetworkDevice(link, mtu: 9000), memory)
    var arena = memory.arena()
    var driver = try LoopbackNetworkDriver<1>(
      try MMIODriverTransport(bench.registers), memory: &arena,
      settings: NetworkDriverSettings(transmitByteCount: 9018))!
    let mtu = driver.mtu
    #expect(mtu == 9000)
    let submission = try driver.transmit(frame(byteCount: 9014))
    #expect(submission == .accepted && link.sent[0].bytes == frame(byteCount: 9014))
    link.offer(frame(byteCount: 9014))
    bench.transport.poll()
    let received = try driver.receive()
    #expect(received?.bytes == frame(byteCount: 9014))
  }

  @Test(arguments: ringFeatureMatrix)
  func `flows keep to their pair`(_ ring: Features) throws {
    let bench = MultiNetworkBench(makeNetworkDevice(link), memory)
    var arena = memory.arena()
    var driver = try MultiLoopbackNetworkDriver(
      try MMIODriverTransport(bench.registers), memory: &arena,
      settings: NetworkDriverSettings(receiveBufferCount: 8, transmitBufferCount: 4), ringFeatures: ring)!
    #expect(driver.pairCount == 3)
    let isDone = try driver.usePairs(3)
    #expect(isDone)
    for round in 0..<20 as Range<UInt16> {
      for pair in 0..<3 {
        let port = 1000 + 7 * UInt16(pair)
        let submission = try driver.transmit(udpFrame(from: (1, port), to: (2, round)), pair: pair)
        #expect(submission == .accepted)
        link.offer(udpFrame(from: (2, round), to: (1, port)))
      }
      bench.transport.poll()
      var received: [[UInt8]] = []
      while let frame = try driver.receive() { received.append(frame.bytes) }
      #expect(received.count == 3)
      #expect(Set(received).count == 3)
    }
    #expect(link.sent.count == 60 && bench.transport.fault == nil)
  }

  @Test(arguments: ringFeatureMatrix)
  func `a reset with frames in flight loses them and nothing else`(_ ring: Features) throws {
    let bench = NetworkBench(makeNetworkDevice(link), memory)
    for _ in 0..<3 {
      var driver = try makeDriver(bench, NetworkDriverSettings.simpleFeatures, ring)
      link.room = 2
      for seed in 0..<5 {
        let submission = try driver.transmit(frame(seed: seed))
        #expect(submission == .accepted)
      }
      let isIdle = try driver.transmissionIsComplete()
      #expect(!isIdle)
      for seed in 0..<40 { link.offer(frame(seed: seed)) }
      bench.transport.poll()
      // The ring is full, frames wait on both sides.
      #expect(!link.waiting.isEmpty)
      let received = try driver.receive()
      #expect(received?.bytes == frame(seed: 0))
      try driver.shutDown()
      bench.transport.poll()
      link.waiting = []
      link.room = 100
      #expect(link.sent.count == 2)
      link.sent = []
    }
    #expect(bench.transport.fault == nil)
  }
}
