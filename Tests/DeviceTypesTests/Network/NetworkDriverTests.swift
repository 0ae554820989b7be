// The network driver against a device that answers what it likes: set-up and receive buffers.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

@Suite struct NetworkDriverTests: NetworkDriverSuite {
  let memory: TestMemory
  let device: FakeDevice

  init() {
    memory = TestMemory()
    device = .network(memory)
  }

  @Test func `5.1.4.2 driver: writes no configuration field`() throws {
    let everything = Features(low: 0xff_ffaf)
    device.onNotify = { queue in if queue == 2 { answerCommand(0) } }
    var driver = try makeDriver(everything, settings: settings(everything))
    _ = try driver.transmit(frame())
    _ = try driver.set(.promiscuous, true)
    _ = try driver.setAddress(MACAddress(2, 1, 1, 1, 1, 1))
    _ = try driver.readStatus()
    try driver.shutDown()
    #expect(device.configurationWrites.isEmpty)
  }

  @Test func `5.1.4.2 driver: accepts MAC, MTU and STATUS when they are offered`() throws {
    let offered = NetworkFeature.mac | NetworkFeature.mtu | NetworkFeature.status
    let driver = try makeDriver(offered)
    #expect(driver.features.contains(offered))
    #expect(device.driverFeatures.contains(offered))
  }

  @Test func `5.1.4.2 driver: the address is the device's`() throws {
    let driver = try makeDriver(NetworkFeature.mac)
    #expect(driver.address == deviceMAC)
  }

  @Test func `5.1.4.2 driver: without MAC the address is locally administered`() throws {
    let settings = NetworkDriverSettings(address: MACAddress(0x11, 2, 3, 4, 5, 6))
    let driver = try makeDriver(.none, settings: settings)
    #expect(driver.address == MACAddress(0x12, 2, 3, 4, 5, 6))
  }

  @Test func `5.1.4.2 driver: without STATUS the link counts as up`() throws {
    device.configuration[6] = 0
    var driver = try makeDriver(NetworkFeature.mac)
    let isUp = driver.linkIsUp
    #expect(isUp)
    let status = try driver.readStatus()
    #expect(status.linkIsUp && !status.mustAnnounce)
  }

  @Test func `5.1.4.2 driver: with STATUS the link is what the bottom bit says`() throws {
    var driver = try makeDriver(NetworkFeature.status)
    var isUp = driver.linkIsUp
    #expect(isUp)
    for (value, expected) in [(0, false), (1, true), (2, false), (0xfffe, false)] as [(UInt16, Bool)] {
      device.configuration[6] = UInt8(value & 0xff)
      device.configuration[7] = UInt8(value >> 8)
      device.interruptStatus = MMIOInterrupt.configurationChange
      let status = try driver.acknowledgeInterrupt()
      #expect(status?.linkIsUp == expected)
      isUp = driver.linkIsUp
      #expect(isUp == expected)
    }
    device.interruptStatus = MMIOInterrupt.usedBuffer
    let none = try driver.acknowledgeInterrupt()
    #expect(none == nil)
  }

  @Test(arguments: [1500, 9000, 65535] as [UInt16], [false, true])
  func `5.1.4.2 driver: supplies buffers for a frame of the MTU`(_ mtu: UInt16, _ isMergeable: Bool) throws {
    let features = NetworkFeature.mtu | (isMergeable ? NetworkFeature.mergeableBuffers : .none)
    device.configuration[10] = UInt8(mtu & 0xff)
    device.configuration[11] = UInt8(mtu >> 8)
    var driver = try makeDriver(features, settings: settings(features))
    var lengths: [Int] = []
    while let buffer = device.take(0) { lengths.append(Int(buffer.elements[0].byteCount)) }
    let needed = 12 + 14 + Int(mtu)
    #expect(lengths.count == 4)
    #expect(isMergeable ? lengths.reduce(0, +) >= needed : lengths.allSatisfy { $0 >= needed })
    let none = try driver.receive()
    #expect(none == nil)
  }

  @Test func `5.1.4.2 driver: transmits nothing beyond the MTU`() throws {
    device.configuration[10] = 100
    device.configuration[11] = 0
    var driver = try makeDriver(NetworkFeature.mtu | NetworkFeature.checksum)
    for (bytes, expected) in [
      (frame(byteCount: 114), .accepted), (frame(byteCount: 115), .refused),
      (frame(vlan: 1, byteCount: 118), .accepted), (frame(vlan: 1, byteCount: 119), .refused),
    ] as [([UInt8], NetworkSubmission)] {
      let submission = try driver.transmit(bytes)
      #expect(submission == expected)
    }
    let partial = try driver.transmit(frame(byteCount: 115), .udp4())
    #expect(partial == .refused)
  }

  @Test func `5.1.4.2 driver: does not accept CTRL_RX_EXTRA without CTRL_VQ`() throws {
    let odd = NetworkFeature.controlReceiveExtra | NetworkFeature.controlReceive | NetworkFeature.mac
    _ = try makeDriver(odd)
    #expect(device.driverFeatures == NetworkFeature.mac | .version1)
  }

