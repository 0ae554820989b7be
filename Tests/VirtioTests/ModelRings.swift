// Both sides of one queue beside a model of it: lists of tokens. Neither side is hostile; each step is random
// and allowed. The model also knows who sleeps, so that a notification that is lost shows.

import TestSupport
import Virtio
import Wire

/// What differed, and how to see it again.
struct ModelFailure: Error, CustomStringConvertible {
  let what: String
  let seed: UInt64
  let step: Int
  var description: String { "\(what) (seed \(seed), step \(step))" }
}

/// A parked buffer in an array.
final class ParkedBox {
  var chain: ParkedChain?
  let token: Int

  init(_ chain: consuming ParkedChain, _ token: Int) {
    self.chain = consume chain
    self.token = token
  }
}

/// A driver, a device and what both should be doing.
final class ModelRings {
  /// Bytes of memory of each buffer; what it holds is checked on both sides.
  static let slotByteCount = 64

  private struct Buffer {
    var readable: [UInt8] = []
    var writableByteCount = 0
    var written: [UInt8] = []
  }

  private let memory: TestMemory
  private let features: Features
  private let size: Int
  private let seed: UInt64
  private var random: SeededRandom
  private var driver: DriverVirtqueue
  private var device: DeviceVirtqueue
  private let data: DMABuffer
  private let longestChain: Int

  private var buffers: [Buffer]
  private var freeTokens: [Int]
  private var unpublished: [Int] = []
  private var available: [Int] = []
  private var parked: [ParkedBox] = []
  private var used: [Int] = []
  private var completed: [Int] = []
  /// Of an earlier life of the queue: must be ignored.
  private var stale: [ParkedBox] = []

  private var deviceSleeps = false
  private var deviceIsAwake = true
  private var driverSleeps = false
  private var wantsNone = false
  private var step = 0
  /// Buffers that went all the way.
  private(set) var completedCount = 0

  init(_ features: Features, size: UInt16, seed: UInt64, longestChain: Int) throws {
    self.features = features
    self.size = Int(size)
    self.seed = seed
    self.longestChain = longestChain
    random = SeededRandom(seed)
    let count = Int(size)
    memory = TestMemory(
      byteCount: 2 * (count * (Self.slotByteCount + 6 * 16 + 32) + 8192), ownByteCount: count * 32 + 4096)
    var arena = memory.arena()
    driver = DriverVirtqueue(index: 0, size: size, features: features, indirectCapacity: 4, from: &arena)!
    device = DeviceVirtqueue(maximumSize: size, memory: memory.guest)
    data = arena.allocateShared(byteCount: count * Self.slotByteCount, alignment: 16)!
    buffers = Array(repeating: Buffer(), count: count)
    freeTokens = Array(0..<count)
    try device.makeReady(size: size, at: driver.addresses, features: features)
  }

  private func check(_ holds: Bool, _ what: @autoclosure () -> String) throws {
    if !holds { throw ModelFailure(what: what(), seed: seed, step: step) }
  }

  /// Random steps until `count` buffers went all the way; then everything that is left does too.
  func run(_ count: Int, resets: Bool = true) throws {
    while completedCount < count {
      step += 1
      try check(step < 100 * (count + 1000), "no progress")
      switch random.pick(0...11) {
      case 0, 1, 2: try submit(random.pick(1...max(1, min(size, 40))))
      case 3, 4: try publish()
      case 5, 6: if deviceIsAwake { try serve(completing: false) }
      case 7: try serve(completing: true)
      case 8, 9: try reclaim(random.pick(0...max(1, min(size, 60))))
      case 10: try toggleNotifications()
      default: if resets && random.oneIn(60) { try reset() }
      }
      try check(Int(driver.inFlight) == buffersInFlight, "the driver's count is off")
      try check(Int(device.inFlight) == parked.count, "the device's count is off")
    }
    try finish()
  }

  private var buffersInFlight: Int {
    unpublished.count + available.count + parked.count + used.count + completed.count
  }

  // MARK: Driver

