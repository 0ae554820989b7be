// Our console driver on our console device, with nothing of anybody else's in between: QEMU has no front end
// for consoles.

import CLinux
import DeviceTypes
import Glibc
import QTestSupport
import TestSupport
import Testing
import Virtio
import Wire

@testable import Host

/// A console that is served, and its driver.
private struct Guest: ~Copyable {
  let machine: SmallVMM
  private var driver: ConsoleDriver<SmallVMM, 1>

  init(_ path: String, _ ringFeatures: Features = .ringPacked) throws {
    let machine = try SmallVMM(path, .console, ringCount: 2)
    var arena = machine.ram.arena()
    let driver = try unwrap(
      try ConsoleDriver<SmallVMM, 1>(
        MMIODriverTransport(machine), memory: &arena, ringFeatures: ringFeatures))
    let features = driver.transport.features
    #expect(features.contains(ringFeatures))
    self.machine = machine
    self.driver = driver
  }

  /// Writes the first bytes of `bytes`, and returns how many the device had room for.
  mutating func write(_ bytes: ArraySlice<UInt8>) throws -> Int {
    var chunk = ByteArray<100>()
    let count = min(100, bytes.count)
    for i in 0..<count { chunk[i] = bytes[bytes.startIndex + i] }
    _ = try driver.poll()
    return try driver.write(port: 0, chunk.bytes.extracting(0..<count))
  }

  /// Writes all of `bytes`.
  mutating func writeAll(_ bytes: [UInt8]) throws {
    var done = 0
    while done < bytes.count {
      let taken = try write(bytes[done...])
      done += taken
      if taken == 0 { usleep(200) }
    }
    while !(try driver.isDrained(port: 0)) { usleep(200) }
  }

  /// What has come.
  mutating func read() throws -> [UInt8] {
    var chunk = ByteArray<100>()
    _ = try driver.poll()
    var bytes = chunk.mutableBytes
    let count = try driver.read(port: 0, into: &bytes)
    return (0..<count).map { chunk[$0] }
  }

  /// The next `count` bytes.
  mutating func read(_ count: Int) throws -> [UInt8] {
    var all: [UInt8] = []
    for _ in 0..<200_000 where all.count < count {
      let new = try read()
      all += new
      if new.isEmpty { usleep(200) }
    }
    return all
  }

  /// Drops what comes until nothing has come for a while.
  mutating func writeUntilStuck(_ content: (Int) -> UInt8) throws -> Int {
    var (sent, idle) = (0, 0)
    while idle < 500 {
      let taken = try write((sent..<sent + 100).map(content)[...])
      sent += taken
      idle = taken == 0 ? idle + 1 : 0
      if taken == 0 { usleep(200) }
    }
    return sent
  }

  func emergencyWrite(_ byte: UInt8) -> Bool { driver.emergencyWrite(byte) }
  var size: ConsoleSize? { driver.port(0).size }
}

@Suite struct `Console over vhost-user` {
  private typealias Device = ConsoleDevice<ConsoleStream, 1>

  private static func content(_ index: Int) -> UInt8 { UInt8(truncatingIfNeeded: index &* 7 &+ index >> 9) }
  private static func content(_ range: Range<Int>) -> [UInt8] { range.map(content) }

  private static func serve(
    _ make: @escaping @Sendable () throws -> ConsoleStream
  ) throws -> ServedDevice {
    try ServedDevice(by: VhostUserServer<Device, 2>.self) { Device(serving: try make()) }
  }

  private static func connect(_ path: String) throws -> OpenFile {
    var number: Int32 = -1
    let isThere = spin(seconds: 60) {
      number = unsafe clinux_connect(path)
      return number >= 0
    }
    try #require(isThere)
    let file = OpenFile(number)
    try SystemError.check(clinux_do_not_block(number))
    return file
  }

