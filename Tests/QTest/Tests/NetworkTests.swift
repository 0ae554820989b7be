// The network driver on QEMU's network device, with this process at the other end of the link.

import DeviceTypes
import QTestSupport
import TestSupport
import Testing
import Virtio
import Wire

@Suite(.serialized) struct `Network on QEMU` {
  private typealias Driver = NetworkDriver<QTestRegisters, 1>

  private static let address: [UInt8] = [2, 0, 0, 0, 0, 0x17]
  private static let broadcast = [UInt8](repeating: 0xff, count: 6)
  private static let group: [UInt8] = [1, 0, 0x5e, 0, 0, 9]
  private static let stranger: [UInt8] = [2, 0, 0, 0, 0, 0x99]

  private static func machine(_ link: DatagramSocket, _ options: String = "") throws -> QEMU {
    try QEMU(
      Machine.network(
        local: link.machine.path, remote: link.local.path,
        options: Machine.allRingFeatures + ",mac=02:00:00:00:00:17" + options))
  }

  private static func frame(to destination: [UInt8], byteCount: Int, seed: Int = 0, vlan: UInt16? = nil)
    -> [UInt8]
  {
    var bytes = destination + [2, 9, 9, 9, 9, 9]
    if let vlan { bytes += [0x81, 0, UInt8(vlan >> 8), UInt8(vlan & 0xff)] }
    bytes += [0x88, 0xb5]
    while bytes.count < byteCount { bytes.append(UInt8(truncatingIfNeeded: bytes.count &* 5 &+ seed)) }
    return bytes
  }

  /// The next frame that the driver has, or nil.
  private static func receive(_ driver: inout Driver) throws -> [UInt8]? {
    var chunk = ByteArray<16384>()
    var bytes = chunk.mutableBytes
    guard let frame = try driver.receive(into: &bytes) else { return nil }
    return (0..<frame.byteCount).map { chunk[$0] }
  }

  private static func transmit(_ frame: [UInt8], _ driver: inout Driver) throws -> NetworkSubmission {
    var chunk = ByteArray<16384>()
    for (index, byte) in frame.enumerated() { chunk[index] = byte }
    return try driver.transmit(chunk.bytes.extracting(0..<frame.count))
  }

  /// Sends `frames` to the machine, then a mark to the driver's own address, and gives what came before it.
  private static func arrivals(
    of frames: [[UInt8]], _ driver: inout Driver, _ link: DatagramSocket, _ qemu: QEMU
  ) throws -> [[UInt8]] {
    let mark = frame(to: driverAddress(driver), byteCount: 77, seed: 3)
    var waiting = (frames + [mark])[...]
    var arrived: [[UInt8]] = []
    try qemu.wait(for: "frames") {
      _ = try driver.acknowledgeInterrupt()
      if let next = waiting.first, try link.send(next) { waiting.removeFirst() }
      while let frame = try receive(&driver) { arrived.append(frame) }
      return arrived.last == mark
    }
    return arrived.dropLast()
  }

  private static func driverAddress(_ driver: borrowing Driver) -> [UInt8] {
    (0..<6).map { driver.address[$0] }
  }

  @Test(arguments: ringFeatureMatrix, [false, true])
  func `frames go both ways, whole and in order`(_ features: Features, _ isMergeable: Bool) throws {
    let link = try DatagramSocket()
    let qemu = try Self.machine(link, ",host_mtu=9000")
    try qemu.run { qemu in
      var arena = qemu.ram.arena()
      var wanted = NetworkDriverSettings.simpleFeatures
      if !isMergeable { wanted = wanted.subtracting(NetworkFeature.mergeableBuffers) }
      var driver = try unwrap(
        try Driver(
          MMIODriverTransport(QTestRegisters(qemu)), memory: &arena,
          settings: NetworkDriverSettings(
            features: wanted, receiveBufferByteCount: 512, transmitByteCount: 9018),
          ringFeatures: features))
      #expect(Self.driverAddress(driver) == Self.address && driver.mtu == 9000 && driver.linkIsUp)
      #expect(driver.features.contains(NetworkFeature.mergeableBuffers) == isMergeable)
      let lengths = [60, 1514, 9014, 61, 300, 4000, 512, 1024, 64, 8999]
      let frames = lengths.enumerated().map { Self.frame(to: Self.address, byteCount: $1, seed: $0) }
      for _ in 0..<2 {
        #expect(try Self.arrivals(of: frames, &driver, link, qemu) == frames)
        var unsent = frames[...]
        var sent: [[UInt8]] = []
        try qemu.wait(for: "frames at the host") {
          _ = try driver.acknowledgeInterrupt()
          if let next = unsent.first, try Self.transmit(next, &driver) == .accepted { unsent.removeFirst() }
          while let frame = try link.receive() { sent.append(frame) }
          return sent.count == frames.count
        }
        #expect(sent == frames)
      }
      try qemu.wait(for: "the end of transmission") { try driver.transmissionIsComplete() }
      try driver.shutDown()
    }
  }

