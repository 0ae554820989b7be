// What a device type is to a transport. Requests come from an untrusted driver; the transport has bounded
// every offset, length and queue index before a device sees it.

/// The device-side half of one device type: its configuration space and what it does with buffers.
///
/// Status, feature negotiation, queues and interrupts belong to the transport; a device keeps only what its
/// clause of chapter 5 defines. It never traps on what a driver sends: a malformed buffer is answered as the
/// clause says, or thrown as a `DriverFault`, upon which the transport sets DEVICE_NEEDS_RESET.
public protocol VirtioDevice: ~Copyable {
  /// The device type.
  var deviceID: DeviceID { get }
  /// Whether buffers are always used in the order in which they came, so that IN_ORDER can be offered.
  var usesBuffersInOrder: Bool { get }
  /// The device-type feature bits offered; device-independent bits are the transport's.
  var offeredFeatures: Features { get }
  /// Whether the device can work with this subset of what was offered (§2.2.2). From FEATURES_OK on its
  /// configuration space may depend on it.
  mutating func accepts(_ features: Features) -> Bool
  /// The largest size of queue `index`; 0 when there is no such queue.
  func queueSizeMax(_ index: Int) -> UInt16
  /// Length of the device-specific configuration space in bytes.
  var configurationByteCount: Int { get }
  /// The little-endian value of 1, 2 or 4 configuration bytes. `offset` is aligned and in bounds, but may
  /// cut a field.
  func loadConfiguration(at offset: Int, byteCount: Int) -> UInt32
  /// A driver's write to the configuration space, aligned and in bounds. Fields that a driver cannot write
  /// ignore it.
  mutating func storeConfiguration(
    _ value: UInt32, at offset: Int, byteCount: Int, _ context: inout DeviceContext)
  /// Whether the byte at `offset` of the configuration space can be written at any time, even before the
  /// driver has set FEATURES_OK or after the device has failed. The queues are then left alone.
  func takesConfigurationWriteAtAnyTime(at offset: Int) -> Bool
  /// The shared memory region with identifier `id`, if there is one (§2.10).
  func sharedMemoryRegion(_ id: UInt32) -> SharedMemoryRegion?
  /// DRIVER_OK: from now on buffers come.
  mutating func start(_ context: inout DeviceContext)
  /// Buffers are available on queue `index`. Takes at most what the queue's budget allows.
  mutating func process(queue index: Int, _ context: inout DeviceContext) throws(DriverFault)
  /// A short way for what is usual: serves queue `index` and publishes what it used, with a `UsualService`.
  /// False when anything is not usual: `process` then goes on from where this leaves the queue.
  mutating func processUsual(queue index: Int, _ queue: inout DeviceVirtqueue, _ features: Features) -> Bool
  /// The backend may have news: completions, received data, a changed configuration. Bounded work.
  mutating func poll(_ context: inout DeviceContext) throws(DriverFault)
  /// Forgets everything; back to the state before `start`. Buffers in flight must not be touched any more.
  mutating func reset()
  /// Forgets what is in flight on queue `index` (§2.6.1).
  mutating func resetQueue(_ index: Int)
  /// Whether no backend can still access guest memory on behalf of a forgotten request. A reset completes
  /// only then. Asking may look for news of the backend.
  var isQuiescent: Bool { mutating get }
  /// The state is about to be saved: uses what the backend has finished, and gives back to its queue what was
  /// taken and cannot be finished now (`giveBack`, with `needsService`). Takes nothing new.
  mutating func prepareToSave(_ context: inout DeviceContext) throws(DriverFault) -> SaveReadiness
  /// Appends what the driver has set or can see, and features and settings do not tell.
  func save(into state: inout StateWriter)
  /// Takes over what `save` appended. The device was reset, and `accepts` the features if these were agreed
  /// on; `start` is not called. Throws `.malformed`, at any point, for values that `save` does not append.
  mutating func restore(from state: inout StateReader, features: Features) throws(StateFault)
}

/// Whether a device's state can be saved.
public enum SaveReadiness: Equatable, Sendable {
  /// No buffer is in flight.
  case ready
  /// A request is with the backend: later.
  case busy
  /// The device type cannot be saved.
  case unsupported
}

extension VirtioDevice where Self: ~Copyable {
  /// False: a device must know that it keeps the order.
  public var usesBuffersInOrder: Bool { false }
  /// None.
  public var offeredFeatures: Features { .none }
  /// Any subset of what was offered.
  public func accepts(_ features: Features) -> Bool { true }
  /// No configuration space.
  public var configurationByteCount: Int { 0 }
  /// Zeros.
  public func loadConfiguration(at offset: Int, byteCount: Int) -> UInt32 { 0 }
  /// Nothing is writable.
  public mutating func storeConfiguration(
    _ value: UInt32, at offset: Int, byteCount: Int, _ context: inout DeviceContext
  ) {}
  /// Never.
  public func takesConfigurationWriteAtAnyTime(at offset: Int) -> Bool { false }
  /// No regions.
  public func sharedMemoryRegion(_ id: UInt32) -> SharedMemoryRegion? { nil }
  /// Nothing to do.
  public mutating func start(_ context: inout DeviceContext) {}
  /// Nothing is usual.
  @inline(__always)
  public mutating func processUsual(
    queue index: Int, _ queue: inout DeviceVirtqueue, _ features: Features
  ) -> Bool { false }
  /// Nothing to do.
  public mutating func poll(_ context: inout DeviceContext) throws(DriverFault) {}
  /// Nothing to forget.
  public mutating func reset() {}
  /// Nothing to forget.
  public mutating func resetQueue(_ index: Int) {}
  /// Always: nothing works behind the device's back.
  public var isQuiescent: Bool { true }
  /// A device must say how it is saved.
  public mutating func prepareToSave(_ context: inout DeviceContext) throws(DriverFault) -> SaveReadiness {
    .unsupported
  }
  /// Nothing.
  public func save(into state: inout StateWriter) {}
  /// Nothing.
  public mutating func restore(from state: inout StateReader, features: Features) throws(StateFault) {}
}

/// What a device may use while it is called: its queues, and a way to say that its configuration changed.
public struct DeviceContext: ~Copyable, ~Escapable {
  /// The queues, by index.
  public var queues: MutableSpan<DeviceVirtqueue>
  /// The features negotiated.
  public let features: Features
  /// Set by the device when its configuration space changed on its own: the driver is notified.
  public var configurationChanged = false

  /// A context over `queues`, made by transports and tests.
  @_lifetime(copy queues)
  public init(queues: consuming MutableSpan<DeviceVirtqueue>, features: Features) {
    self.queues = queues
    self.features = features
  }
}

/// The interrupt line of a device.
public protocol InterruptLine: ~Copyable {
  /// Drives the line. Called with true for each new event, even while it is asserted already, so that an
  /// edge-triggered line can pulse; with false when the driver has acknowledged all events.
  mutating func setAsserted(_ isAsserted: Bool)
  /// `bits` of InterruptStatus were set for a new event (§4.2.2). Asserts the line, unless it does more: one
  /// that keeps the bits can answer the driver's reads of InterruptStatus and its writes to InterruptACK by
  /// itself, while another core is at the transport, which then need not see them. `setAsserted(false)`
  /// clears all bits.
  mutating func raise(_ bits: UInt32)
}

extension InterruptLine where Self: ~Copyable {
  /// Asserts the line.
  public mutating func raise(_ bits: UInt32) { setAsserted(true) }
}
