// virtio 1.4 §5.1.9.2 Packet Transmission and §5.1.9.4 Processing of Incoming Packets, driver side, for hosts
// that pass frames on: they go out of the memory where they are, and are looked at where they came in.

public import Virtio
import Wire

extension NetworkDriver where Registers: ~Copyable {
  /// Whether `frameCount` more frames with `segmentCount` segments in all have room on `pair`, or nothing at
  /// all is in flight there, so that waiting would not help. When not, an interrupt will come.
  public mutating func hasRoom(
    frameCount: Int, segmentCount: Int, pair: Int = 0
  ) throws(DeviceFault) -> Bool {
    precondition(pair >= 0 && pair < activePairCount, "a pair that is not in use")
    if let fault { throw fault }
    do throws(DeviceFault) {
      return try transmitters[pair]!.hasRoom(frameCount: frameCount, segmentCount: segmentCount)
    } catch {
      fault = error
      throw error
    }
  }

  /// Sends a frame: `head`, which is copied, and behind it `segments` but for the first, which belong to the
  /// device until `nextTransmitted` returns `token`. The first is a place that the driver fills with that of
  /// the copy. The device sees the frame at the next `publishTransmissions`.
  ///
  /// Refused are also a head longer than `transmitByteCountMax`, an empty segment, and more segments than the
  /// queue has descriptors. Traps when `pair` is not below `activePairCount`, and without a segment.
  public mutating func transmit(
    head: RawSpan, segments: inout MutableSpan<DMASegment>, offload: NetworkOffload = .complete,
    token: UInt32, pair: Int = 0
  ) throws(DeviceFault) -> NetworkSubmission {
    precondition(pair >= 0 && pair < activePairCount, "a pair that is not in use")
    if let fault { throw fault }
    var byteCount = head.byteCount
    for index in 1..<segments.count {
      if segments[index].byteCount == 0 { return .refused }
      byteCount += Int(segments[index].byteCount)
    }
    guard head.byteCount >= Ethernet.headerByteCount, head.byteCount <= transmitByteCountMax,
      byteCount <= Ethernet.maximumOffloadByteCount + Ethernet.tagByteCount,
      segments.count <= transmitters[pair]!.queue.maximumSegmentCount,
      let header = header(head, byteCount: byteCount, offload)
    else { return .refused }
    return transmitters[pair]!.submit(header, head, &segments, report: token) ? .accepted : .full
  }

  /// Shows the device what was added since the last call.
  public mutating func publishTransmissions(pair: Int = 0) {
    if transmitters[pair]!.publish() { transport.notify(transmitters[pair]!.queue) }
  }

  /// The token of the next frame, of any pair, whose segments the device is done with. Nil when there is
  /// none: an interrupt will then come for the next one.
  public mutating func nextTransmitted() throws(DeviceFault) -> UInt32? {
    if let fault { throw fault }
    do throws(DeviceFault) {
      for pair in 0..<pairCount {
        if let token = try transmitters[pair]!.nextReport() { return token }
      }
    } catch {
      fault = error
      throw error
    }
    return nil
  }

  /// Takes the next received frame of any pair: it lies in its segments until `releaseFrame()`, which must
  /// come before the next frame. Nil when there is none: an interrupt will then come for the next one.
  public mutating func holdFrame() throws(DeviceFault) -> NetworkReceivedFrame? {
    precondition(heldPair == nil, "a frame is held")
    if let fault { throw fault }
    do throws(DeviceFault) {
      // Twice, because a frame may come while notifications are being asked for.
      for _ in 0..<2 {
        for _ in 0..<pairCount {
          let pair = nextPair
          if let frame = try receivers[pair]!.hold(receiveOffloads) {
            receivers[pair]!.queue.disableNotifications()
            heldPair = pair
            heldSegmentCount = receivers[pair]!.countHeld()
            return frame
          }
          if receivers[pair]!.publish(mayRunShort: true) { transport.notify(receivers[pair]!.queue) }
          nextPair = pair + 1 == pairCount ? 0 : pair + 1
        }
        if !enableNotifications() { return nil }
      }
    } catch {
      fault = error
      throw error
    }
    return nil
  }

  /// A segment of the frame that is held, in order; it may be empty. The device may change it at any time.
  /// Traps when none is held, or beyond the segments.
  public mutating func heldSegment(_ index: Int) -> DMASegment { receivers[heldPair!]!.heldSegment(index) }

  /// Gives the frame that is held back to the device. Traps when none is.
  public mutating func releaseFrame() {
    guard let pair = heldPair else { preconditionFailure("no frame is held") }
    heldPair = nil
    heldSegmentCount = 0
    receivers[pair]!.release()
    if receivers[pair]!.publish(mayRunShort: false) { transport.notify(receivers[pair]!.queue) }
  }
}