  private func submit(_ wanted: Int) throws {
    for _ in 0..<wanted {
      guard let token = freeTokens.last else { return }
      let count = random.oneIn(4) ? random.pick(1...longestChain) : random.pick(1...min(3, longestChain))
      let readable = random.pick(0...count)
      var segments: [DMASegment] = []
      var buffer = Buffer()
      var left = Self.slotByteCount
      for i in 0..<count {
        let length = min(left, random.pick(0...20))
        let offset = Self.slotByteCount * (token + 1) - left
        left -= length
        segments.append(data.segment(at: offset, byteCount: length))
        if i >= readable {
          buffer.writableByteCount += length
          continue
        }
        for at in offset..<offset + length {
          let byte = UInt8(truncatingIfNeeded: random.next())
          data.store(byte, at: at)
          buffer.readable.append(byte)
        }
      }
      let hasRoom = driver.hasRoom(for: count)
      let isAccepted = driver.submit(segments.span, readableCount: readable, token: UInt32(token))
      try check(isAccepted == hasRoom, "room that is not there, or the other way round")
      if !isAccepted {
        try check(buffersInFlight > 0, "an empty queue without room")
        return
      }
      freeTokens.removeLast()
      buffers[token] = buffer
      unpublished.append(token)
    }
  }

  private func publish() throws {
    let isWanted = driver.publish()
    if deviceSleeps && !unpublished.isEmpty { try check(isWanted, "the device sleeps and is not notified") }
    if isWanted {
      deviceIsAwake = true
      deviceSleeps = false
    }
    available += unpublished
    unpublished = []
  }

  private func reclaim(_ limit: Int) throws {
    for _ in 0..<limit {
      guard let buffer = try driver.reclaim() else {
        try check(completed.isEmpty, "a used buffer is not seen")
        return
      }
      try check(!completed.isEmpty, "a buffer that was not used")
      let token = completed.removeFirst()
      try check(Int(buffer.token) == token, "buffer \(buffer.token) instead of \(token)")
      let expected = buffers[token].written
      try check(Int(buffer.byteCount) == expected.count, "a wrong length")
      let start = Self.slotByteCount * token + buffers[token].readable.count
      for (i, byte) in expected.enumerated() {
        try check(data.load(UInt8.self, at: start + i) == byte, "a wrong byte")
      }
      freeTokens.insert(token, at: random.pick(0...freeTokens.count))
      completedCount += 1
    }
  }

  private func toggleNotifications() throws {
    if random.oneIn(2) {
      driver.disableNotifications()
      driverSleeps = false
      wantsNone = true
      return
    }
    wantsNone = false
    let isMore = driver.enableNotifications()
    try check(isMore == !completed.isEmpty, "what is used already is not told")
    driverSleeps = !isMore
  }

  // MARK: Device

  /// One service: some parked buffers are used if `completing`, otherwise new ones are taken.
  private func serve(completing: Bool) throws {
    var ending = Ending.none
    if completing {
      complete(random.pick(0...parked.count))
    } else {
      device.budget = UInt16(random.oneIn(3) ? random.pick(1...4) : 256)
      ending = try parked.isEmpty && random.oneIn(2) ? serveSome() : takeSome()
    }
    let isMore = device.endService() || device.needsService
    device.needsService = false
    if !completing {
      // A device that leaves buffers comes back by itself; one that took all sleeps unless told otherwise.
      try check(ending != .left || !isMore, "more work than the device wanted")
      deviceIsAwake = isMore || ending != .none
      deviceSleeps = !deviceIsAwake
      if deviceSleeps { try check(available.isEmpty, "the device sleeps over buffers") }
    } else {
      try check(!isMore, "work in a ring that was not looked at")
    }
    try notifyDriver()
    completed += used
    used = []
  }

  private func notifyDriver() throws {
    let isDue = device.notificationIsDue
    device.notificationIsDue = false
    if driverSleeps && !used.isEmpty { try check(isDue, "the driver sleeps and is not notified") }
    if used.isEmpty { try check(!isDue, "a notification of nothing") }
    if wantsNone && !features.contains(.eventIndex) { try check(!isDue, "a notification nobody wanted") }
    if isDue { driverSleeps = false }
  }

  /// Uses `count` parked buffers, in any order unless IN_ORDER was negotiated.
  private func complete(_ count: Int) {
    for _ in 0..<count {
      let index = features.contains(.inOrder) ? 0 : random.pick(0...parked.count - 1)
      let box = parked.remove(at: index)
      let written = UInt32(buffers[box.token].written.count)
      device.use(box.chain.take()!, written: written)
      used.append(box.token)
    }
    if !stale.isEmpty { device.use(stale.removeLast().chain.take()!, written: 1) }
  }

