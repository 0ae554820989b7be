// What the event loop asks of a device beside virtio.

public import DeviceTypes
public import Virtio

/// A backend on this system: it says when it has news, and starts its operations in batches.
public protocol HostedBackend: ~Copyable {
  /// Descriptors that become readable when `poll` of the device has something to do.
  var events: [OpenFile] { get }
  /// What came to `events` since the last call.
  mutating func takeNewEvents() -> [OpenFile]
  /// Whether `poll` of the device has something to do, whatever the descriptors say.
  var hasNews: Bool { get }
  /// Takes in what the descriptors tell of, before `poll` of the device.
  mutating func gather()
  /// Starts what was asked for since the last call.
  mutating func submit()
  /// Whether `poll` has more to do that no descriptor will tell of. Once.
  mutating func takeMore() -> Bool
  /// The user says that something has changed.
  mutating func lookAgain()
}

extension HostedBackend where Self: ~Copyable {
  /// Never any news: everything is done at once.
  public var events: [OpenFile] { [] }
  /// They stay the same.
  public mutating func takeNewEvents() -> [OpenFile] { [] }
  /// None that the descriptors do not tell of.
  public var hasNews: Bool { false }
  /// Nothing: `poll` finds out by itself.
  public mutating func gather() {}
  /// Nothing to start.
  public mutating func submit() {}
  /// No.
  public mutating func takeMore() -> Bool { false }
  /// Nothing changes.
  public mutating func lookAgain() {}
}

/// A device whose backend is on this system.
public protocol HostedDevice: VirtioDevice, ~Copyable {
  /// Whether the next process may carry out again what this one did not live to report: the driver sees each
  /// request done once, whatever came of the first attempt.
  static var requestsCanBeRepeated: Bool { get }
  /// See `HostedBackend`.
  var events: [OpenFile] { get }
  /// See `HostedBackend`.
  mutating func takeNewEvents() -> [OpenFile]
  /// See `HostedBackend`.
  var hasNews: Bool { get }
  /// See `HostedBackend`.
  mutating func gather()
  /// See `HostedBackend`.
  mutating func submit()
  /// See `HostedBackend`.
  mutating func takeMore() -> Bool
  /// See `HostedBackend`.
  mutating func lookAgain()
  /// The number of queues that front ends of this type count.
  var announcedQueueCount: Int { get }
  /// The features that the device works with when a front end has set `negotiated`.
  func features(of negotiated: Features) -> Features
  /// One bit a ring: those that were started and are enabled.
  mutating func ringsChanged(working rings: UInt64)
}

extension HostedDevice where Self: ~Copyable {
  /// They stay the same.
  public mutating func takeNewEvents() -> [OpenFile] { [] }
  /// None that the descriptors do not tell of.
  public var hasNews: Bool { false }
  /// Nothing: `poll` finds out by itself.
  public mutating func gather() {}
  /// A device must know.
  public static var requestsCanBeRepeated: Bool { false }
  /// No.
  public mutating func takeMore() -> Bool { false }
  /// Nothing changes.
  public mutating func lookAgain() {}
  /// Those that exist.
  public var announcedQueueCount: Int {
    (0..<64).prefix { queueSizeMax($0) > 0 }.count
  }
  /// The same.
  public func features(of negotiated: Features) -> Features { negotiated }
  /// Nothing to change.
  public mutating func ringsChanged(working rings: UInt64) {}
}

extension BlockDevice: HostedDevice where Backend: HostedBackend, Backend: ~Copyable {
  /// The same sectors get the same bytes: the driver writes no sector twice before it hears of the first.
  public static var requestsCanBeRepeated: Bool { true }
  /// Those of the backend.
  public var hasNews: Bool { backend.hasNews }
  /// Passed on to the backend.
  public mutating func lookAgain() { backend.lookAgain() }
  /// Those of the backend.
  public var events: [OpenFile] { backend.events }
  /// Passed on to the backend.
  public mutating func submit() { backend.submit() }
  /// Passed on to the backend.
  public mutating func takeMore() -> Bool { backend.takeMore() }
}

extension EntropyDevice: HostedDevice where Backend: HostedBackend, Backend: ~Copyable {
  /// Those of the backend.
  public var events: [OpenFile] { backend.events }
  /// Passed on to the backend.
  public mutating func submit() { backend.submit() }
}
