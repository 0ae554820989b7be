// The control messages of a console device against a fake driver, as literal bytes.

import DeviceTypes
import Testing
import TestSupport
import Virtio

/// A message as it is on the wire: id le32, event le16, value le16, and what follows.
func message(_ id: UInt8, _ event: UInt8, _ value: UInt8 = 0, _ more: [UInt8] = []) -> [UInt8] {
  [id, 0, 0, 0, event, 0, value, 0] + more
}

@Suite struct ConsoleControlTests {
  var fixture = ConsoleFixture()
  var device: TestConsoleDevice {
    _read { yield fixture.bench.transport.device }
    nonmutating _modify { yield &fixture.bench.transport.device }
  }

  private func isDriverOpen(_ port: Int) -> Bool { device.isDriverOpen(port) }

  private mutating func startWithPorts(_ ports: [UInt32]) {
    fixture.startMultiport()
    fixture.send(0, 0, 1)
    _ = fixture.messages()
    for port in ports { fixture.send(port, 3, 1) }
    _ = fixture.messages(0)
  }

  @Test mutating func `5.3.6.2 device: says nothing before DEVICE_READY, then adds its ports`() {
    device.addPort(2)
    fixture.startMultiport()
    #expect(fixture.messages(4).isEmpty)
    fixture.bench.transport.poll()
    fixture.send(0, 0, 0)
    #expect(fixture.messages(0).isEmpty)
    fixture.send(0xffff_ffff, 0, 1)
    #expect(fixture.messages(0) == [message(0, 1), message(2, 1)])
    #expect(fixture.driver.usedIndex(3) == 2)
  }

