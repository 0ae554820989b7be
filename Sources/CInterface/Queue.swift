// The C interface to a device-side virtqueue. Every pointer and length comes from the embedder: checked where
// it can be, and documented in vireo.h where it cannot.

public import CVireo
import Virtio

// A handle is the address of the queue itself, in the caller's storage, where `vireo_queue_create` put it.
private typealias QueuePointer = UnsafeMutablePointer<DeviceVirtqueue>
private typealias BufferPointer = UnsafeMutablePointer<TakenBuffer>

/// What a `vireo_buffer` begins with. All bytes zero means none: C starts it so, and it is so again after
/// use, so that C cannot use a chain twice.
private struct TakenBuffer {
  /// How far the generation of the queue, when the buffer was taken, is above `key`.
  enum State {
    /// `cursor` knows the next element.
    static var usual: UInt32 { 0 }
    /// There is no next element.
    static var ended: UInt32 { 1 }
    /// A `DescriptorChain` follows, which knows the next element; `cursor` knows the head.
    static var special: UInt32 { 2 }
    /// A `DescriptorChain` of a packed ring follows; `cursor` means nothing.
    static var packed: UInt32 { 3 }
  }

  /// The generation of the queue less the state; 0 when there is no buffer.
  var key: UInt32
  var cursor: SplitCursor
}

private func queuePointer(_ handle: OpaquePointer) -> QueuePointer {
  // Only `vireo_queue_create` makes handles, from storage bound to this type.
  unsafe QueuePointer(handle)
}

private func bufferPointer(_ buffer: UnsafeMutablePointer<vireo_buffer>) -> BufferPointer {
  // The buffer is large enough and aligned (checked in `vireo_queue_create`); any bytes are a `TakenBuffer`.
  unsafe UnsafeMutableRawPointer(buffer).assumingMemoryBound(to: TakenBuffer.self)
}

/// Where the `DescriptorChain` of a buffer is that has one.
private func chainPointer(_ buffer: BufferPointer) -> UnsafeMutablePointer<DescriptorChain> {
  // Behind the `TakenBuffer`, as `vireo_queue_create` checks.
  unsafe UnsafeMutableRawPointer(buffer).advanced(by: chainOffset)
    .assumingMemoryBound(to: DescriptorChain.self)
}

private var chainOffset: Int { 24 }

/// See vireo.h.
@c(vireo_queue_storage_size)
public func queueStorageSize() -> Int { MemoryLayout<DeviceVirtqueue>.stride }

/// See vireo.h.
@c(vireo_queue_create)
public func queueCreate(
  _ storage: UnsafeMutableRawPointer?, _ storageSize: Int, _ regions: UnsafePointer<vireo_region>?,
  _ regionCount: Int, _ maximumSize: UInt16, _ queue: UnsafeMutablePointer<OpaquePointer?>?
) -> vireo_status {
  guard let storage = unsafe storage, let regions = unsafe regions, let queue = unsafe queue,
    storageSize >= MemoryLayout<DeviceVirtqueue>.stride, UInt(bitPattern: storage) & 15 == 0,
    maximumSize > 0, maximumSize <= maximumQueueSize, unsafe regionsAreValid(regions, regionCount)
  else { return VIREO_BAD_ARGUMENT }
  precondition(
    MemoryLayout<TakenBuffer>.size <= chainOffset
      && chainOffset + MemoryLayout<DescriptorChain>.size <= MemoryLayout<vireo_buffer>.size,
    "vireo_buffer is too small")
  // `GuestRegion` has the layout of `vireo_region` (three words; checked here), and the caller keeps it.
  precondition(
    unsafe MemoryLayout<GuestRegion>.size == MemoryLayout<vireo_region>.size, "vireo_region differs")
  let table = unsafe UnsafeRawPointer(regions).assumingMemoryBound(to: GuestRegion.self)
  let memory = unsafe GuestMemory(regions: UnsafeBufferPointer(start: table, count: regionCount))
  let pointer = unsafe storage.bindMemory(to: DeviceVirtqueue.self, capacity: 1)
  unsafe pointer.initialize(to: DeviceVirtqueue(maximumSize: maximumSize, memory: memory))
  unsafe queue.pointee = OpaquePointer(pointer)
  return VIREO_OK
}

/// Whether the regions satisfy what `GuestRegion` and `GuestMemory` would otherwise trap on.
func regionsAreValid(_ regions: UnsafePointer<vireo_region>, _ count: Int) -> Bool {
  guard count > 0 else { return false }
  for i in 0..<count {
    let a = unsafe regions[i]
    let (address, byteCount) = unsafe (a.guest_address, a.byte_count)
    guard unsafe a.host != nil, byteCount > 0, byteCount <= UInt64(Int.max),
      !address.addingReportingOverflow(byteCount - 1).overflow,
      unsafe UInt64(UInt(bitPattern: a.host)) & 15 == address & 15
    else { return false }
    for j in 0..<i {
      let (other, otherByteCount) = unsafe (regions[j].guest_address, regions[j].byte_count)
      let overlap = address <= other + (otherByteCount - 1) && other <= address + (byteCount - 1)
      if overlap { return false }
    }
  }
  return true
}

