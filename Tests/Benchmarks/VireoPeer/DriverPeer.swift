// Vireo's driver side behind the harness's table, over the public API only.

import Virtio

/// A queue and the number of the next chain.
struct DriverPeer: ~Copyable {
  var queue: DriverVirtqueue
  var serial: UInt32 = 0
  var notifications: UInt32 = 0
}

/// What `driverMake` made.
@inline(__always)
private func driverPeer(_ driver: UnsafeMutableRawPointer) -> UnsafeMutablePointer<DriverPeer> {
  unsafe driver.assumingMemoryBound(to: DriverPeer.self)
}

/// Makes a queue in the shared memory at `base`, which the device sees at `address`; tells where its areas
/// are.
@c(vireo_driver_make)
public func driverMake(
  _ base: UnsafeMutableRawPointer, _ address: UInt64, _ byteCount: Int, _ size: UInt16, _ features: UInt32,
  _ areas: UnsafeMutablePointer<UInt64>
) -> UnsafeMutableRawPointer {
  let ownByteCount = 64 * Int(size)
  let own = UnsafeMutableRawPointer.allocate(byteCount: ownByteCount, alignment: 16)
  // The harness gives the shared part to nobody else; the private part was allocated just now.
  let shared = unsafe DMABuffer(base: base, byteCount: byteCount, deviceAddress: address)
  var arena = unsafe DriverArena(
    shared: shared, own: PrivateMemory(base: own, byteCount: ownByteCount))
  let made = DriverVirtqueue(
    index: 0, size: size, features: PeerFeature.features(features), indirectCapacity: 4, from: &arena)
  guard var queue = consume made else { preconditionFailure("too little memory for the queue") }
  queue.disableNotifications()
  let addresses = queue.addresses
  // Three elements, by agreement with the harness.
  unsafe areas[0] = addresses.descriptorArea
  unsafe areas[1] = addresses.driverArea
  unsafe areas[2] = addresses.deviceArea
  let peer = UnsafeMutablePointer<DriverPeer>.allocate(capacity: 1)
  unsafe peer.initialize(to: DriverPeer(queue: queue))
  return UnsafeMutableRawPointer(peer)
}

/// See `drv_peer` in bench.h.
@c(vireo_submit)
public func submit(_ driver: UnsafeMutableRawPointer, _ count: UInt32, _ chain: UInt32) -> UInt32 {
  // The pointer came from `driverMake`.
  unsafe submitBatch(&driverPeer(driver).pointee, count, chain)
}

/// See `drv_peer` in bench.h.
@c(vireo_reap)
public func reap(_ driver: UnsafeMutableRawPointer, _ count: UInt32) -> UInt64 {
  // As above.
  unsafe reapBatch(&driverPeer(driver).pointee, count)
}

/// The buffer of chain `serial`, as `bench_segment` has it.
@inline(__always)
private func address(_ serial: UInt32) -> UInt64 { 0x10000 + UInt64(serial & 255) * 128 }

private func submitBatch(_ driver: inout DriverPeer, _ count: UInt32, _ chain: UInt32) -> UInt32 {
  var done: UInt32 = 0
  while done < count {
    let start = address(driver.serial)
    let isAccepted: Bool
    if chain == 1 {
      isAccepted = driver.queue.submit(
        DMASegment(deviceAddress: start, byteCount: 64), deviceWritable: false, token: driver.serial)
    } else {
      let segments: [3 of DMASegment] = [
        DMASegment(deviceAddress: start, byteCount: 16), DMASegment(deviceAddress: start + 16, byteCount: 64),
        DMASegment(deviceAddress: start + 80, byteCount: 1),
      ]
      isAccepted = driver.queue.submit(segments.span, readableCount: 1, token: driver.serial)
    }
    guard isAccepted else { break }
    driver.serial &+= 1
    done &+= 1
  }
  if driver.queue.publish() { driver.notifications &+= 1 }
  return done
}

private func reapBatch(_ driver: inout DriverPeer, _ count: UInt32) -> UInt64 {
  var written: UInt32 = 0
  var done: UInt32 = 0
  do throws(DeviceFault) {
    while done < count, let used = try driver.queue.reclaim() {
      written &+= used.byteCount
      done &+= 1
    }
  } catch {
    return 0
  }
  driver.queue.disableNotifications()
  return UInt64(done) << 32 | UInt64(written)
}
