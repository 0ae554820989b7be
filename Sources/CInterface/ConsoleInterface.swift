// The console device of vireo.h.

public import CVireo
import DeviceTypes
import Virtio

/// The embedder's end of the ports.
@safe
struct CallbackConsole: ConsoleBackend {
  private let settings: vireo_console_settings

  /// Nil when a function is missing.
  init?(_ settings: vireo_console_settings) {
    guard unsafe settings.write != nil, unsafe settings.has_input != nil, unsafe settings.read != nil,
      unsafe settings.flags & ~UInt32(VIREO_CONSOLE_MULTIPORT) == 0
    else { return nil }
    unsafe self.settings = settings
  }

  var features: Features {
    var features = ConsoleFeature.size
    if unsafe settings.flags & UInt32(VIREO_CONSOLE_MULTIPORT) != 0 {
      features = features | ConsoleFeature.multiport
    }
    if unsafe settings.emergency_write != nil { features = features | ConsoleFeature.emergencyWrite }
    return features
  }

  var size: ConsoleSize { unsafe ConsoleSize(columns: settings.columns, rows: settings.rows) }

  // Below: the embedder's functions, with its context, on checked ranges. Counts beyond a range are none.

  mutating func write(_ range: GuestRange, port: Int) -> UInt32 {
    unsafe min(
      settings.write(settings.context, UInt32(port), range.host, range.byteCount), range.byteCount)
  }

  func hasInput(port: Int) -> Bool { unsafe settings.has_input(settings.context, UInt32(port)) != 0 }

  mutating func read(into range: GuestRange, port: Int) -> UInt32 {
    unsafe min(settings.read(settings.context, UInt32(port), range.host, range.byteCount), range.byteCount)
  }

  mutating func setDriverOpen(_ isOpen: Bool, port: Int) {
    if let tell = unsafe settings.driver_open {
      unsafe tell(settings.context, UInt32(port), isOpen ? 1 : 0)
    }
  }

  mutating func emergencyWrite(_ byte: UInt8) {
    if let write = unsafe settings.emergency_write { unsafe write(settings.context, byte) }
  }
}

/// See vireo.h.
@c(vireo_console_size)
public func consoleSize() -> Int { MemoryLayout<ConsoleBox>.size }

/// See vireo.h.
@c(vireo_console_create)
public func consoleCreate(
  _ storage: UnsafeMutableRawPointer?, _ storageSize: Int, _ common: UnsafePointer<vireo_device_settings>?,
  _ settings: UnsafePointer<vireo_console_settings>?, _ device: UnsafeMutablePointer<OpaquePointer?>?
) -> vireo_status {
  guard let device = unsafe device, let settings = unsafe settings,
    unsafe settings.pointee.struct_size == MemoryLayout<vireo_console_settings>.size,
    let parts = unsafe DeviceParts(common), let backend = unsafe CallbackConsole(settings.pointee),
    let box = unsafe checkedStorage(storage, storageSize, for: ConsoleBox.self)
  else { return VIREO_BAD_ARGUMENT }
  // Checked storage in which nothing lives.
  unsafe box.initialize(
    to: ConsoleBox(
      header: DeviceHeader(kind: .console),
      transport: MMIODeviceTransport(
        device: ConsoleDevice(backend: backend, features: backend.features, size: backend.size),
        line: parts.line, memory: parts.memory, withheld: parts.withheld)))
  unsafe device.pointee = OpaquePointer(box)
  return VIREO_OK
}

/// Calls `body` for a port, if there can be one of that number.
@inline(__always)
private func withPort(
  _ device: OpaquePointer?, _ port: UInt32,
  _ body: (inout ConsoleDevice<CallbackConsole, 8>, Int) -> vireo_status
) -> vireo_status {
  unsafe withBox(device, .console, ConsoleBox.self) { transport in
    let isMultiport = transport.device.offeredFeatures.contains(ConsoleFeature.multiport)
    guard port < (isMultiport ? UInt32(consolePortCount) : 1) else { return VIREO_BAD_ARGUMENT }
    return body(&transport.device, Int(port))
  }
}

/// See vireo.h.
@c(vireo_console_add_port)
public func consoleAddPort(
  _ device: OpaquePointer?, _ port: UInt32, _ name: UnsafePointer<CChar>?, _ flags: UInt32
) -> vireo_status {
  let (console, closed) = (UInt32(VIREO_PORT_CONSOLE), UInt32(VIREO_PORT_CLOSED))
  guard flags & ~(console | closed) == 0 else { return VIREO_BAD_ARGUMENT }
  var bytes = ConsolePortName()
  if let name = unsafe name {
    // A string of the caller's, up to its end.
    for i in 0..<ConsolePortName.byteCountMax {
      let byte = unsafe UInt8(bitPattern: name[i])
      if byte == 0 { break }
      bytes.append(byte)
    }
  }
  return unsafe withPort(device, port) { ports, port in
    if ports.hasPort(port) { return VIREO_WRONG_STATE }
    ports.addPort(port, name: bytes, isConsole: flags & console != 0, isOpen: flags & closed == 0)
    return VIREO_OK
  }
}

/// See vireo.h.
@c(vireo_console_remove_port)
public func consoleRemovePort(_ device: OpaquePointer?, _ port: UInt32) -> vireo_status {
  unsafe withPort(device, port) { ports, port in
    guard ports.hasPort(port) else { return VIREO_WRONG_STATE }
    ports.removePort(port)
    return VIREO_OK
  }
}

/// See vireo.h.
@c(vireo_console_set_open)
public func consoleSetOpen(_ device: OpaquePointer?, _ port: UInt32, _ isOpen: CInt) -> vireo_status {
  unsafe withPort(device, port) { ports, port in
    guard ports.hasPort(port) else { return VIREO_WRONG_STATE }
    ports.setOpen(isOpen != 0, port: port)
    return VIREO_OK
  }
}

/// See vireo.h.
@c(vireo_console_resize)
public func consoleResize(
  _ device: OpaquePointer?, _ port: UInt32, _ columns: UInt16, _ rows: UInt16
) -> vireo_status {
  unsafe withPort(device, port) { ports, port in
    guard ports.hasPort(port) else { return VIREO_WRONG_STATE }
    ports.resize(ConsoleSize(columns: columns, rows: rows), port: port)
    return VIREO_OK
  }
}