/// See vireo.h.
@c(vireo_queue_make_ready)
public func queueMakeReady(
  _ queue: OpaquePointer?, _ size: UInt16, _ descriptorArea: UInt64, _ driverArea: UInt64,
  _ deviceArea: UInt64, _ features: UInt64
) -> vireo_status {
  guard let queue = unsafe queue else { return VIREO_BAD_ARGUMENT }
  let addresses = QueueAddresses(
    descriptorArea: descriptorArea, driverArea: driverArea, deviceArea: deviceArea)
  do throws(DriverFault) {
    try unsafe queuePointer(queue).pointee.makeReady(
      size: size, at: addresses, features: Features(low: features))
  } catch {
    return status(error)
  }
  return VIREO_OK
}

/// See vireo.h.
@c(vireo_queue_reset)
public func queueReset(_ queue: OpaquePointer?) -> vireo_status {
  guard let queue = unsafe queue else { return VIREO_BAD_ARGUMENT }
  unsafe queuePointer(queue).pointee.reset()
  return VIREO_OK
}

// The calls below do what is usual themselves, and leave the rest to functions that they end in.

/// See vireo.h.
@c(vireo_queue_next)
public func queueNext(
  _ queue: OpaquePointer?, _ buffer: UnsafeMutablePointer<vireo_buffer>?
) -> vireo_status {
  guard let queue = unsafe queue else { return VIREO_BAD_ARGUMENT }
  let pointer = unsafe queuePointer(queue)
  guard let buffer = unsafe buffer else { return unsafe takeSpecial(pointer, nil) }
  let taken = unsafe bufferPointer(buffer)
  // Whatever the buffer held is overwritten.
  guard unsafe pointer.pointee.take(&taken.pointee.cursor) else { return unsafe takeSpecial(pointer, buffer) }
  unsafe taken.pointee.key = pointer.pointee.generation &- TakenBuffer.State.usual
  return VIREO_OK
}

/// Begins a service call, or takes a buffer of a packed ring, or finds that there is none, or a fault.
@inline(never)
private func takeSpecial(
  _ queue: QueuePointer, _ buffer: UnsafeMutablePointer<vireo_buffer>?
) -> vireo_status {
  guard let buffer = unsafe buffer else { return VIREO_BAD_ARGUMENT }
  let taken = unsafe bufferPointer(buffer)
  do throws(DriverFault) {
    guard try unsafe queue.pointee.hasAvailable() else { return VIREO_EMPTY }
    if unsafe queue.pointee.take(&taken.pointee.cursor) {
      unsafe taken.pointee.key = queue.pointee.generation &- TakenBuffer.State.usual
      return VIREO_OK
    }
    guard let chain = try unsafe queue.pointee.next() else { return VIREO_EMPTY }
    unsafe chainPointer(taken).initialize(to: chain)
    unsafe taken.pointee.key = queue.pointee.generation &- TakenBuffer.State.packed
  } catch {
    return status(error)
  }
  return VIREO_OK
}

/// See vireo.h.
@c(vireo_buffer_next)
public func bufferNext(
  _ queue: OpaquePointer?, _ buffer: UnsafeMutablePointer<vireo_buffer>?,
  _ element: UnsafeMutablePointer<vireo_element>?
) -> vireo_status {
  let walked = unsafe bufferWalk(queue, buffer, element)
  return walked >= 0 ? VIREO_OK : vireo_status(rawValue: UInt32(truncatingIfNeeded: 0 &- walked))
}

/// See vireo.h.
@c(vireo_buffer_walk)
public func bufferWalk(
  _ queue: OpaquePointer?, _ buffer: UnsafeMutablePointer<vireo_buffer>?,
  _ element: UnsafeMutablePointer<vireo_element>?
) -> Int32 {
  guard let queue = unsafe queue else { return walkSpecial(nil, nil, nil) }
  let pointer = unsafe queuePointer(queue)
  guard let buffer = unsafe buffer else { return unsafe walkSpecial(pointer, nil, nil) }
  let taken = unsafe bufferPointer(buffer)
  guard unsafe taken.pointee.key == pointer.pointee.generation else {
    return unsafe walkSpecial(pointer, buffer, element)
  }
  guard let element = unsafe element else { return unsafe walkSpecial(pointer, buffer, nil) }
  let outcome = unsafe taken.pointee.cursor.walk(pointer.pointee) {
    unsafe element.pointee = vireo_element($0)
    return false
  }
  if outcome == .stopped { return 1 }
  guard outcome == .ended else { return unsafe walkSpecial(pointer, buffer, element) }
  unsafe taken.pointee.key &-= TakenBuffer.State.ended
  return 0
}

