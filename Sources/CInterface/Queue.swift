// The C interface to a device-side virtqueue. Every pointer and length comes from the embedder: checked where
// it can be, and documented in vireo.h where it cannot.

public import CVireo
import Virtio

// A handle is the address of the queue itself, in the caller's storage, where `vireo_queue_create` put it.
private typealias QueuePointer = UnsafeMutablePointer<DeviceVirtqueue>
private typealias BufferPointer = UnsafeMutablePointer<TakenBuffer>

/// What a `vireo_buffer` holds once a chain was taken into it. All bytes zero means none: C starts it so, and
/// it is so again after use, so that C cannot use a chain twice.
private struct TakenBuffer: ~Copyable {
  /// 1 while there is a chain.
  var isHeld: UInt32 = 1
  /// The life of the queue that it belongs to: a chain from before a reset is recognised.
  let generation: UInt32
  var chain: DescriptorChain
}

private func queuePointer(_ handle: OpaquePointer) -> QueuePointer {
  // Only `vireo_queue_create` makes handles, from storage bound to this type.
  unsafe QueuePointer(handle)
}

private func bufferPointer(_ buffer: UnsafeMutablePointer<vireo_buffer>) -> BufferPointer {
  // The buffer is large enough and aligned (checked in `vireo_queue_create`).
  unsafe UnsafeMutableRawPointer(buffer).assumingMemoryBound(to: TakenBuffer.self)
}

/// Whether a chain is in `buffer`, which may be as C left it.
private func isHeld(_ buffer: UnsafeMutablePointer<vireo_buffer>) -> Bool {
  // `isHeld` is the first field; any bytes are a UInt32.
  unsafe UnsafeMutableRawPointer(buffer).load(as: UInt32.self) == 1
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
      to: TakenBuffer(generation: pointer.pointee.generation, chain: chain))
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
  guard unsafe isHeld(buffer), unsafe taken.pointee.generation == pointer.pointee.generation
  else { return VIREO_WRONG_STATE }
  do throws(DriverFault) {
    guard let next = try unsafe taken.pointee.chain.nextDescriptor(pointer.pointee) else {
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
  guard unsafe isHeld(buffer) else { return VIREO_WRONG_STATE }
  let pointer = unsafe queuePointer(queue)
  let taken = unsafe bufferPointer(buffer).move()
  // The chain was moved out, so the storage is free to say so.
  unsafe UnsafeMutableRawPointer(buffer).storeBytes(of: 0, as: UInt32.self)
  guard unsafe taken.generation == pointer.pointee.generation else { return VIREO_WRONG_STATE }
  do throws(DriverFault) {
    try unsafe pointer.pointee.use(taken.chain, written: written)
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
