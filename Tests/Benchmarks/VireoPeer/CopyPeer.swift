// Payload between guest memory and a private buffer, as the console and network devices move it.

import Virtio

/// Takes up to `budget` chains. Copies the device-readable bytes of each to `buffer`, or fills its
/// device-writable ones from there; `byteCount` bytes at most. Returns how many chains it served.
@c(vireo_copy)
public func copy(
  _ device: UnsafeMutableRawPointer, _ budget: UInt32, _ buffer: UnsafeMutableRawPointer, _ byteCount: Int,
  _ toGuest: Bool
) -> UInt32 {
  // The harness owns `byteCount` bytes at `buffer` and touches them no more during the call.
  unsafe copyChains(&devicePeer(device).pointee.queue, budget, buffer, byteCount, toGuest)
}

private func copyChains(
  _ queue: inout DeviceVirtqueue, _ budget: UInt32, _ buffer: UnsafeMutableRawPointer, _ byteCount: Int,
  _ toGuest: Bool
) -> UInt32 {
  queue.budget = UInt16(truncatingIfNeeded: budget)
  var count: UInt32 = 0
  do throws(DriverFault) {
    while var chain = try queue.next() {
      var written = 0
      if toGuest {
        let source = unsafe RawSpan(_unsafeStart: buffer, byteCount: byteCount)
        written = try chain.write(source, queue)
      } else {
        var target = unsafe MutableRawSpan(_unsafeStart: buffer, byteCount: byteCount)
        _ = try chain.read(into: &target, queue)
      }
      try queue.use(chain, written: UInt32(written))
      count &+= 1
    }
    _ = queue.endService()
  } catch {
    queue.stop()
  }
  return count
}
