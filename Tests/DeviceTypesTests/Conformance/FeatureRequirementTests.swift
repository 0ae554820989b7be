// virtio 1.4 §2.2 Feature Bits: no side offers or accepts a feature without those that it requires. Among the
// four device types, §5.1.3.1 has such requirements, and §5.2.5.2 one for the device.

import DeviceTypes
import TestSupport
import Testing
import Virtio

@Suite struct `Feature requirements` {
  /// What §5.1.3.1 says: a feature, and the features of which it requires one.
  private static let requirements: [(feature: Features, oneOf: Features)] = [
    (NetworkFeature.guestTSO4, NetworkFeature.guestChecksum),
    (NetworkFeature.guestTSO6, NetworkFeature.guestChecksum),
    (NetworkFeature.guestECN, NetworkFeature.guestTSO4 | NetworkFeature.guestTSO6),
    (NetworkFeature.guestUFO, NetworkFeature.guestChecksum),
    (NetworkFeature.hostTSO4, NetworkFeature.checksum),
    (NetworkFeature.hostTSO6, NetworkFeature.checksum),
    (NetworkFeature.hostECN, NetworkFeature.hostTSO4 | NetworkFeature.hostTSO6),
    (NetworkFeature.hostUFO, NetworkFeature.checksum),
    (NetworkFeature.controlReceive, NetworkFeature.controlQueue),
    (NetworkFeature.controlVLAN, NetworkFeature.controlQueue),
    (NetworkFeature.guestAnnounce, NetworkFeature.controlQueue),
    (NetworkFeature.multiQueue, NetworkFeature.controlQueue),
    (NetworkFeature.controlMACAddress, NetworkFeature.controlQueue),
  ]

  private static func isConsistent(_ features: Features) -> Bool {
    requirements.allSatisfy { (features & $0.feature).isEmpty || !(features & $0.oneOf).isEmpty }
  }

  private static let everything = Features(low: 0xff_ffff)

  @Test func `2.2.1 the network driver accepts no feature without one that it requires`() throws {
    // Each bit missing from the offer in turn, and each bit offered alone.
    for bit in 0..<24 {
      for offer in [Self.everything.subtracting(.bit(bit) | NetworkFeature.multiQueue), .bit(bit)] {
        let window = RegisterWindow()
        let stub = StubRegisters(window, offering: offer | .version1)
        stub.deviceID = DeviceID.network.rawValue
        stub.queueSizeMax = 64
        stub.configuration = [2, 0, 0, 0, 0, 1, 1, 0, 1, 0, 220, 5]
        let memory = TestMemory(byteCount: 8 << 20)
        var arena = memory.arena()
        let settings = NetworkDriverSettings(
          features: Self.everything, receiveBufferCount: 2, transmitBufferCount: 2)
        _ = try NetworkDriver<WindowRegisters, 1>(
          MMIODriverTransport(window.registers), memory: &arena, settings: settings)
        #expect(stub.status & 8 != 0)
        #expect(Self.isConsistent(stub.driverFeatures), "bit \(bit) of \(offer)")
        withExtendedLifetime(memory) {}
      }
    }
  }

  @Test func `2.2.2 the network device offers no feature without one that it requires`() {
    let all = NetworkOffloads.all
    for bit in 0..<24 {
      let device: NetworkDevice<TestBackend, 2> = makeNetworkDevice(
        TestLink(), transmit: all, receive: all, mtu: 1500, withheld: .bit(bit))
      let offered = device.offeredFeatures
      #expect(Self.isConsistent(offered), "without bit \(bit)")
    }
    for offload in [NetworkOffloads.tcp4, .tcp6, .udp, .ecn, .tcp4 | .ecn, .checksum | .ecn] {
      let device: NetworkDevice<TestBackend, 2> = makeNetworkDevice(
        TestLink(), transmit: offload, receive: offload)
      let offered = device.offeredFeatures
      #expect(Self.isConsistent(offered), "\(offload)")
    }
  }

  @Test func `2.2.2 the requirements of this test are those of the clause`() {
    #expect(Self.isConsistent(Self.everything))
    for (feature, _) in Self.requirements { #expect(!Self.isConsistent(feature)) }
  }
}
