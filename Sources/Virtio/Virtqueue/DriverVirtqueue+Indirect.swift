// virtio 1.4 §2.7.5.3 and §2.8.7 Indirect Descriptors, driver side: a long buffer takes one ring entry.

extension DriverVirtqueue {
  /// Writes the elements to the table of the buffer's slot and submits one descriptor that refers to it.
  mutating func submitIndirect(_ segments: Span<DMASegment>, readableCount: Int, token: UInt32) -> Bool {
    guard freeCount > 0 else { return false }
    // The table belongs to the slot that the buffer gets: in order that is the ring position.
    let id = isPacked && isInOrder ? nextAvailable : freeHead
    let start = Int(id) * Int(indirectCapacity) * 16
    var total: UInt64 = 0
    var readable: UInt64 = 0
    for i in segments.indices {
      let segment = segments[i]
      var flags: UInt16 = 0
      total += UInt64(segment.byteCount)
      if i < readableCount { readable = total } else { flags |= DescriptorFlag.write }
      let offset = start + i * 16
      tables.store(segment.deviceAddress, at: offset)
      tables.store(segment.byteCount, at: offset + 8)
      if isPacked {
        // §2.8.19: no flag but WRITE within a table, and no buffer ID.
        tables.store(UInt32(flags) << 16, at: offset + 12)
      } else {
        let isLast = i == segments.count - 1
        tables.store(isLast ? flags : flags | DescriptorFlag.next, at: offset + 12)
        tables.store(isLast ? 0 : UInt16(i + 1), at: offset + 14)
      }
    }
    let writable = writableByteCount(total, readable)
    let table = tables.segment(at: start, byteCount: segments.count * 16)
    if isPacked {
      let position = nextAvailable
      _ = takePackedID()
      descriptors.store64(table.deviceAddress, Int(position) * 16)
      let word = packedWord(table.byteCount, id, availableMark | DescriptorFlag.indirect)
      advance()
      record(id, at: position, word, ringCount: 1, writable: writable, token: token)
    } else {
      freeHead = slots[id].next
      writeDescriptor(id, table, flags: DescriptorFlag.indirect, next: 0)
      record(id, tail: id, ringCount: 1, writable: writable, token: token)
    }
    inFlight &+= 1
    return true
  }
}