/// The next element of a buffer that is not usual, or none, or a fault; also finds what argument is wrong.
@inline(never)
private func walkSpecial(
  _ queue: QueuePointer?, _ buffer: UnsafeMutablePointer<vireo_buffer>?,
  _ element: UnsafeMutablePointer<vireo_element>?
) -> Int32 {
  guard let queue = unsafe queue, let buffer = unsafe buffer, let element = unsafe element else {
    return failure(VIREO_BAD_ARGUMENT)
  }
  let taken = unsafe bufferPointer(buffer)
  let chain = unsafe chainPointer(taken)
  switch unsafe queue.pointee.generation &- taken.pointee.key {
  case TakenBuffer.State.usual:
    unsafe chain.initialize(to: DescriptorChain(taken.pointee.cursor))
    unsafe taken.pointee.key = queue.pointee.generation &- TakenBuffer.State.special
  case TakenBuffer.State.special, TakenBuffer.State.packed: break
  case TakenBuffer.State.ended: return failure(VIREO_EMPTY)
  default: return failure(VIREO_WRONG_STATE)
  }
  do throws(DriverFault) {
    guard let next = try unsafe chain.pointee.nextDescriptor(queue.pointee) else {
      return failure(VIREO_EMPTY)
    }
    unsafe element.pointee = vireo_element(next)
  } catch {
    return failure(status(error))
  }
  return unsafe chain.pointee.isAtEnd ? 0 : 1
}

private func failure(_ status: vireo_status) -> Int32 { 0 &- Int32(truncatingIfNeeded: status.rawValue) }

extension vireo_element {
  @inline(__always)
  fileprivate init(_ descriptor: Descriptor) {
    unsafe self.init(
      guest_address: descriptor.range.address, host: descriptor.range.host,
      byte_count: descriptor.range.byteCount, device_writable: descriptor.isDeviceWritable ? 1 : 0)
  }
}

/// See vireo.h.
@c(vireo_queue_use)
public func queueUse(
  _ queue: OpaquePointer?, _ buffer: UnsafeMutablePointer<vireo_buffer>?, _ written: UInt32
) -> vireo_status {
  guard let queue = unsafe queue else { return VIREO_BAD_ARGUMENT }
  let pointer = unsafe queuePointer(queue)
  guard let buffer = unsafe buffer else { return unsafe useSpecial(pointer, nil, 0) }
  let taken = unsafe bufferPointer(buffer)
  let state = unsafe pointer.pointee.generation &- taken.pointee.key
  guard state <= TakenBuffer.State.special else { return unsafe useSpecial(pointer, buffer, written) }
  unsafe taken.pointee.key = 0
  unsafe pointer.pointee.use(taken.pointee.cursor, written: written)
  return VIREO_OK
}

/// Uses a buffer of a packed ring; refuses one that is none, or of an earlier life of the queue.
@inline(never)
private func useSpecial(
  _ queue: QueuePointer, _ buffer: UnsafeMutablePointer<vireo_buffer>?, _ written: UInt32
) -> vireo_status {
  guard let buffer = unsafe buffer else { return VIREO_BAD_ARGUMENT }
  let taken = unsafe bufferPointer(buffer)
  guard unsafe queue.pointee.generation &- taken.pointee.key == TakenBuffer.State.packed else {
    return VIREO_WRONG_STATE
  }
  unsafe taken.pointee.key = 0
  do throws(DriverFault) {
    // No longer to be had from the buffer, whose key says so.
    try unsafe queue.pointee.use(chainPointer(taken).move(), written: written)
  } catch {
    return status(error)
  }
  return VIREO_OK
}

/// See vireo.h.
@c(vireo_queue_end_service)
public func queueEndService(_ queue: OpaquePointer?) -> UInt32 {
  guard let queue = unsafe queue else { return 0 }
  let pointer = unsafe queuePointer(queue)
  let more = unsafe pointer.pointee.endService()
  let notify = unsafe pointer.pointee.notificationIsDue
  unsafe pointer.pointee.notificationIsDue = false
  return (notify ? 1 : 0) | (more ? 2 : 0)
}

@inline(never)
func status(_ fault: DriverFault) -> vireo_status {
  switch fault {
  case .addressOutsideMemory: VIREO_ADDRESS_OUTSIDE_MEMORY
  case .misalignedRing: VIREO_MISALIGNED_RING
  case .invalidQueueSize: VIREO_INVALID_QUEUE_SIZE
  case .indexOutOfRange: VIREO_INDEX_OUT_OF_RANGE
  case .chainTooLong: VIREO_CHAIN_TOO_LONG
  case .availableIndexJumped: VIREO_AVAILABLE_INDEX_JUMPED
  case .readableAfterWritable: VIREO_READABLE_AFTER_WRITABLE
  case .invalidIndirectTable: VIREO_INVALID_INDIRECT_TABLE
  case .bufferTooShort, .malformedRequest: VIREO_DRIVER_FAULT
  }
}