  @Test func `5.1.3.1 features without those they require are not accepted`() throws {
    let odd = Features(low: 0x7f80) | NetworkFeature.multiQueue | NetworkFeature.guestAnnounce
    _ = try makeDriver(odd, settings: settings(Features(low: 0xff_ffff)))
    #expect(device.driverFeatures == .version1)
  }

  @Test(arguments: [(10, 67, 0), (10, 0, 0)] as [(Int, UInt8, UInt8)])
  func `an MTU below 68 makes the device unusable`(_ at: Int, _ low: UInt8, _ high: UInt8) {
    device.configuration[at] = low
    device.configuration[at + 1] = high
    #expect(fault { _ = try makeDriver(NetworkFeature.mtu) } == .invalidConfiguration)
    #expect(device.status.contains(.failed))
  }

  @Test(arguments: [(0, 0), (1, 0x80), (0xff, 0xff)] as [(UInt8, UInt8)])
  func `a number of pairs that the clause forbids makes the device unusable`(_ low: UInt8, _ high: UInt8) {
    device.features = device.features | NetworkFeature.multiQueue | NetworkFeature.controlQueue
    device.configuration[8] = low
    device.configuration[9] = high
    var arena = memory.arena()
    let found = fault {
      _ = try NetworkDriver<FakeRegisters, 2>(try MMIODriverTransport(device.registers), memory: &arena)
    }
    #expect(found == .invalidConfiguration)
  }

  @Test func `a control queue beyond what can be notified makes the device unusable`() {
    device.features = NetworkFeature.multiQueue | NetworkFeature.controlQueue | .version1
    device.configuration[8] = 0
    device.configuration[9] = 0x80
    var arena = memory.arena()
    let found = fault {
      _ = try NetworkDriver<FakeRegisters, 2>(try MMIODriverTransport(device.registers), memory: &arena)
    }
    #expect(found == .queueUnavailable(.max))
  }

  @Test func `a device whose address is a group is unusable`() {
    device.configuration[0] = 3
    #expect(fault { _ = try makeDriver() } == .invalidConfiguration)
  }

  @Test func `a configuration that never rests is given up`() {
    device.generationStep = 1
    #expect(fault { _ = try makeDriver() } == .configurationUnstable)
  }

  @Test func `a device that is none, or lacks a queue, is refused`() {
    device.queueSizeMax = 0
    #expect(fault { _ = try makeDriver() } == .queueUnavailable(0))
    #expect(device.status.contains(.failed))
    device.deviceID = .block
    #expect(fault { _ = try makeDriver() } == .wrongDeviceType(2))
  }

  @Test func `too little memory is no driver`() throws {
    let small = TestMemory(byteCount: 0x4000)
    var arena = small.arena()
    let driver = try NetworkDriver<FakeRegisters, 1>(
      try MMIODriverTransport(device.registers), memory: &arena)
    if driver != nil { Issue.record("a driver without memory") }
    withExtendedLifetime(small) {}
    #expect(device.status.contains(.failed))
  }

  @Test func `5.1.9.3.1 driver: with segmentation buffers hold 65601 bytes`() throws {
    let features = NetworkFeature.guestChecksum | NetworkFeature.guestTSO4
    _ = try makeDriver(features, settings: settings(features))
    while let buffer = device.take(0) { #expect(buffer.elements[0].byteCount >= 65601) }
  }

  @Test func `5.1.9.3.1 driver: without segmentation buffers hold 1526 bytes`() throws {
    _ = try makeDriver(.none, settings: settings(.none))
    var count = 0
    while let buffer = device.take(0) {
      count += 1
      #expect(buffer.elements[0].byteCount >= 1526 && buffer.elements[0].isDeviceWritable)
    }
    #expect(count == 4)
  }

  @Test func `5.1.9.3.1 driver: mergeable buffers hold the header`() throws {
    _ = try makeDriver(Self.mergeable, settings: settings(Self.mergeable, count: 32))
    var count = 0
    while let buffer = device.take(0) {
      count += 1
      #expect(buffer.elements[0].byteCount >= 12)
    }
    #expect(count == 32)
  }

  @Test func `5.1.9.3.1 driver: a header has 12 bytes`() throws {
    var driver = try makeDriver()
    _ = try driver.transmit(frame(byteCount: 70))
    #expect(device.consume(1)?.count == 82)
    device.answer(0, filled(frame(byteCount: 71)))
    let received = try driver.receive()
    #expect(received?.bytes == frame(byteCount: 71))
  }

  @Test func `5.1.9.3.1 driver: every receiveq of MQ is populated`() throws {
    device.features = NetworkFeature.multiQueue | NetworkFeature.controlQueue | .version1
    device.configuration[8] = 2
    var arena = memory.arena()
    _ = try NetworkDriver<FakeRegisters, 4>(
      try MMIODriverTransport(device.registers), memory: &arena, settings: settings(device.features))
    #expect(device.isReady(2) && device.isReady(3) && device.isReady(4) && !device.isReady(5))
    #expect(device.take(0) != nil && device.take(2) != nil)
    #expect(device.notifications.prefix(2) == [0, 2])
  }
}
