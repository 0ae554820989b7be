// Our device behind our driver in one process: register accesses become calls of the device transport.

public import Virtio

/// An interrupt line that counts.
public struct CountingLine: InterruptLine {
  /// Level of the line.
  public private(set) var isAsserted = false
  /// Events so far.
  public private(set) var eventCount = 0

  /// A line at rest.
  public init() {}

  /// See `InterruptLine`.
  public mutating func setAsserted(_ isAsserted: Bool) {
    self.isAsserted = isAsserted
    if isAsserted { eventCount += 1 }
  }
}

/// A device transport on the heap, so that registers and test can both reach it.
public final class Bench<Device: VirtioDevice & ~Copyable, let queueCount: Int> {
  /// The transport under test.
  public var transport: MMIODeviceTransport<Device, CountingLine, queueCount>
  /// Every write to a register, in order, as (offset, value).
  public var writes: [(offset: Int, value: UInt64)] = []
  /// Every offset read, in order.
  public var reads: [Int] = []

  /// A device in reset state over `memory`.
  public convenience init(
    _ device: consuming Device, _ memory: TestMemory,
    features: Features = MMIODeviceTransport<Device, CountingLine, queueCount>.defaultTransportFeatures
  ) {
    self.init(device, memory.guest, features: features)
  }

  /// A device in reset state over `memory`.
  public init(
    _ device: consuming Device, _ memory: GuestMemory,
    features: Features = MMIODeviceTransport<Device, CountingLine, queueCount>.defaultTransportFeatures
  ) {
    transport = MMIODeviceTransport(
      device: device, line: CountingLine(), memory: memory, transportFeatures: features)
  }

  /// A register window onto the transport.
  public var registers: LoopbackRegisters<Device, queueCount> { LoopbackRegisters(bench: self) }
}

/// Register accesses that go straight to a device transport.
public struct LoopbackRegisters<Device: VirtioDevice & ~Copyable, let queueCount: Int>: RegisterAccess {
  let bench: Bench<Device, queueCount>

  private func read(_ offset: Int, _ byteCount: Int) -> UInt64 {
    bench.reads.append(offset)
    return bench.transport.read(at: offset, byteCount: byteCount)
  }

  private func write(_ value: UInt64, _ offset: Int, _ byteCount: Int) {
    bench.writes.append((offset, value))
    bench.transport.write(value, at: offset, byteCount: byteCount)
  }

  /// See `RegisterAccess`.
  public func read8(_ offset: Int) -> UInt8 { UInt8(read(offset, 1)) }
  /// See `RegisterAccess`.
  public func read16(_ offset: Int) -> UInt16 { UInt16(read(offset, 2)) }
  /// See `RegisterAccess`.
  public func read32(_ offset: Int) -> UInt32 { UInt32(read(offset, 4)) }
  /// See `RegisterAccess`.
  public func write8(_ value: UInt8, _ offset: Int) { write(UInt64(value), offset, 1) }
  /// See `RegisterAccess`.
  public func write16(_ value: UInt16, _ offset: Int) { write(UInt64(value), offset, 2) }
  /// See `RegisterAccess`.
  public func write32(_ value: UInt32, _ offset: Int) { write(UInt64(value), offset, 4) }
}

/// The combinations of ring features that every device type must work with.
public let ringFeatureMatrix: [Features] = [
  .none, .eventIndex, .inOrder, .inOrder | .eventIndex, .indirectDescriptors,
  .ringPacked, .ringPacked | .eventIndex, .ringPacked | .inOrder,
  .ringPacked | .inOrder | .eventIndex | .indirectDescriptors,
]
