// virtio 1.4 §5.1.9.4 Processing of Incoming Packets, device side.

public import Virtio
import Wire

extension NetworkDevice where Backend: ~Copyable {
  /// Passes waiting frames to the driver, until there are none or its buffers do not suffice.
  mutating func receive(_ context: inout DeviceContext) throws(DriverFault) {
    for _ in 0..<Self.frameBudget {
      guard let waiting = backend.waitingFrame() else { return }
      switch try collect(waiting, &context) {
      case .scarce: return
      case .impossible: dropReceived()
      case .enough(let header, let index):
        if backend.receive(into: pieces.frame) {
          buffers.use(header, &context.queues[index])
        } else {
          buffers.giveBack(&context.queues[index])
          countLostFrame()
        }
      }
    }
  }

  /// Passes a frame from outside to the driver at once, made to what the driver takes. Where it does not, or
  /// its buffers do not suffice, the frame or the rest of it is dropped and counted: nobody waits.
  public mutating func deliver(
    _ packet: borrowing NetworkPacket, _ context: inout DeviceContext
  ) throws(DriverFault) {
    guard var finishing = packet.finishing(for: receiveOffloads) else { return countLostFrame() }
    var frame = NetworkPacket(copying: packet)
    for _ in 0..<finishing.frameCount {
      packet.makeNext(&frame, &finishing)
      let waiting = NetworkWaitingFrame(
        byteCount: frame.byteCount, prefix: ByteArray<64>(prefixOf: frame.head.bytes),
        offload: frame.offload)
      guard case .enough(let header, let index) = try collect(waiting, &context) else {
        return countLostFrame()
      }
      frame.copy(into: pieces.frame)
      buffers.use(header, &context.queues[index])
    }
  }

  /// What there is for a frame.
  private enum Place {
    /// Buffers of a queue, and the header that goes there.
    case enough(NetworkHeader, queue: Int)
    /// Not yet enough buffers.
    case scarce
    /// The driver never gets it.
    case impossible
  }

  /// Finds the place of a frame: the pieces of buffers, which `buffers.use` or `giveBack` then takes.
  private mutating func collect(
    _ waiting: NetworkWaitingFrame, _ context: inout DeviceContext
  ) throws(DriverFault) -> Place {
    guard let header = checked(waiting, context.features),
      let index = target(waiting.prefix, context.queues.span)
    else { return .impossible }
    let isMergeable = context.features.contains(NetworkFeature.mergeableBuffers)
    switch try buffers.collect(
      waiting.byteCount, isMergeable: isMergeable, &context.queues[index], &pieces)
    {
    case .scarce: return .scarce
    case .impossible: return .impossible
    case .enough: return .enough(header, queue: index)
    }
  }

  /// The header of a frame, or nil when the driver does not get it.
  private mutating func checked(_ waiting: NetworkWaitingFrame, _ features: Features) -> NetworkHeader? {
    let byteCount = waiting.byteCount
    guard linkIsUp, byteCount >= Ethernet.headerByteCount,
      byteCount <= Ethernet.maximumOffloadByteCount + Ethernet.tagByteCount,
      // §5.1.4.1: MUST NOT pass on what exceeds the MTU.
      waiting.offload.segmentation != nil || byteCount <= frameLimit(waiting.prefix, features),
      filter.accepts(waiting.prefix, own: knowsAddress ? mac : nil)
    else { return nil }
    return waiting.offload.header(.receive, byteCount: byteCount, allowed: receiveOffloads)
  }

  /// The receiveq for a frame: its flow's, or another one while that is reset (§5.1.9.5.6.2); nil when none
  /// is ready.
  private mutating func target(_ prefix: ByteArray<64>, _ queues: Span<DeviceVirtqueue>) -> Int? {
    let first = steering.pair(for: prefix)
    for step in 0..<steering.pairCount {
      let index = NetworkQueue.receive((first + step) % steering.pairCount)
      if queues[index].isReady { return index }
    }
    return nil
  }
}

/// The receive buffers that one frame goes into.
struct NetworkReceiveBuffers: ~Copyable {
  /// What became of the search for buffers.
  enum Outcome {
    /// The frame fits.
    case enough
    /// It will fit when the driver supplies more.
    case scarce
    /// It will never fit.
    case impossible
  }

  private struct Taken: ~Copyable {
    let chain: ParkedChain
    /// Bytes that the header and the frame take of it.
    let byteCount: UInt32

    consuming func use(_ queue: inout DeviceVirtqueue) { queue.use(chain, written: byteCount) }
    consuming func giveBack(_ queue: inout DeviceVirtqueue) { queue.giveBack(chain) }
  }

  private var taken: [256 of Taken?] = InlineArray { _ in nil }
  private var count = 0
  /// Where the header goes; a driver may cut it into bytes.
  private var header = [12 of GuestRange](repeating: .empty)
  private var headerCount = 0

  /// Finds room for the header and a frame of `byteCount` bytes. On `.enough` the frame's place is in
  /// `pieces`, and `use` or `giveBack` follows; otherwise nothing was taken.
  mutating func collect(
    _ byteCount: Int, isMergeable: Bool, _ queue: inout DeviceVirtqueue, _ pieces: inout NetworkPieces
  ) throws(DriverFault) -> Outcome {
    pieces.removeAll()
    count = 0
    headerCount = 0
    var headerLeft = UInt32(NetworkHeader.byteCount)
    var left = UInt32(byteCount)
    var descriptorCount = 0
    while true {
      guard count < taken.count, var chain = try queue.next() else {
        // Once the frame would take the whole ring, or more than the device may take at once, waiting is
        // no use.
        let isHopeless =
          count == taken.count || count >= Int(queue.budget) || descriptorCount >= Int(queue.size)
        giveBack(&queue)
        return isHopeless ? .impossible : .scarce
      }
      let before = headerLeft + left
      while headerLeft + left != 0, var range = try chain.nextPart(deviceWritable: true, queue) {
        descriptorCount += 1
        if headerLeft != 0 {
          let part = min(headerLeft, range.byteCount)
          header[headerCount] = range.prefix(part)
          headerCount += 1
          headerLeft -= part
          range = range.dropFirst(part)
        }
        let part = min(left, range.byteCount)
        if part != 0 && !pieces.append(range.prefix(part)) { break }
        left -= part
      }
      taken[count] = Taken(chain: try queue.park(chain), byteCount: before - headerLeft - left)
      count += 1
      if headerLeft + left == 0 { return .enough }
      if !isMergeable || pieces.isOverfull {
        // §5.1.9.3.2: only one buffer, so the frame is lost.
        giveBack(&queue)
        return .impossible
      }
      // §5.1.9.3.1: each buffer holds at least the header.
      if before - headerLeft - left < UInt32(NetworkHeader.byteCount) { throw .bufferTooShort }
    }
  }

  /// Writes the header and uses the buffers, all of them at once for the driver (§5.1.9.4.1).
  mutating func use(_ value: NetworkHeader, _ queue: inout DeviceVirtqueue) {
    var value = value
    value.bufferCount = UInt16(count)
    let bytes = value.bytes
    _ = NetworkFrame(header.span.extracting(0..<headerCount), byteCount: NetworkHeader.byteCount)
      .copyIn(from: bytes.bytes)
    for index in 0..<count { taken[index].take()!.use(&queue) }
    count = 0
  }

  /// Leaves the buffers to the next frame.
  mutating func giveBack(_ queue: inout DeviceVirtqueue) {
    while count != 0 {
      count -= 1
      taken[count].take()!.giveBack(&queue)
    }
  }
}
