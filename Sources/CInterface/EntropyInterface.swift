// The entropy device of vireo.h.

public import CVireo
import DeviceTypes
import Virtio

/// The embedder's source of random bytes.
@safe
struct CallbackEntropy: EntropyBackend {
  let function: @convention(c) (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, UInt32) -> UInt32
  let context: UnsafeMutableRawPointer?

  mutating func fill(_ range: GuestRange) -> UInt32 {
    // A checked range; the embedder's function, with its context. More than there is room for is no count.
    unsafe min(function(context, range.host, range.byteCount), range.byteCount)
  }
}

/// See vireo.h.
@c(vireo_entropy_size)
public func entropySize() -> Int { MemoryLayout<EntropyBox>.size }

/// See vireo.h.
@c(vireo_entropy_create)
public func entropyCreate(
  _ storage: UnsafeMutableRawPointer?, _ storageSize: Int, _ common: UnsafePointer<vireo_device_settings>?,
  _ settings: UnsafePointer<vireo_entropy_settings>?, _ device: UnsafeMutablePointer<OpaquePointer?>?
) -> vireo_status {
  guard let device = unsafe device, let settings = unsafe settings,
    unsafe settings.pointee.struct_size == MemoryLayout<vireo_entropy_settings>.size,
    let function = unsafe settings.pointee.fill, let parts = unsafe DeviceParts(common),
    let box = unsafe checkedStorage(storage, storageSize, for: EntropyBox.self)
  else { return VIREO_BAD_ARGUMENT }
  let backend = unsafe CallbackEntropy(function: function, context: settings.pointee.context)
  // Checked storage in which nothing lives.
  unsafe box.initialize(
    to: EntropyBox(
      header: DeviceHeader(kind: .entropy),
      transport: MMIODeviceTransport(
        device: EntropyDevice(backend: backend), line: parts.line, memory: parts.memory,
        withheld: parts.withheld)))
  unsafe device.pointee = OpaquePointer(box)
  return VIREO_OK
}
