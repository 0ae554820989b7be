// What a block driver tells and does for callers that share it: see `SharedDisk`.

import Virtio

extension BlockDriver where Registers: ~Copyable {
  /// The requests that ended and whose completions were not taken: a bit for each, by `BlockToken.index`.
  var endedRequests: UInt32 { queues.ended }

  /// Data segments that one buffer can have: more of them are cut into several, at sector boundaries.
  public var bufferSegmentCount: Int { queues.limits.segmentCount }

  /// Submits nothing more of a request. It ends as abandoned, once the device has used what it was given.
  public mutating func cancel(_ token: BlockToken) { queues.cancel(token) }

  /// Ends all requests as abandoned, for a device that `reset` could not make stop. It may still access their
  /// memory: nothing but the end of the machine's power helps against that.
  public mutating func giveUp() {
    transport.fail()
    queues.abandon(queue: nil)
    if fault == nil { fault = .resetTimedOut }
  }

  /// The memory segments of the request of `token`, from its submission until another is submitted after its
  /// completion was taken.
  func segmentCount(of token: BlockToken) -> Int { queues.requests[token.index].itemCount }

  /// See `segmentCount`.
  func segment(_ item: Int, of token: BlockToken) -> DMASegment { queues.segment(item, of: token.index) }
}

extension BlockToken {
  /// Which of the driver's records it names; the rest tells the lives of the record apart.
  var index: Int { Int(rawValue & 0xff) }
}

extension BlockQueues {
  mutating func cancel(_ token: BlockToken) {
    let bit: UInt32 = 1 << UInt32(token.index)
    guard self.token(token.index) == token, freeRequests & bit == 0, ended & bit == 0 else { return }
    settle(token.index, .abandoned)
  }
}
