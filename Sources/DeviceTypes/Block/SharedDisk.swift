// virtio 1.4 §5.2 Block Device: one hardware disk behind several block devices. The hardware is untrusted, as
// for every driver; what the devices ask was checked by them, and is checked against their shares here.

public import Virtio
public import Wire

/// A hardware disk and who asked what of it.
///
/// Each of its shares has the same number of requests with the hardware at most, and the buffers of all
/// requests take turns, so that no share waits for more than a bounded number of others. A share that has its
/// number is told that the disk is busy, and loses nothing.
///
/// The embedder calls `service` at every interrupt of the hardware and lets its devices look for completions,
/// and `publish` after every call of a device. It sees to it that only one call is under way at a time.
///
/// A hardware disk that breaks the protocol is reset and taken into use again, up to `restartLimit` times;
/// what it had then ends in an error, and after that so does everything.
public struct SharedDisk<Registers: RegisterAccess & ~Copyable>: ~Copyable {
  /// Most shares of a disk.
  public static var shareLimit: Int { 8 }
  /// How often a disk that broke the protocol is taken into use again.
  public static var restartLimit: Int { 3 }
  /// Segments of a request: as many as a `BlockDevice` ever hands on.
  public static var segmentLimit: Int { BlockProperties.segmentLimit }

  /// The driver of the hardware.
  public private(set) var driver: BlockDriver<Registers>
  /// What the hardware calls itself.
  public let identifier: ByteArray<20>
  /// How often the hardware broke the protocol.
  public private(set) var failureCount = 0
  /// What it did last.
  public private(set) var lastFault: DeviceFault?
  /// Whether the hardware is given up: every request fails.
  public private(set) var isBroken = false

  /// Requests that each share may have with the hardware.
  public let requestLimit: Int
  /// The requests of each share: a bit for each, by the index of its token.
  private var shares = [8 of UInt32](repeating: 0)
  private var requests = [32 of SharedRequest](repeating: SharedRequest())
  /// Whether nothing has ended since `checkProgress`, and something was under way then.
  private var isSuspect = false

  /// Shares a disk between `shareCount` devices. The driver needs lists of `segmentLimit` items, and should
  /// not have accepted IN_ORDER: with it a request of one share waits for slow ones of the others.
  ///
  /// Traps outside 1 to `shareLimit` shares.
  public init(_ driver: consuming BlockDriver<Registers>, shareCount: Int, identifier: ByteArray<20>) {
    precondition(shareCount >= 1 && shareCount <= Self.shareLimit, "1 to 8 shares")
    precondition(driver.segmentLimit >= Self.segmentLimit, "a driver for shorter requests")
    self.driver = driver
    self.identifier = identifier
    requestLimit = BlockQueues.requestLimit / shareCount
    self.driver.defersPublication = true
    _ = self.driver.prepareToWait()
  }

  // MARK: The hardware's side

  /// Acknowledges the interrupt of the hardware and takes back what it has done. To be followed by a look of
  /// every device for completions, and `publish`.
  @inline(never)
  public mutating func service() {
    if isBroken { return }
    do throws(BlockFailure) {
      _ = try driver.handleInterrupt()
      // Bounded by what was submitted: nothing new comes meanwhile.
      repeat { try driver.service() } while !driver.prepareToWait()
    } catch {
      recover(error)
    }
    if driver.endedRequests != 0 { isSuspect = false }
  }

  /// Tells the hardware of new requests.
  public mutating func publish() { driver.publish() }

  /// Whether requests have ended that no device has asked for yet.
  public var hasCompletions: Bool { driver.endedRequests != 0 }

  /// Takes the hardware for broken when it had requests at the last call, and none of any share has ended
  /// since. To be called in intervals that no request may take.
  public mutating func checkProgress() {
    service()
    let isBusy = shares.span.indices.contains { shares[$0] & ~driver.endedRequests != 0 }
    if isBusy && isSuspect && !isBroken { recover(.device(.commandTimedOut)) }
    isSuspect = isBusy
  }

  /// Ends everything that the hardware has, and tries to take it into use again.
  @inline(never)
  private mutating func recover(_ failure: BlockFailure) {
    failureCount += 1
    if case .device(let fault) = failure { lastFault = fault }
    do throws(DeviceFault) {
      try driver.reset()
    } catch {
      isBroken = true
      return driver.giveUp()
    }
    guard failureCount <= Self.restartLimit else {
      isBroken = true
      return
    }
    do throws(DeviceFault) {
      try driver.restart()
      _ = driver.prepareToWait()
    } catch {
      isBroken = true
    }
  }

  // MARK: The devices' side

