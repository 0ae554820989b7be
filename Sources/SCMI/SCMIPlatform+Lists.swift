// SCMI: lists that a response may have room for only in part, and names.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  /// The entries of a list of `total`, from the one that the second parameter names, that a response has room
  /// for after its first word: how many these are and, from bit `shift` on, how many remain. OUT_OF_RANGE
  /// beyond the last one.
  mutating func part(of total: Int, size: Int, remaining shift: UInt32 = 16) throws(SCMIStatus) -> Range<Int>
  {
    let first = Int(call[1])
    guard first < total else { throw .outOfRange }
    let count = min(total - first, (call.room - 12) / size)
    output.store(UInt32(count) | UInt32(total - first - count) << shift, at: 8)
    return first..<first + count
  }

  /// A range, which is the only part of its list: the lowest value, the highest one and the step.
  /// OUT_OF_RANGE beyond them.
  mutating func writeRange<Value: FixedWidthInteger & BitwiseCopyable>(
    _ lowest: Value, _ highest: Value, _ step: Value
  ) throws(SCMIStatus) -> Int {
    guard call[1] == 0 else { throw .outOfRange }
    let size = MemoryLayout<Value>.size
    output.store(3 | 1 << 12 as UInt32, at: 8)
    output.store(lowest, at: 12)
    output.store(highest, at: 12 + size)
    output.store(step, at: 12 + 2 * size)
    return 4 + 3 * size
  }

  /// The name of a resource.
  @inline(never)
  private mutating func name(of kind: ResourceKind, _ index: Int) -> SCMIName {
    switch kind {
    case .powerDomain: backend.name(of: PowerDomainID(index))
    case .performanceDomain: backend.name(of: PerformanceDomainID(index))
    case .clock: backend.name(of: ClockID(index))
    case .sensor: backend.name(of: SensorID(index))
    case .resetDomain: backend.name(of: ResetDomainID(index))
    case .voltageDomain: backend.name(of: VoltageDomainID(index))
    case .powercapDomain: backend.name(of: PowercapDomainID(index))
    case .pin: backend.name(of: PinID(index))
    case .pinGroup: backend.name(of: PinGroupID(index))
    case .pinFunction: backend.name(of: PinFunctionID(index))
    }
  }

  /// Writes the start of a resource's name, as attributes have it. Returns whether there is more of it.
  @inline(never)
  mutating func writeName(of kind: ResourceKind, _ index: Int, at offset: Int) -> Bool {
    let name = name(of: kind, index)
    output.write(name, at: offset, size: 16)
    return name.isExtended
  }

  /// The NAME_GET commands: no flags, and 64 bytes of name.
  @inline(never)
  mutating func nameGet(_ kind: ResourceKind) throws(SCMIStatus) -> Int {
    let index = try index(kind)
    output.store(0 as UInt32, at: 8)
    output.write(name(of: kind, index), at: 12, size: 64)
    return 68
  }
}

extension ByteArray {
  /// Writes a name into a field of `size` bytes, a multiple of 8, at `offset`: what follows a name in its own
  /// memory is zero. The last byte is the final NUL.
  @inline(never)
  mutating func write(_ name: SCMIName, at offset: Int, size: Int) {
    for place in stride(from: 0, to: size, by: 8) {
      store(name.bytes.load(UInt64.self, at: place), at: offset + place)
    }
    self[offset + size - 1] = 0
  }
}
