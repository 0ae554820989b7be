public import Virtio
import Wire

/// What a `ScratchDevice` is told to do, and what it saw.
public final class ScratchState {
  /// What to do with a buffer.
  public enum Behaviour { case fill, park, fault }

  /// The device-type features offered.
  public var features = Features.none
  /// Refuses these features when accepted.
  public var refusedFeatures = Features.none
  /// What to do with buffers.
  public var behaviour = Behaviour.fill
  /// Whether to claim IN_ORDER.
  public var usesBuffersInOrder = true
  /// Largest size of every queue that exists.
  public var queueSizeMax: UInt16 = 16
  /// Number of queues that exist.
  public var queueCount = 2
  /// False holds a reset up.
  public var isQuiescent = true
  /// The bytes of the configuration space.
  public var configuration = [UInt8](0..<16)
  /// Changes the configuration at the next poll.
  public var changesConfiguration = false
  /// A shared memory region with id 0.
  public var sharedMemory: SharedMemoryRegion?
  /// The device-readable bytes of each buffer, in order of processing.
  public var received: [[UInt8]] = []
  /// Queues that `process` was called for.
  public var processed: [Int] = []
  /// How often `start` was called.
  public var starts = 0
  /// Uses everything that is parked, at the next poll.
  public var usesParked = false

  /// The default behaviour.
  public init() {}
}

/// A device with no meaning: it fills the device-writable part of each buffer with 0xa5.
public struct ScratchDevice: VirtioDevice, ~Copyable {
  let state: ScratchState
  private var parked: ParkedList = ParkedList()

  /// A device that is told what to do by `state`.
  public init(_ state: ScratchState) { self.state = state }

  /// An ID that no device type has.
  public var deviceID: DeviceID { DeviceID(0x7777) }
  /// See `ScratchState`.
  public var usesBuffersInOrder: Bool { state.usesBuffersInOrder }
  /// See `ScratchState`.
  public var offeredFeatures: Features { state.features }
  /// See `ScratchState`.
  public func accepts(_ features: Features) -> Bool { (features & state.refusedFeatures).isEmpty }
  /// See `ScratchState`.
  public func queueSizeMax(_ index: Int) -> UInt16 { index < state.queueCount ? state.queueSizeMax : 0 }
  /// See `ScratchState`.
  public var configurationByteCount: Int { state.configuration.count }
  /// See `ScratchState`.
  public var isQuiescent: Bool { state.isQuiescent }

  /// See `ScratchState`.
  public func loadConfiguration(at offset: Int, byteCount: Int) -> UInt32 {
    state.configuration[offset..<offset + byteCount].reversed().reduce(0) { $0 << 8 | UInt32($1) }
  }

  /// See `ScratchState`.
  public mutating func storeConfiguration(
    _ value: UInt32, at offset: Int, byteCount: Int, _ context: inout DeviceContext
  ) {
    for i in 0..<byteCount { state.configuration[offset + i] = UInt8(truncatingIfNeeded: value >> (8 * i)) }
  }

  /// See `ScratchState`.
  public func sharedMemoryRegion(_ id: UInt32) -> SharedMemoryRegion? { id == 0 ? state.sharedMemory : nil }

  /// Counts.
  public mutating func start(_ context: inout DeviceContext) { state.starts += 1 }

  /// Takes every buffer that the budget allows.
  public mutating func process(queue index: Int, _ context: inout DeviceContext) throws(DriverFault) {
    state.processed.append(index)
    while var chain = try context.queues[index].next() {
      switch state.behaviour {
      case .fill:
        let written = try Self.fill(&chain, context.queues[index], state)
        try context.queues[index].use(chain, written: written)
      case .park:
        parked.append(try context.queues[index].park(chain), index)
      case .fault:
        try context.queues[index].use(chain, written: 0)
        throw .malformedRequest
      }
    }
  }

  /// Uses what is parked, last first, and changes the configuration, if told so.
  public mutating func poll(_ context: inout DeviceContext) throws(DriverFault) {
    if state.changesConfiguration {
      state.changesConfiguration = false
      state.configuration[0] &+= 1
      context.configurationChanged = true
    }
    guard state.usesParked else { return }
    while let index = parked.takeQueue() { context.queues[index].use(parked.takeChain(), written: 0) }
  }

  /// Ready when nothing is parked.
  public mutating func prepareToSave(_ context: inout DeviceContext) throws(DriverFault) -> SaveReadiness {
    parked.isEmpty ? .ready : .busy
  }

  /// The configuration.
  public func save(into state: inout StateWriter) {
    for byte in self.state.configuration { state.append(byte) }
  }

  /// The configuration.
  public mutating func restore(from state: inout StateReader, features: Features) throws(StateFault) {
    for i in self.state.configuration.indices { self.state.configuration[i] = try state.next() }
  }

  /// Reads what the driver sent and answers 0xa5 in every device-writable byte; the number of these.
  private static func fill(
    _ chain: inout DescriptorChain, _ queue: borrowing DeviceVirtqueue, _ state: ScratchState
  ) throws(DriverFault) -> UInt32 {
    var bytes: [UInt8] = []
    var chunk = ByteArray<64>()
    while true {
      var span = chunk.mutableBytes
      let count = try chain.read(into: &span, queue)
      for i in 0..<count { bytes.append(chunk[i]) }
      if count < 64 { break }
    }
    state.received.append(bytes)
    for i in 0..<64 { chunk[i] = 0xa5 }
    var written = 0
    while true {
      let count = try chain.write(chunk.bytes, queue)
      written += count
      if count < 64 { break }
    }
    return UInt32(written)
  }
}

/// Parked chains; an optional array of noncopyable values.
private struct ParkedList: ~Copyable {
  private var chains: [16 of ParkedChain?] = InlineArray { _ in nil }
  private var queues: [Int] = []

  mutating func append(_ chain: consuming ParkedChain, _ queue: Int) {
    chains[queues.count] = consume chain
    queues.append(queue)
  }

  var isEmpty: Bool { queues.isEmpty }

  /// The queue of the buffer parked last.
  mutating func takeQueue() -> Int? { queues.popLast() }

  /// The buffer whose queue was just taken.
  mutating func takeChain() -> ParkedChain { chains[queues.count].take()! }
}
