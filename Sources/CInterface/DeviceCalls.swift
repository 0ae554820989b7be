// The functions of vireo.h that work on any device. Offsets, widths, values and queue numbers come from the
// guest and have no wrong values; all else comes from the embedder.

public import CVireo
import Virtio

/// See vireo.h.
@c(vireo_version)
public func version() -> UInt32 { UInt32(VIREO_VERSION_MAJOR) << 16 | UInt32(VIREO_VERSION_MINOR) }

/// See vireo.h.
@c(vireo_device_align)
public func deviceAlign() -> Int { deviceAlignment }

// MARK: Registers

private struct ReadCall: DeviceCall {
  let offset: UInt64
  let byteCount: UInt32
  var value: UInt64 = 0

  mutating func perform<Device: VirtioDevice & ~Copyable, let queueCount: Int>(
    _ transport: inout MMIODeviceTransport<Device, CallbackLine, queueCount>
  ) -> vireo_status {
    value = transport.read(at: windowOffset(offset), byteCount: Int(byteCount))
    return VIREO_OK
  }
}

/// An offset as the transport takes it: what is beyond any window stays so.
@inline(__always)
private func windowOffset(_ offset: UInt64) -> Int { Int(min(offset, 1 << 32)) }

/// See vireo.h.
@c(vireo_device_read)
public func deviceRead(
  _ device: OpaquePointer?, _ offset: UInt64, _ byteCount: UInt32, _ value: UnsafeMutablePointer<UInt64>?
) -> vireo_status {
  guard let value = unsafe value else { return VIREO_BAD_ARGUMENT }
  var call = ReadCall(offset: offset, byteCount: byteCount)
  let result = unsafe withDevice(device, &call)
  unsafe value.pointee = call.value
  return result
}

private struct WriteCall: DeviceCall {
  let offset: UInt64
  let byteCount: UInt32
  let value: UInt64

  mutating func perform<Device: VirtioDevice & ~Copyable, let queueCount: Int>(
    _ transport: inout MMIODeviceTransport<Device, CallbackLine, queueCount>
  ) -> vireo_status {
    transport.write(value, at: windowOffset(offset), byteCount: Int(byteCount))
    return VIREO_OK
  }
}

/// See vireo.h.
@c(vireo_device_write)
public func deviceWrite(
  _ device: OpaquePointer?, _ offset: UInt64, _ byteCount: UInt32, _ value: UInt64
) -> vireo_status {
  var call = WriteCall(offset: offset, byteCount: byteCount, value: value)
  return unsafe withDevice(device, &call)
}

// MARK: Work

private struct NotifyCall: DeviceCall {
  let queue: UInt32

  mutating func perform<Device: VirtioDevice & ~Copyable, let queueCount: Int>(
    _ transport: inout MMIODeviceTransport<Device, CallbackLine, queueCount>
  ) -> vireo_status {
    transport.availableBuffer(queue: Int(queue))
    return VIREO_OK
  }
}

/// See vireo.h.
@c(vireo_device_notify)
public func deviceNotify(_ device: OpaquePointer?, _ queue: UInt32) -> vireo_status {
  var call = NotifyCall(queue: queue)
  return unsafe withDevice(device, &call)
}

private struct DeferCall: DeviceCall {
  let isDeferred: Bool

  mutating func perform<Device: VirtioDevice & ~Copyable, let queueCount: Int>(
    _ transport: inout MMIODeviceTransport<Device, CallbackLine, queueCount>
  ) -> vireo_status {
    transport.defersNotifications = isDeferred
    return VIREO_OK
  }
}

/// See vireo.h.
@c(vireo_device_defer)
public func deviceDefer(_ device: OpaquePointer?, _ isDeferred: CInt) -> vireo_status {
  var call = DeferCall(isDeferred: isDeferred != 0)
  return unsafe withDevice(device, &call)
}

private struct RunCall: DeviceCall {
  var hasMore = false

  mutating func perform<Device: VirtioDevice & ~Copyable, let queueCount: Int>(
    _ transport: inout MMIODeviceTransport<Device, CallbackLine, queueCount>
  ) -> vireo_status {
    hasMore = transport.run()
    return VIREO_OK
  }
}

/// See vireo.h.
@c(vireo_device_run)
public func deviceRun(_ device: OpaquePointer?, _ more: UnsafeMutablePointer<CInt>?) -> vireo_status {
  var call = RunCall()
  let result = unsafe withDevice(device, &call)
  if let more = unsafe more { unsafe more.pointee = call.hasMore ? 1 : 0 }
  return result
}

private struct PollCall: DeviceCall {
  mutating func perform<Device: VirtioDevice & ~Copyable, let queueCount: Int>(
    _ transport: inout MMIODeviceTransport<Device, CallbackLine, queueCount>
  ) -> vireo_status {
    transport.poll()
    return VIREO_OK
  }
}

/// See vireo.h.
@c(vireo_device_poll)
public func devicePoll(_ device: OpaquePointer?) -> vireo_status {
  var call = PollCall()
  return unsafe withDevice(device, &call)
}

