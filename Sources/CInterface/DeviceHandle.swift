// What a `vireo_device` is: a transport with its device, in the caller's storage. One place knows all device
// types; everything else is written once for any of them.

import CVireo
import DeviceTypes
import Virtio

/// The device types of the interface, as the first word of their storage. A handle that is none has another.
struct DeviceKind: Equatable {
  let rawValue: UInt32

  static var network: DeviceKind { DeviceKind(rawValue: 0x5649_0001) }
  static var block: DeviceKind { DeviceKind(rawValue: 0x5649_0002) }
  static var console: DeviceKind { DeviceKind(rawValue: 0x5649_0003) }
  static var entropy: DeviceKind { DeviceKind(rawValue: 0x5649_0004) }

  static var scmi: DeviceKind { DeviceKind(rawValue: 0x5649_0005) }

  var isKnown: Bool { rawValue &- DeviceKind.network.rawValue < 5 }
}

/// What storage begins with.
struct DeviceHeader {
  let kind: DeviceKind
  /// Whether a call is under way: its callbacks cannot begin another one.
  var isEntered = false
}

/// A device in the caller's storage.
struct DeviceBox<Device: VirtioDevice & ~Copyable, let queueCount: Int>: ~Copyable {
  var header: DeviceHeader
  var transport: MMIODeviceTransport<Device, CallbackLine, queueCount>
}

// How many queues and ports there is room for, as vireo.h says.
typealias NetworkBox = DeviceBox<NetworkDevice<CallbackLink, 4>, 9>
typealias BlockBox = DeviceBox<BlockDevice<CallbackDisk>, 8>
typealias ConsoleBox = DeviceBox<ConsoleDevice<CallbackConsole, 8>, 18>
typealias EntropyBox = DeviceBox<EntropyDevice<CallbackEntropy>, 1>
typealias SCMIDeviceBox = DeviceBox<SCMIDevice<CallbackAgent>, 2>

/// The most queues of a block device.
var blockQueueCount: Int { 8 }
/// The ports of a console.
var consolePortCount: Int { 8 }

/// The alignment of all storage: what the largest member of any device asks, rounded up.
let deviceAlignment = 16

/// A function of the interface that works on any device.
protocol DeviceCall {
  /// Does it.
  mutating func perform<Device: VirtioDevice & ~Copyable, let queueCount: Int>(
    _ transport: inout MMIODeviceTransport<Device, CallbackLine, queueCount>
  ) -> vireo_status
}

/// A checked handle: the address of a `DeviceBox` of the kind that its header says.
@safe
struct DeviceHandle {
  private let base: UnsafeMutableRawPointer

  /// Nil for a null pointer, and for memory that no create function has set up.
  @inline(__always)
  init?(_ handle: OpaquePointer?) {
    guard let handle = unsafe handle else { return nil }
    unsafe base = UnsafeMutableRawPointer(handle)
    guard kind.isKnown else { return nil }
  }

  private var header: UnsafeMutablePointer<DeviceHeader> {
    // Every box begins with its header; the create functions bound the storage to a box.
    unsafe base.assumingMemoryBound(to: DeviceHeader.self)
  }

  var kind: DeviceKind {
    @inline(__always) get { unsafe header.pointee.kind }
  }

  /// The box, of the type that `kind` says.
  @inline(__always)
  func box<Device: VirtioDevice & ~Copyable, let queueCount: Int>(
    _: DeviceBox<Device, queueCount>.Type
  ) -> UnsafeMutablePointer<DeviceBox<Device, queueCount>> {
    // Bound by the create function of this kind; the callers have looked at the kind.
    unsafe base.assumingMemoryBound(to: DeviceBox<Device, queueCount>.self)
  }

  /// Marks the device as entered. False when it is already: the caller is a callback.
  @inline(__always)
  func enter() -> Bool {
    // Alive as long as the handle, which the caller answers for.
    if unsafe header.pointee.isEntered { return false }
    unsafe header.pointee.isEntered = true
    return true
  }

  @inline(__always)
  func leave() {
    // As above.
    unsafe header.pointee.isEntered = false
  }
}