  /// A driver that has asked for everything which the control queue can do.
  private static func controlDriver(_ qemu: QEMU, _ arena: inout DriverArena) throws -> Driver {
    try unwrap(
      try Driver(
        MMIODriverTransport(QTestRegisters(qemu)), memory: &arena,
        settings: NetworkDriverSettings(
          features: NetworkDriverSettings.simpleFeatures | NetworkFeature.controlVLAN
            | NetworkFeature.guestAnnounce)))
  }

  @Test func `receive modes and the address table decide what arrives`() throws {
    let link = try DatagramSocket()
    let qemu = try Self.machine(link)
    try qemu.run { qemu in
      var arena = qemu.ram.arena()
      var driver = try Self.controlDriver(qemu, &arena)
      let toStranger = Self.frame(to: Self.stranger, byteCount: 100)
      let toGroup = Self.frame(to: Self.group, byteCount: 101)
      let toAll = Self.frame(to: Self.broadcast, byteCount: 102)
      let frames = [toStranger, toGroup, toAll]
      let steps: [(NetworkReceiveMode, Bool, [[UInt8]])] = [
        (.promiscuous, true, frames), (.promiscuous, false, [toAll]),
        (.allMulticast, true, [toGroup, toAll]),
        (.noMulticast, true, [toAll]), (.noMulticast, false, [toGroup, toAll]),
        (.allMulticast, false, [toAll]),
        (.allUnicast, true, [toStranger, toAll]), (.allUnicast, false, [toAll]), (.noBroadcast, true, []),
        (.noBroadcast, false, [toAll]),
      ]
      for (mode, isOn, expected) in steps {
        let isDone = try driver.set(mode, isOn)
        #expect(isDone)
        #expect(try Self.arrivals(of: frames, &driver, link, qemu) == expected, "\(mode) \(isOn)")
      }
      let unicast: [1 of MACAddress] = [MACAddress(2, 0, 0, 0, 0, 0x99)]
      let multicast: [1 of MACAddress] = [MACAddress(1, 0, 0x5e, 0, 0, 9)]
      let isSet = try driver.setTable(unicast: unicast.span, multicast: multicast.span)
      #expect(isSet)
      #expect(try Self.arrivals(of: frames, &driver, link, qemu) == frames)
      try driver.shutDown()
    }
  }

  @Test func `the address and the VLANs can be changed`() throws {
    let link = try DatagramSocket()
    let qemu = try Self.machine(link)
    try qemu.run { qemu in
      var arena = qemu.ram.arena()
      var driver = try Self.controlDriver(qemu, &arena)
      let isQuiet = try driver.set(.promiscuous, false)
      #expect(isQuiet)
      let tagged = Self.frame(to: Self.address, byteCount: 100, vlan: 7)
      // QEMU starts with every VLAN in its table.
      for (isMember, expected) in [(false, []), (true, [tagged]), (false, [])] {
        let isSet = try driver.set(vlan: 7, isMember)
        #expect(isSet)
        #expect(try Self.arrivals(of: [tagged], &driver, link, qemu) == expected)
      }
      let isMoved = try driver.setAddress(MACAddress(2, 0, 0, 0, 0, 0x99))
      #expect(isMoved)
      let frames = [
        Self.frame(to: Self.address, byteCount: 80), Self.frame(to: Self.stranger, byteCount: 81),
      ]
      #expect(try Self.arrivals(of: frames, &driver, link, qemu) == [frames[1]])
      try driver.shutDown()
    }
  }

  @Test func `link changes and announcements reach the driver`() throws {
    let link = try DatagramSocket()
    let qemu = try Self.machine(link)
    try qemu.run { qemu in
      var arena = qemu.ram.arena()
      var driver = try Self.controlDriver(qemu, &arena)
      for isUp in [false, true] {
        try qemu.command("set_link", arguments: "{\"name\": \"nic0\", \"up\": \(isUp)}")
        try qemu.wait(for: "the link's change") {
          try driver.acknowledgeInterrupt()?.linkIsUp == isUp
        }
        #expect(driver.linkIsUp == isUp)
      }
      try qemu.command(
        "announce-self", arguments: "{\"initial\": 50, \"max\": 50, \"rounds\": 1, \"step\": 10}")
      try qemu.wait(for: "the request to announce") {
        try driver.acknowledgeInterrupt()?.mustAnnounce == true
      }
      let isAcknowledged = try driver.acknowledgeAnnouncement()
      #expect(isAcknowledged)
      let status = try driver.readStatus()
      #expect(!status.mustAnnounce && status.linkIsUp)
      try driver.shutDown()
    }
  }
}
