// Our network driver on our network device behind a stream, whose peer takes and gives bytes as it pleases.
// All sleep until they are told of something: one notification or wake-up too few, and nothing moves.

import CLinux
import DeviceTypes
import Glibc
import QTestSupport
import TestSupport
import Testing
import Virtio
import Wire

@testable import Host

@Suite(.serialized) struct `Network over vhost-user` {
  private typealias Device = NetworkDevice<StreamLink, 4>

  private static func pair() throws -> (ours: OpenFile, peer: OpenFile) {
    var numbers: [Int32] = [-1, -1]
    try SystemError.check(unsafe clinux_socket_pair(&numbers))
    return (OpenFile(numbers[0]), OpenFile(numbers[1]))
  }

  private static func driver(
    _ machine: SmallVMM, _ features: Features
  ) throws -> NetworkDriver<SmallVMM, 1> {
    var settings = NetworkDriverSettings(
      receiveBufferCount: 64, transmitBufferCount: 32, transmitByteCount: 65_100)
    settings.features = NetworkFeature.mac | NetworkFeature.mergeableBuffers | NetworkFeature.status
    var arena = machine.ram.arena()
    return try unwrap(
      try NetworkDriver<SmallVMM, 1>(
        MMIODriverTransport(machine), memory: &arena, settings: settings, ringFeatures: features))
  }

  /// A link whose socket is soon full.
  private static func narrowLink(_ socket: OpenFile) throws -> StreamLink {
    let link = try StreamLink(socket)
    clinux_allow_unsent(socket.number, 100_000)
    return link
  }

  private static func served(_ make: @escaping @Sendable () throws -> StreamLink) throws -> ServedDevice {
    let settings = NetworkDeviceSettings(mac: MACAddress(2, 0, 0, 0, 0, 1))
    return try ServedDevice(by: VhostUserServer<Device, 9>.self) {
      Device(backend: try make(), settings: settings)
    }
  }

