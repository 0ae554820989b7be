// The console driver on QEMU's console device: several ports, both directions, ports that come and go.

import DeviceTypes
import QTestSupport
import TestSupport
import Testing
import Virtio
import Wire

@Suite(.serialized) struct `Console on QEMU` {
  /// A device with a console on port 0 and the port "vireo.echo" as port 1, each on a socket of the machine.
  private static func machine() throws -> QEMU {
    try QEMU(
      Machine.serial(ports: 4, options: Machine.allRingFeatures)
        + Machine.socket(0, id: "c0") + Machine.port(0, model: "virtconsole", chardev: "c0")
        + Machine.socket(1, id: "c1")
        + Machine.port(1, model: "virtserialport", chardev: "c1", options: "name=vireo.echo"),
      socketCount: 2)
  }

  private typealias Driver = ConsoleDriver<QTestRegisters, 4>

  /// Moves `data` from the socket to the port and from the port to the socket, and gives what arrived.
  private static func exchange(
    _ data: [UInt8], _ driver: inout Driver, port: Int, _ socket: StreamSocket, _ qemu: QEMU
  ) throws -> (atDriver: [UInt8], atHost: [UInt8]) {
    var (toHost, toDriver) = (0, 0)
    var atDriver: [UInt8] = []
    var atHost: [UInt8] = []
    try qemu.wait(for: "\(data.count) bytes each way") {
      _ = try driver.poll()
      toDriver += try socket.send(data[toDriver...])
      var chunk = ByteArray<100>()
      let wanted = min(100, data.count - toHost)
      for i in 0..<wanted { chunk[i] = data[toHost + i] }
      toHost += try driver.write(port: port, chunk.bytes.extracting(0..<wanted))
      atHost += try socket.receive()
      var bytes = chunk.mutableBytes
      let count = try driver.read(port: port, into: &bytes)
      for i in 0..<count { atDriver.append(chunk[i]) }
      return atHost.count >= data.count && atDriver.count >= data.count
    }
    return (atDriver, atHost)
  }

  @Test(arguments: ringFeatureMatrix)
  func `two ports carry data both ways`(_ features: Features) throws {
    let qemu = try Self.machine()
    try qemu.run { qemu in
      var arena = qemu.ram.arena()
      var driver = try unwrap(
        try Driver(
          MMIODriverTransport(QTestRegisters(qemu)), memory: &arena, ringFeatures: features))
      #expect(driver.transport.features.contains(features | ConsoleFeature.multiport))
      #expect(driver.portCountMax == 4)
      try qemu.wait(for: "the ports") {
        _ = try driver.poll()
        return driver.port(0).isConsole && driver.port(0).isDeviceOpen && driver.port(1).isDeviceOpen
      }
      let isOpened = try driver.setOpen(true, port: 1)
      #expect(isOpened)
      #expect(!driver.port(2).isPresent && !driver.port(3).isPresent)
      let data = (0..<3000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
      for port in 0..<2 {
        let arrived = try Self.exchange(data, &driver, port: port, qemu.sockets[port], qemu)
        #expect(arrived.atDriver == data && arrived.atHost == data, "port \(port)")
      }
      try driver.shutDown()
    }
  }

  @Test func `ports come and go while the driver runs`() throws {
    let qemu = try Self.machine()
    try qemu.run { qemu in
      var arena = qemu.ram.arena()
      var driver = try unwrap(
        try Driver(MMIODriverTransport(QTestRegisters(qemu)), memory: &arena))
      try qemu.wait(for: "the ports") {
        _ = try driver.poll()
        return driver.port(0).isDeviceOpen && driver.port(1).isDeviceOpen
      }
      try qemu.command(
        "chardev-add", arguments: "{\"id\": \"c2\", \"backend\": {\"type\": \"null\", \"data\": {}}}")
      let port = #"{"driver": "virtserialport", "id": "p2", "bus": "serial0.0", "nr": 2, "chardev": "c2"}"#
      try qemu.command("device_add", arguments: port)
      try qemu.wait(for: "a new port") {
        _ = try driver.poll()
        return driver.port(2).isPresent
      }
      try qemu.command("device_del", arguments: "{\"id\": \"p2\"}")
      try qemu.wait(for: "the port's removal") {
        _ = try driver.poll()
        return !driver.port(2).isPresent
      }
      #expect(driver.port(0).isPresent && driver.port(1).isPresent && driver.refusedMessageCount == 0)
      try driver.shutDown()
    }
  }

  @Test func `an emergency write reaches the host without a driver`() throws {
    let qemu = try Self.machine()
    try qemu.run { qemu in
      let transport = try MMIODriverTransport(QTestRegisters(qemu))
      for byte in "help".utf8 {
        let isOffered = transport.writeToConsoleInEmergency(byte)
        #expect(isOffered)
      }
      var text: [UInt8] = []
      try qemu.wait(for: "the text") {
        text += try qemu.sockets[0].receive()
        return text.count >= 4
      }
      #expect(text == Array("help".utf8))
    }
  }
}