  /// Starts a request of a share for data, in sectors of the hardware. `deviceOffset` makes addresses of the
  /// hardware of those of the segments.
  mutating func start(
    _ request: SharedRequest, share: Int, sector: UInt64, _ list: Span<GuestRange>, deviceOffset: UInt64
  ) throws(BackendFault) -> BlockProgress {
    guard let index = try open(request, share, sector: sector, list.count) else { return .busy }
    for i in list.indices {
      driver.setItem(
        i, of: index, base: list[i].address &+ deviceOffset, length: list[i].byteCount)
    }
    return try submit(request, index, share)
  }

  /// Starts a request of a share for ranges, which begin `firstSector` sectors into the hardware.
  mutating func start(
    _ request: SharedRequest, share: Int, _ list: Span<BlockRange>, firstSector: UInt64
  ) throws(BackendFault) -> BlockProgress {
    guard let index = try open(request, share, list.count) else { return .busy }
    // §5.2.6.1: only write zeroes has a flag.
    let known = request.type == .writeZeroes ? BlockRange.unmap : 0
    for i in list.indices {
      driver.setItem(
        i, of: index, base: list[i].sector + firstSector, length: list[i].sectorCount,
        flags: list[i].flags & known)
    }
    return try submit(request, index, share)
  }

  /// Starts a flush for a share.
  mutating func startFlush(_ request: SharedRequest, share: Int) throws(BackendFault) -> BlockProgress {
    guard let index = try open(request, share, 0) else { return .busy }
    return try submit(request, index, share)
  }

  /// A request of the driver for one of a share; nil when the share has its number of them.
  @inline(never)
  private mutating func open(
    _ request: SharedRequest, _ share: Int, sector: UInt64 = 0, _ itemCount: Int
  ) throws(BackendFault) -> Int? {
    if isBroken { throw .inputOutput }
    if shares[share].nonzeroBitCount >= requestLimit { return nil }
    do throws(BlockFailure) {
      return try driver.open(request.type, sector: sector, itemCount: itemCount)
    } catch {
      throw BackendFault(error)
    }
  }

  /// Submits request `index` of the driver, and remembers whose it is.
  @inline(never)
  private mutating func submit(
    _ request: SharedRequest, _ index: Int, _ share: Int
  ) throws(BackendFault) -> BlockProgress {
    let token = driver.submit(index)
    // What could not even be submitted has ended, and no interrupt will tell of it.
    if let completion = driver.completion(of: token) {
      switch completion.result {
      case .finished: return .finished
      case .failed(let fault): throw fault
      case .abandoned: throw .inputOutput
      }
    }
    requests[index] = request
    requests[index].token = token
    shares[share] |= 1 << UInt32(index)
    return .pending
  }

  /// The next request of a share that ended, or nil. A durable one has not ended before its flush.
  mutating func nextEnd(share: Int) -> SharedEnd? {
    var todo = shares[share] & driver.endedRequests
    while todo != 0 {
      let index = todo.trailingZeroBitCount
      todo &= todo &- 1
      let request = requests[index]
      // The bit says that it has ended.
      guard let token = request.token, let completion = driver.completion(of: token) else { continue }
      shares[share] &= ~(1 << UInt32(index))
      switch completion.result {
      case .finished:
        if request.needsFlush && !request.isCancelled {
          if startTrailingFlush(request, share) { continue }
          return SharedEnd(request, .inputOutput)
        }
        return SharedEnd(request, nil)
      case .failed(let fault): return SharedEnd(request, fault)
      case .abandoned: return SharedEnd(request, .inputOutput)
      }
    }
    return nil
  }

  /// The write of `request` is done; what makes it durable takes its place. False when the hardware fails.
  private mutating func startTrailingFlush(_ request: SharedRequest, _ share: Int) -> Bool {
    var flush = request
    flush.type = .flush
    flush.needsFlush = false
    // The write has just left room for it.
    return (try? startFlush(flush, share: share)) == .pending
  }

  /// Request `tag` of a share is not wanted any more: it ends as soon as the hardware has let go of it.
  mutating func cancel(_ tag: UInt32, share: Int) {
    var todo = shares[share]
    while todo != 0 {
      let index = todo.trailingZeroBitCount
      todo &= todo &- 1
      guard requests[index].tag == tag, let token = requests[index].token else { continue }
      requests[index].isCancelled = true
      driver.cancel(token)
    }
  }
}

/// What a device asked of a shared disk.
struct SharedRequest {
  var type = BlockRequestType.read
  /// What the device calls it.
  var tag: UInt32 = 0
  /// Whether it has to be followed by a flush.
  var needsFlush = false
  /// Whether nobody waits for it any more.
  var isCancelled = false
  /// What the driver calls it.
  var token: BlockToken?
}

/// The end of a device's request.
struct SharedEnd {
  let request: SharedRequest
  let fault: BackendFault?

  init(_ request: SharedRequest, _ fault: BackendFault?) {
    self.request = request
    self.fault = fault
  }
}

extension BackendFault {
  /// What a device is told of a driver's failure.
  init(_ failure: BlockFailure) {
    if case .request(let fault) = failure {
      self = fault
    } else {
      self = .inputOutput
    }
  }
}
