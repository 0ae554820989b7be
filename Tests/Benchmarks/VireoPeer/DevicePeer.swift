// Vireo's device side behind the harness's table, over the public API only: what a device model would write.

// Linked for its C functions, which the harness calls.
import CInterface
import Virtio
import Wire

/// A device of one queue.
struct DevicePeer: ~Copyable {
  var queue: DeviceVirtqueue
}

/// What `deviceMake` made.
@inline(__always)
func devicePeer(_ device: UnsafeMutableRawPointer) -> UnsafeMutablePointer<DevicePeer> {
  unsafe device.assumingMemoryBound(to: DevicePeer.self)
}

/// The bits of `features` in bench.h.
enum PeerFeature {
  static func features(_ bits: UInt32) -> Features {
    var features = Features.version1
    if bits & 1 != 0 { features = features | .eventIndex }
    if bits & 2 != 0 { features = features | .inOrder }
    if bits & 4 != 0 { features = features | .ringPacked }
    if bits & 8 != 0 { features = features | .indirectDescriptors }
    return features
  }
}

/// A ready queue over the harness's memory, with its areas where the harness's driver has them.
@c(vireo_device_make)
public func deviceMake(
  _ base: UnsafeMutableRawPointer, _ byteCount: UInt64, _ descriptors: UInt64, _ driver: UInt64,
  _ device: UInt64, _ size: UInt16, _ features: UInt32
) -> UnsafeMutableRawPointer {
  // The harness's memory outlives every peer.
  let region = unsafe GuestRegion(address: 0, byteCount: byteCount, host: base)
  var queue = DeviceVirtqueue(maximumSize: size, memory: GuestMemory(region))
  let addresses = QueueAddresses(descriptorArea: descriptors, driverArea: driver, deviceArea: device)
  do throws(DriverFault) {
    try queue.makeReady(size: size, at: addresses, features: PeerFeature.features(features))
  } catch {
    preconditionFailure("the harness laid the queue out wrongly")
  }
  let peer = UnsafeMutablePointer<DevicePeer>.allocate(capacity: 1)
  unsafe peer.initialize(to: DevicePeer(queue: queue))
  return UnsafeMutableRawPointer(peer)
}

/// The whole notification in one call, the way devices of `DeviceTypes` run.
@c(vireo_service)
public func service(
  _ device: UnsafeMutableRawPointer, _ budget: UInt32, _ sum: UnsafeMutablePointer<UInt64>
) -> UInt32 {
  // The pointers are the harness's: one from `deviceMake`, one to its own variable.
  unsafe drain(&devicePeer(device).pointee.queue, budget, &sum.pointee)
}

@inline(__always)
private func drain(_ queue: inout DeviceVirtqueue, _ budget: UInt32, _ sum: inout UInt64) -> UInt32 {
  queue.budget = UInt16(truncatingIfNeeded: budget)
  @inline(always)
  func look(
    _ chain: inout DescriptorChain, _ queue: borrowing DeviceVirtqueue
  ) throws(DriverFault) -> UInt32? {
    try chain.forEachDescriptor(queue) { (descriptor) throws(DriverFault) in
      sum &+= descriptor.range.address &+ UInt64(descriptor.range.byteCount)
    }
    return chain.walkedWritableByteCount
  }
  var count = 0
  do throws(DriverFault) {
    count = try queue.serve(look)
  } catch {
    queue.stop()
  }
  return UInt32(truncatingIfNeeded: count)
}

/// A block device's part of a request: parse the header, write 64 bytes of data and the status.
@c(vireo_block_service)
public func blockService(
  _ device: UnsafeMutableRawPointer, _ budget: UInt32, _ sum: UnsafeMutablePointer<UInt64>
) -> UInt32 {
  // As in `service`.
  unsafe drainUsualRequests(&devicePeer(device).pointee.queue, budget, &sum.pointee)
}

/// As the block device does: the short way for requests cut as they usually are, the general way for others.
private func drainUsualRequests(
  _ queue: inout DeviceVirtqueue, _ budget: UInt32, _ sum: inout UInt64
) -> UInt32 {
  queue.budget = UInt16(truncatingIfNeeded: budget)
  guard var service = queue.beginUsual() else { return drainRequests(&queue, &sum) }
  let data = ByteArray<64>()
  var count: UInt32 = 0
  repeat {
    guard let head = queue.head(service), let header = queue.usualElement(head),
      !header.isDeviceWritable, header.range.byteCount == 16, !header.isLast,
      let second = header.next(in: queue), let payload = queue.usualElement(second),
      payload.isDeviceWritable, payload.range.byteCount == 64, !payload.isLast,
      let third = payload.next(in: queue), let status = queue.usualElement(third),
      status.isDeviceWritable, status.range.byteCount == 1, status.isLast
    else {
      queue.leave(service)
      return count &+ drainRequests(&queue, &sum)
    }
    let (type, sector) = header.range.firstWords()
    sum &+= UInt64(UInt32(truncatingIfNeeded: type)) &+ sector
    payload.range.copyIn(from: data.bytes)
    status.range.copyIn(from: ByteArray<1>().bytes)
    queue.use(head, written: 65, &service)
    count &+= 1
  } while !service.isAtEnd
  queue.endUsual(service)
  return count
}

private func drainRequests(_ queue: inout DeviceVirtqueue, _ sum: inout UInt64) -> UInt32 {
  let data = ByteArray<64>()
  var count: UInt32 = 0
  do throws(DriverFault) {
    while var chain = try queue.next() {
      var header = ByteArray<16>()
      try chain.read(&header, queue)
      sum &+= UInt64(header.load(UInt32.self, at: 0)) &+ header.load(UInt64.self, at: 8)
      try chain.write(data, queue)
      try chain.write(ByteArray<1>(), queue)
      try queue.use(chain, written: 65)
      count &+= 1
    }
    _ = queue.endService()
  } catch {
    queue.stop()
  }
  return count
}