  /// How the taking of buffers ended.
  private enum Ending {
    /// There were none any more, in the ring or in the budget.
    case none
    /// The device stopped, possibly at the end.
    case stopped
    /// The device left some.
    case left
  }

  private func takeSome() throws -> Ending {
    let appetite = random.oneIn(3) ? random.pick(0...5) : Int.max
    var taken = 0
    while taken < appetite {
      guard var chain = try device.next() else { return .none }
      try check(!available.isEmpty, "a buffer that was not made available")
      let token = available[0]
      if random.oneIn(12) {
        device.giveBack(try device.park(chain))
        return .left
      }
      available.removeFirst()
      // §2.7.9, §2.8.9: in order, what is taken later cannot be used earlier.
      let mustWait = features.contains(.inOrder) && !parked.isEmpty
      try move(token, &chain, device)
      if mustWait || random.oneIn(2) {
        parked.append(ParkedBox(try device.park(chain), token))
      } else {
        try device.use(chain, written: UInt32(buffers[token].written.count))
        used.append(token)
      }
      taken += 1
    }
    return appetite == 0 ? .left : .stopped
  }

  /// The same in one call, for a device that is done with each buffer at once.
  private func serveSome() throws -> Ending {
    let before = used.count
    var (ending, failure) = (Ending.none, (any Error)?.none)
    let count = try device.serve { (chain, queue) throws(DriverFault) in
      if available.isEmpty { throw .malformedRequest }
      if random.oneIn(12) {
        ending = .left
        return nil
      }
      used.append(available.removeFirst())
      do { try move(used.last!, &chain, queue) } catch { failure = failure ?? error }
      return UInt32(buffers[used.last!].written.count)
    }
    if let failure { throw failure }
    try check(count == used.count - before, "a wrong count of buffers")
    return ending
  }

  /// Reads the buffer's bytes and writes others, both in pieces.
  private func move(
    _ token: Int, _ chain: inout DescriptorChain, _ queue: borrowing DeviceVirtqueue
  ) throws {
    var bytes: [UInt8] = []
    if !random.oneIn(8) {
      while true {
        var piece = ByteArray<24>()
        var span = piece.mutableBytes
        let count = try chain.read(into: &span, queue)
        for i in 0..<count { bytes.append(piece[i]) }
        if count < 24 { break }
      }
      try check(bytes == buffers[token].readable, "a wrong byte, or too many or few of them")
    }
    var left = random.pick(0...buffers[token].writableByteCount)
    while left > 0 {
      var piece = ByteArray<8>()
      piece.store(random.next(), at: 0)
      let count = min(left, 8)
      let written = try chain.write(piece.bytes.extracting(first: count), queue)
      try check(written == count, "too little room")
      for i in 0..<count { buffers[token].written.append(piece[i]) }
      left -= count
    }
  }

  // MARK: Resets and the end

  private func reset() throws {
    device.reset()
    var tokens: [Int] = []
    while let token = driver.reclaimAbandoned() { tokens.append(Int(token)) }
    // What the device used and the driver did not reclaim is abandoned too.
    let expected = unpublished + available + parked.map(\.token) + completed
    try check(tokens.sorted() == expected.sorted(), "a buffer lost in a reset")
    driver.reset()
    stale += parked
    (unpublished, available, parked, completed) = ([], [], [], [])
    freeTokens = Array(0..<size)
    try device.makeReady(size: UInt16(size), at: driver.addresses, features: features)
    (deviceIsAwake, deviceSleeps, driverSleeps, wantsNone) = (true, false, false, false)
  }

  /// Nobody is woken but by notifications, and still everything gets done.
  private func finish() throws {
    wantsNone = false
    for _ in 0..<100 * (size + 10) {
      try publish()
      if deviceIsAwake { try serve(completing: false) }
      if !parked.isEmpty { try serve(completing: true) }
      if !driverSleeps {
        try reclaim(.max)
        driverSleeps = !driver.enableNotifications()
      }
      if buffersInFlight == 0 { break }
    }
    try check(buffersInFlight == 0, "buffers that nobody looks at")
    try check(Int(driver.freeCount) == size, "descriptors that are gone")
  }
}
