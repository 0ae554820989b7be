// virtio 1.4 §5.17 SCMI Device, device side: one agent's channels to the platform. The agent's messages and
// its buffers are untrusted.

public import Virtio
import Wire

/// Carries commands to a platform, and its responses, delayed responses and notifications back.
///
/// Each command is fetched whole into private memory, then carried out, then answered. The platform is asked
/// for an event only when there is a buffer for it, so events wait in the platform, which bounds them. The
/// transport is polled when the platform may have an event that no command of this agent caused.
public struct SCMIDevice<Backend: SCMIBackend & ~Copyable>: VirtioDevice, ~Copyable {
  /// Bytes of the longest message, with its header. No message of the SCMI specification needs more.
  public static var messageByteCountMax: Int { 256 }

  /// The platform.
  public var backend: Backend
  private let queueSizeMax: UInt16
  var hasEventQueue = false
  /// Whether the driver is ready: the agent runs.
  var isStarted = false
  private var hasRegions = false

  /// A device in front of `backend`, with queues of up to `queueSizeMax` descriptors.
  public init(backend: consuming Backend, queueSizeMax: UInt16 = 64) {
    precondition(queueSizeMax > 0, "a device without its queues")
    self.backend = backend
    self.queueSizeMax = queueSizeMax
  }

  /// See `VirtioDevice`.
  public var deviceID: DeviceID { .scmi }
  /// Commands are answered, and event buffers filled, one after the other.
  public var usesBuffersInOrder: Bool { true }

  /// §5.17.3.1: MUST offer each feature that the platform has something for.
  public var offeredFeatures: Features {
    (backend.implementsEvents ? SCMIFeature.platformToAgent : .none)
      | (backend.implementsRegions ? SCMIFeature.sharedMemory : .none)
  }

  /// Any subset. Regions are shown from here on.
  public mutating func accepts(_ features: Features) -> Bool {
    hasRegions = features.contains(SCMIFeature.sharedMemory)
    return true
  }

  /// `cmdq`, and `eventq` where it can exist.
  public func queueSizeMax(_ index: Int) -> UInt16 {
    switch index {
    case SCMIQueue.command: queueSizeMax
    case SCMIQueue.event: backend.implementsEvents ? queueSizeMax : 0
    default: 0
    }
  }

  /// §5.17.6.4.1: only with SHARED_MEMORY, and only identifiers that the clause assigns.
  public func sharedMemoryRegion(_ id: UInt32) -> SharedMemoryRegion? {
    hasRegions && SCMIStatisticsRegion.isDefined(id) ? backend.region(id) : nil
  }

  /// The agent starts.
  public mutating func start(_ context: inout DeviceContext) {
    hasEventQueue = context.features.contains(SCMIFeature.platformToAgent)
    isStarted = true
    backend.start(receivesEvents: hasEventQueue)
  }

  /// Answers commands, and sends the events that they caused or that waited for a buffer.
  public mutating func process(queue index: Int, _ context: inout DeviceContext) throws(DriverFault) {
    if index == SCMIQueue.command { try answer(&context.queues[SCMIQueue.command]) }
    try sendEvents(&context)
  }

  /// Sends the events that came up since.
  public mutating func poll(_ context: inout DeviceContext) throws(DriverFault) {
    try sendEvents(&context)
  }

  /// The agent is gone.
  public mutating func reset() {
    hasEventQueue = false
    isStarted = false
    hasRegions = false
    backend.reset()
  }

  // MARK: cmdq

  /// §5.17.6.1.1: MUST process all available commands; what is beyond the budget waits for the next service.
  private mutating func answer(_ queue: inout DeviceVirtqueue) throws(DriverFault) {
    var response = ByteArray<256>()
    while var chain = try queue.nextOutOfLine() {
      let count = try respond(to: &chain, queue, &response)
      // Only a driver that changes its descriptors meanwhile takes away the room that was there.
      guard try chain.write(response.bytes.extracting(0..<count), queue) == count else {
        throw .bufferTooShort
      }
      try queue.useOutOfLine(chain, written: UInt32(count))
    }
  }