  /// The next `count` bytes at the host's end.
  private static func read(_ file: OpenFile, _ count: Int) -> [UInt8] {
    var all: [UInt8] = []
    _ = spin(seconds: 60) {
      all += file.take(count - all.count)
      return all.count >= count
    }
    return all
  }

  @Test(arguments: ringFeatureMatrix)
  func `a client of the socket and the driver exchange data`(_ features: Features) throws {
    let place = SocketPath()
    let path = place.path
    let served = try Self.serve { try ConsoleStream(listeningAt: path) }
    do {
      var guest = try Guest(served.path, features)
      let client = try Self.connect(path)
      let data = Self.content(0..<20_000)
      var (toGuest, toHost) = (0, 0)
      var atGuest: [UInt8] = []
      var atHost: [UInt8] = []
      client.put([1])
      // Until the client is taken in, output is for nobody.
      #expect(try guest.read(1) == [1])
      let isDone = try Self.both {
        toGuest += client.put(data[toGuest..<min(toGuest + 777, data.count)])
        toHost += try guest.write(data[toHost...])
        atHost += client.take()
        atGuest += try guest.read()
        return atGuest.count >= data.count && atHost.count >= data.count
      }
      #expect(isDone && atGuest == data && atHost == data)
      let isOffered = guest.emergencyWrite(33)
      #expect(isOffered && Self.read(client, 1) == [33])
      #expect(guest.size == nil)
    }
    served.join()
  }

  private static func both(_ step: () throws -> Bool) throws -> Bool {
    var failure: (any Error)?
    let isDone = spin(seconds: 120) {
      do { return try step() } catch {
        failure = error
        return true
      }
    }
    if let failure { throw failure }
    return isDone
  }

  @Test(arguments: [Features.none, .ringPacked])
  func `a client that does not read makes the driver wait, and gets everything`(_ features: Features) throws {
    let place = SocketPath()
    let path = place.path
    let served = try Self.serve { try ConsoleStream(listeningAt: path) }
    do {
      var guest = try Guest(served.path, features)
      let client = try Self.connect(path)
      client.put([1])
      #expect(try guest.read(1) == [1])
      var sent = try guest.writeUntilStuck(Self.content)
      // A socket's buffer and the driver's, and not one byte more.
      #expect(sent > 0 && sent < 4 << 20)
      // Input comes in meanwhile.
      client.put([2, 3])
      #expect(try guest.read(2) == [2, 3])
      var received = Self.read(client, 5000)
      let isDone = try Self.both {
        received += client.take()
        if sent < 1 << 20 { sent += try guest.write(Self.content(sent..<sent + 100)[...]) }
        return sent >= 1 << 20 && received.count >= sent
      }
      #expect(isDone && received == Self.content(0..<sent))
    }
    served.join()
  }

  @Test func `clients come and go, one at a time`() throws {
    let place = SocketPath()
    let path = place.path
    let served = try Self.serve { try ConsoleStream(listeningAt: path) }
    do {
      var guest = try Guest(served.path)
      // Nobody is there: the driver does not wait.
      try guest.writeAll(Self.content(0..<300_000))
      for round in 0..<5 as Range<UInt8> {
        let first = try Self.connect(path)
        first.put([round])
        #expect(try guest.read(1) == [round])
        try guest.writeAll([round, 100])
        #expect(Self.read(first, 2) == [round, 100])
        // The next one waits. What it says is not lost.
        let second = try Self.connect(path)
        second.put([200, 201])
        try guest.writeAll([101])
        #expect(Self.read(first, 1) == [101] && second.take().isEmpty)
        first.put([50, 51])
        if round & 1 == 0 { shutdown(first.number, Int32(SHUT_WR)) }
        #expect(try guest.read(2) == [50, 51])
        if round & 1 == 0 {
          // It said all that it had to say, and still listens.
          try guest.writeAll([102])
          #expect(Self.read(first, 1) == [102])
        }
        shutdown(first.number, Int32(SHUT_RDWR))
        #expect(try guest.read(2) == [200, 201])
        try guest.writeAll([103])
        #expect(Self.read(second, 1) == [103])
      }
    }
    served.join()
  }

