// virtio 1.4 §5.3 Console Device, device side: data. Buffers come from an untrusted driver.

public import Virtio

/// A console device with up to `portCount` ports, number 0 among them from the start.
///
/// Its transport needs `2 * portCount + 2` queues with VIRTIO_CONSOLE_F_MULTIPORT, and 2 without. Host calls
/// such as `addPort` take effect when the transport is polled next. Data moves straight between guest memory
/// and the backend. One service of a queue moves at most `serviceByteLimit` bytes.
public struct ConsoleDevice<Backend: ConsoleBackend & ~Copyable, let portCount: Int>: VirtioDevice, ~Copyable
{
  /// Most bytes moved in one service call of one queue. Descriptors may overlap, so the length of a buffer
  /// is no measure of the guest's memory; what is left is served by the transport's next `run`.
  public static var serviceByteLimit: UInt32 { 1 << 16 }

  /// The host's end of the ports.
  public var backend: Backend
  /// The device-type features offered.
  public let offeredFeatures: Features
  let queueSizeMax: UInt16
  var ports: [portCount of PortState]
  /// `cols` and `rows` as the driver reads them. What the host sets becomes visible in a call that also
  /// changes the configuration generation.
  var visibleSize = ConsoleSize(columns: 0, rows: 0)
  /// Whether DEVICE_READY came.
  var isDriverReady = false

  /// A device that offers `features` of its type, with queues of up to `queueSizeMax` descriptors.
  ///
  /// Port 0 is attached, open at the host's end, and a console of `size` characters.
  public init(
    backend: consuming Backend, features: Features = ConsoleFeature.all,
    size: ConsoleSize = ConsoleSize(columns: 80, rows: 25), queueSizeMax: UInt16 = 64
  ) {
    precondition(portCount > 0 && portCount <= 31, "a console has 1 to 31 ports")
    precondition(queueSizeMax > 0, "a device without its queues")
    precondition(ConsoleFeature.all.contains(features), "not features of a console")
    self.backend = backend
    self.queueSizeMax = queueSizeMax
    offeredFeatures = features
    ports = InlineArray { _ in PortState() }
    ports[0].attach(name: ConsolePortName(), isConsole: true, isOpen: true, size: size)
    visibleSize = size
  }

  /// See `VirtioDevice`.
  public var deviceID: DeviceID { .console }
  /// Each queue is served one buffer after the other.
  public var usesBuffersInOrder: Bool { true }

  /// §5.3.2: only port 0 has queues without VIRTIO_CONSOLE_F_MULTIPORT.
  public func queueSizeMax(_ index: Int) -> UInt16 {
    let isMultiport = offeredFeatures.contains(ConsoleFeature.multiport)
    let count = isMultiport ? ConsoleQueue.count(ports: portCount) : ConsoleQueue.controlReceive
    return index < count ? queueSizeMax : 0
  }

  /// Serves one queue.
  public mutating func process(queue index: Int, _ context: inout DeviceContext) throws(DriverFault) {
    let isMultiport = context.features.contains(ConsoleFeature.multiport)
    // The other queues are not used unless negotiated, even when the driver made them ready.
    if index >= ConsoleQueue.controlReceive && !isMultiport { return }
    switch index {
    case ConsoleQueue.controlReceive:
      try sendMessages(&context.queues[index])
    case ConsoleQueue.controlTransmit:
      try receiveMessages(&context.queues[index])
      for port in 0..<portCount where ports[port].hasJustOpened {
        ports[port].hasJustOpened = false
        // Its buffers were made available before, and the driver does not announce them again.
        context.queues[ConsoleQueue.receive(port)].needsService = true
      }
      try sendMessages(&context.queues[ConsoleQueue.controlReceive])
    default:
      let port = ConsoleQueue.port(index)
      if index == ConsoleQueue.receive(port) {
        try deliver(to: port, &context.queues[index], isMultiport)
      } else {
        try takeOutput(of: port, &context.queues[index], isMultiport)
      }
    }
  }

  /// Moves what the backend can take and give, and tells the driver what the host changed.
  public mutating func poll(_ context: inout DeviceContext) throws(DriverFault) {
    let isMultiport = context.features.contains(ConsoleFeature.multiport)
    showSize(&context)
    for port in 0..<(isMultiport ? portCount : 1) {
      if ports[port].output != nil {
        try takeOutput(of: port, &context.queues[ConsoleQueue.transmit(port)], isMultiport)
      }
      try deliver(to: port, &context.queues[ConsoleQueue.receive(port)], isMultiport)
    }
    if isMultiport { try sendMessages(&context.queues[ConsoleQueue.controlReceive]) }
  }

  /// Whether data of `port` gets through: it is there, and with several ports the driver has taken it in.
  private mutating func isConnected(_ port: Int, _ isMultiport: Bool) -> Bool {
    guard ports[port].isAttached else { return false }
    return !isMultiport || (ports[port].isReady && !ports[port].owes(PortMessage.remove))
  }