/// Makes a call on whatever device the handle is.
@inline(__always)
func withDevice<Call: DeviceCall>(_ handle: OpaquePointer?, _ call: inout Call) -> vireo_status {
  guard let device = unsafe DeviceHandle(handle) else { return VIREO_BAD_ARGUMENT }
  guard device.enter() else { return VIREO_WRONG_STATE }
  defer { device.leave() }
  // The box is of the kind, and the mark keeps others out of it.
  switch device.kind {
  case .network: return unsafe call.perform(&device.box(NetworkBox.self).pointee.transport)
  case .block: return unsafe call.perform(&device.box(BlockBox.self).pointee.transport)
  case .console: return unsafe call.perform(&device.box(ConsoleBox.self).pointee.transport)
  case .scmi: return unsafe call.perform(&device.box(SCMIDeviceBox.self).pointee.transport)
  default: return unsafe call.perform(&device.box(EntropyBox.self).pointee.transport)
  }
}

/// Calls `body` with the transport of a device that has to be of `kind`, whose box is a `Box`.
@inline(__always)
func withBox<Device: VirtioDevice & ~Copyable, let queueCount: Int>(
  _ handle: OpaquePointer?, _ kind: DeviceKind, _ box: DeviceBox<Device, queueCount>.Type,
  _ body: (inout MMIODeviceTransport<Device, CallbackLine, queueCount>) -> vireo_status
) -> vireo_status {
  guard let device = unsafe DeviceHandle(handle), device.kind == kind else { return VIREO_BAD_ARGUMENT }
  guard device.enter() else { return VIREO_WRONG_STATE }
  defer { device.leave() }
  // The box is of the kind, and the mark keeps others out of it.
  return unsafe body(&device.box(box).pointee.transport)
}

/// The interrupt line as a callback.
@safe
struct CallbackLine: InterruptLine {
  let function: @convention(c) (UnsafeMutableRawPointer?, CInt) -> Void
  let context: UnsafeMutableRawPointer?

  mutating func setAsserted(_ isAsserted: Bool) {
    // The embedder's own function, with the context that it gave for it.
    unsafe function(context, isAsserted ? 1 : 0)
  }
}

/// The checked settings that all devices have in common.
struct DeviceParts {
  let line: CallbackLine
  let memory: GuestMemory
  let withheld: Features

  /// Nil when something is missing or does not fit together.
  init?(_ settings: UnsafePointer<vireo_device_settings>?) {
    // The first field says how many bytes the caller's header knew.
    guard let settings = unsafe settings,
      unsafe settings.pointee.struct_size == MemoryLayout<vireo_device_settings>.size,
      let function = unsafe settings.pointee.interrupt,
      let memory = unsafe guestMemory(settings.pointee.regions, settings.pointee.region_count)
    else { return nil }
    line = unsafe CallbackLine(function: function, context: settings.pointee.interrupt_context)
    self.memory = memory
    withheld = unsafe Features(low: settings.pointee.withheld_features)
  }
}

/// Guest memory of the caller's regions, which the caller keeps; nil if they are not valid.
func guestMemory(_ regions: UnsafePointer<vireo_region>?, _ count: Int) -> GuestMemory? {
  guard let regions = unsafe regions, unsafe regionsAreValid(regions, count) else { return nil }
  // `GuestRegion` has the layout of `vireo_region`: three words.
  precondition(
    unsafe MemoryLayout<GuestRegion>.size == MemoryLayout<vireo_region>.size, "vireo_region differs")
  let table = unsafe UnsafeRawPointer(regions).assumingMemoryBound(to: GuestRegion.self)
  return unsafe GuestMemory(regions: UnsafeBufferPointer(start: table, count: count))
}

/// Storage from a caller, checked to be large enough and aligned for a box.
@inline(__always)
func checkedStorage<Device: VirtioDevice & ~Copyable, let queueCount: Int>(
  _ storage: UnsafeMutableRawPointer?, _ byteCount: Int, for _: DeviceBox<Device, queueCount>.Type
) -> UnsafeMutablePointer<DeviceBox<Device, queueCount>>? {
  typealias Box = DeviceBox<Device, queueCount>
  precondition(MemoryLayout<Box>.alignment <= deviceAlignment, "a device of larger alignment")
  guard let storage = unsafe storage, byteCount >= MemoryLayout<Box>.size,
    UInt(bitPattern: storage) % UInt(deviceAlignment) == 0
  else { return nil }
  // Nothing lives there yet: the storage is the caller's gift.
  return unsafe storage.bindMemory(to: Box.self, capacity: 1)
}
