// virtio 1.4 §2.7.5.3 and §2.8.7 Indirect Descriptors, device side.

/// Where a walk stands in an indirect table.
@usableFromInline
struct DescriptorTable {
  let area: RingArea
  /// Next entry, and the last one.
  var index: UInt16
  let lastIndex: UInt16
  /// How many entries may follow the next one.
  var stepsLeft: UInt16
}

extension DeviceVirtqueue {
  /// The table that `raw` refers to, in a chain that may have `stepsLeft` more descriptors in the ring.
  func table(_ raw: RawDescriptor, stepsLeft: UInt32) throws(DriverFault) -> DescriptorTable {
    guard indirectLimit != 0, raw.flags & DescriptorFlag.next == 0, raw.length > 0, raw.length & 15 == 0
    else {
      throw .invalidIndirectTable
    }
    let area = RingArea(try memory.range(at: raw.address, byteCount: raw.length))
    let before = lastIndex &- inFlightDescriptors &- UInt16(truncatingIfNeeded: stepsLeft)
    if isPacked {
      // §2.8.19: an indirect descriptor stands alone, and all of its table is the chain.
      guard before == 0 else { throw .invalidIndirectTable }
      guard raw.length >> 4 <= UInt32(indirectLimit) else { throw .chainTooLong }
    }
    // The descriptors before the table count too.
    guard indirectLimit > before else { throw .chainTooLong }
    return DescriptorTable(
      area: area, index: 0,
      lastIndex: UInt16(truncatingIfNeeded: min(raw.length >> 4, 65536) &- 1),  // indices have 16 bits
      stepsLeft: indirectLimit &- before &- 1)
  }
}

extension DescriptorWalk {
  /// The next entry. A table has no alignment rule, so its fields are read by plain loads, each once.
  mutating func nextOfTable(isPacked: Bool) throws(DriverFault) -> RawDescriptor {
    guard let table else { preconditionFailure("a walk of a table without one") }
    let address = table.area.loadUnaligned64(Int(table.index) * 16)
    let word = table.area.loadUnaligned64(Int(table.index) * 16 + 8)
    let length = UInt32(truncatingIfNeeded: word)
    let last = UInt16(truncatingIfNeeded: word >> 48)
    if isPacked {
      // §2.8.7: entries follow each other; only the WRITE flag has a meaning.
      if table.index == table.lastIndex { source = .ended }
      self.table?.index &+= 1
      return RawDescriptor(address: address, length: length, flags: last)
    }
    let flags = UInt16(truncatingIfNeeded: word >> 32)
    // §2.7.5.3.1: one table per chain.
    guard flags & DescriptorFlag.indirect == 0 else { throw .invalidIndirectTable }
    if flags & DescriptorFlag.next == 0 {
      source = .ended
    } else {
      guard last <= table.lastIndex else { throw .indexOutOfRange }
      guard table.stepsLeft != 0 else { throw .chainTooLong }
      self.table?.index = last
      self.table?.stepsLeft &-= 1
    }
    return RawDescriptor(address: address, length: length, flags: flags)
  }
}
