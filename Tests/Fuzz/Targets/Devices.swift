// The device types, with backends that the input drives.

import DeviceTypes
import Virtio
import Wire

// MARK: Entropy

/// A source that runs dry.
struct FuzzEntropy: EntropyBackend {
  var left: UInt32 = 100

  mutating func fill(_ range: GuestRange) -> UInt32 {
    let count = min(range.byteCount, left)
    range.prefix(count).zero()
    left -= count
    return count
  }
}

extension EntropyDevice: AttackedDevice where Backend == FuzzEntropy {
  static func make(_ input: inout Input, backing: consuming PrivateMemory) -> Self {
    Self(backend: FuzzEntropy())
  }

  mutating func event(_ input: inout Input) {
    backend.left = input.number() & 0xfffff
  }
}

/// The entropy device under a driver without rules.
@c(fuzz_entropy_device)
public func fuzzEntropyDevice(_ data: UnsafePointer<UInt8>?, _ count: Int) {
  unsafe withInput(data, count) { input, memory, guest in
    var attacker = Attacker<EntropyDevice<FuzzEntropy>, 1>(&input, memory, guest)
    attack(&attacker, &input)
  }
}

// MARK: Console

/// Ports that give and take at the input's pace.
struct FuzzConsole: ConsoleBackend {
  var input: [3 of UInt32] = [0, 0, 0]
  var room: UInt32 = 1000

  mutating func write(_ range: GuestRange, port: Int) -> UInt32 {
    let count = min(range.byteCount, room)
    room -= count
    return count
  }

  func hasInput(port: Int) -> Bool { input[port] != 0 }

  mutating func read(into range: GuestRange, port: Int) -> UInt32 {
    let count = min(range.byteCount, input[port])
    range.prefix(count).zero()
    input[port] -= count
    return count
  }

  mutating func emergencyWrite(_ byte: UInt8) {}
}

extension ConsoleDevice: AttackedDevice where Backend == FuzzConsole {
  static func make(_ input: inout Input, backing: consuming PrivateMemory) -> Self {
    Self(
      backend: FuzzConsole(), features: input.oneIn(4) ? ConsoleFeature.size : ConsoleFeature.all)
  }

  mutating func event(_ input: inout Input) {
    let port = input.pick(3)
    switch input.pick(8) {
    case 0: backend.room = input.number()
    case 1, 2: backend.input[port] = input.number() & 0xffff
    case 3:
      if hasPort(port) { resize(ConsoleSize(columns: input.next(), rows: input.next()), port: port) }
    case 4: if hasPort(port) { setOpen(input.oneIn(2), port: port) }
    case 5: if port != 0 && hasPort(port) { removePort(port) }
    default:
      if !hasPort(port) {
        addPort(port, name: ConsolePortName(CollectionOfOne(UInt8(ascii: "a"))), isConsole: input.oneIn(2))
      }
    }
  }
}

/// The console device under a driver without rules.
@c(fuzz_console_device)
public func fuzzConsoleDevice(_ data: UnsafePointer<UInt8>?, _ count: Int) {
  unsafe withInput(data, count) { input, memory, guest in
    var attacker = Attacker<ConsoleDevice<FuzzConsole, 3>, 8>(&input, memory, guest)
    attack(&attacker, &input)
  }
}

// MARK: Block

/// A disk in memory that finishes requests at once, later, in any order, or not this time.
struct FuzzDisk: BlockBackend, ~Copyable {
  var disk: MemoryDisk
  /// Cycles through what becomes of requests.
  var mood: UInt8 = 0
  /// Requests under way, and how many of them have ended.
  var tags = [32 of UInt32](repeating: 0)
  var pending = 0
  var ended = 0

  var properties: BlockProperties { disk.properties }
  var sectorCount: UInt64 { disk.sectorCount }

  private mutating func progress(_ tag: UInt32) throws(BackendFault) -> BlockProgress? {
    mood = mood &* 5 &+ 1
    switch mood >> 5 {
    case 0, 1:
      if pending == 32 { return .busy }
      tags[pending] = tag
      pending += 1
      return .pending
    case 2: return .busy
    case 3: throw .inputOutput
    default: return nil
    }
  }

  mutating func read(
    at sector: UInt64, into segments: Span<GuestRange>, tag: UInt32
  ) throws(BackendFault) -> BlockProgress {
    if let progress = try progress(tag) { return progress }
    return try disk.read(at: sector, into: segments, tag: tag)
  }

  mutating func write(
    at sector: UInt64, from segments: Span<GuestRange>, isDurable: Bool, tag: UInt32
  ) throws(BackendFault) -> BlockProgress {
    if let progress = try progress(tag) { return progress }
    return try disk.write(at: sector, from: segments, isDurable: isDurable, tag: tag)
  }

  mutating func flush(tag: UInt32) throws(BackendFault) -> BlockProgress {
    try progress(tag) ?? .finished
  }

  mutating func discard(_ ranges: Span<BlockRange>, tag: UInt32) throws(BackendFault) -> BlockProgress {
    if let progress = try progress(tag) { return progress }
    return try disk.discard(ranges, tag: tag)
  }

