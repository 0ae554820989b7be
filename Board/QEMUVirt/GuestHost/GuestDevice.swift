// A virtio device of a guest, whatever its type: so there is one transport for all of them, and not the same
// few kilobytes of code for each. To add a type: a case, and a line in each function.

import DeviceTypes
import Virtio

/// The transport of every device of a guest, with room for the queues of any.
typealias GuestTransport = MMIODeviceTransport<GuestDevice, PendingLine, 6>

extension GuestTransport {
  /// Has the device of `guest` look at what is behind it, and at its queues again soon if more is left.
  @inline(never)
  mutating func look(for guest: Int) {
    poll()
    if hasWork { Cores.serveLater(guest) }
  }
}

extension PerGuest where Element == GuestTransport {
  /// The transports of one kind of device, which `device` makes for each guest.
  @inline(never)
  init(_ setup: borrowing HostSetup, slot: Int, _ device: (Int) -> GuestDevice) {
    self.init(count: setup.guestCount) {
      GuestTransport(
        device: device($0), line: PendingLine(guest: $0, slot: slot), memory: setup.memory(of: $0),
        transportFeatures: setup.offered(GuestTransport.defaultTransportFeatures))
    }
  }
}

/// Where a device is, and of which type. It is never freed, and used under the lock of its kind alone.
@safe struct GuestDevice: VirtioDevice {
  typealias Console = ConsoleDevice<GuestConsole, 2>
  typealias Disk = BlockDevice<GuestDisk>
  typealias Network = NetworkDevice<GuestNetworkPort, 2>
  typealias Entropy = EntropyDevice<SharedRandomness>
  typealias SystemControl = SCMIDevice<ControlState.Port>

  @unsafe private enum Place {
    case console(UnsafeMutablePointer<Console>)
    case disk(UnsafeMutablePointer<Disk>)
    case network(UnsafeMutablePointer<Network>)
    case entropy(UnsafeMutablePointer<Entropy>)
    case systemControl(UnsafeMutablePointer<SystemControl>)
  }
  private let place: Place

  init(_ device: consuming Console) { unsafe place = .console(Self.put(device)) }
  init(_ device: consuming Disk) { unsafe place = .disk(Self.put(device)) }
  init(_ device: consuming Network) { unsafe place = .network(Self.put(device)) }
  init(_ device: consuming Entropy) { unsafe place = .entropy(Self.put(device)) }
  init(_ device: consuming SystemControl) { unsafe place = .systemControl(Self.put(device)) }

  @inline(__always)
  private static func put<Device: ~Copyable>(_ device: consuming Device) -> UnsafeMutablePointer<Device> {
    let place = UnsafeMutablePointer<Device>.allocate(capacity: 1)
    // Just allocated.
    unsafe place.initialize(to: device)
    return unsafe place
  }

  // MARK: What only one type does. As in all below, the place is initialized and nobody else is there.

  /// A console: whether something is connected to a port of it.
  mutating func setOpen(_ isOpen: Bool, port: Int) {
    if case .console(let device) = unsafe place { unsafe device.pointee.setOpen(isOpen, port: port) }
  }

  /// A network interface: a frame for the guest.
  mutating func deliver(
    _ packet: borrowing NetworkPacket, _ context: inout DeviceContext
  ) throws(DriverFault) {
    if case .network(let device) = unsafe place { try unsafe device.pointee.deliver(packet, &context) }
  }

  // MARK: VirtioDevice

  var deviceID: DeviceID {
    switch unsafe place {
    case .console(let device): unsafe device.pointee.deviceID
    case .disk(let device): unsafe device.pointee.deviceID
    case .network(let device): unsafe device.pointee.deviceID
    case .entropy(let device): unsafe device.pointee.deviceID
    case .systemControl(let device): unsafe device.pointee.deviceID
    }
  }

  var usesBuffersInOrder: Bool {
    switch unsafe place {
    case .console(let device): unsafe device.pointee.usesBuffersInOrder
    case .disk(let device): unsafe device.pointee.usesBuffersInOrder
    case .network(let device): unsafe device.pointee.usesBuffersInOrder
    case .entropy(let device): unsafe device.pointee.usesBuffersInOrder
    case .systemControl(let device): unsafe device.pointee.usesBuffersInOrder
    }
  }

  var offeredFeatures: Features {
    switch unsafe place {
    case .console(let device): unsafe device.pointee.offeredFeatures
    case .disk(let device): unsafe device.pointee.offeredFeatures
    case .network(let device): unsafe device.pointee.offeredFeatures
    case .entropy(let device): unsafe device.pointee.offeredFeatures
    case .systemControl(let device): unsafe device.pointee.offeredFeatures
    }
  }

  mutating func accepts(_ features: Features) -> Bool {
    switch unsafe place {
    case .console(let device): unsafe device.pointee.accepts(features)
    case .disk(let device): unsafe device.pointee.accepts(features)
    case .network(let device): unsafe device.pointee.accepts(features)
    case .entropy(let device): unsafe device.pointee.accepts(features)
    case .systemControl(let device): unsafe device.pointee.accepts(features)
    }
  }

  func queueSizeMax(_ index: Int) -> UInt16 {
    switch unsafe place {
    case .console(let device): unsafe device.pointee.queueSizeMax(index)
    case .disk(let device): unsafe device.pointee.queueSizeMax(index)
    case .network(let device): unsafe device.pointee.queueSizeMax(index)
    case .entropy(let device): unsafe device.pointee.queueSizeMax(index)
    case .systemControl(let device): unsafe device.pointee.queueSizeMax(index)
    }
  }

