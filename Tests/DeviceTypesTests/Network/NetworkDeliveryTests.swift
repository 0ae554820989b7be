// Frames that go from the driver of one network device to that of another in one copy, through a switch, with
// whatever offloads the two have agreed on.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

/// A switch with a guest at each port.
private final class Fabric {
  var value = NetworkSwitch<3>()
  var stations: [Station] = []
  /// Whether receivers are told of frames later, of many at once.
  var isGathering = false
}

private typealias Station = Bench<NetworkDevice<FabricPort, 1>, 3>
private typealias StationDriver = NetworkDriver<LoopbackRegisters<NetworkDevice<FabricPort, 1>, 3>, 1>

private struct FabricPort: NetworkBackend {
  let fabric: Fabric
  let port: Int
  var transmitOffloads: NetworkOffloads { .checksum | .tcp4 | .tcp6 | .ecn }
  var receiveOffloads: NetworkOffloads { transmitOffloads }

  mutating func transmit(
    _ frame: borrowing NetworkFrame, _ offload: NetworkOffload, tag: UInt32
  ) -> NetworkTransmission {
    let packet = NetworkPacket(frame, offload)
    var ports = fabric.value.route(packet.head, from: port, at: 0)
    while let target = ports.popFirst() {
      guard target < fabric.stations.count else { continue }
      if fabric.isGathering {
        _ = fabric.stations[target].transport.callOneOfMany {
          (device, context) throws(DriverFault) in try device.deliver(packet, &context)
        }
      } else {
        _ = fabric.stations[target].transport.call {
          (device, context) throws(DriverFault) in try device.deliver(packet, &context)
        }
      }
    }
    return .done
  }

  mutating func waitingFrame() -> NetworkWaitingFrame? { nil }
  mutating func receive(into frame: borrowing NetworkFrame) -> Bool { false }
  mutating func dropFrame() {}
}

@Suite struct NetworkDeliveryTests {
  private let memories = [TestMemory(byteCount: 1 << 22), TestMemory(byteCount: 1 << 22)]
  private let fabric = Fabric()
  private let addresses = [MACAddress(2, 0, 0, 0, 0, 10), MACAddress(2, 0, 0, 0, 0, 11)]

  init() {
    for port in 0..<2 {
      let device = NetworkDevice<FabricPort, 1>(
        backend: FabricPort(fabric: fabric, port: port),
        settings: NetworkDeviceSettings(mac: addresses[port]))
      fabric.stations.append(Station(device, memories[port]))
      fabric.value.bind(addresses[port], to: port)
    }
  }

  private func driver(
    _ port: Int, _ features: Features, ring: Features = .none, receiveBufferCount: Int = 64,
    receiveBufferByteCount: Int = 1536
  ) throws -> StationDriver {
    var arena = memories[port].arena()
    let settings = NetworkDriverSettings(
      features: features, receiveBufferCount: receiveBufferCount,
      receiveBufferByteCount: receiveBufferByteCount, transmitBufferCount: 4,
      transmitByteCount: 65535)
    return try StationDriver(
      try MMIODriverTransport(fabric.stations[port].registers), memory: &arena, settings: settings,
      ringFeatures: ring)!
  }

  private static let sending =
    NetworkFeature.mac | NetworkFeature.checksum | NetworkFeature.hostTSO4 | NetworkFeature.hostTSO6
    | NetworkFeature.hostECN
  private static let receiving: [Features] = (0..<16).map { (mask: Int) -> Features in
    var set = NetworkFeature.mac | NetworkFeature.controlQueue | NetworkFeature.controlGuestOffloads
    if mask & 1 != 0 { set = set | NetworkFeature.guestChecksum }
    if mask & 2 != 0 { set = set | NetworkFeature.guestTSO4 }
    if mask & 4 != 0 { set = set | NetworkFeature.guestTSO6 }
    if mask & 8 != 0 { set = set | NetworkFeature.guestECN }
    return set
  }

