// The operations of a driver's queue as calls. In `Virtio` they are compiled into each place that uses them,
// which is right for a hot loop and too much code for a driver with several queues.

import Virtio

extension DriverVirtqueue {
  /// See `submit(_:readableCount:token:)`.
  @inline(never)
  mutating func callSubmit(_ segments: Span<DMASegment>, readableCount: Int, token: UInt32) -> Bool {
    submit(segments, readableCount: readableCount, token: token)
  }

  /// See `submit(_:deviceWritable:token:)`.
  mutating func callSubmit(_ segment: DMASegment, deviceWritable: Bool, token: UInt32) -> Bool {
    let segments: [1 of DMASegment] = [segment]
    return callSubmit(segments.span, readableCount: deviceWritable ? 0 : 1, token: token)
  }

  /// See `publish()`.
  @inline(never)
  mutating func callPublish() -> Bool { publish() }

  /// See `reclaim()`.
  @inline(never)
  mutating func callReclaim() throws(DeviceFault) -> UsedBuffer? { try reclaim() }
}
