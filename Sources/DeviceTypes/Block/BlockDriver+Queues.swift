// The requests of a block driver and the virtqueues they go through. Not generic, so that it exists once. The
// device is untrusted; the records here are in private memory.

import Synchronization
import Virtio
import Wire

/// One request of the caller's: a list of memory segments or of sector ranges, and how far it got.
struct BlockRequestRecord {
  var type = BlockRequestType.read
  var queue: UInt8 = 0
  /// The next sector to ask for, of a read or write.
  var sector: UInt64 = 0
  /// The next item of the list, and what was taken of it: bytes or sectors.
  var item = 0
  var offset: UInt32 = 0
  var itemCount = 0
  /// Whether something is left to submit.
  var hasMore = false
  /// When its next buffer is due, among those of the other requests.
  var turn: UInt32 = 0
  /// Fragments with the device.
  var inFlight: UInt16 = 0
  /// Part of the token.
  var generation: UInt32 = 0
  var result = BlockResult.finished
  var response = ByteArray<20>()
}

/// One buffer with the device: a piece of a request that is as large as the device and the queue allow.
struct BlockFragment {
  var request: UInt8 = 0
  var queue: UInt8 = 0
  /// Device-writable bytes: data and status.
  var writableByteCount: UInt32 = 0
}

/// What one buffer may ask for.
struct BlockFragmentLimits {
  /// Bytes of one segment.
  var segmentByteCount: UInt32 = .max
  /// Data segments.
  var segmentCount = 1
  var discard = BlockRangeLimits()
  var writeZeroes = BlockRangeLimits()
  var secureErase = BlockRangeLimits()

  /// Those of one type of request for ranges.
  func ranges(of type: BlockRequestType) -> BlockRangeLimits {
    switch type {
    case .discard: discard
    case .writeZeroes: writeZeroes
    default: secureErase
    }
  }
}

/// Virtqueues and requests of a block driver.
struct BlockQueues: ~Copyable {
  static var queueLimit: Int { 4 }
  static var requestLimit: Int { 32 }
  static var fragmentLimit: Int { 64 }
  /// Data segments of one fragment, at most.
  static var segmentLimit: Int { 254 }
  /// Ranges of one fragment, at most.
  static var rangeLimit: Int { 4 }
  /// Bytes of one fragment, at most: well below the 2^32 of §2.7.5.2.
  static var fragmentByteLimit: UInt32 { 1 << 30 }

  /// Where a fragment's header, status, response and ranges are in its part of `area`.
  static var areaByteCount: Int { 128 }
  static var statusOffset: Int { 16 }
  static var responseOffset: Int { 32 }
  static var rangesOffset: Int { 64 }

  /// Never used. A value that holds an atomic has a place of its own, so that a borrowed one is passed by its
  /// address and not copied for each call.
  private let place = Atomic<UInt8>(0)
  var queues: [4 of DriverVirtqueue?] = InlineArray { _ in nil }
  /// How many of them there are.
  var queueCount = 0
  /// Device-visible memory of the fragments.
  var area = DMABuffer()
  /// The lists of the requests: address or sector, length, flags; 16 bytes an item.
  var lists = PrivateMemory()
  /// Items of each list.
  let listLimit: Int
  var limits = BlockFragmentLimits()
  /// Descriptors of the smallest queue: the longest chain.
  var chainLength = Int.max
  /// Sectors of the device, as last read.
  var sectorCount: UInt64 = 0
  var requests = [32 of BlockRequestRecord] { _ in BlockRequestRecord() }
  var fragments = [64 of BlockFragment](repeating: BlockFragment())
  var segments = [256 of DMASegment](repeating: DMASegment(deviceAddress: 0, byteCount: 0))
  // One bit each.
  var freeRequests: UInt32 = .max
  var freeFragments: UInt64 = .max
  /// Requests with something left to submit.
  var unsubmitted: UInt32 = 0
  /// Requests that ended and were not taken by the caller.
  var ended: UInt32 = 0
  var nextTurn: UInt32 = 0

