// Our network driver on our network device behind a stream, whose peer takes and gives bytes as it pleases.
// All sleep until they are told of something: one notification or wake-up too few, and nothing moves.

import CLinux
import DeviceTypes
import Glibc
import QTestSupport
import Synchronization
import TestSupport
import Testing
import Virtio
import Wire

@testable import Host

/// How a peer behaves.
private struct Manners {
  /// Bytes that it takes at once, and gives at once, at most.
  var taken = 1 << 18
  var given = 1 << 18
  /// How long it pauses at most between two looks, in microseconds, and how often: once in so many looks.
  var pause: UInt64 = 2000
  var pauseInterval: UInt64 = 4

  static let all: [(String, Manners)] = [
    ("in a hurry", Manners(pause: 50, pauseInterval: 200)),
    ("slow", Manners()),
    ("in pieces", Manners(taken: 700, given: 90, pause: 100, pauseInterval: 50)),
    ("in bursts", Manners(pause: 20_000, pauseInterval: 20)),
  ]
}

/// Numbers that look random, the same each time.
private struct Sequence64 {
  var state: UInt64

  mutating func next(below bound: UInt64) -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return (state >> 33) % bound
  }
}

/// Frames of both directions, known by their number.
private struct Frames {
  /// One in so many frames has up to 65000 bytes, which a socket that is nearly full takes in parts.
  private static let largeInterval = 12
  private static let pattern = (0..<66_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }

  subscript(number: Int) -> [UInt8] {
    let isLarge = number % Self.largeInterval == 5
    let byteCount = isLarge ? 37_000 + number &* 4099 % 28_000 : 60 + number &* 97 % 1455
    let first = number & 0xff
    let rest = Self.pattern[first..<first + byteCount - 14]
    // For everybody.
    return [UInt8](repeating: 0xff, count: 6) + le(UInt64(number)) + rest
  }
}

/// The other end of the stream, on a thread of its own.
private final class StreamPeer {
  private final class Progress: Sendable {
    let taken = Atomic<Int>(0)
    let given = Atomic<Int>(0)
    let isWrong = Atomic<Bool>(false)
  }

  private let progress = Progress()
  private let thread: PeerThread

  /// Takes `count` frames, and gives as many.
  init(_ socket: OpenFile, count: Int, _ manners: Manners) {
    let progress = progress
    thread = PeerThread { Self.converse(socket, count, manners, progress) }
  }

  private static func converse(
    _ socket: OpenFile, _ count: Int, _ manners: Manners, _ progress: Progress
  ) {
    let frames = Frames()
    var random = Sequence64(state: 1)
    var (taken, given) = (0, 0)
    var expected = prefixed(frames[0])[...]
    var outgoing = prefixed(frames[0])[...]
    while taken < count || given < count {
      let isDone = given == count
      var polled = pollfd(
        fd: socket.number, events: Int16(isDone ? POLLIN : POLLIN | POLLOUT), revents: 0)
      // One descriptor. Nothing for so long: whoever waits for us fails.
      guard unsafe poll(&polled, 1, 20_000) > 0 else { return }
      if random.next(below: manners.pauseInterval) == 0 {
        usleep(UInt32(random.next(below: manners.pause)))
      }
      var piece = socket.take(1 + Int(random.next(below: UInt64(manners.taken))))[...]
      while !piece.isEmpty {
        let part = piece.prefix(expected.count)
        guard taken < count, Array(part) == Array(expected.prefix(part.count)) else {
          progress.isWrong.store(true, ordering: .relaxed)
          return
        }
        piece = piece.dropFirst(part.count)
        expected = expected.dropFirst(part.count)
        guard expected.isEmpty else { continue }
        taken += 1
        progress.taken.store(taken, ordering: .relaxed)
        expected = prefixed(frames[taken])[...]
      }
      if given == count { continue }
      let room = 1 + Int(random.next(below: UInt64(manners.given)))
      while outgoing.count < room && given + 1 < count {
        given += 1
        outgoing += prefixed(frames[given])
      }
      outgoing = outgoing.dropFirst(socket.put(outgoing.prefix(room)))
      if outgoing.isEmpty && given + 1 == count { given = count }
      progress.given.store(given, ordering: .relaxed)
    }
  }

  private static func prefixed(_ frame: [UInt8]) -> [UInt8] {
    le(UInt32(frame.count).byteSwapped) + frame
  }

  /// How many frames it has taken, each once and in order; nil when there was anything else.
  var takenCount: Int? {
    progress.isWrong.load(ordering: .relaxed) ? nil : progress.taken.load(ordering: .relaxed)
  }

  func join() { thread.join() }
}

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
    let served = try Self.served { try StreamLink(ours) }
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
    let served = try Self.served { try StreamLink(ours) }
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
    let prefixed = le(UInt32(frame.count).byteSwapped) + frame
    // The frame lives for the call.
    #expect(try unsafe driver.transmit(frame.span.bytes) == .accepted)
    var taken: [UInt8] = []
    _ = spin(seconds: 20) {
      taken += peer.take()
      return taken.count >= prefixed.count
    }
    #expect(taken == prefixed)
    peer.put(prefixed)
    var buffer = [UInt8](repeating: 0, count: 2000)
    var received: NetworkReceivedFrame?
    let isDone = spin(seconds: 20) {
      var span = buffer.mutableSpan
      // The buffer is used by nobody else.
      var target = unsafe span.mutableBytes
      received = try? driver.receive(into: &target)
      return received != nil
    }
    #expect(isDone && received?.byteCount == frame.count && buffer.starts(with: frame))
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