  /// Sends what a Linux guest sends, and checks what arrives where `allowed` offloads are on.
  private func exchange(
    _ sender: inout StationDriver, _ receiver: inout StationDriver, _ allowed: NetworkOffloads
  ) throws {
    let to = addresses[1]
    let from = addresses[0].list
    for shape in [TCPFrame(payload: 9000), TCPFrame(isIPv6: true, payload: 9001)] {
      for hasECN in [false, true] {
        let offload = shape.offload(segmentSize: 1400, hasECN: hasECN)
        let bytes = shape.bytes(to: to, from: from)
        let submission = try sender.transmit(bytes, offload)
        #expect(submission == .accepted)
        let kind: NetworkOffloads = shape.isIPv6 ? .tcp6 : .tcp4
        if allowed.contains(hasECN ? kind | .ecn | .checksum : kind | .checksum) {
          let received = try receiver.receive()
          #expect(received?.bytes == bytes)
          #expect(received?.offload.checksum == offload.checksum)
          #expect(received?.offload.segmentation == offload.segmentation)
        } else {
          for index in 0..<7 {
            let received = try #require(try receiver.receive())
            #expect(received.offload.checksum == .unchecked && received.offload.segmentation == nil)
            var local = received.bytes
            local.replaceSubrange(0..<12, with: shape.bytes()[0..<12])
            shape.check(local, index: index, segmentSize: 1400)
          }
        }
      }
    }
    var packet = udpFrame(from: (1, 1000), to: (2, 2000), byteCount: 333)
    packet.replaceSubrange(0..<12, with: to.list + from)
    let submission = try sender.transmit(packet, .udp4())
    #expect(submission == .accepted)
    let received = try receiver.receive()
    if allowed.contains(.checksum) {
      #expect(received?.bytes == packet && received?.offload.checksum == NetworkOffload.udp4().checksum)
    } else {
      completeChecksum(&packet, start: 34, offset: 6)
      #expect(received?.bytes == packet && received?.offload == .complete)
    }
    let none = try receiver.receive()
    #expect(none == nil)
  }

  @Test(arguments: receiving, [false, true])
  func `every frame arrives whole, whatever offloads its receiver agreed on`(
    _ features: Features, _ isMergeable: Bool
  ) throws {
    var sender = try driver(0, Self.sending)
    let features = isMergeable ? features | NetworkFeature.mergeableBuffers : features
    var receiver = try driver(1, features, receiveBufferCount: isMergeable ? 64 : 16)
    let offloads = receiver.receiveOffloads
    try exchange(&sender, &receiver, offloads)
    // §5.1.9.5.9: and whatever it then switches off and on again.
    guard receiver.features.contains(NetworkFeature.controlGuestOffloads) else { return }
    for mask in 0..<16 as Range<UInt64> {
      let chosen = NetworkOffloads(
        rawValue: offloads.rawValue & (mask & 1 << 1 | (mask & 2) << 6 | (mask & 4) << 6 | (mask & 8) << 6))
      let isDone = try receiver.setReceiveOffloads(chosen)
      if isDone { try exchange(&sender, &receiver, chosen) }
    }
    let drops = fabric.stations[1].transport.device.droppedReceiveCount
    #expect(drops == 0 && fabric.stations[0].transport.fault == nil)
  }

  @Test(arguments: ringFeatureMatrix)
  func `frames go both ways in every ring format`(_ ring: Features) throws {
    let all = NetworkDriverSettings.simpleFeatures
    var first = try driver(0, all, ring: ring, receiveBufferCount: 8)
    var second = try driver(1, all, ring: ring, receiveBufferCount: 8)
    for round in 0..<50 {
      var there = frame(to: addresses[1], byteCount: 60 + 29 * round, seed: round)
      there.replaceSubrange(6..<12, with: addresses[0].list)
      var back = frame(to: addresses[0], byteCount: 1514 - round, seed: round)
      back.replaceSubrange(6..<12, with: addresses[1].list)
      let sent = try first.transmit(there)
      let received = try second.receive()
      #expect(sent == .accepted && received?.bytes == there)
      let answered = try second.transmit(back)
      let answer = try first.receive()
      #expect(answered == .accepted && answer?.bytes == back)
    }
  }

