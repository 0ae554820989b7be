// The C interface to a device-side virtqueue. Every pointer and length comes from the embedder: checked where
// it can be, and documented in vireo.h where it cannot.

public import CVireo
import Virtio

// A handle is the address of the queue itself, in the caller's storage, where `vireo_queue_create` put it.
private typealias QueuePointer = UnsafeMutablePointer<DeviceVirtqueue>
private typealias BufferPointer = UnsafeMutablePointer<TakenBuffer>

/// What a `vireo_buffer` holds: the chain, nil once it was used, so that C cannot use it twice; and the life
/// of the queue it belongs to, so that a buffer from before a reset is recognised.
private struct TakenBuffer: ~Copyable {
  var chain: DescriptorChain?
  let generation: UInt32
}

private func queuePointer(_ handle: OpaquePointer) -> QueuePointer {
  // Only `vireo_queue_create` makes handles, from storage bound to this type.
  unsafe QueuePointer(handle)
}

private func bufferPointer(_ buffer: UnsafeMutablePointer<vireo_buffer>) -> BufferPointer {
  // The buffer is large enough and aligned (checked in `vireo_queue_create`).
  unsafe UnsafeMutableRawPointer(buffer).assumingMemoryBound(to: TakenBuffer.self)
}

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
  precondition(MemoryLayout<TakenBuffer>.size <= MemoryLayout<vireo_buffer>.size, "vireo_buffer is too small")
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
private func regionsAreValid(_ regions: UnsafePointer<vireo_region>, _ count: Int) -> Bool {
  guard count > 0 else { return false }
  for i in 0..<count {
    let a = unsafe regions[i]
    let (address, byteCount) = unsafe (a.guest_address, a.byte_count)
    guard unsafe a.host != nil, byteCount > 0, byteCount <= UInt64(Int.max),
      !address.addingReportingOverflow(byteCount - 1).overflow
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

/// See vireo.h.
@c(vireo_queue_next)
public func queueNext(
  _ queue: OpaquePointer?, _ buffer: UnsafeMutablePointer<vireo_buffer>?
) -> vireo_status {
  guard let queue = unsafe queue, let buffer = unsafe buffer else { return VIREO_BAD_ARGUMENT }
  do throws(DriverFault) {
    let pointer = unsafe queuePointer(queue)
    guard let chain = try unsafe pointer.pointee.next() else { return VIREO_EMPTY }
    // Whatever the buffer held is overwritten: it has no destructor.
    unsafe bufferPointer(buffer).initialize(
      to: TakenBuffer(chain: chain, generation: pointer.pointee.generation))
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
  guard let queue = unsafe queue, let buffer = unsafe buffer, let element = unsafe element else {
    return VIREO_BAD_ARGUMENT
  }
  let pointer = unsafe queuePointer(queue)
  let taken = unsafe bufferPointer(buffer)
  guard unsafe taken.pointee.chain != nil, unsafe taken.pointee.generation == pointer.pointee.generation
  else { return VIREO_WRONG_STATE }
  do throws(DriverFault) {
    guard let next = try unsafe taken.pointee.chain!.nextDescriptor(pointer.pointee) else {
      return VIREO_EMPTY
    }
    unsafe element.pointee = vireo_element(
      guest_address: next.range.address, host: next.range.host, byte_count: next.range.byteCount,
      device_writable: next.isDeviceWritable ? 1 : 0)
  } catch {
    return status(error)
  }
  return VIREO_OK
}

/// See vireo.h.
@c(vireo_queue_use)
public func queueUse(
  _ queue: OpaquePointer?, _ buffer: UnsafeMutablePointer<vireo_buffer>?, _ written: UInt32
) -> vireo_status {
  guard let queue = unsafe queue, let buffer = unsafe buffer else { return VIREO_BAD_ARGUMENT }
  let pointer = unsafe queuePointer(queue)
  let taken = unsafe bufferPointer(buffer)
  guard let chain = unsafe taken.pointee.chain.take(),
    unsafe taken.pointee.generation == pointer.pointee.generation
  else { return VIREO_WRONG_STATE }
  do throws(DriverFault) {
    try unsafe pointer.pointee.use(chain, written: written)
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
private func status(_ fault: DriverFault) -> vireo_status {
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
