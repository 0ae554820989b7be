// Features and configuration space of the network device.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

@Suite struct NetworkDeviceConfigurationTests {
  private func configuration(_ rig: NetworkRig) -> [UInt8] {
    (0..<16).map { UInt8(rig.bench.transport.read(at: 0x100 + $0, byteCount: 1)) }
  }

  @Test func `5.1.4 the configuration has the layout of the clause`() {
    let rig = NetworkRig(mtu: 0x1234)
    #expect(configuration(rig) == deviceMAC.list + [1, 0, 0, 0, 0x34, 0x12, 0, 0, 0, 0])
    #expect(rig.bench.transport.read(at: 0x104, byteCount: 4) == 0x0001_0504)
    #expect(rig.bench.transport.device.configurationByteCount == 12)
    // Fields of features that are not offered do not exist.
    #expect(NetworkRig().bench.transport.device.configurationByteCount == 8)
    let multi = MultiNetworkBench(makeNetworkDevice(TestLink()), TestMemory())
    #expect(multi.transport.device.configurationByteCount == 10)
    #expect(multi.transport.read(at: 0x108, byteCount: 2) == 4)
  }

  @Test func `5.1.4.1 device: max_virtqueue_pairs is 1 to 0x8000 when MQ is offered`() {
    let multi = MultiNetworkBench(makeNetworkDevice(TestLink()), TestMemory())
    #expect(multi.transport.offeredFeatures.contains(NetworkFeature.multiQueue))
    #expect((1...0x8000).contains(multi.transport.read(at: 0x108, byteCount: 2)))
    #expect(!NetworkRig().bench.transport.offeredFeatures.contains(NetworkFeature.multiQueue))
  }

  @Test(arguments: [1280, 1500, 65535] as [UInt16])
  func `5.1.4.1 device: an MTU that is offered is at least 1280`(_ mtu: UInt16) {
    let rig = NetworkRig(mtu: mtu)
    #expect(rig.bench.transport.offeredFeatures.contains(NetworkFeature.mtu))
    #expect(rig.bench.transport.read(at: 0x10a, byteCount: 2) == UInt64(mtu))
    #expect(!NetworkRig().bench.transport.offeredFeatures.contains(NetworkFeature.mtu))
  }

