// What is behind an SCMI device: the platform, as one agent sees it.

public import Virtio

/// An SCMI platform as the one agent behind an SCMI device sees it. Bytes in, bytes out.
///
/// A message is its SCMI header, 4 bytes little-endian, and its payload.
public protocol SCMIBackend: ~Copyable {
  /// Whether the platform implements any notification or delayed response for this agent.
  var implementsEvents: Bool { get }
  /// Whether the platform implements any statistics shared memory region.
  var implementsRegions: Bool { get }
  /// The statistics region with shmid `id`, which is one of `SCMIStatisticsRegion`.
  func region(_ id: UInt32) -> SharedMemoryRegion?
  /// The agent starts. Without `receivesEvents` the platform MUST deny requests for notifications and delayed
  /// responses with NOT_SUPPORTED, and MUST NOT indicate any in PROTOCOL_MESSAGE_ATTRIBUTES (§5.17.6.1.1).
  mutating func start(receivesEvents: Bool)
  /// Carries out `command`, of at least 4 bytes, and writes the response to the start of `response`.
  ///
  /// Returns the length of the response: at least 8 bytes, header and status, for which there is always room.
  /// Return values that do not fit `response` are the driver's mistake; the status says so.
  mutating func respond(to command: RawSpan, into response: inout MutableRawSpan) -> Int
  /// Whether a notification or delayed response waits.
  var hasEvent: Bool { mutating get }
  /// Writes the next notification or delayed response to the start of `event` and forgets it.
  ///
  /// Returns its length, at least 4 bytes; 0 when there is none after all.
  mutating func nextEvent(into event: inout MutableRawSpan) -> Int
  /// The agent is gone: what it holds is released, what it subscribed to and what it waits for forgotten.
  mutating func reset()
}

extension SCMIBackend where Self: ~Copyable {
  /// None.
  public var implementsRegions: Bool { false }
  /// None.
  public func region(_ id: UInt32) -> SharedMemoryRegion? { nil }
}
