// The block device of vireo.h.

public import CVireo
import DeviceTypes
import Virtio
import Wire

/// The embedder's disk.
@safe
struct CallbackDisk: BlockBackend, ~Copyable {
  static var endsAtOnce: Bool { true }

  private let settings: vireo_block_settings
  let properties: BlockProperties
  var sectorCount: UInt64
  private var table = CompletionTable()

  /// Nil for settings that contradict themselves.
  init?(_ settings: vireo_block_settings) {
    guard let properties = unsafe BlockProperties(settings), unsafe settings.read != nil,
      unsafe settings.sector_count <= UInt64.max / 512
    else { return nil }
    unsafe self.settings = settings
    self.properties = properties
    sectorCount = unsafe settings.sector_count
  }

  /// Ends a pending request. False for a token of none.
  mutating func complete(_ token: UInt32, _ fault: BackendFault?) -> Bool { table.complete(token, fault) }

  /// What a function's answer means.
  @inline(__always)
  private mutating func progress(
    _ status: vireo_status, _ token: UInt32
  ) throws(BackendFault) -> BlockProgress {
    if _fastPath(status == VIREO_OK) { return .finished }
    switch status {
    case VIREO_PENDING:
      table.expect(token)
      return .pending
    case VIREO_BUSY: return .busy
    default: throw BackendFault(status)
    }
  }

  // Below: the embedder's functions, with its context. Segments and ranges have the layout of their C
  // structures (checked when a device is made), and are valid for the call.

  @inline(__always)
  mutating func read(
    at sector: UInt64, into segments: Span<GuestRange>, tag: UInt32
  ) throws(BackendFault) -> BlockProgress {
    let status = unsafe segments.withUnsafeBufferPointer { list in
      unsafe settings.read(settings.context, sector, cSegments(list), segments.count, tag)
    }
    return try progress(status, tag)
  }

  mutating func write(
    at sector: UInt64, from segments: Span<GuestRange>, isDurable: Bool, tag: UInt32
  ) throws(BackendFault) -> BlockProgress {
    guard let write = unsafe settings.write else { throw .readOnly }
    let status = unsafe segments.withUnsafeBufferPointer { list in
      unsafe write(settings.context, sector, cSegments(list), segments.count, isDurable ? 1 : 0, tag)
    }
    return try progress(status, tag)
  }

  mutating func flush(tag: UInt32) throws(BackendFault) -> BlockProgress {
    guard let flush = unsafe settings.flush else { throw .unsupported }
    return try unsafe progress(flush(settings.context, tag), tag)
  }

  mutating func discard(_ ranges: Span<BlockRange>, tag: UInt32) throws(BackendFault) -> BlockProgress {
    guard let discard = unsafe settings.discard else { throw .unsupported }
    let status = unsafe ranges.withUnsafeBufferPointer { list in
      unsafe discard(settings.context, cRanges(list), list.count, tag)
    }
    return try progress(status, tag)
  }

  mutating func writeZeroes(
    _ ranges: Span<BlockRange>, isDurable: Bool, tag: UInt32
  ) throws(BackendFault) -> BlockProgress {
    guard let writeZeroes = unsafe settings.write_zeroes else { throw .unsupported }
    let status = unsafe ranges.withUnsafeBufferPointer { list in
      unsafe writeZeroes(settings.context, cRanges(list), list.count, isDurable ? 1 : 0, tag)
    }
    return try progress(status, tag)
  }

  mutating func secureErase(_ ranges: Span<BlockRange>, tag: UInt32) throws(BackendFault) -> BlockProgress {
    guard let erase = unsafe settings.secure_erase else { throw .unsupported }
    let status = unsafe ranges.withUnsafeBufferPointer { list in
      unsafe erase(settings.context, cRanges(list), list.count, tag)
    }
    return try progress(status, tag)
  }

  mutating func nextCompletion() -> BlockBackendCompletion? { table.next() }

  mutating func cancel(tag: UInt32) {
    if let cancel = unsafe settings.cancel { unsafe cancel(settings.context, tag) }
  }
}

/// Pending requests, and those of them that ended. The device starts one request in a slot at a time, and the
/// low byte of its tag is the slot: below 64.
private struct CompletionTable: ~Copyable {
  private var tokens = [64 of UInt32](repeating: 0)
  private var faults = [64 of BackendFault?](repeating: nil)
  // One bit a slot.
  private var pending: UInt64 = 0
  private var ended: UInt64 = 0

  /// The request `token` will end.
  mutating func expect(_ token: UInt32) {
    let slot = Int(token & 0xff)
    tokens[slot] = token
    pending |= 1 << UInt64(slot)
  }

  /// The request `token` has ended. False when there is none of that token, or it has ended before.
  mutating func complete(_ token: UInt32, _ fault: BackendFault?) -> Bool {
    let slot = Int(token & 0xff)
    guard slot < 64, pending & 1 << UInt64(slot) != 0, tokens[slot] == token else { return false }
    pending &= ~(1 << UInt64(slot))
    ended |= 1 << UInt64(slot)
    faults[slot] = fault
    return true
  }