  var configurationByteCount: Int {
    switch unsafe place {
    case .console(let device): unsafe device.pointee.configurationByteCount
    case .disk(let device): unsafe device.pointee.configurationByteCount
    case .network(let device): unsafe device.pointee.configurationByteCount
    case .entropy(let device): unsafe device.pointee.configurationByteCount
    case .systemControl(let device): unsafe device.pointee.configurationByteCount
    }
  }

  func loadConfiguration(at offset: Int, byteCount: Int) -> UInt32 {
    switch unsafe place {
    case .console(let device): unsafe device.pointee.loadConfiguration(at: offset, byteCount: byteCount)
    case .disk(let device): unsafe device.pointee.loadConfiguration(at: offset, byteCount: byteCount)
    case .network(let device): unsafe device.pointee.loadConfiguration(at: offset, byteCount: byteCount)
    case .entropy(let device): unsafe device.pointee.loadConfiguration(at: offset, byteCount: byteCount)
    case .systemControl(let device): unsafe device.pointee.loadConfiguration(at: offset, byteCount: byteCount)
    }
  }

  mutating func storeConfiguration(
    _ value: UInt32, at offset: Int, byteCount: Int, _ context: inout DeviceContext
  ) {
    switch unsafe place {
    case .console(let device):
      unsafe device.pointee.storeConfiguration(value, at: offset, byteCount: byteCount, &context)
    case .disk(let device):
      unsafe device.pointee.storeConfiguration(value, at: offset, byteCount: byteCount, &context)
    case .network(let device):
      unsafe device.pointee.storeConfiguration(value, at: offset, byteCount: byteCount, &context)
    case .entropy(let device):
      unsafe device.pointee.storeConfiguration(value, at: offset, byteCount: byteCount, &context)
    case .systemControl(let device):
      unsafe device.pointee.storeConfiguration(value, at: offset, byteCount: byteCount, &context)
    }
  }

  func takesConfigurationWriteAtAnyTime(at offset: Int) -> Bool {
    switch unsafe place {
    case .console(let device): unsafe device.pointee.takesConfigurationWriteAtAnyTime(at: offset)
    case .disk(let device): unsafe device.pointee.takesConfigurationWriteAtAnyTime(at: offset)
    case .network(let device): unsafe device.pointee.takesConfigurationWriteAtAnyTime(at: offset)
    case .entropy(let device): unsafe device.pointee.takesConfigurationWriteAtAnyTime(at: offset)
    case .systemControl(let device): unsafe device.pointee.takesConfigurationWriteAtAnyTime(at: offset)
    }
  }

  func sharedMemoryRegion(_ id: UInt32) -> SharedMemoryRegion? {
    switch unsafe place {
    case .console(let device): unsafe device.pointee.sharedMemoryRegion(id)
    case .disk(let device): unsafe device.pointee.sharedMemoryRegion(id)
    case .network(let device): unsafe device.pointee.sharedMemoryRegion(id)
    case .entropy(let device): unsafe device.pointee.sharedMemoryRegion(id)
    case .systemControl(let device): unsafe device.pointee.sharedMemoryRegion(id)
    }
  }

  mutating func start(_ context: inout DeviceContext) {
    switch unsafe place {
    case .console(let device): unsafe device.pointee.start(&context)
    case .disk(let device): unsafe device.pointee.start(&context)
    case .network(let device): unsafe device.pointee.start(&context)
    case .entropy(let device): unsafe device.pointee.start(&context)
    case .systemControl(let device): unsafe device.pointee.start(&context)
    }
  }

  mutating func process(queue index: Int, _ context: inout DeviceContext) throws(DriverFault) {
    switch unsafe place {
    case .console(let device): try unsafe device.pointee.process(queue: index, &context)
    case .disk(let device): try unsafe device.pointee.process(queue: index, &context)
    case .network(let device): try unsafe device.pointee.process(queue: index, &context)
    case .entropy(let device): try unsafe device.pointee.process(queue: index, &context)
    case .systemControl(let device): try unsafe device.pointee.process(queue: index, &context)
    }
  }

  mutating func poll(_ context: inout DeviceContext) throws(DriverFault) {
    switch unsafe place {
    case .console(let device): try unsafe device.pointee.poll(&context)
    case .disk(let device): try unsafe device.pointee.poll(&context)
    case .network(let device): try unsafe device.pointee.poll(&context)
    case .entropy(let device): try unsafe device.pointee.poll(&context)
    case .systemControl(let device): try unsafe device.pointee.poll(&context)
    }
  }

  mutating func reset() {
    switch unsafe place {
    case .console(let device): unsafe device.pointee.reset()
    case .disk(let device): unsafe device.pointee.reset()
    case .network(let device): unsafe device.pointee.reset()
    case .entropy(let device): unsafe device.pointee.reset()
    case .systemControl(let device): unsafe device.pointee.reset()
    }
  }

  mutating func resetQueue(_ index: Int) {
    switch unsafe place {
    case .console(let device): unsafe device.pointee.resetQueue(index)
    case .disk(let device): unsafe device.pointee.resetQueue(index)
    case .network(let device): unsafe device.pointee.resetQueue(index)
    case .entropy(let device): unsafe device.pointee.resetQueue(index)
    case .systemControl(let device): unsafe device.pointee.resetQueue(index)
    }
  }

  var isQuiescent: Bool {
    mutating get {
      switch unsafe place {
      case .console(let device): unsafe device.pointee.isQuiescent
      case .disk(let device): unsafe device.pointee.isQuiescent
      case .network(let device): unsafe device.pointee.isQuiescent
      case .entropy(let device): unsafe device.pointee.isQuiescent
      case .systemControl(let device): unsafe device.pointee.isQuiescent
      }
    }
  }
}
