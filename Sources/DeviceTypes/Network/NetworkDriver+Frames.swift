// virtio 1.4 §5.1.9.2 Packet Transmission and §5.1.9.4 Processing of Incoming Packets, driver side.

public import Virtio
import Wire

/// A frame that was received.
public struct NetworkReceivedFrame: Equatable, Sendable {
  /// Length of the frame in bytes; when it is more than the target of `receive`, the rest is lost.
  public let byteCount: Int
  /// What the device has checked, or left to do.
  public let offload: NetworkOffload
}

/// What became of a frame given to `transmit`.
public enum NetworkSubmission: Equatable, Sendable {
  /// The device has it.
  case accepted
  /// No room now: try again after the next interrupt.
  case full
  /// It cannot be sent: shorter than 14 bytes, longer than the MTU or the buffers allow, or with an offload
  /// that was not negotiated or contradicts it.
  case refused
}

extension NetworkDriver where Registers: ~Copyable {
  /// Sends a frame, from destination address to payload, on a pair of queues. It is copied.
  ///
  /// Traps when `pair` is not below `activePairCount`. Throws when the device broke the protocol.
  public mutating func transmit(
    _ frame: RawSpan, offload: NetworkOffload = .complete, pair: Int = 0
  ) throws(DeviceFault) -> NetworkSubmission {
    // §5.1.9.5.6.1: MUST NOT queue packets on queues that are not in use.
    precondition(pair >= 0 && pair < activePairCount, "a pair that is not in use")
    if let fault { throw fault }
    guard frame.byteCount <= transmitByteCountMax,
      let header = header(frame, byteCount: frame.byteCount, offload)
    else { return .refused }
    do throws(DeviceFault) {
      guard try transmitters[pair]!.hasRoom() else { return .full }
    } catch {
      fault = error
      throw error
    }
    var segments: [1 of DMASegment] = [DMASegment(deviceAddress: 0, byteCount: 0)]
    var list = segments.mutableSpan
    let isAccepted = transmitters[pair]!.submit(header, frame, &list, report: nil)
    precondition(isAccepted, "room that is none")
    if transmitters[pair]!.publish() { transport.notify(transmitters[pair]!.queue) }
    return .accepted
  }

  /// The header of a frame that starts with `head`, or nil when it cannot be sent.
  mutating func header(_ head: RawSpan, byteCount: Int, _ offload: NetworkOffload) -> NetworkHeader? {
    guard byteCount >= Ethernet.headerByteCount,
      offload.segmentation != nil || byteCount <= frameLimit(head)
    else { return nil }
    return offload.header(.transmit, byteCount: byteCount, allowed: transmitOffloads)
  }

  /// §5.1.4.2: MUST NOT exceed the MTU, which counts without the header and its tag.
  private mutating func frameLimit(_ frame: RawSpan) -> Int {
    guard features.contains(NetworkFeature.mtu) else { return .max }
    return Int(mtu) + Ethernet.headerByteCount(ByteArray<14>(prefixOf: frame))
  }

  /// Whether the device is done with every frame given to `transmit`.
  public mutating func transmissionIsComplete() throws(DeviceFault) -> Bool {
    if let fault { throw fault }
    do throws(DeviceFault) {
      for pair in 0..<pairCount {
        guard try transmitters[pair]!.isIdle() else { return false }
      }
    } catch {
      fault = error
      throw error
    }
    return true
  }

  /// Copies the next received frame of any pair to `target`, as far as it fits.
  ///
  /// Nil when there is none: an interrupt will then come for the next one. Throws when the device broke the
  /// protocol.
  public mutating func receive(
    into target: inout MutableRawSpan
  ) throws(DeviceFault) -> NetworkReceivedFrame? {
    if let fault { throw fault }
    do throws(DeviceFault) {
      // Twice, because a frame may come while notifications are being asked for.
      for _ in 0..<2 {
        if let frame = try take(into: &target) { return frame }
        if !enableNotifications() { return nil }
      }
      return try take(into: &target)
    } catch {
      fault = error
      throw error
    }
  }

  private mutating func take(into target: inout MutableRawSpan) throws(DeviceFault) -> NetworkReceivedFrame? {
    for _ in 0..<pairCount {
      let pair = nextPair
      let frame = try receivers[pair]!.receive(into: &target, receiveOffloads)
      // §5.1.9.4: no notifications while there are frames.
      if frame != nil { receivers[pair]!.queue.disableNotifications() }
      if receivers[pair]!.publish(mayRunShort: frame == nil) { transport.notify(receivers[pair]!.queue) }
      if let frame { return frame }
      nextPair = pair + 1 == pairCount ? 0 : pair + 1
    }
    return nil
  }

  /// Whether something was received in this moment.
  mutating func enableNotifications() -> Bool {
    var isMore = false
    for pair in 0..<pairCount where receivers[pair]!.queue.enableNotifications() { isMore = true }
    return isMore
  }

  /// Acknowledges the device's interrupt. Returns the status when the configuration has changed. Throws
  /// `.needsReset` when the device has given up.
  public mutating func acknowledgeInterrupt() throws(DeviceFault) -> NetworkStatus? {
    transport.takeInterrupts().configurationChange ? try readStatus() : nil
  }
}
