// The network driver's commands, against a device that answers what it likes.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

@Suite struct NetworkDriverControlTests: NetworkDriverSuite {
  let memory: TestMemory
  let device: FakeDevice
  private let log = CommandLog()

  private static let everything = Features(low: 0xff_ffaf)

  init() {
    memory = TestMemory()
    device = .network(memory)
    device.configuration[8] = 3
    device.onNotify = { [log, device, memory] queue in
      guard queue == log.queue, let buffer = device.take(log.queue) else { return }
      #expect(buffer.elements.map { $0.isDeviceWritable } == [false, true])
      log.commands.append(memory.bytes(buffer.elements[0].address, Int(buffer.elements[0].byteCount)))
      if let ack = log.ack { memory.store(ack, buffer.elements[1].address) }
      if let byteCount = log.usedByteCount {
        device.use(log.queue, id: UInt32(buffer.id), byteCount: byteCount)
      }
      log.whenAnswered()
    }
  }

  /// A driver with the given features, on a device that offers them and CTRL_VQ.
  private func makeControlDriver(_ features: Features) throws -> NetworkDriver<FakeRegisters, 1> {
    let all = features | NetworkFeature.controlQueue
    return try makeDriver(all, settings: settings(all.subtracting(NetworkFeature.multiQueue)))
  }