  @Test(arguments: ringFeatureMatrix, Manners.all.indices)
  func `every frame arrives once, and nothing stands still`(_ features: Features, _ which: Int) throws {
    let count = 200
    let (ours, other) = try Self.pair()
    let served = try Self.served { try Self.narrowLink(ours) }
    do {
      let machine = try SmallVMM(served.path, .network, ringCount: 2, byteCount: 8 << 20)
      var driver = try Self.driver(machine, features)
      let peer = StreamPeer(other, count: count, Manners.all[which].1)
      let frames = Frames()
      var (sent, received) = (0, 0)
      var buffer = [UInt8](repeating: 0, count: 65_600)
      while sent < count || received < count {
        var isIdle = true
        for _ in 0..<40 where sent < count {
          let frame = frames[sent]
          // The frame lives for the call.
          guard try unsafe driver.transmit(frame.span.bytes) == .accepted else { break }
          sent += 1
          isIdle = false
        }
        for _ in 0..<40 {
          var span = buffer.mutableSpan
          // The buffer is used by nobody else.
          var target = unsafe span.mutableBytes
          guard let frame = try driver.receive(into: &target) else { break }
          let expected = frames[received]
          try #require(Array(buffer.prefix(frame.byteCount)) == expected)
          received += 1
          isIdle = false
        }
        try #require(peer.takenCount != nil)
        guard isIdle, sent < count || received < count else { continue }
        try #require(
          machine.waitForInterrupt(seconds: 10),
          "\(Manners.all[which].0): sent \(sent), received \(received), taken \(peer.takenCount ?? -1)")
        _ = try driver.acknowledgeInterrupt()
      }
      #expect(spin(seconds: 20) { peer.takenCount == count })
      peer.join()
    }
    served.join()
  }

  // MARK: Rings that are disabled

  /// Puts a frame on the stream.
  private static func put(_ frame: [UInt8], _ peer: OpenFile) {
    #expect(peer.put(le(UInt32(frame.count).byteSwapped) + frame) == 4 + frame.count)
  }

  /// What the peer gets, at least `count` bytes of it.
  private static func take(_ count: Int, _ peer: OpenFile) -> [UInt8] {
    var taken: [UInt8] = []
    _ = spin(seconds: 20) {
      taken += peer.take()
      return taken.count >= count
    }
    return taken
  }

  /// The next frame of the driver; nil when none has come.
  private static func receive<let pairCount: Int>(
    _ driver: inout NetworkDriver<SmallVMM, pairCount>
  ) throws -> [UInt8]? {
    var buffer = [UInt8](repeating: 0, count: 2000)
    var span = buffer.mutableSpan
    // The buffer is used by nobody else.
    var target = unsafe span.mutableBytes
    guard let frame = try driver.receive(into: &target) else { return nil }
    return Array(buffer.prefix(frame.byteCount))
  }

  /// The same, once it has come.
  private static func next(_ driver: inout NetworkDriver<SmallVMM, 1>) -> [UInt8]? {
    var received: [UInt8]?
    _ = spin(seconds: 20) {
      received = try? receive(&driver)
      return received != nil
    }
    return received
  }

  @Test(arguments: ringFeatureMatrix)
  func `a ring that is disabled takes no frames, and goes on when it is enabled`(_ features: Features) throws
  {
    let (ours, peer) = try Self.pair()
    let served = try Self.served { try Self.narrowLink(ours) }
    do {
      let machine = try SmallVMM(served.path, .network, ringCount: 2, byteCount: 8 << 20)
      var driver = try Self.driver(machine, features)
      let frame = Frames()[1]
      machine.enable(0, false)
      Self.put(frame, peer)
      // The server looks after its link before it answers that.
      #expect(Self.linkIsUp(machine))
      usleep(20_000)
      #expect(try Self.receive(&driver) == nil)
      machine.enable(0, true)
      #expect(Self.next(&driver) == frame)
      machine.enable(1, false)
      // The frame lives for the call.
      #expect(try unsafe driver.transmit(frame.span.bytes) == .accepted)
      #expect(Self.linkIsUp(machine))
      usleep(20_000)
      #expect(peer.take().isEmpty)
      machine.enable(1, true)
      #expect(Self.take(4 + frame.count, peer).dropFirst(4) == frame[...])
    }
    served.join()
  }

  @Test(arguments: ringFeatureMatrix)
  func `the rings of a pair may be enabled in any order`(_ features: Features) throws {
    let (ours, peer) = try Self.pair()
    let served = try Self.served { try Self.narrowLink(ours) }
    do {
      let machine = try SmallVMM(served.path, .network, ringCount: 9, byteCount: 8 << 20)
      var arena = machine.ram.arena()
      var driver = try unwrap(
        try NetworkDriver<SmallVMM, 2>(
          MMIODriverTransport(machine), memory: &arena, ringFeatures: features))
      #expect(try driver.usePairs(2))
      for ring in 2...3 { machine.enable(ring, false) }
      machine.enable(3, true)
      let frame = Frames()[2]
      // The frame lives for the call.
      #expect(try unsafe driver.transmit(frame.span.bytes, pair: 1) == .accepted)
      usleep(20_000)
      machine.enable(2, true)
      #expect(Self.take(4 + frame.count, peer).dropFirst(4) == frame[...])
    }
    served.join()
  }

  // MARK: The link

  private static func linkIsUp(_ machine: SmallVMM) -> Bool {
    let status = machine.read16(MMIORegister.configuration + NetworkConfiguration.status)
    return status & NetworkConfiguration.linkUp != 0
  }

  /// Sends frames until the device has no room. Returns how many it took.
  private static func fill(_ driver: inout NetworkDriver<SmallVMM, 1>) throws -> Int {
    let frame = Frames()[5]
    var count = 0
    // The frame lives for the call.
    while try unsafe driver.transmit(frame.span.bytes) == .accepted {
      count += 1
      try #require(count < 1000)
    }
    return count
  }

  @Test(arguments: ringFeatureMatrix)
  func `a peer that stops to read, and then sends nonsense, does not stop the driver`(
    _ features: Features
  ) throws {
    let (ours, peer) = try Self.pair()
    let served = try Self.served { try Self.narrowLink(ours) }
    do {
      let machine = try SmallVMM(served.path, .network, ringCount: 2, byteCount: 8 << 20)
      var driver = try Self.driver(machine, features)
      #expect(try Self.fill(&driver) > 0)
      #expect(Self.linkIsUp(machine))
      peer.put([0, 0, 0, 0])
      // What waited for room is dropped, and what comes now.
      #expect(spin(seconds: 20) { (try? driver.transmissionIsComplete()) == true })
      #expect(!Self.linkIsUp(machine))
      for number in 0..<100 {
        let frame = Frames()[number]
        #expect(
          spin(seconds: 20) {
            // The frame lives for the call.
            (try? unsafe driver.transmit(frame.span.bytes)) == .accepted
          })
      }
    }
    served.join()
  }

  private static func listen(at path: String) throws -> OpenFile {
    let number = unsafe clinux_listen(path)
    try SystemError.check(number)
    return OpenFile(number)
  }

  /// The next connection.
  private static func accept(_ listener: OpenFile) throws -> OpenFile {
    var polled = pollfd(fd: listener.number, events: Int16(POLLIN), revents: 0)
    // One descriptor.
    try #require(unsafe poll(&polled, 1, 30_000) > 0)
    let number = clinux_accept(listener.number)
    try SystemError.check(number)
    return OpenFile(number)
  }

  /// Sends a frame each way.
  private static func exchange(
    _ driver: inout NetworkDriver<SmallVMM, 1>, _ peer: OpenFile, _ number: Int
  ) throws {
    let frame = Frames()[number]
    // The frame lives for the call.
    #expect(try unsafe driver.transmit(frame.span.bytes) == .accepted)
    #expect(take(4 + frame.count, peer).dropFirst(4) == frame[...])
    put(frame, peer)
    #expect(next(&driver) == frame)
  }

  @Test(arguments: [Features.none, .ringPacked | .eventIndex])
  func `a link whose peer went is connected again, and is down until then`(_ features: Features) throws {
    let place = SocketPath()
    let path = place.path
    var listener: OpenFile? = try Self.listen(at: path)
    let served = try Self.served { try StreamLink(connectingTo: path) }
    do {
      let machine = try SmallVMM(served.path, .network, ringCount: 2, byteCount: 8 << 20)
      var driver = try Self.driver(machine, features)
      var peer: OpenFile? = try Self.accept(listener!)
      try Self.exchange(&driver, peer!, 1)
      // A peer that stops in the middle of a frame, with another one under way to it.
      peer!.put([0, 0, 1, 0, 1, 2, 3])
      _ = try Self.fill(&driver)
      peer = nil
      #expect(spin(seconds: 20) { !Self.linkIsUp(machine) })
      #expect(spin(seconds: 20) { (try? driver.transmissionIsComplete()) == true })
      peer = try Self.accept(listener!)
      #expect(spin(seconds: 20) { Self.linkIsUp(machine) })
      try Self.exchange(&driver, peer!, 2)
      // One that sends nonsense, and then listens no more for a while.
      peer!.put([0xff, 0xff, 0xff, 0xff])
      listener = nil
      #expect(spin(seconds: 20) { !Self.linkIsUp(machine) })
      peer = nil
      // A string that lives for the call.
      _ = unsafe unlink(path)
      usleep(300_000)
      listener = try Self.listen(at: path)
      peer = try Self.accept(listener!)
      #expect(spin(seconds: 20) { Self.linkIsUp(machine) })
      try Self.exchange(&driver, peer!, 3)
    }
    served.join()
  }
}