  mutating func writeZeroes(
    _ ranges: Span<BlockRange>, isDurable: Bool, tag: UInt32
  ) throws(BackendFault) -> BlockProgress {
    if let progress = try progress(tag) { return progress }
    return try disk.writeZeroes(ranges, isDurable: isDurable, tag: tag)
  }

  mutating func secureErase(_ ranges: Span<BlockRange>, tag: UInt32) throws(BackendFault) -> BlockProgress {
    if let progress = try progress(tag) { return progress }
    return try disk.secureErase(ranges, tag: tag)
  }

  /// The last of those that ended: out of order.
  mutating func nextCompletion() -> BlockBackendCompletion? {
    if ended == 0 { return nil }
    ended -= 1
    let tag = tags[ended]
    pending -= 1
    tags[ended] = tags[pending]
    return BlockBackendCompletion(tag: tag, fault: tag & 1 == 0 ? nil : .inputOutput)
  }
}

extension BlockDevice: AttackedDevice where Backend == FuzzDisk {
  static func make(_ input: inout Input, backing: consuming PrivateMemory) -> Self {
    var properties = MemoryDisk.defaultProperties
    properties.isReadOnly = input.oneIn(8)
    properties.sizeMax = input.oneIn(4) ? 4096 : 0
    return Self(
      backend: FuzzDisk(disk: MemoryDisk(backing, properties: properties)), queueCount: 2)
  }

  mutating func event(_ input: inout Input) {
    backend.mood = input.next()
    backend.ended = min(backend.pending, input.pick(33))
  }

  mutating func settle() { backend.ended = backend.pending }
}

/// The block device under a driver without rules.
@c(fuzz_block_device)
public func fuzzBlockDevice(_ data: UnsafePointer<UInt8>?, _ count: Int) {
  unsafe withInput(data, count) { input, memory, guest in
    var attacker = Attacker<BlockDevice<FuzzDisk>, 2>(&input, memory, guest)
    attack(&attacker, &input)
  }
}

// MARK: Network

/// A link whose frames the input makes up, with every offload.
struct FuzzLink: NetworkBackend {
  var frame: NetworkWaitingFrame?
  var room = 10
  var allowed = NetworkOffloads.none
  var transmitOffloads: NetworkOffloads { .all }
  var receiveOffloads: NetworkOffloads { .all }

  mutating func transmit(
    _ frame: borrowing NetworkFrame, _ offload: NetworkOffload, tag: UInt32
  ) -> NetworkTransmission {
    if room == 0 { return .busy }
    room -= 1
    var head = ByteArray<64>()
    var span = head.mutableBytes
    precondition(frame.copyOut(to: &span) == min(64, frame.byteCount), "a frame of another length")
    precondition(frame.byteCount >= 14, "a frame without a header")
    if case .partial(let start, let offset) = offload.checksum {
      precondition(Int(start) + Int(offset) + 2 <= frame.byteCount, "a checksum beyond the frame")
    }
    return .done
  }

  mutating func waitingFrame() -> NetworkWaitingFrame? { frame }

  mutating func receive(into target: borrowing NetworkFrame) -> Bool {
    precondition(target.byteCount == frame?.byteCount, "a frame of another length")
    let written = target.copyIn(from: frame!.prefix.bytes)
    precondition(written == min(64, target.byteCount), "room that is not there")
    let isGood = frame!.byteCount & 7 != 7
    frame = nil
    return isGood
  }

  mutating func dropFrame() { frame = nil }

  mutating func setReceiveOffloads(_ offloads: NetworkOffloads) {
    allowed = offloads
    if let offload = frame?.offload, !offload.needs(atMost: offloads) { frame = nil }
  }
}

extension NetworkOffload {
  /// Whether a receiver with `offloads` can take it.
  fileprivate func needs(atMost offloads: NetworkOffloads) -> Bool {
    self == .complete || offloads.contains(.all)
  }
}

extension NetworkDevice: AttackedDevice where Backend == FuzzLink {
  static func make(_ input: inout Input, backing: consuming PrivateMemory) -> Self {
    Self(
      backend: FuzzLink(),
      settings: NetworkDeviceSettings(
        mac: MACAddress(2, 0, 0, 0, 0, 1), mtu: input.oneIn(2) ? 1500 : nil))
  }

  mutating func event(_ input: inout Input) {
    switch input.pick(8) {
    case 0: linkIsUp = input.oneIn(2)
    case 1: requestAnnouncement()
    case 2: backend.room = input.pick(32)
    default:
      var prefix = ByteArray<64>()
      for i in 0..<42 { prefix[i] = input.next() }
      var offload = NetworkOffload.complete
      if backend.allowed.contains(.all) && input.oneIn(2) {
        offload.checksum = .partial(start: UInt16(input.pick(40)), offset: UInt16(input.pick(8)))
      }
      backend.frame = NetworkWaitingFrame(
        byteCount: 50 + Int(input.number() & 0x3fff), prefix: prefix, offload: offload)
    }
  }
}

/// The network device under a driver without rules, on a link without rules.
@c(fuzz_network_device)
public func fuzzNetworkDevice(_ data: UnsafePointer<UInt8>?, _ count: Int) {
  unsafe withInput(data, count) { input, memory, guest in
    var attacker = Attacker<NetworkDevice<FuzzLink, 2>, 5>(&input, memory, guest)
    attack(&attacker, &input)
  }
}
