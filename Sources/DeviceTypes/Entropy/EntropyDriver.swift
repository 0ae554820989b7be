// virtio 1.4 §5.4 Entropy Device, driver side. The device is untrusted: it decides what the bytes are, and
// nothing else.

public import Virtio

/// Draws random bytes from an entropy device, one request at a time.
///
/// `request` starts one, `receive` takes its result; between them the caller waits for the interrupt or does
/// something else. After a fault every call throws it again: drop the driver and start over.
public struct EntropyDriver<Registers: RegisterAccess & ~Copyable>: ~Copyable {
  /// The transport, for its interrupts and for display.
  public let transport: MMIODriverTransport<Registers>
  private var queue: DriverVirtqueue
  private let buffer: DMABuffer
  private var fault: DeviceFault?

  /// Takes a device into use, with a buffer of `bufferByteCount` bytes and what is offered of `ringFeatures`.
  ///
  /// Nil when `memory` runs out; the device is then marked as failed. Throws what is wrong with the device.
  public init?<Memory: DriverMemory & ~Copyable>(
    _ transport: consuming MMIODriverTransport<Registers>, memory: inout Memory, bufferByteCount: Int = 4096,
    ringFeatures: Features = .mmioTransportBits
  ) throws(DeviceFault) {
    precondition(bufferByteCount > 0 && bufferByteCount <= 1 << 30, "an impossible buffer")
    var transport = transport
    guard transport.deviceID == .entropy else { throw .wrongDeviceType(transport.deviceID.rawValue) }
    _ = try transport.negotiate(supported: ringFeatures)
    do throws(DeviceFault) {
      guard let queue = try transport.makeQueue(EntropyQueue.request, wanted: 8, from: &memory),
        let buffer = memory.allocateShared(byteCount: bufferByteCount, alignment: 16)
      else {
        transport.fail()
        return nil
      }
      try transport.start()
      self.queue = queue
      self.buffer = buffer
    } catch {
      transport.fail()
      throw error
    }
    self.transport = transport
  }

  /// The most bytes one request asks for.
  public var requestByteCountMax: Int { buffer.byteCount }

  /// Asks for up to `byteCount` bytes. Returns false, and does nothing, while a request is under way.
  /// Traps when `byteCount` is not positive or above `requestByteCountMax`.
  public mutating func request(byteCount: Int) throws(DeviceFault) -> Bool {
    precondition(byteCount > 0, "a request for nothing")
    if let fault { throw fault }
    if queue.inFlight != 0 { return false }
    // Whatever the device claims to have written, nobody gets to see bytes of an earlier request.
    buffer.zero()
    // §5.4.6.1: device-writable only. The queue is empty, so it has room.
    let segment = buffer.segment(at: 0, byteCount: byteCount)
    let isAccepted = queue.submit(segment, deviceWritable: true, token: 0)
    precondition(isAccepted, "an empty queue without room")
    // Nothing is in flight, so nothing can be used yet.
    _ = queue.enableNotifications()
    if queue.publish() { transport.notify(queue) }
    return true
  }

  /// Copies the result of the request into `target`: its first bytes, as many as fit.
  ///
  /// Returns how many, at least one unless `target` is empty; nil while the device is not done or nothing
  /// was asked for. Bytes that do not fit are lost.
  public mutating func receive(into target: inout MutableRawSpan) throws(DeviceFault) -> Int? {
    if let fault { throw fault }
    do throws(DeviceFault) {
      guard let used = try queue.reclaim() else { return nil }
      // §5.4.6.1: the length tells how many bytes there are; §5.4.6.2: at least one.
      guard used.byteCount != 0 else { throw .invalidResponse }
      let count = min(Int(used.byteCount), target.byteCount)
      var part = target._mutatingExtracting(0..<count)
      buffer.copyOut(to: &part)
      // They may be a secret now, and nobody needs a second copy.
      buffer.zero(at: 0, byteCount: Int(used.byteCount))
      return count
    } catch {
      fault = error
      throw error
    }
  }

  /// Acknowledges the device's interrupt. Throws `.needsReset` when the device has given up.
  public mutating func acknowledgeInterrupt() throws(DeviceFault) {
    if transport.takeInterrupts().configurationChange, transport.needsReset {
      fault = .needsReset
      throw .needsReset
    }
  }

  /// Resets the device, so that it forgets the memory. Throws when it does not.
  public consuming func shutDown() throws(DeviceFault) {
    var transport = transport
    try transport.reset()
  }
}