  init(listLimit: Int) { self.listLimit = listLimit }

  /// Takes what there has to be beside the rings from `memory`. False when that runs out.
  mutating func allocate<Memory: DriverMemory & ~Copyable>(from memory: inout Memory) -> Bool {
    guard
      let area = memory.allocateShared(
        byteCount: Self.fragmentLimit * Self.areaByteCount, alignment: Self.areaByteCount),
      let lists = memory.allocatePrivate(byteCount: Self.requestLimit * listLimit * 16)
    else { return false }
    self.area = area
    self.lists = lists
    return true
  }

  // MARK: Requests

  /// A free record, taken and set up; nil when all are in use.
  @inline(never)
  mutating func open(_ type: BlockRequestType, sector: UInt64, queue: Int, itemCount: Int) -> Int? {
    if freeRequests == 0 { return nil }
    let index = freeRequests.trailingZeroBitCount
    freeRequests &= ~(1 << UInt32(index))
    var record = BlockRequestRecord()
    record.generation = requests[index].generation
    record.type = type
    record.sector = sector
    record.queue = UInt8(queue)
    record.itemCount = itemCount
    record.hasMore = true
    record.turn = nextTurn
    nextTurn &+= 1
    requests[index] = record
    unsubmitted |= 1 << UInt32(index)
    return index
  }

  /// Sets item `item` of request `index`.
  mutating func setItem(_ item: Int, of index: Int, base: UInt64, length: UInt32, flags: UInt32 = 0) {
    let at = (index * listLimit + item) * 16
    lists.store(base, at: at)
    lists.store(length, at: at + 8)
    lists.store(flags, at: at + 12)
  }

  /// Item `item` of request `index`, as a piece of memory.
  func segment(_ item: Int, of index: Int) -> DMASegment {
    let at = (index * listLimit + item) * 16
    return DMASegment(deviceAddress: lists.load(at: at), byteCount: lists.load(at: at + 8))
  }

  func token(_ index: Int) -> BlockToken {
    BlockToken(rawValue: UInt32(index) | requests[index].generation << 8)
  }

  /// The end of the request `token`, if it has ended; else nil. Its record is free then.
  mutating func take(_ token: BlockToken) -> BlockCompletion? {
    let index = Int(token.rawValue & 0xff)
    guard index < Self.requestLimit, ended & (1 << UInt32(index)) != 0, self.token(index) == token else {
      return nil
    }
    return takeEnded(index)
  }

  /// The end of any request.
  mutating func takeAny() -> BlockCompletion? {
    ended == 0 ? nil : takeEnded(ended.trailingZeroBitCount)
  }

  private mutating func takeEnded(_ index: Int) -> BlockCompletion {
    let completion = BlockCompletion(
      token: token(index), result: requests[index].result, response: requests[index].response)
    ended &= ~(1 << UInt32(index))
    freeRequests |= 1 << UInt32(index)
    requests[index].generation = (requests[index].generation &+ 1) & 0xff_ffff
    return completion
  }

  /// Nothing more of the request is submitted, and once nothing is with the device it has ended.
  mutating func settle(_ index: Int, _ result: BlockResult) {
    if requests[index].result == .finished { requests[index].result = result }
    if result != .finished { requests[index].hasMore = false }
    if requests[index].hasMore { return }
    unsubmitted &= ~(1 << UInt32(index))
    if requests[index].inFlight == 0 { ended |= 1 << UInt32(index) }
  }

  // MARK: Queues