  // MARK: Output

  private mutating func takeOutput(
    of port: Int, _ queue: inout DeviceVirtqueue, _ isMultiport: Bool
  ) throws(DriverFault) {
    let isWanted = isConnected(port, isMultiport) && ports[port].isOpen
    var left = Self.serviceByteLimit
    while try findOutput(port, &queue) {
      // Nobody listens at a port that the host has closed or taken away: the data is lost, not delayed.
      if isWanted, ports[port].output?.isStale == false {
        guard try write(port, &queue, &left) else { return }
      }
      if let done = ports[port].output.take() { try queue.useOutOfLine(done.endOutput(), written: 0) }
    }
  }

  /// Whether there is output: a buffer that waited, or the next one, which is now that of the port.
  private mutating func findOutput(
    _ port: Int, _ queue: inout DeviceVirtqueue
  ) throws(DriverFault) -> Bool {
    if ports[port].output != nil { return true }
    guard var chain = try queue.nextOutOfLine() else { return false }
    let taken = ports[port].takenByteCount
    if taken != 0 {
      ports[port].takenByteCount = 0
      _ = try chain.skip(taken, queue)
    }
    ports[port].output = OutputBuffer(chain: chain, takenByteCount: taken)
    return true
  }

  /// Gives the backend up to `left` bytes of the port's output. Whether that was all: if not, the buffer
  /// waits, and those behind it stay in the ring.
  private mutating func write(
    _ port: Int, _ queue: inout DeviceVirtqueue, _ left: inout UInt32
  ) throws(DriverFault) -> Bool {
    while let range = try ports[port].output!.nextRange(queue) {
      let part = range.prefix(min(range.byteCount, left))
      let taken = part.byteCount == 0 ? 0 : backend.write(part, port: port)
      precondition(taken <= part.byteCount, "a backend that took too much")
      left -= taken
      ports[port].output!.takenByteCount += taken
      if taken < range.byteCount {
        // Our limit, or a busy backend.
        if taken == part.byteCount { queue.needsService = true }
        ports[port].output!.rest = range.dropFirst(taken)
        return false
      }
    }
    return true
  }

  // MARK: Input

  private mutating func deliver(
    to port: Int, _ queue: inout DeviceVirtqueue, _ isMultiport: Bool
  ) throws(DriverFault) {
    guard isConnected(port, isMultiport), !isMultiport || ports[port].isDriverOpen else { return }
    var left = Self.serviceByteLimit
    while backend.hasInput(port: port) {
      if left == 0 {
        queue.needsService = true
        return
      }
      guard var chain = try queue.nextOutOfLine() else { return }
      var written: UInt32 = 0
      var isStarved = false
      // §5.3.6.1: no device-readable buffer in a receiveq.
      while left != 0, !isStarved, let range = try chain.nextOfWritable(queue) {
        let part = range.prefix(min(range.byteCount, left))
        let count = backend.read(into: part, port: port)
        precondition(count <= part.byteCount, "a backend that wrote too much")
        written += count
        left -= count
        isStarved = count < part.byteCount
      }
      if written == 0 && isStarved {
        // There was no input after all.
        try queue.giveBackOutOfLine(chain)
        return
      }
      try queue.useOutOfLine(chain, written: written)
    }
  }

  // MARK: Reset

  /// Forgets the driver. The ports, their names and sizes are the host's and stay.
  public mutating func reset() {
    isDriverReady = false
    for port in 0..<portCount { forgetDriver(port) }
    visibleSize = ports[0].size
  }

  /// Forgets the output that waits.
  public mutating func resetQueue(_ index: Int) {
    let port = ConsoleQueue.port(index)
    guard index == ConsoleQueue.transmit(port) else { return }
    ports[port].output = nil
    ports[port].takenByteCount = 0
  }
}

/// Output that the backend has not taken all of.
struct OutputBuffer: ~Copyable {
  private var chain: DescriptorChain
  /// What is left of a descriptor that was taken in part.
  var rest: GuestRange?
  /// The port has been taken away since: the rest is for nobody.
  var isStale = false
  /// Bytes that the backend has taken.
  var takenByteCount: UInt32

  init(chain: consuming DescriptorChain, takenByteCount: UInt32) {
    self.chain = chain
    self.takenByteCount = takenByteCount
  }

  consuming func endOutput() -> DescriptorChain { chain }

  mutating func nextRange(_ queue: borrowing DeviceVirtqueue) throws(DriverFault) -> GuestRange? {
    if let range = rest {
      rest = nil
      return range
    }
    while let descriptor = try chain.nextDescriptor(queue) {
      // §5.3.6.1: no device-writable buffer in a transmitq.
      guard !descriptor.isDeviceWritable else { throw .malformedRequest }
      if descriptor.range.byteCount != 0 { return descriptor.range }
    }
    return nil
  }
}
