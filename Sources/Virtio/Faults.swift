// The three kinds of failure, by who is at fault. Our own mistakes are preconditions and trap.

/// The driver broke the protocol. The device answers with DEVICE_NEEDS_RESET and stops, never with a trap.
public enum DriverFault: Error, Equatable, Sendable {
  /// A ring or buffer does not lie wholly within one region of guest memory.
  case addressOutsideMemory
  /// A ring area is not aligned as §2.7 or §2.8 asks.
  case misalignedRing
  /// A queue size of 0, above the device's maximum, above 32768, or (split) not a power of two.
  case invalidQueueSize
  /// A descriptor index beyond the table, in the available ring or in a `next` field.
  case indexOutOfRange
  /// A chain longer than the queue, a loop, or more than 2^32 - 1 bytes in total.
  case chainTooLong
  /// The available index runs ahead of the free entries of the ring.
  case availableIndexJumped
  /// A device-readable descriptor after a device-writable one.
  case readableAfterWritable
  /// An indirect table where none was negotiated, within another one, together with NEXT, or whose length is
  /// not a positive multiple of 16.
  case invalidIndirectTable
  /// A request that lacks the device-readable or device-writable bytes which its type requires.
  case bufferTooShort
  /// A request that the device type's clause forbids, with nothing left to report it in.
  case malformedRequest
}

/// The device broke the protocol, or is none that this driver can use. The driver stops using it.
public enum DeviceFault: Error, Equatable, Sendable {
  /// The MagicValue register does not read "virt".
  case notVirtio
  /// The Version register reads 1: a legacy device. Only version 2 is supported; with QEMU give
  /// `-global virtio-mmio.force-legacy=false`.
  case legacyDevice
  /// The Version register reads neither 1 nor 2.
  case unknownVersion(UInt32)
  /// DeviceID 0: the slot is empty.
  case noDevice
  /// The device is of another type than the driver's.
  case wrongDeviceType(UInt32)
  /// The device did not complete a reset within the polls allowed.
  case resetTimedOut
  /// A feature this driver needs is not offered.
  case featureMissing(Features)
  /// The device cleared FEATURES_OK.
  case featuresRefused
  /// The queue is not there (QueueSizeMax is 0) or is smaller than the driver needs.
  case queueUnavailable(UInt16)
  /// The queue was ready before the driver set it up, or did not take its settings.
  case queueBusy(UInt16)
  /// A used entry names a buffer that is not in flight.
  case unknownBuffer
  /// A used length above the device-writable bytes of the buffer.
  case usedLengthTooLong
  /// The used index ran ahead of the buffers in flight.
  case usedIndexJumped
  /// The configuration space never read the same twice.
  case configurationUnstable
  /// A configuration field has a value the clause forbids.
  case invalidConfiguration
  /// The device set DEVICE_NEEDS_RESET.
  case needsReset
  /// A reply of the device type does not make sense (unknown status, wrong size).
  case invalidResponse
  /// A command was not answered within the polls allowed.
  case commandTimedOut
}

/// The backend could not do what the driver asked. Becomes a status byte of the device type, never a reset.
public enum BackendFault: Error, Equatable, Sendable {
  /// The storage, link or source failed.
  case inputOutput
  /// The request lies outside the backend's bounds.
  case outOfRange
  /// A write to something that cannot be written.
  case readOnly
  /// The backend has no such operation.
  case unsupported
}