  /// Submits what there is room for, a buffer of each request in turn.
  ///
  /// A request that does not fit yet holds up those behind it on its queue: else small requests that keep
  /// coming would keep a large one out for ever, and large ones each other.
  mutating func submitWaiting() {
    var blocked: UInt32 = 0
    while let index = next(of: unsubmitted & ~blocked) {
      if submitFragment(index) {
        requests[index].turn = nextTurn
        nextTurn &+= 1
      } else {
        for i in 0..<Self.requestLimit where requests[i].queue == requests[index].queue {
          blocked |= 1 << UInt32(i)
        }
      }
    }
  }

  /// The one of `set` whose turn it is.
  private func next(of set: UInt32) -> Int? {
    if set == 0 { return nil }
    var found = set.trailingZeroBitCount
    var todo = set & (set &- 1)
    while todo != 0 {
      let index = todo.trailingZeroBitCount
      todo &= todo &- 1
      if Int32(bitPattern: requests[index].turn &- requests[found].turn) < 0 { found = index }
    }
    return found
  }

  /// Makes visible what was submitted. Returns the queues that the device wants to be notified of, one bit
  /// each.
  mutating func publish() -> UInt32 {
    var wanted: UInt32 = 0
    for i in 0..<queueCount {
      if queues[i]!.publish() { wanted |= 1 << UInt32(i) }
    }
    return wanted
  }

  /// Takes back what the device has used, and submits what there is room for now.
  mutating func reclaim() throws(DeviceFault) {
    for i in 0..<queueCount {
      while let used = try queues[i]!.reclaim() { try complete(used) }
    }
    submitWaiting()
  }

  private mutating func complete(_ used: UsedBuffer) throws(DeviceFault) {
    // The token is from our own records.
    let index = Int(used.token)
    let base = index * Self.areaByteCount
    let fragment = fragments[index]
    let request = Int(fragment.request)
    let status = BlockStatus(area.load(at: base + Self.statusOffset))
    guard status.isDefined else { throw .invalidResponse }
    // §2.7.8.1: nothing can be assumed of bytes beyond the length. Success without all of them is a lie; an
    // error is an error.
    guard status != .ok || used.byteCount == fragment.writableByteCount else { throw .invalidResponse }
    if status == .ok { keepResponse(request, base) }
    release(index)
    switch status {
    case .ok: settle(request, .finished)
    case .unsupported: settle(request, .failed(.unsupported))
    default: settle(request, .failed(.inputOutput))
    }
  }

  private mutating func keepResponse(_ request: Int, _ base: Int) {
    let byteCount = Self.responseByteCount(requests[request].type)
    for i in 0..<byteCount { requests[request].response[i] = area.load(at: base + Self.responseOffset + i) }
  }

  static func responseByteCount(_ type: BlockRequestType) -> Int {
    switch type {
    case .getID: 20
    case .getLifetime: BlockLifetime.byteCount
    default: 0
    }
  }

  /// The device no longer has fragment `index`.
  private mutating func release(_ index: Int) {
    freeFragments |= 1 << UInt64(index)
    requests[Int(fragments[index].request)].inFlight -= 1
  }

  /// The device will never use what is in flight on `queue`, or on any: all such requests end as abandoned.
  mutating func abandon(queue: Int?) {
    for i in 0..<Self.fragmentLimit where freeFragments & (1 << UInt64(i)) == 0 {
      if let queue, Int(fragments[i].queue) != queue { continue }
      release(i)
      settle(Int(fragments[i].request), .abandoned)
    }
    // Those that had nothing with the device yet wait for nothing any more.
    for i in 0..<Self.requestLimit where unsubmitted & (1 << UInt32(i)) != 0 {
      if let queue, Int(requests[i].queue) != queue { continue }
      settle(i, .abandoned)
    }
    for i in 0..<queueCount where queue == nil || queue == i {
      queues[i]!.reset()
    }
  }

  /// Asks for a notification of what is used next. Returns true when something is used already.
  mutating func enableNotifications() -> Bool {
    var isUsed = false
    for i in 0..<queueCount {
      if queues[i]!.enableNotifications() { isUsed = true }
    }
    return isUsed
  }
}
