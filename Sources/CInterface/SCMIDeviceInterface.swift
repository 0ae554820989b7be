// The SCMI device of vireo.h.

public import CVireo
import DeviceTypes
import Virtio

/// The embedder's platform, as the agent behind a device sees it.
@safe
struct CallbackAgent: SCMIBackend {
  private let settings: vireo_scmi_device_settings

  /// Nil when a function is missing.
  init?(_ settings: vireo_scmi_device_settings) {
    guard unsafe settings.flags & ~UInt32(VIREO_SCMI_DEVICE_EVENTS) == 0, unsafe settings.respond != nil,
      unsafe settings.flags == 0 || (settings.has_event != nil && settings.next_event != nil)
    else { return nil }
    unsafe self.settings = settings
  }

  var implementsEvents: Bool { unsafe settings.flags & UInt32(VIREO_SCMI_DEVICE_EVENTS) != 0 }

  // Below: the embedder's functions, with its context, on private memory that is lent for the call.

  mutating func start(receivesEvents: Bool) {
    if let start = unsafe settings.start { unsafe start(settings.context, receivesEvents ? 1 : 0) }
  }

  mutating func respond(to command: RawSpan, into response: inout MutableRawSpan) -> Int {
    let room = response.byteCount
    let count = unsafe command.withUnsafeBytes { command in
      unsafe response.withUnsafeMutableBytes { response in
        unsafe settings.respond(
          settings.context, command.baseAddress, UInt32(command.count), response.baseAddress, UInt32(room))
      }
    }
    if count >= 8 && Int(count) <= room { return Int(count) }
    // No response at all: the agent gets its own header, and GENERIC_ERROR.
    // The device hands over no command without a header; any bytes are an integer.
    let header = unsafe command.unsafeLoadUnaligned(fromByteOffset: 0, as: UInt32.self)
    response.storeBytes(of: header, toByteOffset: 0, as: UInt32.self)
    response.storeBytes(of: Int32(-8).littleEndian, toByteOffset: 4, as: Int32.self)
    return 8
  }

  var hasEvent: Bool {
    guard let hasEvent = unsafe settings.has_event else { return false }
    return unsafe hasEvent(settings.context) != 0
  }

  mutating func nextEvent(into event: inout MutableRawSpan) -> Int {
    guard let nextEvent = unsafe settings.next_event else { return 0 }
    let room = event.byteCount
    let count = unsafe event.withUnsafeMutableBytes { event in
      unsafe nextEvent(settings.context, event.baseAddress, UInt32(room))
    }
    guard count >= 4, Int(count) <= room else { return 0 }
    // A delayed response (message type 2) has a status, or is none.
    let isDelayedResponse = unsafe event.bytes.unsafeLoad(fromByteOffset: 1, as: UInt8.self) & 3 == 2
    return isDelayedResponse && count < 8 ? 0 : Int(count)
  }

  mutating func reset() {
    if let reset = unsafe settings.reset { unsafe reset(settings.context) }
  }
}

/// See vireo.h.
@c(vireo_scmi_device_size)
public func scmiDeviceSize() -> Int { MemoryLayout<SCMIDeviceBox>.size }

/// See vireo.h.
@c(vireo_scmi_device_create)
public func scmiDeviceCreate(
  _ storage: UnsafeMutableRawPointer?, _ storageSize: Int, _ common: UnsafePointer<vireo_device_settings>?,
  _ settings: UnsafePointer<vireo_scmi_device_settings>?, _ device: UnsafeMutablePointer<OpaquePointer?>?
) -> vireo_status {
  guard let device = unsafe device, let settings = unsafe settings,
    unsafe settings.pointee.struct_size == MemoryLayout<vireo_scmi_device_settings>.size,
    let parts = unsafe DeviceParts(common), let platform = unsafe CallbackAgent(settings.pointee),
    let box = unsafe checkedStorage(storage, storageSize, for: SCMIDeviceBox.self)
  else { return VIREO_BAD_ARGUMENT }
  // Checked storage in which nothing lives.
  unsafe box.initialize(
    to: SCMIDeviceBox(
      header: DeviceHeader(kind: .scmi),
      transport: MMIODeviceTransport(
        device: SCMIDevice(backend: platform), line: parts.line, memory: parts.memory,
        withheld: parts.withheld)))
  unsafe device.pointee = OpaquePointer(box)
  return VIREO_OK
}