  /// Carries out the command in `chain`. Returns the length of the response, for which there is room.
  private mutating func respond(
    to chain: inout DescriptorChain, _ queue: borrowing DeviceVirtqueue, _ response: inout ByteArray<256>
  ) throws(DriverFault) -> Int {
    var command = ByteArray<256>()
    var bytes = command.mutableBytes
    let count = try chain.read(into: &bytes, queue)
    // Without a header there is nothing that a response could belong to.
    guard count >= SCMIMessageLayout.payload else { throw .bufferTooShort }
    var isTooLong = false
    if count == Self.messageByteCountMax { isTooLong = try chain.skip(1, queue) != 0 }
    let room = try chain.writableByteCount(limit: Self.messageByteCountMax, queue)
    guard room >= SCMIMessageLayout.statusEnd else { throw .bufferTooShort }
    if isTooLong {
      response.store(command.load(UInt32.self, at: SCMIMessageLayout.header), at: SCMIMessageLayout.header)
      response.store(SCMIMessageLayout.protocolError, at: SCMIMessageLayout.status)
      return SCMIMessageLayout.statusEnd
    }
    var target = response.mutableBytes
    // §5.17.6.1.2: the driver MUST provide enough room. The platform sees how much there is.
    var roomForResponse = target._mutatingExtracting(0..<room)
    let written = backend.respond(to: command.bytes.extracting(0..<count), into: &roomForResponse)
    precondition(
      written >= SCMIMessageLayout.statusEnd && written <= room,
      "a response without a status, or beyond its room")
    // §5.17.6.1.1: with any other status than SUCCESS, MUST return the status alone.
    let status = response.load(Int32.self, at: SCMIMessageLayout.status)
    return status == SCMIMessageLayout.success ? written : SCMIMessageLayout.statusEnd
  }

  // MARK: eventq

  /// Sends events as long as there are buffers. §5.17.6.3.1: the rest is sent once more buffers come.
  private mutating func sendEvents(_ context: inout DeviceContext) throws(DriverFault) {
    guard hasEventQueue else { return }
    while backend.hasEvent, let chain = try context.queues[SCMIQueue.event].nextOutOfLine() {
      guard try sendEvent(in: chain, &context.queues[SCMIQueue.event]) else { return }
    }
  }

  /// Sends the next event in `chain`. Returns whether there was one.
  private mutating func sendEvent(
    in chain: consuming DescriptorChain, _ queue: inout DeviceVirtqueue
  ) throws(DriverFault) -> Bool {
    var chain = chain
    var event = ByteArray<256>()
    let count = nextEvent(into: &event)
    var written = 0
    // §5.17.6.2.1: the driver MUST NOT put device-readable descriptors here.
    while written < count, let range = try chain.nextOfWritable(queue) {
      let end = min(count, written + Int(range.byteCount))
      range.copyIn(from: event.bytes.extracting(written..<end))
      written = end
    }
    if count != 0 && written == count {
      try queue.useOutOfLine(chain, written: UInt32(count))
      return true
    }
    // No event after all, or a notification that does not fit, which MAY be omitted (§5.17.6.3.1). A delayed
    // response MUST NOT be: the driver that gives it too small a buffer (§5.17.6.2.1) cannot go on.
    try queue.giveBackOutOfLine(chain)
    if count != 0, SCMIMessageLayout.isDelayedResponse(event.load(at: SCMIMessageLayout.header)) {
      throw .bufferTooShort
    }
    return count != 0
  }

  /// Takes the next event from the platform. Returns its length, 0 without one.
  private mutating func nextEvent(into event: inout ByteArray<256>) -> Int {
    var target = event.mutableBytes
    let count = backend.nextEvent(into: &target)
    if count == 0 { return 0 }
    precondition(
      count >= SCMIMessageLayout.payload && count <= Self.messageByteCountMax,
      "an event without a header, or beyond its memory")
    // §5.17.6.3.1: a delayed response with any other status than SUCCESS MUST be the status alone.
    guard SCMIMessageLayout.isDelayedResponse(event.load(at: SCMIMessageLayout.header)) else { return count }
    precondition(count >= SCMIMessageLayout.statusEnd, "a delayed response without a status")
    let status = event.load(Int32.self, at: SCMIMessageLayout.status)
    return status == SCMIMessageLayout.success ? count : SCMIMessageLayout.statusEnd
  }
}