private struct BudgetCall: DeviceCall {
  let budget: UInt16

  mutating func perform<Device: VirtioDevice & ~Copyable, let queueCount: Int>(
    _ transport: inout MMIODeviceTransport<Device, CallbackLine, queueCount>
  ) -> vireo_status {
    for index in 0..<queueCount { transport.setBudget(budget, queue: index) }
    return VIREO_OK
  }
}

/// See vireo.h.
@c(vireo_device_set_budget)
public func deviceSetBudget(_ device: OpaquePointer?, _ buffers: UInt32) -> vireo_status {
  guard buffers >= 1, buffers <= UInt32(maximumQueueSize) else { return VIREO_BAD_ARGUMENT }
  var call = BudgetCall(budget: UInt16(buffers))
  return unsafe withDevice(device, &call)
}

// MARK: Life

private struct ResetCall: DeviceCall {
  mutating func perform<Device: VirtioDevice & ~Copyable, let queueCount: Int>(
    _ transport: inout MMIODeviceTransport<Device, CallbackLine, queueCount>
  ) -> vireo_status {
    transport.write(0, at: MMIORegister.status, byteCount: 4)
    // Anything but 0 is a reset that waits for the backend (§2.4.1).
    return transport.status == .reset ? VIREO_OK : VIREO_BUSY
  }
}

/// See vireo.h.
@c(vireo_device_reset)
public func deviceReset(_ device: OpaquePointer?) -> vireo_status {
  var call = ResetCall()
  return unsafe withDevice(device, &call)
}

private struct FaultCall: DeviceCall {
  mutating func perform<Device: VirtioDevice & ~Copyable, let queueCount: Int>(
    _ transport: inout MMIODeviceTransport<Device, CallbackLine, queueCount>
  ) -> vireo_status {
    if let fault = transport.fault { return status(fault) }
    return transport.status.contains(.needsReset) ? VIREO_DRIVER_FAULT : VIREO_OK
  }
}

/// See vireo.h.
@c(vireo_device_fault)
public func deviceFault(_ device: OpaquePointer?) -> vireo_status {
  var call = FaultCall()
  return unsafe withDevice(device, &call)
}

// MARK: State

@safe
private struct SaveCall: DeviceCall {
  let room: UnsafeMutableRawBufferPointer
  var byteCount = 0

  mutating func perform<Device: VirtioDevice & ~Copyable, let queueCount: Int>(
    _ transport: inout MMIODeviceTransport<Device, CallbackLine, queueCount>
  ) -> vireo_status {
    // The caller's memory, lent for the call.
    var writer = StateWriter(unsafe MutableRawSpan(_unsafeBytes: room))
    do throws(StateFault) { try transport.save(into: &writer) } catch { return status(error) }
    byteCount = writer.byteCount
    return writer.isComplete ? VIREO_OK : VIREO_TOO_SMALL
  }
}

/// See vireo.h.
@c(vireo_device_save)
public func deviceSave(
  _ device: OpaquePointer?, _ bytes: UnsafeMutableRawPointer?, _ capacity: Int,
  _ size: UnsafeMutablePointer<Int>?
) -> vireo_status {
  guard let size = unsafe size, capacity >= 0, unsafe capacity == 0 || bytes != nil else {
    return VIREO_BAD_ARGUMENT
  }
  var call = unsafe SaveCall(room: UnsafeMutableRawBufferPointer(start: bytes, count: capacity))
  let result = unsafe withDevice(device, &call)
  unsafe size.pointee = call.byteCount
  return result
}

@safe
private struct RestoreCall: DeviceCall {
  let bytes: UnsafeRawBufferPointer

  mutating func perform<Device: VirtioDevice & ~Copyable, let queueCount: Int>(
    _ transport: inout MMIODeviceTransport<Device, CallbackLine, queueCount>
  ) -> vireo_status {
    // As in `SaveCall`.
    var reader = StateReader(unsafe RawSpan(_unsafeBytes: bytes))
    do throws(StateFault) { try transport.restore(from: &reader) } catch { return status(error) }
    return VIREO_OK
  }
}

/// See vireo.h.
@c(vireo_device_restore)
public func deviceRestore(
  _ device: OpaquePointer?, _ bytes: UnsafeRawPointer?, _ size: Int
) -> vireo_status {
  guard let bytes = unsafe bytes, size >= 0 else { return VIREO_BAD_ARGUMENT }
  var call = unsafe RestoreCall(bytes: UnsafeRawBufferPointer(start: bytes, count: size))
  return unsafe withDevice(device, &call)
}

private func status(_ fault: StateFault) -> vireo_status {
  switch fault {
  case .busy: VIREO_BUSY
  case .unsupported: VIREO_UNSUPPORTED
  case .malformed: VIREO_BAD_STATE
  case .unknownVersion: VIREO_UNKNOWN_VERSION
  case .otherDevice: VIREO_OTHER_DEVICE
  }
}