  @Test func `a client that leaves with output on its way does not hold up the driver`() throws {
    let place = SocketPath()
    let path = place.path
    let served = try Self.serve { try ConsoleStream(listeningAt: path) }
    do {
      var guest = try Guest(served.path)
      do {
        let client = try Self.connect(path)
        client.put([1])
        #expect(try guest.read(1) == [1])
        _ = try guest.writeUntilStuck(Self.content)
      }
      try guest.writeAll(Self.content(0..<100_000))
      let next = try Self.connect(path)
      next.put([7])
      #expect(try guest.read(1) == [7])
      try guest.writeAll([8])
      #expect(Self.read(next, 1) == [8])
    }
    served.join()
  }

  @Test(arguments: ringFeatureMatrix)
  func `buffers that wait for input do not keep the server from its sleep`(_ features: Features) throws {
    let place = SocketPath()
    let path = place.path
    let served = try Self.serve { try ConsoleStream(listeningAt: path) }
    do {
      var guest = try Guest(served.path, features)
      let client = try Self.connect(path)
      client.put([1])
      #expect(try guest.read(1) == [1])
      // The kick for this makes it look at the rings.
      #expect(try guest.write([2]) == 1 && Self.read(client, 1) == [2])
      usleep(50_000)
      let before = served.processorTime
      usleep(300_000)
      let taken = served.processorTime - before
      #expect(taken < 50_000_000, "\(taken) ns of 300 ms")
    }
    served.join()
  }

  @Test func `what a client said before there was a driver, and left, arrives`() throws {
    let place = SocketPath()
    let path = place.path
    let served = try Self.serve { try ConsoleStream(listeningAt: path) }
    do {
      let machine = try SmallVMM(served.path, .console, ringCount: 2)
      do {
        let client = try Self.connect(path)
        client.put([9, 8, 7])
      }
      usleep(20_000)
      var arena = machine.ram.arena()
      var driver = try unwrap(
        try ConsoleDriver<SmallVMM, 1>(MMIODriverTransport(machine), memory: &arena))
      var chunk = ByteArray<100>()
      var count = 0
      try machine.wait {
        _ = try driver.poll()
        var bytes = chunk.mutableBytes
        count = try driver.read(port: 0, into: &bytes)
        return count != 0
      }
      #expect(count == 3 && chunk[0] == 9 && chunk[2] == 7)
    }
    served.join()
  }

  @Test func `a pseudo-terminal carries every byte, and can be opened again`() throws {
    let names = try Self.pipe()
    let teller = names.write
    let served = try Self.serve {
      var name = ""
      let stream = try ConsoleStream(pseudoTerminal: &name)
      teller.put(name.utf8)
      return stream
    }
    do {
      var guest = try Guest(served.path)
      let name = String(decoding: names.read.take(128), as: UTF8.self)
      // Nobody has it open.
      try guest.writeAll(Self.content(0..<200_000))
      for _ in 0..<3 {
        let number = unsafe open(name, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)
        try #require(number >= 0)
        let terminal = OpenFile(number)
        let all = (0...255).map { UInt8($0) }
        #expect(terminal.put(all) == 256)
        #expect(try guest.read(256) == all)
        try guest.writeAll(all)
        #expect(Self.read(terminal, 256) == all)
        let sent = try guest.writeUntilStuck(Self.content)
        var received: [UInt8] = []
        _ = spin(seconds: 60) {
          received += terminal.take(4096)
          return received.count >= sent
        }
        #expect(received == Self.content(0..<sent))
      }
      try guest.writeAll(Self.content(0..<200_000))
    }
    served.join()
  }

