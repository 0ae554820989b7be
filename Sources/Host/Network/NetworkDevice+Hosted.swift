// The network device behind a front end that has the control queue itself, as QEMU does: what the driver says
// there shows only in which rings work.

public import DeviceTypes
public import Virtio

/// Frames that a network device handles in one call.
let frameBudget = 256

extension NetworkDevice: HostedDevice where Backend: HostedBackend, Backend: ~Copyable {
  /// Those of the backend.
  public var events: [OpenFile] { backend.events }
  /// Passed on to the backend.
  public mutating func submit() { backend.submit() }
  /// Whether the backend may have more than one call takes.
  public mutating func takeMore() -> Bool { backend.takeMore() }

  /// Pairs of queues.
  public var announcedQueueCount: Int { maximumPairCount }

  /// Without what only the control queue can do; several pairs require the queue, wherever it is.
  public func features(of negotiated: Features) -> Features {
    let features = negotiated.subtracting(NetworkFeature.guestAnnounce)
    guard features.contains(NetworkFeature.multiQueue) else { return features }
    return features | NetworkFeature.controlQueue
  }

  /// A driver uses the first pairs.
  public mutating func ringsChanged(working rings: UInt64) {
    var count = 0
    while count < maximumPairCount, rings >> UInt64(2 * count) & 0b11 == 0b11 { count += 1 }
    usePairs(max(count, 1))
  }
}
