// Vireo's device side, one C call an operation, for a VMM that keeps its own loop.

import Virtio

/// Takes the next buffer; -1 when there is none, or the driver broke the protocol.
@c(vireo_pop)
public func pop(_ device: UnsafeMutableRawPointer) -> Int32 {
  // The pointer came from `deviceMake`; the calls of one device do not overlap.
  do throws(DriverFault) {
    unsafe devicePeer(device).pointee.chain = try unsafe devicePeer(device).pointee.queue.next()
    return unsafe devicePeer(device).pointee.chain == nil ? -1 : 0
  } catch {
    unsafe devicePeer(device).pointee.queue.stop()
    return -1
  }
}

/// The next descriptor of the buffer taken last; false after the last one.
@c(vireo_next)
public func nextDescriptor(
  _ device: UnsafeMutableRawPointer, _ address: UnsafeMutablePointer<UInt64>,
  _ length: UnsafeMutablePointer<UInt32>, _ isWritable: UnsafeMutablePointer<Bool>
) -> Bool {
  // As in `pop`; the other pointers are the caller's variables.
  do throws(DriverFault) {
    guard let descriptor = try unsafe devicePeer(device).pointee.nextDescriptor() else {
      return false
    }
    unsafe address.pointee = descriptor.range.address
    unsafe length.pointee = descriptor.range.byteCount
    unsafe isWritable.pointee = descriptor.isDeviceWritable
    return true
  } catch {
    unsafe devicePeer(device).pointee.queue.stop()
    return false
  }
}

/// Marks the buffer taken last as used.
@c(vireo_used)
public func used(_ device: UnsafeMutableRawPointer, _ head: UInt16, _ written: UInt32) {
  // As in `pop`.
  guard let chain = unsafe devicePeer(device).pointee.chain.take() else { return }
  do throws(DriverFault) {
    try unsafe devicePeer(device).pointee.queue.use(chain, written: written)
  } catch {
    unsafe devicePeer(device).pointee.queue.stop()
  }
}

/// Ends the service; whether the driver wants to hear about it.
@c(vireo_notify)
public func notify(_ device: UnsafeMutableRawPointer) -> Bool {
  // As in `pop`.
  _ = unsafe devicePeer(device).pointee.queue.endService()
  let isDue = unsafe devicePeer(device).pointee.queue.notificationIsDue
  unsafe devicePeer(device).pointee.queue.notificationIsDue = false
  return isDue
}
