// A network device with one pair of queues and a driver that writes its rings by hand.

import DeviceTypes
import TestSupport
import Virtio
import Wire

struct NetworkRig {
  let memory = TestMemory()
  let link = TestLink()
  let bench: NetworkBench
  var driver: FakeDriver<LoopbackRegisters<NetworkDevice<TestBackend, 1>, 3>>
  /// Next unused descriptor, and next unused byte of memory for data.
  private var slot: [UInt16] = [0, 0, 0]
  private var free: UInt64
  /// Where the receive buffers lie, by their first descriptor.
  private var places: [UInt32: UInt64] = [:]

  static let receiveQueue = 0
  static let transmitQueue = 1
  static let controlQueue = 2

  init(
    transmit: NetworkOffloads = .none, receive: NetworkOffloads = .none, mtu: UInt16? = nil,
    withheld: Features = .none
  ) {
    bench = NetworkBench(
      makeNetworkDevice(link, transmit: transmit, receive: receive, mtu: mtu, withheld: withheld), memory)
    driver = FakeDriver(bench.registers, memory, queueSize: 32)
    free = memory.address + 0x80000
  }

  mutating func start(_ features: Features = .none) {
    driver.start(features: features, queues: 0..<3)
    slot = [0, 0, 0]
  }

  /// Memory for `byteCount` bytes. It wraps around: what tests need at a time is little.
  mutating func allocate(_ byteCount: Int) -> UInt64 {
    if free + UInt64(byteCount) > memory.address + UInt64(memory.byteCount) {
      free = memory.address + 0x80000
    }
    defer { free += UInt64(byteCount) }
    return free
  }

  /// Makes a chain available: pieces of given lengths, the first `readable` of them device-readable.
  mutating func submit(
    _ queue: Int, _ pieces: [(address: UInt64, byteCount: Int)], readable: Int, notify: Bool = true
  ) {
    let head = slot[queue]
    for (index, piece) in pieces.enumerated() {
      let current = slot[queue]
      slot[queue] = (current + 1) % driver.queueSize
      let isLast = index == pieces.count - 1
      driver.descriptor(
        queue, current, address: piece.address, byteCount: UInt32(piece.byteCount),
        flags: (isLast ? 0 : 1) | (index < readable ? 0 : 2), next: isLast ? 0 : slot[queue])
    }
    driver.makeAvailable(queue, head, notify: notify)
  }

  /// Transmits raw bytes, cut into pieces of the given lengths.
  mutating func transmit(_ bytes: [UInt8], cut: [Int] = []) {
    let start = allocate(bytes.count)
    memory.write(bytes, start)
    var pieces: [(address: UInt64, byteCount: Int)] = []
    var at = 0
    for length in cut + [bytes.count - cut.reduce(0, +)] {
      pieces.append((start + UInt64(at), length))
      at += length
    }
    submit(Self.transmitQueue, pieces, readable: pieces.count)
  }

  /// Transmits a frame with a header.
  mutating func transmit(_ header: NetworkHeader, _ frame: [UInt8], cut: [Int] = []) {
    transmit(header.list + frame, cut: cut)
  }

  /// Supplies a receive buffer of pieces of the given lengths, one after the other in memory, filled with
  /// 0xee. Returns its address.
  @discardableResult
  mutating func supply(_ lengths: [Int] = [1526], notify: Bool = true) -> UInt64 {
    let total = lengths.reduce(0, +)
    let start = allocate(total)
    memory.write([UInt8](repeating: 0xee, count: total), start)
    var at = start
    var pieces: [(address: UInt64, byteCount: Int)] = []
    for length in lengths {
      pieces.append((at, length))
      at += UInt64(length)
    }
    places[UInt32(slot[Self.receiveQueue])] = start
    submit(Self.receiveQueue, pieces, readable: 0, notify: notify)
    return start
  }

  /// Lets a frame arrive and returns the header and bytes in the one buffer it takes; nil when the
  /// frame did not come.
  mutating func receive(
    _ bytes: [UInt8], _ offload: NetworkOffload = .complete, byteCount: Int = 1526
  ) -> (header: NetworkHeader, bytes: [UInt8])? {
    let before = driver.usedIndex(Self.receiveQueue)
    supply([byteCount])
    link.offer(bytes, offload)
    bench.transport.poll()
    guard driver.usedIndex(Self.receiveQueue) != before else { return nil }
    let (id, used) = driver.used(Self.receiveQueue, before)
    let start = places[id]!
    return (NetworkHeader(list: memory.bytes(start, 12)), memory.bytes(start + 12, Int(used) - 12))
  }

  /// Sends a command, given as class, command and data, with room for `ackByteCount` bytes of answer.
  /// Returns the answer; nil when there is none.
  mutating func command(_ bytes: [UInt8], cut: [Int] = [], ackByteCount: Int = 1) -> UInt8? {
    let before = driver.usedIndex(Self.controlQueue)
    let start = allocate(bytes.count)
    let ack = allocate(1)
    memory.write(bytes, start)
    memory.store(0xee as UInt8, ack)
    var pieces: [(address: UInt64, byteCount: Int)] = []
    var at = 0
    for length in cut + [bytes.count - cut.reduce(0, +)] {
      pieces.append((start + UInt64(at), length))
      at += length
    }
    let readable = pieces.count
    if ackByteCount != 0 { pieces.append((ack, ackByteCount)) }
    submit(Self.controlQueue, pieces, readable: readable)
    guard driver.usedIndex(Self.controlQueue) != before else { return nil }
    return driver.used(Self.controlQueue, before).byteCount == 1 ? memory.load(UInt8.self, ack) : nil
  }

  /// Whether a frame gets through the filter. A buffer is supplied for it.
  mutating func accepts(_ bytes: [UInt8]) -> Bool { receive(bytes) != nil }

  var fault: DriverFault? { bench.transport.fault }
}

extension NetworkHeader {
  var list: [UInt8] { (0..<12).map { bytes[$0] } }

  init(list: [UInt8]) {
    var bytes = ByteArray<12>()
    for index in 0..<12 { bytes[index] = list[index] }
    self.init(bytes)
  }

  /// A header of the given fields.
  static func with(
    flags: UInt8 = 0, type: UInt8 = 0, headerLength: UInt16 = 0, segmentSize: UInt16 = 0, start: UInt16 = 0,
    offset: UInt16 = 0, bufferCount: UInt16 = 0
  ) -> NetworkHeader {
    var header = NetworkHeader()
    header.flags = flags
    header.segmentationType = type
    header.headerLength = headerLength
    header.segmentSize = segmentSize
    header.checksumStart = start
    header.checksumOffset = offset
    header.bufferCount = bufferCount
    return header
  }
}

extension NetworkOffload {
  /// A partial UDP checksum over IPv4, and how to cut it.
  static func udp4(_ segmentation: NetworkSegmentation? = nil, headerLength: UInt16 = 0) -> NetworkOffload {
    NetworkOffload(
      checksum: .partial(start: 34, offset: 6), segmentation: segmentation, headerLength: headerLength)
  }
}
