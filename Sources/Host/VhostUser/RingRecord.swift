// In-flight tracking (VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD): memory that a front end keeps for whoever serves
// its device after a process that died. A process that took requests in order needs to leave no more in it
// than where it stands in each ring; in the split format not even that, as the used index is in the ring.

import Virtio
import Wire

/// Where the rings of one device stand. The front end can read and write it at any time, and is not trusted.
struct RingRecord {
  /// Bytes of each ring.
  private static var entryByteCount: Int { 64 }
  /// At the start of an entry, where others have bits of features: "vireo", and 1 for this layout.
  private static var mark: UInt64 { 0x0100_006f_6572_6976 }
  private static var version: UInt16 { 1 }

  // Offsets within an entry.
  private static var markOffset: Int { 0 }
  private static var versionOffset: Int { 8 }
  /// Number of descriptors while the ring works, else 0.
  private static var sizeOffset: Int { 10 }
  private static var trackOffset: Int { 12 }

  private let memory: GuestMemory
  private let ringCount: Int

  /// Bytes of a record of `ringCount` rings.
  static func byteCount(ringCount: Int) -> Int { ringCount * entryByteCount }

  /// The record in `memory`, which has room for `ringCount` rings. One of zeros is made good; throws for one
  /// that another program has written.
  init(_ memory: GuestMemory, ringCount: Int) throws(VhostUserError) {
    self.memory = memory
    self.ringCount = ringCount
    for ring in 0..<ringCount {
      let mark = load(UInt64.self, ring, Self.markOffset)
      let version = load(UInt16.self, ring, Self.versionOffset)
      if mark == 0 && version == 0 {
        store(0 as UInt16, ring, Self.sizeOffset)
        store(Self.version, ring, Self.versionOffset)
        store(Self.mark, ring, Self.markOffset)
      } else if mark != Self.mark || version != Self.version {
        throw .invalid("a record of the rings that another program has written")
      }
    }
  }

  /// Where ring `index` of `size` descriptors was left by a process that died; nil when none did.
  func position(
    _ index: Int, size: UInt16, _ queue: borrowing DeviceVirtqueue
  ) throws(StateFault) -> RingPosition? {
    guard index < ringCount else { return nil }
    let noted = load(UInt16.self, index, Self.sizeOffset)
    if noted == 0 { return nil }
    guard noted == size else { throw .malformed }
    return try queue.trackedPosition(in: track(index))
  }

  /// Ring `index`, packed and ready, is tracked from here on.
  func begin(_ index: Int, _ queue: inout DeviceVirtqueue) {
    guard index < ringCount else { return }
    queue.startTracking(in: track(index))
    store(queue.size, index, Self.sizeOffset)
  }

  /// The front end knows where ring `index` stands: nothing here counts any more.
  func end(_ index: Int) {
    if index < ringCount { store(0 as UInt16, index, Self.sizeOffset) }
  }

  // MARK: Fields

  private func track(_ ring: Int) -> GuestRange {
    range(ring, Self.trackOffset, Int(DeviceVirtqueue.trackByteCount))
  }

  private func range(_ ring: Int, _ offset: Int, _ byteCount: Int) -> GuestRange {
    // Within the memory, as its maker has checked: this cannot fail.
    try! memory.range(at: UInt64(ring * Self.entryByteCount + offset), byteCount: UInt32(byteCount))
  }

  private func load<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type, _ ring: Int, _ offset: Int) -> T {
    var bytes = ByteArray<8>()
    var all = bytes.mutableBytes
    var field = all._mutatingExtracting(0..<MemoryLayout<T>.size)
    range(ring, offset, MemoryLayout<T>.size).copyOut(to: &field)
    return bytes.load(at: 0)
  }

  private func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, _ ring: Int, _ offset: Int) {
    var bytes = ByteArray<8>()
    bytes.store(value, at: 0)
    let byteCount = MemoryLayout<T>.size
    range(ring, offset, byteCount).copyIn(from: bytes.bytes.extracting(0..<byteCount))
  }
}