  /// A request that ended, once.
  mutating func next() -> BlockBackendCompletion? {
    guard ended != 0 else { return nil }
    let slot = ended.trailingZeroBitCount
    ended &= ended &- 1
    return BlockBackendCompletion(tag: tokens[slot], fault: faults[slot])
  }
}

extension BackendFault {
  /// What a function or a completion that does not succeed says.
  init(_ status: vireo_status) { self = status == VIREO_UNSUPPORTED ? .unsupported : .inputOutput }
}

extension BlockProperties {
  fileprivate init?(_ settings: vireo_block_settings) {
    self.init()
    blockSize = unsafe settings.block_size == 0 ? 512 : settings.block_size
    guard blockSize >= 512, blockSize & (blockSize - 1) == 0,
      unsafe settings.queue_count <= UInt32(blockQueueCount),
      unsafe settings.flags & ~UInt32(VIREO_BLOCK_READ_ONLY) == 0
    else { return nil }
    isReadOnly = unsafe settings.flags & UInt32(VIREO_BLOCK_READ_ONLY) != 0
    guard unsafe isReadOnly || settings.write != nil else { return nil }
    canFlush = unsafe settings.flush != nil
    // The tuple of the 20 characters, as bytes: only copied.
    var name = unsafe settings.identifier
    unsafe withUnsafeBytes(of: &name) { bytes in
      for i in 0..<20 { unsafe identifier[i] = bytes[i] }
    }
    let sectors = unsafe settings.range_sector_count == 0 ? 1 << 22 : settings.range_sector_count
    let limits = BlockRangeLimits(sectorCount: sectors, rangeCount: 16, sectorAlignment: 1)
    if unsafe settings.discard != nil { discard = limits }
    if unsafe settings.write_zeroes != nil {
      writeZeroes = BlockRangeLimits(sectorCount: sectors, rangeCount: 16)
      writeZeroesMayUnmap = true
    }
    if unsafe settings.secure_erase != nil { secureErase = limits }
  }
}

/// Guest ranges as C sees them.
@inline(__always)
func cSegments(_ list: UnsafeBufferPointer<GuestRange>) -> UnsafePointer<vireo_segment>? {
  // The same layout: address, length, four bytes of padding, pointer.
  unsafe UnsafeRawPointer(list.baseAddress)?.assumingMemoryBound(to: vireo_segment.self)
}

@inline(__always)
private func cRanges(_ list: UnsafeBufferPointer<BlockRange>) -> UnsafePointer<vireo_block_range>? {
  // The same layout: sector, count, flags.
  unsafe UnsafeRawPointer(list.baseAddress)?.assumingMemoryBound(to: vireo_block_range.self)
}

/// See vireo.h.
@c(vireo_block_size)
public func blockSize() -> Int { MemoryLayout<BlockBox>.size }

/// See vireo.h.
@c(vireo_block_create)
public func blockCreate(
  _ storage: UnsafeMutableRawPointer?, _ storageSize: Int, _ common: UnsafePointer<vireo_device_settings>?,
  _ settings: UnsafePointer<vireo_block_settings>?, _ device: UnsafeMutablePointer<OpaquePointer?>?
) -> vireo_status {
  precondition(
    unsafe MemoryLayout<GuestRange>.stride == MemoryLayout<vireo_segment>.size
      && MemoryLayout<BlockRange>.stride == MemoryLayout<vireo_block_range>.size
      && BlockProperties.segmentLimit == Int(VIREO_BLOCK_SEGMENTS_MAX),
    "a C structure differs")
  guard let device = unsafe device, let settings = unsafe settings,
    unsafe settings.pointee.struct_size == MemoryLayout<vireo_block_settings>.size,
    let parts = unsafe DeviceParts(common), let disk = unsafe CallbackDisk(settings.pointee),
    let box = unsafe checkedStorage(storage, storageSize, for: BlockBox.self)
  else { return VIREO_BAD_ARGUMENT }
  let queueCount = unsafe max(Int(settings.pointee.queue_count), 1)
  // Checked storage in which nothing lives.
  unsafe box.initialize(
    to: BlockBox(
      header: DeviceHeader(kind: .block),
      transport: MMIODeviceTransport(
        device: BlockDevice(backend: disk, queueCount: queueCount), line: parts.line, memory: parts.memory,
        withheld: parts.withheld)))
  unsafe device.pointee = OpaquePointer(box)
  return VIREO_OK
}

/// See vireo.h.
@c(vireo_block_complete)
public func blockComplete(_ device: OpaquePointer?, _ token: UInt32, _ result: vireo_status) -> vireo_status {
  unsafe withBox(device, .block, BlockBox.self) { transport in
    let fault: BackendFault? = result == VIREO_OK ? nil : BackendFault(result)
    return transport.device.backend.complete(token, fault) ? VIREO_OK : VIREO_UNKNOWN_TOKEN
  }
}

/// See vireo.h.
@c(vireo_block_resize)
public func blockResize(_ device: OpaquePointer?, _ sectorCount: UInt64) -> vireo_status {
  guard sectorCount <= UInt64.max / 512 else { return VIREO_BAD_ARGUMENT }
  return unsafe withBox(device, .block, BlockBox.self) { transport in
    transport.device.backend.sectorCount = sectorCount
    return VIREO_OK
  }
}