  @Test mutating func `5.3.6.2 device: after PORT_READY it tells all about the port`() {
    device.addPort(1, name: ConsolePortName("org.vireo.\u{e9}".utf8), isOpen: true)
    startWithPorts([])
    fixture.send(0, 3, 1)
    #expect(
      fixture.messages(0) == [message(0, 4, 1), message(0, 5, 0, [80, 0, 25, 0]), message(0, 6, 1)])
    fixture.send(1, 3, 1)
    #expect(
      fixture.messages() == [message(1, 7, 0, [UInt8]("org.vireo.") + [0xc3, 0xa9]), message(1, 6, 1)])
  }

  @Test mutating func `5.3.6.2 device: a port that the driver could not take in stays unused`() {
    startWithPorts([])
    fixture.send(0, 3, 0)
    #expect(fixture.messages(0).isEmpty)
    fixture.write("lost", port: 0)
    #expect(fixture.driver.usedIndex(1) == 1)
    #expect(device.backend.output[0].isEmpty)
  }

  @Test mutating func `5.3.6.2.1 device: adds no port that exists and none beyond max_nr_ports`() {
    device.addPort(1)
    fixture.startMultiport()
    fixture.send(0, 0, 1)
    #expect(fixture.messages() == [message(0, 1), message(1, 1)])
    // Once more ready is not once more there.
    fixture.send(0, 0, 1)
    fixture.bench.transport.poll()
    #expect(fixture.messages(0).isEmpty)
    device.addPort(2)
    fixture.bench.transport.poll()
    #expect(fixture.messages(1) == [message(2, 1)])
    #expect(fixture.driver.registers.read32(0x104) == 3)
  }

  @Test mutating func `5.3.6.2.1 device: removes only ports that it has added`() {
    startWithPorts([0])
    // Never announced, so not taken back either.
    device.addPort(1)
    device.removePort(1)
    fixture.bench.transport.poll()
    #expect(fixture.messages().isEmpty)
    device.addPort(1)
    fixture.bench.transport.poll()
    #expect(fixture.messages(0) == [message(1, 1)])
    device.removePort(1)
    fixture.bench.transport.poll()
    #expect(fixture.messages(0) == [message(1, 2)])
    fixture.bench.transport.poll()
    #expect(fixture.messages(0).isEmpty)
  }

  @Test mutating func `a port replaced before the driver heard of it is removed and added`() {
    startWithPorts([0])
    device.addPort(1, name: ConsolePortName("a".utf8))
    fixture.bench.transport.poll()
    #expect(fixture.messages(1) == [message(1, 1)])
    fixture.send(1, 3, 1)
    #expect(fixture.messages(2) == [message(1, 7, 0, [0x61]), message(1, 6, 1)])
    for _ in 0..<3 {
      device.removePort(1)
      device.addPort(1, name: ConsolePortName("b".utf8))
    }
    fixture.bench.transport.poll()
    // What the driver still says about the port that is gone has no effect.
    fixture.send(1, 6, 1)
    #expect(!isDriverOpen(1))
    #expect(fixture.messages(8) == [message(1, 2), message(1, 1)])
    fixture.send(1, 3, 1)
    #expect(fixture.messages(0) == [message(1, 7, 0, [0x62]), message(1, 6, 1)])
  }

  @Test mutating func `a port that the host took away is closed, whatever the driver still says`() {
    device.addPort(1)
    fixture.startMultiport()
    fixture.send(0, 0, 1)
    #expect(fixture.messages(2) == [message(0, 1), message(1, 1)])
    fixture.send(1, 3, 1)
    fixture.send(1, 6, 1)
    #expect(isDriverOpen(1))
    // The driver has no buffer left in which it could be told.
    #expect(fixture.messages(1) == [message(1, 6, 1)])
    device.removePort(1)
    #expect(!isDriverOpen(1))
    fixture.send(1, 6, 1)
    #expect(!isDriverOpen(1))
    device.addPort(1)
    fixture.send(1, 6, 1)
    #expect(!isDriverOpen(1))
    #expect(device.backend.openings == [.init(port: 1, isOpen: true), .init(port: 1, isOpen: false)])
  }

  @Test mutating func `output held back for a port that was replaced is not for its successor`() {
    device.addPort(1)
    startWithPorts([0, 1])
    device.backend.room[1] = 2
    fixture.write("half", port: 1)
    device.removePort(1)
    device.addPort(1)
    // The driver learns of it, and takes the new port in, before the device is polled again.
    #expect(fixture.messages().suffix(2) == [message(1, 2), message(1, 1)])
    fixture.send(1, 3, 1)
    device.backend.room[1] = 100
    fixture.bench.transport.poll()
    fixture.write("new", port: 1)
    #expect(fixture.driver.usedIndex(5) == 2)
    #expect(device.backend.output[1] == [UInt8]("hanew"))
  }

  @Test mutating func `messages wait for buffers and none is lost`() {
    device.addPort(1)
    device.addPort(2)
    fixture.startMultiport()
    fixture.send(0, 0, 1)
    var received: [[UInt8]] = []
    for _ in 0..<5 { received += fixture.messages(1) }
    #expect(received == [message(0, 1), message(1, 1), message(2, 1)])
    let hasWork = fixture.bench.transport.hasWork
    #expect(!hasWork)
  }

  @Test mutating func `5.3.6.2 device: PORT_OPEN tells of every close and the state after it`() {
    startWithPorts([0])
    _ = fixture.messages(0)
    device.setOpen(false, port: 0)
    device.setOpen(true, port: 0)
    fixture.bench.transport.poll()
    #expect(fixture.messages() == [message(0, 6, 0), message(0, 6, 1)])
    device.setOpen(true, port: 0)
    fixture.bench.transport.poll()
    #expect(fixture.messages(0).isEmpty)
    for _ in 0..<100 {
      device.setOpen(false, port: 0)
      device.setOpen(true, port: 0)
    }
    device.setOpen(false, port: 0)
    fixture.bench.transport.poll()
    #expect(fixture.messages(0) == [message(0, 6, 0)])
  }

  @Test mutating func `5.3.6.2 device: RESIZE carries columns and rows`() {
    startWithPorts([0])
    device.resize(ConsoleSize(columns: 300, rows: 7), port: 0)
    device.resize(ConsoleSize(columns: 0x0201, rows: 0x0403), port: 0)
    fixture.bench.transport.poll()
    #expect(fixture.messages() == [message(0, 5, 0, [1, 2, 3, 4])])
  }

  @Test mutating func `output of a closed or removed port is discarded, of an open one delivered`() {
    device.addPort(1, isOpen: false)
    startWithPorts([0, 1])
    _ = fixture.messages()
    fixture.write("closed", port: 1)
    #expect(fixture.driver.usedIndex(5) == 1)
    device.setOpen(true, port: 1)
    fixture.write("open", port: 1)
    device.backend.room[1] = 2
    fixture.write("half", port: 1)
    #expect(fixture.driver.usedIndex(5) == 2)
    device.removePort(1)
    device.addPort(1)
    device.backend.room[1] = 100
    fixture.bench.transport.poll()
    #expect(fixture.driver.usedIndex(5) == 3)
    fixture.write("gone", port: 1)
    #expect(fixture.driver.usedIndex(5) == 4)
    #expect(device.backend.output[1] == [UInt8]("openha"))
    // A port that never was.
    fixture.write("never", port: 2)
    #expect(fixture.driver.usedIndex(7) == 1)
    #expect(device.backend.output[2].isEmpty)
  }

  @Test mutating func `input waits until the driver has opened its end`() {
    startWithPorts([0])
    device.backend.input[0] = [UInt8]("early")
    fixture.offerInput(port: 0)
    fixture.bench.transport.poll()
    #expect(fixture.driver.usedIndex(0) == 0)
    fixture.send(0, 6, 1)
    #expect(isDriverOpen(0))
    // Nothing else happens that the device would look at the port for.
    while fixture.bench.transport.run() {}
    #expect(fixture.input(port: 0, 0) == [UInt8]("early"))
    fixture.send(0, 6, 0)
    device.backend.input[0] = [1]
    fixture.offerInput(port: 0, slot: 1)
    fixture.bench.transport.poll()
    #expect(fixture.driver.usedIndex(0) == 1)
    #expect(device.backend.openings == [.init(port: 0, isOpen: true), .init(port: 0, isOpen: false)])
  }

  @Test mutating func `a reset closes what the driver had open, and starts all over`() {
    startWithPorts([0])
    _ = fixture.messages()
    fixture.send(0, 6, 1)
    fixture.startMultiport()
    #expect(device.backend.openings == [.init(port: 0, isOpen: true), .init(port: 0, isOpen: false)])
    #expect(fixture.messages(4).isEmpty)
    fixture.send(0, 0, 1)
    #expect(fixture.messages(0) == [message(0, 1)])
  }

  @Test mutating func `messages about ports that do not exist, and unknown events, are ignored`() {
    startWithPorts([0])
    _ = fixture.messages()
    for id in [1, 2, 3, 31, 0x8000_0000, 0xffff_ffff] as [UInt32] {
      for event in [0...8, 0xfff0...0xffff].joined() { fixture.send(id, UInt16(event), 1) }
    }
    for event in [1, 2, 4, 5, 7, 8, 0xffff] as [UInt16] { fixture.send(0, event, 1) }
    fixture.bench.transport.poll()
    #expect(fixture.bench.transport.fault == nil)
    #expect(fixture.messages(0).isEmpty)
    #expect(device.backend.openings.isEmpty)
  }

  @Test mutating func `a control message or buffer that is too short is the driver's fault`() {
    startWithPorts([])
    fixture.driver.offer(3, 0, address: fixture.data(3), byteCount: 7, deviceWritable: false)
    #expect(fixture.bench.transport.fault == .bufferTooShort)
    fixture.startMultiport()
    fixture.send(0, 0, 1)
    _ = fixture.messages(1, byteCount: 7)
    #expect(fixture.bench.transport.fault == .bufferTooShort)
  }

  @Test mutating func `a name ends where the buffer ends, and ours after 64 bytes`() {
    device.addPort(1, name: ConsolePortName(Array(repeating: UInt8(ascii: "n"), count: 100)), isOpen: false)
    fixture.startMultiport()
    fixture.send(0, 0, 1)
    _ = fixture.messages(2)
    fixture.send(1, 3, 1)
    #expect(fixture.messages(1, byteCount: 11) == [message(1, 7, 0, [UInt8]("nnn"))])
    device.removePort(1)
    device.addPort(1, name: ConsolePortName(Array(repeating: UInt8(ascii: "n"), count: 100)), isOpen: false)
    fixture.bench.transport.poll()
    _ = fixture.messages(2)
    fixture.send(1, 3, 1)
    #expect(fixture.messages(1).map { $0.count } == [72])
  }

  @Test mutating func `a message in pieces is put together`() {
    fixture.startMultiport()
    let bytes = message(0, 0, 1)
    for i in 0..<8 as Range<UInt16> {
      fixture.memory.store(bytes[Int(i)], fixture.data(3, i))
      fixture.driver.descriptor(
        3, i, address: fixture.data(3, i), byteCount: 1, flags: i == 7 ? 0 : 1, next: i + 1)
    }
    fixture.driver.makeAvailable(3, 0)
    #expect(fixture.messages() == [message(0, 1)])
  }
}