  @Test func `a receiver without buffers loses frames, and its sender does not notice`() throws {
    var sender = try driver(0, Self.sending)
    var receiver = try driver(
      1, NetworkFeature.mac | NetworkFeature.mergeableBuffers, receiveBufferCount: 4,
      receiveBufferByteCount: 512)
    var bytes = frame(to: addresses[1], byteCount: 500)
    bytes.replaceSubrange(6..<12, with: addresses[0].list)
    for _ in 0..<10 {
      let submission = try sender.transmit(bytes)
      let isIdle = try sender.transmissionIsComplete()
      #expect(submission == .accepted && isIdle)
    }
    let drops = fabric.stations[1].transport.device.droppedReceiveCount
    #expect(drops == 6)
    for _ in 0..<4 {
      let received = try receiver.receive()
      #expect(received?.bytes == bytes)
    }
    let none = try receiver.receive()
    #expect(none == nil)
    // A device that nobody drives takes nothing.
    try receiver.shutDown()
    let submission = try sender.transmit(bytes)
    #expect(submission == .accepted)
    let isLive = fabric.stations[1].transport.call { (_, _) throws(DriverFault) in }
    #expect(!isLive)
  }

  @Test(arguments: [.none, .ringPacked, .eventIndex, .ringPacked | .eventIndex] as [Features])
  func `a receiver is told once of frames that come together`(_ ring: Features) throws {
    var sender = try driver(0, Self.sending)
    var receiver = try driver(1, NetworkFeature.mac, ring: ring)
    fabric.isGathering = true
    var bytes = frame(to: addresses[1])
    bytes.replaceSubrange(6..<12, with: addresses[0].list)
    let before = fabric.stations[1].transport.line.eventCount
    for _ in 0..<3 {
      let submission = try sender.transmit(bytes)
      let isIdle = try sender.transmissionIsComplete()
      #expect(submission == .accepted && isIdle)
    }
    let early = try receiver.receive()
    #expect(early == nil && fabric.stations[1].transport.line.eventCount == before)
    fabric.stations[1].transport.finishCalls()
    #expect(fabric.stations[1].transport.line.eventCount == before + 1)
    for _ in 0..<3 {
      let received = try receiver.receive()
      #expect(received?.bytes == bytes)
    }
    let none = try receiver.receive()
    #expect(none == nil)
    try receiver.shutDown()
    // Nobody is there to be told.
    fabric.stations[1].transport.finishCalls()
    #expect(fabric.stations[1].transport.line.eventCount == before + 1)
  }

  @Test func `what is not for the receiver does not reach it`() throws {
    var sender = try driver(0, Self.sending)
    var receiver = try driver(1, NetworkFeature.mac)
    var stranger = frame(to: MACAddress(2, 0, 0, 0, 0, 99))
    stranger.replaceSubrange(6..<12, with: addresses[0].list)
    _ = try sender.transmit(stranger)
    // From an address of the other.
    var forged = frame(to: addresses[1])
    forged.replaceSubrange(6..<12, with: addresses[1].list)
    _ = try sender.transmit(forged)
    let none = try receiver.receive()
    #expect(none == nil)
    #expect(fabric.value.filteredCount == 1 && fabric.value.floodedCount == 1)
    let drops = fabric.stations[1].transport.device.droppedReceiveCount
    #expect(drops == 1)
  }

  @Test(arguments: [false, true])
  func `a receiver whose ring is broken fails alone`(isGathering: Bool) throws {
    fabric.isGathering = isGathering
    var sender = try driver(0, Self.sending)
    var broken = FakeDriver(fabric.stations[1].registers, memories[1], queueSize: 8)
    broken.start(features: NetworkFeature.mergeableBuffers, queues: 0..<3)
    // Too short for a header.
    broken.descriptor(0, 0, address: memories[1].address + 0x40000, byteCount: 4, flags: 2, next: 0)
    broken.makeAvailable(0, 0, notify: false)
    var bytes = frame(to: addresses[1])
    bytes.replaceSubrange(6..<12, with: addresses[0].list)
    for _ in 0..<2 {
      let submission = try sender.transmit(bytes)
      #expect(submission == .accepted)
    }
    #expect(fabric.stations[1].transport.fault == .bufferTooShort)
    #expect(fabric.stations[0].transport.fault == nil)
    let isIdle = try sender.transmissionIsComplete()
    #expect(isIdle)
  }
}
