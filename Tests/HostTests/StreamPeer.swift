// The other end of a network link, which takes and gives frames as it pleases.

import Glibc
import Synchronization
import TestSupport

@testable import Host

/// How a peer behaves.
struct Manners {
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
struct Frames {
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
final class StreamPeer {
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