  @Test func `5.1.9.5 commands have the layout of the clause`() throws {
    var driver = try makeControlDriver(Self.everything.subtracting(NetworkFeature.multiQueue))
    let one = MACAddress(2, 1, 2, 3, 4, 5)
    let group = MACAddress(3, 1, 2, 3, 4, 6)
    let unicast: [2 of MACAddress] = [one, one]
    let multicast: [1 of MACAddress] = [group]
    var done: [Bool] = []
    done.append(try driver.set(.promiscuous, true))
    done.append(try driver.set(.noBroadcast, false))
    done.append(try driver.setTable(unicast: unicast.span, multicast: multicast.span))
    done.append(try driver.setAddress(one))
    done.append(try driver.set(vlan: 0x123, true))
    done.append(try driver.set(vlan: 4095, false))
    done.append(try driver.acknowledgeAnnouncement())
    done.append(try driver.setReceiveOffloads(.checksum | .udp))
    #expect(done.allSatisfy { $0 })
    #expect(
      log.commands == [
        [0, 0, 1], [0, 5, 0],
        [1, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4, 5, 2, 1, 2, 3, 4, 5, 1, 0, 0, 0, 3, 1, 2, 3, 4, 6],
        [1, 1, 2, 1, 2, 3, 4, 5], [2, 0, 0x23, 1], [2, 1, 0xff, 0xf], [3, 0],
        [5, 0, 2, 4, 0, 0, 0, 0, 0, 0],
      ])
  }

  @Test func `5.1.9.5.1.2 driver: no receive modes without CTRL_RX`() throws {
    var driver = try makeControlDriver(NetworkFeature.controlReceiveExtra)
    for mode in [NetworkReceiveMode.promiscuous, .allMulticast] {
      #expect(fault { _ = try driver.set(mode, true) } == .featureMissing(NetworkFeature.controlReceive))
    }
    #expect(log.commands.isEmpty)
  }

  @Test func `5.1.9.5.1.2 driver: no extra receive modes without CTRL_RX_EXTRA`() throws {
    var driver = try makeControlDriver(NetworkFeature.controlReceive)
    for mode in [NetworkReceiveMode.allUnicast, .noMulticast, .noUnicast, .noBroadcast] {
      #expect(fault { _ = try driver.set(mode, true) } == .featureMissing(NetworkFeature.controlReceiveExtra))
    }
    #expect(log.commands.isEmpty)
    // It is no fault of the device: others go on.
    let isDone = try driver.set(.promiscuous, true)
    #expect(isDone)
  }

  @Test func `5.1.9.5.2.2 driver: no MAC commands without CTRL_RX`() throws {
    var driver = try makeControlDriver(NetworkFeature.controlMACAddress)
    let none: [0 of MACAddress] = []
    #expect(fault { _ = try driver.setAddress(deviceMAC) } != nil)
    #expect(fault { _ = try driver.setTable(unicast: none.span, multicast: none.span) } != nil)
    #expect(log.commands.isEmpty)
  }

  @Test func `5.1.9.5.2.2 driver: sets the address when it is not the device's`() throws {
    let features = NetworkFeature.controlReceive | NetworkFeature.controlMACAddress
    let driver = try makeControlDriver(features)
    #expect(log.commands == [[1, 1] + driver.address.list])
    log.commands = []
    _ = try makeControlDriver(features | NetworkFeature.mac)
    #expect(log.commands.isEmpty)
  }

  @Test func `5.1.9.5.2.2 driver: a MAC table is a number, unicast addresses, a number, multicast ones`()
    throws
  {
    var driver = try makeControlDriver(NetworkFeature.controlReceive)
    let none: [0 of MACAddress] = []
    let many = InlineArray<64, MACAddress> { MACAddress(2, 0, 0, 0, 0, UInt8($0)) }
    let groups = InlineArray<64, MACAddress> { MACAddress(3, 0, 0, 0, 0, UInt8($0)) }
    // Either number may be 0, and both as large as the driver takes.
    _ = try driver.setTable(unicast: none.span, multicast: none.span)
    _ = try driver.setTable(unicast: many.span, multicast: none.span)
    _ = try driver.setTable(unicast: many.span, multicast: groups.span)
    let unicast = (0..<64).flatMap { many[$0].list }
    let multicast = (0..<64).flatMap { groups[$0].list }
    #expect(
      log.commands == [
        [1, 0, 0, 0, 0, 0, 0, 0, 0, 0], [1, 0, 64, 0, 0, 0] + unicast + [0, 0, 0, 0],
        [1, 0, 64, 0, 0, 0] + unicast + [64, 0, 0, 0] + multicast,
      ])
  }

  @Test func `5.1.9.5.4.1 driver: tells of ANNOUNCE and acknowledges it`() throws {
    var driver = try makeControlDriver(NetworkFeature.guestAnnounce | NetworkFeature.status)
    device.configuration[6] = 3
    device.interruptStatus = MMIOInterrupt.configurationChange
    let status = try driver.acknowledgeInterrupt()
    #expect(status == NetworkStatus(linkIsUp: true, mustAnnounce: true))
    let isDone = try driver.acknowledgeAnnouncement()
    #expect(isDone && log.commands == [[3, 0]])
    // Not without the feature.
    var other = try makeControlDriver(NetworkFeature.status)
    let otherStatus = try other.readStatus()
    #expect(!otherStatus.mustAnnounce)
    #expect(fault { _ = try other.acknowledgeAnnouncement() } != nil)
  }

  @Test func `5.1.9.5.9.2 driver: no offload that was not negotiated can be switched on`() async {
    await #expect(processExitsWith: .failure) {
      let suite = NetworkDriverControlTests()
      var driver = try suite.makeControlDriver(
        NetworkFeature.controlGuestOffloads | NetworkFeature.guestChecksum)
      _ = try driver.setReceiveOffloads(.checksum)
      _ = try driver.setReceiveOffloads(.checksum | .tcp4)
    }
    await #expect(processExitsWith: .success) {
      let suite = NetworkDriverControlTests()
      var driver = try suite.makeControlDriver(
        NetworkFeature.controlGuestOffloads | NetworkFeature.guestChecksum)
      _ = try driver.setReceiveOffloads(.checksum)
      _ = try driver.setReceiveOffloads(.none)
    }
  }

  @Test func `a refusal is told and is no fault`() throws {
    var driver = try makeControlDriver(
      NetworkFeature.mac | NetworkFeature.controlReceive | NetworkFeature.controlMACAddress)
    log.ack = 1
    var isDone = try driver.set(.promiscuous, true)
    #expect(!isDone)
    isDone = try driver.setAddress(MACAddress(2, 9, 9, 9, 9, 1))
    #expect(!isDone && driver.address == deviceMAC)
    log.ack = 0
    isDone = try driver.setAddress(MACAddress(2, 9, 9, 9, 9, 1))
    #expect(isDone && driver.address == MACAddress(2, 9, 9, 9, 9, 1))
  }

  @Test(
    arguments: [
      (2, 1, .invalidResponse), (255, 1, .invalidResponse), (nil, 1, .invalidResponse),
      (0, 0, .invalidResponse), (0, 2, .usedLengthTooLong), (0, .max, .usedLengthTooLong),
    ] as [(UInt8?, UInt32, DeviceFault)])
  func `an answer that makes no sense is a fault`(_ ack: UInt8?, _ byteCount: UInt32, _ expected: DeviceFault)
    throws
  {
    var driver = try makeControlDriver(NetworkFeature.controlReceive)
    log.ack = ack
    log.usedByteCount = byteCount
    #expect(fault { _ = try driver.set(.promiscuous, true) } == expected)
    #expect(fault { _ = try driver.receive() } == expected)
  }

  @Test func `a device that needs a reset ends the wait for an answer`() throws {
    var driver = try makeControlDriver(NetworkFeature.controlReceive)
    log.usedByteCount = nil
    log.whenAnswered = { [device] in device.status = device.status | .needsReset }
    #expect(fault { _ = try driver.set(.promiscuous, true) } == .needsReset)
  }

  @Test func `a command that is never answered is given up`() throws {
    var driver = try makeControlDriver(NetworkFeature.controlReceive)
    log.usedByteCount = nil
    driver.commandPollLimit = 1000
    #expect(fault { _ = try driver.set(.promiscuous, true) } == .commandTimedOut)
    #expect(fault { _ = try driver.set(.promiscuous, true) } == .commandTimedOut)
    #expect(log.commands.count == 1)
  }

  @Test func `a device that needs a reset is no device to read from`() throws {
    var driver = try makeDriver(NetworkFeature.status)
    device.status = device.status | .needsReset
    device.interruptStatus = MMIOInterrupt.configurationChange
    #expect(fault { _ = try driver.acknowledgeInterrupt() } == .needsReset)
    #expect(fault { _ = try driver.transmit(frame()) } == .needsReset)
  }

  // MARK: Several pairs

  /// A driver of up to 2 pairs on a device of 3, whose control queue is then 6.
  private func makeMultiDriver() throws -> NetworkDriver<FakeRegisters, 2> {
    log.queue = 6
    let features = NetworkFeature.controlQueue | NetworkFeature.multiQueue
    device.features = features | .version1
    var arena = memory.arena()
    return try NetworkDriver<FakeRegisters, 2>(
      try MMIODriverTransport(device.registers), memory: &arena, settings: settings(features))!
  }

  @Test func `5.1.9.5.6.1 driver: pairs are set up before they are used`() throws {
    var driver = try makeMultiDriver()
    #expect([0, 1, 2, 3, 6].allSatisfy { device.isReady($0) })
    #expect(!device.isReady(4) && device.status.contains(.driverOK))
    #expect(log.commands.isEmpty)
    let isDone = try driver.usePairs(2)
    #expect(isDone && log.commands == [[4, 0, 2, 0]])
  }

  @Test func `5.1.9.5.6.1 driver: asks for 1 up to the pairs there are`() async throws {
    let driver = try makeMultiDriver()
    #expect(driver.pairCount == 2)
    for count in [0, 3] {
      await #expect(processExitsWith: .failure) { [count = count as Int] in
        let suite = NetworkDriverControlTests()
        var driver = try suite.makeMultiDriver()
        _ = try driver.usePairs(count)
      }
    }
  }

  @Test func `5.1.9.5.6.1 driver: transmits on transmitq1 alone before more pairs are in use`() async throws {
    var driver = try makeMultiDriver()
    var active = driver.activePairCount
    #expect(active == 1)
    log.ack = 1
    let isRefused = try !driver.usePairs(2)
    active = driver.activePairCount
    #expect(isRefused && active == 1)
    await #expect(processExitsWith: .failure) {
      let suite = NetworkDriverControlTests()
      var driver = try suite.makeMultiDriver()
      _ = try driver.transmit(frame(), pair: 1)
    }
  }

  @Test func `5.1.9.5.6.1 driver: no frames on queues beyond virtqueue_pairs`() async throws {
    var driver = try makeMultiDriver()
    _ = try driver.usePairs(2)
    let submission = try driver.transmit(frame(), pair: 1)
    #expect(submission == .accepted && device.consume(3) != nil)
    _ = try driver.usePairs(1)
    let active = driver.activePairCount
    #expect(active == 1)
    await #expect(processExitsWith: .failure) {
      let suite = NetworkDriverControlTests()
      var driver = try suite.makeMultiDriver()
      _ = try driver.usePairs(2)
      _ = try driver.usePairs(1)
      _ = try driver.transmit(frame(), pair: 1)
    }
  }

  @Test func `a device with fewer pairs than the driver wants`() throws {
    device.configuration[8] = 1
    log.queue = 2
    let features = NetworkFeature.controlQueue | NetworkFeature.multiQueue
    device.features = features | .version1
    var arena = memory.arena()
    let driver = try NetworkDriver<FakeRegisters, 4>(
      try MMIODriverTransport(device.registers), memory: &arena, settings: settings(features))!
    #expect(driver.pairCount == 1 && device.isReady(2) && !device.isReady(3))
  }
}

/// What a device was told, and what it answers.
private final class CommandLog {
  var commands: [[UInt8]] = []
  var queue = 2
  var ack: UInt8? = 0
  var usedByteCount: UInt32? = 1
  var whenAnswered: () -> Void = {}
}
