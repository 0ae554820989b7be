// virtio 1.4 §5.1.9.2 Packet Transmission, device side.

import Virtio
import Wire

extension NetworkDevice where Backend: ~Copyable {
  /// Hands the frames of a transmitq on, until there are none or the backend has no room. The queue of a
  /// pair that is not in use is left alone (§5.1.9.5.6.1).
  mutating func transmit(pair: Int, _ context: inout DeviceContext) throws(DriverFault) {
    guard pair < steering.pairCount else { return }
    let index = NetworkQueue.transmit(pair)
    stalledPairs &= ~(1 << UInt32(pair))
    let allowed = NetworkOffloads(transmit: context.features)
    let isInOrder = context.features.contains(.inOrder)
    var byteCount = 0
    while !transmissions.isFull, var chain = try context.queues[index].next() {
      var bytes = ByteArray<12>()
      try chain.read(&bytes, context.queues[index])
      try pieces.gather(&chain, context.queues[index])
      byteCount += pieces.byteCount
      var outcome = NetworkTransmission.done
      if let offload = checked(NetworkHeader(bytes), pair: pair, allowed, context.features) {
        outcome = backend.transmit(pieces.frame, offload, tag: transmissions.nextTag)
      } else {
        dropTransmitted()
      }
      if outcome == .busy {
        // It stays the next one of its queue, and later frames behind it.
        let parked = try context.queues[index].park(chain)
        context.queues[index].giveBack(parked)
        return stall(pair)
      }
      if outcome == .pending || isInOrder && !transmissions.isEmpty {
        let parked = try context.queues[index].park(chain)
        transmissions.append(parked, queue: index, isPending: outcome == .pending)
      } else {
        try context.queues[index].use(chain, written: 0)
      }
      if byteCount >= Self.transmitByteLimit { return context.queues[index].spendBudget() }
    }
    if transmissions.isFull { stall(pair) }
  }

  /// The queue of the pair waits for room; the next `poll` looks at it again.
  private mutating func stall(_ pair: Int) { stalledPairs |= 1 << UInt32(pair) }

  /// Takes over what the backend has sent: at most as much as can be pending.
  mutating func drainTransmissions() {
    for _ in 0..<NetworkTransmissions.capacity {
      guard let tag = backend.nextTransmission() else { return }
      transmissions.complete(tag)
    }
  }

  /// Forgets the frames of one queue, or of all.
  mutating func forgetTransmissions(queue: Int?) {
    var left = transmissions.forget(queue: queue)
    while left != 0 {
      backend.cancel(tag: UInt32(left.trailingZeroBitCount))
      left &= left &- 1
    }
  }

  /// What is left to do for the frame that was gathered, or nil when it cannot be sent.
  private mutating func checked(
    _ header: NetworkHeader, pair: Int, _ allowed: NetworkOffloads, _ features: Features
  ) -> NetworkOffload? {
    let byteCount = pieces.byteCount
    guard linkIsUp, byteCount >= Ethernet.headerByteCount, !pieces.isOverfull else { return nil }
    var prefix = ByteArray<64>()
    if steering.pairCount > 1 || features.contains(NetworkFeature.mtu) {
      var bytes = prefix.mutableBytes
      _ = pieces.frame.copyOut(to: &bytes)
    }
    guard
      let offload = NetworkOffload.decode(header, .transmit, byteCount: byteCount, allowed: allowed)
    else { return nil }
    if offload.segmentation == nil && byteCount > frameLimit(prefix, features) { return nil }
    if steering.pairCount > 1 { steering.note(prefix, pair: pair) }
    return offload
  }
}

/// A frame in guest memory, gathered from descriptors. Each was read once.
struct NetworkPieces {
  /// Most pieces of a frame. No chain is longer: it is the queues' largest size.
  static var capacity: Int { 256 }

  private var ranges = [256 of GuestRange](repeating: .empty)
  private var count = 0
  /// Length of all pieces in bytes.
  private(set) var byteCount = 0
  /// The frame was longer than any can be, or had too many pieces.
  private(set) var isOverfull = false

  var frame: NetworkFrame {
    @_lifetime(borrow self)
    get { NetworkFrame(ranges.span.extracting(0..<count), byteCount: byteCount) }
  }

  mutating func removeAll() {
    count = 0
    byteCount = 0
    isOverfull = false
  }

  /// Adds a piece. Returns false when there is no room for it.
  mutating func append(_ range: GuestRange) -> Bool {
    guard count < Self.capacity,
      Int(range.byteCount) <= Ethernet.maximumOffloadByteCount + Ethernet.tagByteCount - byteCount
    else {
      isOverfull = true
      return false
    }
    ranges[count] = range
    count += 1
    byteCount += Int(range.byteCount)
    return true
  }

  /// Takes the rest of the device-readable part of a buffer as a frame.
  mutating func gather(
    _ chain: inout DescriptorChain, _ queue: borrowing DeviceVirtqueue
  ) throws(DriverFault) {
    removeAll()
    while let range = try chain.nextPart(deviceWritable: false, queue), append(range) {}
  }
}