  @Test func `pipes are read to their end, and written until nobody reads`() throws {
    let (inputs, outputs) = (try Self.pipe(), try Self.pipe())
    let (input, output) = (inputs.read, outputs.write)
    let served = try Self.serve { try ConsoleStream(reading: input.number, writing: output.number) }
    do {
      var guest = try Guest(served.path)
      let flags = fcntl(output.number, F_GETFL)
      #expect(flags & O_NONBLOCK == 0, "another holder of the pipe sees no change")
      inputs.write.put([1, 2, 3])
      #expect(try guest.read(3) == [1, 2, 3])
      let toHost = try guest.writeUntilStuck(Self.content)
      let received = Self.read(outputs.read, toHost)
      #expect(received == Self.content(0..<toHost))
      inputs.write.put([4])
      // The last of those who could write.
      try Self.sever(inputs.write)
      #expect(try guest.read(1) == [4])
      try guest.writeAll([5])
      #expect(Self.read(outputs.read, 1) == [5])
      try Self.sever(outputs.read)
      try guest.writeAll(Self.content(0..<100_000))
    }
    served.join()
  }

  /// What the descriptor led to is closed, and its number leads to nothing until its owner goes.
  private static func sever(_ file: OpenFile) throws {
    let nothing = try OpenFile.open("/dev/null", isWritable: true)
    dup2(nothing.number, file.number)
  }

  private static func pipe() throws -> (read: OpenFile, write: OpenFile) {
    var numbers: [Int32] = [-1, -1]
    guard unsafe Glibc.pipe(&numbers) == 0 else { throw SystemError(errno) }
    return (OpenFile(numbers[0]), OpenFile(numbers[1]))
  }

  @Test func `rings full of nonsense stop the device and not the connection`() throws {
    let place = SocketPath()
    let path = place.path
    for ring in 0..<2 as Range<UInt32> {
      let served = try Self.serve { try ConsoleStream(listeningAt: path) }
      do {
        let frontEnd = try HostileFrontEnd(served.path)
        frontEnd.negotiate()
        let client = try Self.connect(path)
        client.put([1, 2, 3])
        let user: UInt64 = 0x7000_0000_0000
        let memory = try HostFile([UInt8](repeating: 0, count: 1 << 20))
        // A device-writable descriptor where a readable one belongs, or the reverse, then one that is none.
        let flags: UInt16 = ring == 0 ? 0 : 2
        try memory.write(le(UInt64(0x8000), UInt32(64), flags, UInt16(0)), at: 0)
        try memory.write(le(UInt16(0), UInt16(1), UInt16(0)), at: 0x2000)
        let file = try OpenFile.open(memory.path, isWritable: true)
        let region = le(UInt64(0), UInt64(0), UInt64(1 << 20), user, UInt64(0))
        #expect(frontEnd.ask(.addMemoryRegion, region, [file]) == true)
        #expect(frontEnd.ask(.setRingSize, le(ring, UInt32(64))) == true)
        let addresses = le(ring, UInt32(0), user, user + 0x1000, user + 0x2000, UInt64(0))
        #expect(frontEnd.ask(.setRingAddresses, addresses) == true)
        let broken = try OpenFile.event()
        #expect(frontEnd.ask(.setRingError, le(UInt64(ring)), [broken]) == true)
        #expect(frontEnd.ask(.setRingEnable, le(ring, UInt32(1))) == true)
        #expect(frontEnd.ask(.setRingKick, le(UInt64(ring)), [try .event()]) == true)
        #expect(spin(seconds: 20) { clinux_clear(broken.number) != 0 }, "ring \(ring)")
        // The driver has two rings, and a configuration space of twelve bytes.
        #expect(frontEnd.ask(.setRingSize, le(UInt32(2), UInt32(64))) == false)
        #expect(frontEnd.ask(.setConfiguration, le(UInt32(12), UInt32(4), UInt32(0), UInt32(1))) == false)
        #expect(frontEnd.ask(.resetDevice) == true)
      }
      served.join()
    }
  }
}
