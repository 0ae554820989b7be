// virtio 1.4 §5.4 Entropy Device, device side. The buffers come from an untrusted driver.

public import Virtio

/// Where an entropy device gets its random bytes from.
public protocol EntropyBackend: ~Copyable {
  /// Writes random bytes to the start of `range` and returns how many, at most `range.byteCount`. 0 means
  /// that there are none now; the device asks again when it is polled.
  mutating func fill(_ range: GuestRange) -> UInt32
}

/// Fills the buffers of `requestq` with random bytes, straight in guest memory.
///
/// A service call takes at most the queue's size in buffers and `requestByteLimit` bytes for each.
public struct EntropyDevice<Backend: EntropyBackend & ~Copyable>: VirtioDevice, ~Copyable {
  /// Most bytes placed in one buffer. Descriptors may overlap, so the sum of their lengths says nothing
  /// about how much memory the driver has; a buffer may be used partly filled (§5.4.6.2).
  public static var requestByteLimit: UInt32 { 1 << 16 }

  /// Where the bytes come from.
  public var backend: Backend
  private let queueSizeMax: UInt16
  private var waiting: WaitingRequest?

  /// A device that draws from `backend`, with a queue of up to `queueSizeMax` descriptors.
  public init(backend: consuming Backend, queueSizeMax: UInt16 = 64) {
    precondition(queueSizeMax > 0, "a device without its queue")
    self.backend = backend
    self.queueSizeMax = queueSizeMax
  }

  /// See `VirtioDevice`.
  public var deviceID: DeviceID { .entropy }
  /// One buffer after the other.
  public var usesBuffersInOrder: Bool { true }
  /// `requestq` alone.
  public func queueSizeMax(_ index: Int) -> UInt16 { index == EntropyQueue.request ? queueSizeMax : 0 }

  /// Fills what is available, until the backend has no more.
  public mutating func process(queue index: Int, _ context: inout DeviceContext) throws(DriverFault) {
    guard waiting == nil else { return }
    try serve(&context.queues[EntropyQueue.request])
  }

  /// Goes on when the backend had nothing for a buffer.
  public mutating func poll(_ context: inout DeviceContext) throws(DriverFault) {
    guard let request = waiting.take() else { return }
    let written = backend.fill(request.range)
    precondition(written <= request.range.byteCount, "a backend that wrote too much")
    if written == 0 {
      waiting = consume request
      return
    }
    context.queues[EntropyQueue.request].use(request.endWaiting(), written: written)
    try serve(&context.queues[EntropyQueue.request])
  }

  /// Forgets the buffer that waits.
  public mutating func reset() { waiting = nil }
  /// Forgets the buffer that waits.
  public mutating func resetQueue(_ index: Int) { waiting = nil }

  /// Gives back the buffer that waits: nothing was written to it. Nothing else is kept.
  public mutating func prepareToSave(_ context: inout DeviceContext) throws(DriverFault) -> SaveReadiness {
    if let request = waiting.take() {
      context.queues[EntropyQueue.request].giveBack(request.endWaiting())
      context.queues[EntropyQueue.request].needsService = true
    }
    return .ready
  }

  private mutating func serve(_ queue: inout DeviceVirtqueue) throws(DriverFault) {
    while var chain = try queue.nextOutOfLine() {
      var written: UInt32 = 0
      // §5.4.6.1: the driver never offers device-readable buffers.
      while written < Self.requestByteLimit, let range = try chain.nextOfWritable(queue) {
        let wanted = range.prefix(min(range.byteCount, Self.requestByteLimit - written))
        let count = backend.fill(wanted)
        precondition(count <= wanted.byteCount, "a backend that wrote too much")
        if written == 0 && count == 0 {
          // §5.4.6.2: MUST place at least one byte, so the buffer waits until there is one.
          waiting = WaitingRequest(chain: try queue.park(chain), range: wanted)
          return
        }
        written += count
        if count < wanted.byteCount { break }
      }
      // A buffer with no room for one byte cannot be answered.
      if written == 0 { throw .bufferTooShort }
      try queue.useOutOfLine(chain, written: written)
    }
  }
}

/// A buffer that the backend had no byte for, and where its first byte goes.
private struct WaitingRequest: ~Copyable {
  let chain: ParkedChain
  let range: GuestRange

  consuming func endWaiting() -> ParkedChain { chain }
}
