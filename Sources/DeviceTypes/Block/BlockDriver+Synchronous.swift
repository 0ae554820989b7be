// Requests of a block driver for callers that wait. How to wait is theirs: WFI on a board, a poll in a test.

public import Virtio
public import Wire

extension BlockDriver where Registers: ~Copyable {
  /// Waits for the end of `token`. Other requests go on meanwhile; their completions are kept.
  ///
  /// `wait` is called when there is nothing to do before the next interrupt, which has been asked for; it may
  /// return early. When it returns false, `.timedOut` is thrown.
  public mutating func finish(
    _ token: BlockToken, wait: () -> Bool
  ) throws(BlockFailure) -> BlockCompletion {
    while true {
      try service()
      if let completion = completion(of: token) {
        switch completion.result {
        case .finished: return completion
        case .failed(let fault): throw .request(fault)
        case .abandoned: throw .abandoned
        }
      }
      if prepareToWait() {
        guard wait() else { throw .timedOut }
        _ = try handleInterrupt()
      }
    }
  }

  /// As `finish`, for a request that may not have been accepted because there were too many.
  private mutating func finish(
    _ token: BlockToken?, _ wait: () -> Bool
  ) throws(BlockFailure) -> BlockCompletion {
    guard let token else { throw .tooManyRequests }
    return try finish(token, wait: wait)
  }

  /// Reads all of `buffer`, whole sectors, from `sector`.
  public mutating func read(
    sector: UInt64, into buffer: borrowing DMABuffer, wait: () -> Bool
  ) throws(BlockFailure) {
    try read(sector: sector, into: buffer.segment, wait: wait)
  }

  /// Reads a piece of shared memory, whole sectors, from `sector`.
  public mutating func read(
    sector: UInt64, into segment: DMASegment, wait: () -> Bool
  ) throws(BlockFailure) {
    let segments: [1 of DMASegment] = [segment]
    _ = try finish(try submitRead(sector: sector, into: segments.span), wait)
  }

  /// Writes all of `buffer`, whole sectors, from `sector` on.
  public mutating func write(
    sector: UInt64, from buffer: borrowing DMABuffer, wait: () -> Bool
  ) throws(BlockFailure) {
    try write(sector: sector, from: buffer.segment, wait: wait)
  }

  /// Writes a piece of shared memory, whole sectors, from `sector` on.
  public mutating func write(
    sector: UInt64, from segment: DMASegment, wait: () -> Bool
  ) throws(BlockFailure) {
    let segments: [1 of DMASegment] = [segment]
    _ = try finish(try submitWrite(sector: sector, from: segments.span), wait)
  }

  /// Makes all writes stable that ended before.
  public mutating func flush(wait: () -> Bool) throws(BlockFailure) {
    _ = try finish(try submitFlush(), wait)
  }

  /// The name of the device, padded with NUL.
  public mutating func getID(wait: () -> Bool) throws(BlockFailure) -> ByteArray<20> {
    try finish(try submitGetID(), wait).response
  }

  /// The wear of the storage.
  public mutating func getLifetime(wait: () -> Bool) throws(BlockFailure) -> BlockLifetime {
    try finish(try submitGetLifetime(), wait).lifetime
  }

  /// Discards sectors.
  public mutating func discard(_ range: BlockRange, wait: () -> Bool) throws(BlockFailure) {
    let ranges: [1 of BlockRange] = [range]
    _ = try finish(try submitDiscard(ranges.span), wait)
  }

  /// Zeroes sectors.
  public mutating func writeZeroes(_ range: BlockRange, wait: () -> Bool) throws(BlockFailure) {
    let ranges: [1 of BlockRange] = [range]
    _ = try finish(try submitWriteZeroes(ranges.span), wait)
  }

  /// Erases sectors beyond recovery.
  public mutating func secureErase(_ range: BlockRange, wait: () -> Bool) throws(BlockFailure) {
    let ranges: [1 of BlockRange] = [range]
    _ = try finish(try submitSecureErase(ranges.span), wait)
  }
}