  @Test(arguments: [0, 67, 68, 1279] as [UInt16])
  func `5.1.4.1 device: a smaller MTU cannot be set`(_ mtu: UInt16) async {
    await #expect(processExitsWith: .failure) { [mtu] in
      _ = NetworkDeviceSettings(mac: deviceMAC, mtu: mtu)
    }
  }

  @Test func `5.1.4.1 device: the MTU stays what it was, whatever the driver does`() {
    var rig = NetworkRig(mtu: 1400)
    rig.start(NetworkFeature.mtu)
    let before = configuration(rig)
    for offset in 0..<16 { rig.bench.transport.write(0xff, at: 0x100 + offset, byteCount: 1) }
    rig.bench.transport.write(0xffff_ffff, at: 0x108, byteCount: 4)
    rig.bench.transport.write(0xffff_ffff_ffff_ffff, at: 0x100, byteCount: 8)
    #expect(configuration(rig) == before)
    rig.transmit(.with(), frame(byteCount: 1414))
    rig.bench.transport.poll()
    rig.start()
    #expect(configuration(rig) == before)
  }

  @Test func `5.1.4.1 device: CTRL_RX_EXTRA is not offered without CTRL_VQ`() {
    let all = NetworkRig(receive: .all).bench.transport.device.offeredFeatures
    #expect(all.contains(NetworkFeature.controlReceiveExtra | NetworkFeature.controlQueue))
    let none = NetworkRig(receive: .all, withheld: NetworkFeature.controlQueue).bench.transport.device
      .offeredFeatures
    #expect((none & Features(low: 0xfe_0004)).isEmpty)
  }

  @Test func `offloads are offered only as far as the backend does them`() {
    func offered(_ transmit: NetworkOffloads, _ receive: NetworkOffloads) -> Features {
      NetworkRig(transmit: transmit, receive: receive).bench.transport.device.offeredFeatures
        & Features(low: 0x7f87)
    }
    #expect(offered(.none, .none) == .none)
    #expect(offered(.checksum, .none) == NetworkFeature.checksum)
    #expect(offered(.checksum | .tcp6, .none) == NetworkFeature.checksum | NetworkFeature.hostTSO6)
    #expect(
      offered(.none, .checksum | .udp)
        == NetworkFeature.guestChecksum | NetworkFeature.guestUFO | NetworkFeature.controlGuestOffloads)
    #expect(offered(.all, .all) == Features(low: 0x7f87))
    // Nothing without what it requires.
    #expect(offered(.tcp4 | .ecn, .udp) == NetworkFeature.controlGuestOffloads)
  }

  @Test(arguments: [7, 8, 10, 9, 11, 12, 13, 14, 18, 19, 21, 23])
  func `5.1.3.1 a feature without those it requires is not accepted`(_ bit: Int) {
    var rig = NetworkRig(transmit: .all, receive: .all)
    rig.driver.negotiate(.bit(bit))
    #expect(!rig.driver.status.contains(.featuresOK))
    rig.driver.negotiate(rig.bench.transport.device.offeredFeatures)
    #expect(rig.driver.status.contains(.featuresOK))
  }

  @Test func `a change of the link is announced once`() {
    var rig = NetworkRig()
    rig.start(NetworkFeature.status)
    let events = rig.bench.transport.line.eventCount
    let generation = rig.bench.transport.read(at: MMIORegister.configurationGeneration, byteCount: 4)
    rig.bench.transport.device.linkIsUp = false
    #expect(rig.bench.transport.read(at: 0x106, byteCount: 2) == 1)
    rig.bench.transport.poll()
    #expect(rig.bench.transport.read(at: 0x106, byteCount: 2) == 0)
    #expect(rig.bench.transport.line.eventCount == events + 1)
    #expect(rig.bench.transport.read(at: MMIORegister.configurationGeneration, byteCount: 4) != generation)
    rig.bench.transport.poll()
    #expect(rig.bench.transport.line.eventCount == events + 1)
    rig.bench.transport.device.linkIsUp = true
    rig.bench.transport.poll()
    #expect(rig.bench.transport.read(at: 0x106, byteCount: 2) == 1)
    #expect(rig.bench.transport.line.eventCount == events + 2)
  }

  @Test func `a change of the link is no news without STATUS`() {
    var rig = NetworkRig()
    rig.start()
    rig.bench.transport.device.linkIsUp = false
    rig.bench.transport.poll()
    #expect(rig.bench.transport.line.eventCount == 0)
  }

  @Test func `5.1.2 the control queue comes after the pairs that MQ gives`() {
    let memory = TestMemory()
    let bench = MultiNetworkBench(makeNetworkDevice(TestLink()), memory)
    let features = NetworkFeature.controlQueue | NetworkFeature.controlReceive
    let bytes = memory.address + 0x80000
    memory.write([0, 0, 1], bytes)
    for (more, index) in [(.none, 2), (NetworkFeature.multiQueue, 8)] as [(Features, Int)] {
      var driver = FakeDriver(bench.registers, memory)
      driver.start(features: features | more, queues: 0..<9)
      for queue in [2, 8] {
        driver.descriptor(queue, 0, address: bytes, byteCount: 3, flags: 1, next: 1)
        driver.descriptor(queue, 1, address: bytes + 8, byteCount: 1, flags: 2)
        driver.makeAvailable(queue, 0)
        #expect(driver.usedIndex(queue) == (queue == index ? 1 : 0))
      }
    }
    #expect(bench.transport.fault == nil)
  }
}
