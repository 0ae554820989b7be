// The network device behind a front end that has the control queue itself, as QEMU does: what the driver says
// there shows only in which rings work.

public import DeviceTypes
public import Virtio

/// Frames that a network device handles in one call.
let frameBudget = 256

/// A network device's backend on this system.
public protocol HostedLink: NetworkBackend, HostedBackend, ~Copyable {
  /// Whether the link is up. A change is seen at the end of a call at the latest.
  var isUp: Bool { get }
}

extension NetworkDevice: HostedDevice where Backend: HostedLink, Backend: ~Copyable {
  /// Those of the backend.
  public var events: [OpenFile] { backend.events }
  /// Those of the backend.
  public mutating func takeNewEvents() -> [OpenFile] { backend.takeNewEvents() }
  /// Passed on to the backend, whose link the driver sees.
  public mutating func gather() {
    backend.gather()
    linkIsUp = backend.isUp
  }
  /// Passed on to the backend.
  public mutating func submit() { backend.submit() }
  /// Whether the backend may have more than one call takes, or the driver has to hear of the link. What
  /// waited for room is dropped then.
  public mutating func takeMore() -> Bool { backend.takeMore() || linkIsUp != backend.isUp }

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
