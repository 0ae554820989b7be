// The network device of vireo.h.

public import CVireo
import DeviceTypes
import Virtio
import Wire

/// The embedder's link.
@safe
struct CallbackLink: NetworkBackend {
  private let settings: vireo_network_settings

  /// Nil when a function is missing.
  init?(_ settings: vireo_network_settings) {
    let known = UInt32(truncatingIfNeeded: NetworkOffloads.all.rawValue)
    guard unsafe settings.transmit != nil, unsafe settings.waiting != nil, unsafe settings.receive != nil,
      unsafe settings.drop != nil,
      unsafe (settings.transmit_offloads | settings.receive_offloads) & ~known == 0,
      unsafe settings.receive_offloads == 0 || settings.allow_offloads != nil
    else { return nil }
    unsafe self.settings = settings
  }

  var transmitOffloads: NetworkOffloads {
    unsafe NetworkOffloads(rawValue: UInt64(settings.transmit_offloads))
  }
  var receiveOffloads: NetworkOffloads {
    unsafe NetworkOffloads(rawValue: UInt64(settings.receive_offloads))
  }

  // Below: the embedder's functions, with its context. The pieces of a frame have the layout of vireo_segment
  // (checked when a device is made), and are valid for the call.

  mutating func transmit(
    _ frame: borrowing NetworkFrame, _ offload: NetworkOffload, tag: UInt32
  ) -> NetworkTransmission {
    var left = vireo_network_offload(offload)
    let status = unsafe frame.ranges.withUnsafeBufferPointer { list in
      unsafe settings.transmit(settings.context, cSegments(list), list.count, &left)
    }
    return status == VIREO_BUSY ? .busy : .done
  }

  mutating func waitingFrame() -> NetworkWaitingFrame? {
    var frame = vireo_network_frame()
    guard unsafe settings.waiting(settings.context, &frame) != 0 else { return nil }
    // The tuple of the 64 bytes, only copied.
    let prefix = unsafe withUnsafeBytes(of: &frame.prefix) { bytes in
      unsafe ByteArray<64>(prefixOf: RawSpan(_unsafeBytes: bytes))
    }
    // A length that no frame has stands for any such: the device drops it.
    return NetworkWaitingFrame(
      byteCount: Int(frame.byte_count), prefix: prefix, offload: NetworkOffload(frame.offload))
  }

  mutating func receive(into frame: borrowing NetworkFrame) -> Bool {
    unsafe frame.ranges.withUnsafeBufferPointer { list in
      unsafe settings.receive(settings.context, cSegments(list), list.count) == VIREO_OK
    }
  }

  mutating func dropFrame() { unsafe settings.drop(settings.context) }

  mutating func setReceiveOffloads(_ offloads: NetworkOffloads) {
    if let allow = unsafe settings.allow_offloads {
      unsafe allow(settings.context, UInt32(truncatingIfNeeded: offloads.rawValue))
    }
  }
}

extension vireo_network_offload {
  /// As C sees it.
  fileprivate init(_ offload: NetworkOffload) {
    self.init()
    switch offload.checksum {
    case .unchecked: checksum = 0
    case .valid: checksum = 1
    case .partial(let start, let offset):
      checksum = 2
      checksum_start = start
      checksum_offset = offset
    }
    if let cut = offload.segmentation {
      switch cut.kind {
      case .tcp4: segmentation = 1
      case .tcp6: segmentation = 2
      case .udp: segmentation = 3
      }
      segment_size = cut.segmentSize
      has_ecn = cut.hasECN ? 1 : 0
    }
    header_length = offload.headerLength
  }
}

extension NetworkOffload {
  /// As C says it. What makes no sense is refused by the device, which drops the frame.
  fileprivate init(_ offload: vireo_network_offload) {
    self.init(headerLength: offload.header_length)
    switch offload.checksum {
    case 1: checksum = .valid
    case 2: checksum = .partial(start: offload.checksum_start, offset: offload.checksum_offset)
    default: break
    }
    let kind: NetworkSegmentation.Kind
    switch offload.segmentation {
    case 1: kind = .tcp4
    case 2: kind = .tcp6
    case 3: kind = .udp
    default: return
    }
    segmentation = NetworkSegmentation(
      kind, segmentSize: offload.segment_size, hasECN: offload.has_ecn != 0)
  }
}

extension NetworkDeviceSettings {
  /// Nil for an address or an MTU that no device can have.
  fileprivate init?(_ settings: vireo_network_settings, withheld: Features) {
    let b = unsafe settings.mac
    let mac = MACAddress(b.0, b.1, b.2, b.3, b.4, b.5)
    let isMultiQueue = unsafe settings.flags & UInt32(VIREO_NETWORK_MULTIQUEUE) != 0
    guard unsafe settings.flags & ~UInt32(VIREO_NETWORK_MULTIQUEUE) == 0, !mac.isMulticast,
      unsafe settings.mtu == 0 || settings.mtu >= 1280
    else { return nil }
    unsafe self.init(
      mac: mac, mtu: settings.mtu == 0 ? nil : settings.mtu,
      withheld: isMultiQueue ? withheld : withheld | NetworkFeature.multiQueue)
  }
}

/// See vireo.h.
@c(vireo_network_size)
public func networkSize() -> Int { MemoryLayout<NetworkBox>.size }

/// See vireo.h.
@c(vireo_network_create)
public func networkCreate(
  _ storage: UnsafeMutableRawPointer?, _ storageSize: Int, _ common: UnsafePointer<vireo_device_settings>?,
  _ settings: UnsafePointer<vireo_network_settings>?, _ device: UnsafeMutablePointer<OpaquePointer?>?
) -> vireo_status {
  precondition(
    unsafe MemoryLayout<GuestRange>.stride == MemoryLayout<vireo_segment>.size, "vireo_segment differs")
  guard let device = unsafe device, let settings = unsafe settings,
    unsafe settings.pointee.struct_size == MemoryLayout<vireo_network_settings>.size,
    let parts = unsafe DeviceParts(common), let link = unsafe CallbackLink(settings.pointee),
    let shown = unsafe NetworkDeviceSettings(settings.pointee, withheld: parts.withheld),
    let box = unsafe checkedStorage(storage, storageSize, for: NetworkBox.self)
  else { return VIREO_BAD_ARGUMENT }
  // Checked storage in which nothing lives.
  unsafe box.initialize(
    to: NetworkBox(
      header: DeviceHeader(kind: .network),
      transport: MMIODeviceTransport(
        device: NetworkDevice(backend: link, settings: shown), line: parts.line, memory: parts.memory,
        withheld: parts.withheld)))
  unsafe device.pointee = OpaquePointer(box)
  return VIREO_OK
}

/// See vireo.h.
@c(vireo_network_set_link)
public func networkSetLink(_ device: OpaquePointer?, _ isUp: CInt) -> vireo_status {
  unsafe withBox(device, .network, NetworkBox.self) { transport in
    transport.device.linkIsUp = isUp != 0
    return VIREO_OK
  }
}

/// See vireo.h.
@c(vireo_network_announce)
public func networkAnnounce(_ device: OpaquePointer?) -> vireo_status {
  unsafe withBox(device, .network, NetworkBox.self) { transport in
    transport.device.requestAnnouncement()
    return VIREO_OK
  }
}
