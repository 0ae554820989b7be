// The back end of the vhost-user protocol: what each message does.

import CLinux
import Virtio

/// One front end's view of one device: from its connection to its end.
struct VhostUserSession<Device: HostedDevice & ~Copyable, let queueCount: Int>: ~Copyable {
  var device: VhostUserDevice<Device, queueCount>
  let memory: SharedMemory
  private var protocolFeatures: UInt64 = 0
  private var hasProtocolFeatures = false
  /// Where notices go, once the front end gave a socket for them.
  private var backendSocket: OpenFile?
  /// Kick descriptors that changed: (ring, old, new). The event loop takes them over.
  var kicks: [(ring: Int, old: OpenFile?, new: OpenFile?)] = []
  /// What goes with the reply to the message being handled.
  var replyDescriptors: [OpenFile] = []

  private var offeredProtocolFeatures: UInt64 {
    VhostUserFeature.multiqueue | VhostUserFeature.replyAck | VhostUserFeature.backendSocket
      | VhostUserFeature.resetDevice | VhostUserFeature.memorySlots
      | (device.device.configurationByteCount > 0 ? VhostUserFeature.configuration : 0)
      | (Device.requestsCanBeRepeated ? VhostUserFeature.inFlightFile : 0)
  }

  init(_ device: consuming Device, memory: SharedMemory, initial: GuestMemory, withheld: Features) {
    self.memory = memory
    self.device = VhostUserDevice(device, memory: initial, withheld: withheld)
  }

  /// The front end is gone, or has gone wrong: the device is as new.
  mutating func end() {
    for i in 0..<queueCount { kicks.append((i, nil, nil)) }
    device.abandon()
    memory.removeAll()
    memory.unmapRecord()
    protocolFeatures = 0
    hasProtocolFeatures = false
    backendSocket = nil
  }

  /// Obeys `message` and returns the reply, if there is one. Throws when it cannot be obeyed and the front
  /// end did not ask to be told so: the connection is of no use then.
  mutating func handle(_ message: VhostUserMessage) throws(VhostUserError) -> VhostUserReply? {
    guard let request = VhostUserRequest(rawValue: message.header.request) else { throw .notSupported }
    var payload: [UInt8]?
    var failure: VhostUserError?
    replyDescriptors = []
    do throws(VhostUserError) { payload = try obey(request, message) } catch { failure = error }
    if payload == nil, message.header.needsReply, negotiated(VhostUserFeature.replyAck) {
      var status: [UInt8] = []
      status.append(failure == nil ? 0 : 1 as UInt64)
      payload = status
      if let failure { Log.warn("refused \(request): \(failure)") }
    } else if let failure {
      throw failure
    }
    guard let payload else { return nil }
    return VhostUserReply(
      bytes: VhostUserHeader.message(message.header.request, isReply: true, payload),
      descriptors: replyDescriptors)
  }

  private func negotiated(_ feature: UInt64) -> Bool { protocolFeatures & feature != 0 }

  func require(_ feature: UInt64) throws(VhostUserError) {
    if !negotiated(feature) { throw .notSupported }
  }

  private mutating func obey(
    _ request: VhostUserRequest, _ message: VhostUserMessage
  ) throws(VhostUserError) -> [UInt8]? {
    try checkDescriptors(request, message)
    switch request {
    case .getFeatures: return bytes(device.offeredFeatures.low | VhostUserFeature.protocolFeatures)
    case .setFeatures: try setFeatures(message.number())
    case .getProtocolFeatures: return bytes(offeredProtocolFeatures)
    case .setProtocolFeatures: try setProtocolFeatures(message.number())
    case .getQueueCount:
      try require(VhostUserFeature.multiqueue)
      return bytes(UInt64(min(queueCount, device.device.announcedQueueCount)))
    case .setOwner: break
    case .resetOwner, .resetDevice: resetDevice()
    case .setMemoryTable: try setMemoryTable(message)
    case .getMemorySlotCount: return bytes(UInt64(SharedMemory.regionLimit))
    case .addMemoryRegion, .removeMemoryRegion: try changeRegion(request, message)
    case .getConfiguration: return try configuration(message)
    case .setConfiguration: try setConfiguration(message)
    case .setBackendSocket:
      try require(VhostUserFeature.backendSocket)
      backendSocket = message.descriptors.first
    case .getInFlightFile: return try makeRecord(message)
    case .setInFlightFile: try takeRecord(message)
    case .setMTU, .setStatus, .getStatus: throw .notSupported
    default: return try obeyRing(request, message)
    }
    return nil
  }

  private mutating func obeyRing(
    _ request: VhostUserRequest, _ message: VhostUserMessage
  ) throws(VhostUserError) -> [UInt8]? {
    switch request {
    case .setRingSize:
      let (ring, size) = try message.ringState()
      guard size <= UInt32(maximumQueueSize) else { throw .invalid("a ring of \(size) descriptors") }
      try device.configure(ring) { $0.size = UInt16(size) }
    case .setRingAddresses: try setRingAddresses(message)
    case .setRingBase:
      let (ring, base) = try message.ringState()
      try device.configure(ring) { $0.base = base }
    case .getRingBase:
      let (ring, _) = try message.ringState()
      let base = try device.stop(ring)
      kicks.append((ring, nil, nil))
      return bytes(UInt64(ring) | UInt64(base) << 32)
    case .setRingKick:
      let (ring, kick) = try message.ringDescriptor()
      try device.start(ring, kick: kick, memory)
      kicks.append((ring, nil, kick))
      // Without protocol features there is no message that enables a ring.
      if !hasProtocolFeatures { try device.setEnabled(ring, true) }
    case .setRingCall:
      let (ring, call) = try message.ringEvent()
      try device.setCall(ring, call)
    case .setRingError:
      let (ring, error) = try message.ringEvent()
      try device.setError(ring, error)
    case .setRingEnable:
      let (ring, isEnabled) = try message.ringState()
      try device.setEnabled(ring, isEnabled != 0)
    default: throw .notSupported
    }
    return nil
  }

  /// Descriptors come only with messages that say so, and exactly as many.
  private func checkDescriptors(
    _ request: VhostUserRequest, _ message: VhostUserMessage
  ) throws(VhostUserError) {
    switch request {
    case .setMemoryTable, .setRingKick, .setRingCall, .setRingError: break
    case .setBackendSocket, .addMemoryRegion, .setInFlightFile:
      guard message.descriptors.count == 1 else { throw .wrongDescriptors }
    case .removeMemoryRegion:
      // A front end may send the file again; it is of no use here.
      guard message.descriptors.count <= 1 else { throw .wrongDescriptors }
    default:
      guard message.descriptors.isEmpty else { throw .wrongDescriptors }
    }
  }

  private func bytes(_ number: UInt64) -> [UInt8] {
    var result: [UInt8] = []
    result.append(number)
    return result
  }

  // MARK: Features and life

  private mutating func setFeatures(_ bits: UInt64) throws(VhostUserError) {
    hasProtocolFeatures = bits & VhostUserFeature.protocolFeatures != 0
    try device.setFeatures(Features(low: bits & ~VhostUserFeature.protocolFeatures))
  }

  private mutating func setProtocolFeatures(_ bits: UInt64) throws(VhostUserError) {
    guard bits & ~offeredProtocolFeatures == 0 else { throw .invalid("protocol features not offered") }
    protocolFeatures = bits
  }

  private mutating func resetDevice() {
    for i in 0..<queueCount { kicks.append((i, nil, nil)) }
    device.reset()
  }

  // MARK: Memory

  private mutating func setMemoryTable(_ message: VhostUserMessage) throws(VhostUserError) {
    guard let count = message.payload.load(UInt32.self, at: 0), message.payload.count == 8 + 32 * Int(count)
    else { throw .wrongLength }
    guard message.descriptors.count == Int(count) else { throw .wrongDescriptors }
    var regions: [SharedRegion] = []
    for i in 0..<Int(count) { regions.append(try region(message.payload, at: 8 + 32 * i)) }
    let memory = memory
    try device.changeMemory(memory) { () throws(VhostUserError) in
      memory.removeAll()
      for (region, file) in zip(regions, message.descriptors) { try memory.add(region, of: file) }
    }
  }

  private mutating func changeRegion(
    _ request: VhostUserRequest, _ message: VhostUserMessage
  ) throws(VhostUserError) {
    try require(VhostUserFeature.memorySlots)
    guard message.payload.count == 40 else { throw .wrongLength }
    let region = try region(message.payload, at: 8)
    let memory = memory
    try device.changeMemory(memory) { () throws(VhostUserError) in
      if request == .addMemoryRegion {
        try memory.add(region, of: message.descriptors[0])
      } else {
        try memory.remove(region)
      }
    }
  }

  private func region(_ payload: [UInt8], at offset: Int) throws(VhostUserError) -> SharedRegion {
    guard let guestAddress = payload.load(UInt64.self, at: offset),
      let byteCount = payload.load(UInt64.self, at: offset + 8),
      let frontEndAddress = payload.load(UInt64.self, at: offset + 16),
      let fileOffset = payload.load(UInt64.self, at: offset + 24)
    else { throw .wrongLength }
    guard fileOffset <= UInt64(Int64.max) else { throw .invalid("a memory region beyond all bounds") }
    return SharedRegion(
      guestAddress: guestAddress, byteCount: byteCount, frontEndAddress: frontEndAddress,
      fileOffset: fileOffset)
  }

  private mutating func setRingAddresses(_ message: VhostUserMessage) throws(VhostUserError) {
    let payload = message.payload
    guard payload.count == 40, let ring = payload.load(UInt32.self, at: 0),
      let flags = payload.load(UInt32.self, at: 4), let descriptors = payload.load(UInt64.self, at: 8),
      let used = payload.load(UInt64.self, at: 16), let available = payload.load(UInt64.self, at: 24)
    else { throw .wrongLength }
    // Bit 0 asks to log writes for migration, which was not offered.
    guard flags & 1 == 0 else { throw .notSupported }
    var addresses = QueueAddresses()
    addresses.descriptorArea = descriptors
    addresses.driverArea = available
    addresses.deviceArea = used
    try device.configure(Int(ring)) { $0.addresses = addresses }
  }

  // MARK: Configuration

  private func configuration(_ message: VhostUserMessage) throws(VhostUserError) -> [UInt8] {
    let (offset, byteCount) = try configurationPlace(message)
    return Array(message.payload.prefix(12)) + device.configuration(at: offset, byteCount: byteCount)
  }

  private mutating func setConfiguration(_ message: VhostUserMessage) throws(VhostUserError) {
    let (offset, _) = try configurationPlace(message)
    try device.setConfiguration(Array(message.payload.dropFirst(12)), at: offset)
  }

  private func configurationPlace(
    _ message: VhostUserMessage
  ) throws(VhostUserError) -> (offset: Int, byteCount: Int) {
    try require(VhostUserFeature.configuration)
    guard let offset = message.payload.load(UInt32.self, at: 0),
      let byteCount = message.payload.load(UInt32.self, at: 4),
      message.payload.count == 12 + Int(byteCount)
    else { throw .wrongLength }
    // The protocol's limit of the configuration space.
    guard offset <= 256, byteCount <= 256 - offset else { throw .invalid("beyond the configuration space") }
    return (Int(offset), Int(byteCount))
  }

  /// Tells the front end of a change of the configuration, if it wants to know.
  mutating func announceConfigurationChange() {
    guard device.owesConfigurationChange else { return }
    device.owesConfigurationChange = false
    guard let backendSocket, negotiated(VhostUserFeature.configuration) else { return }
    let notice = VhostUserHeader.message(VhostUserNotice.configurationChange, isReply: false, [])
    // Best effort: a front end that does not read its socket learns of the change when it looks, and is not
    // waited for.
    _ = unsafe notice.withUnsafeBytes { bytes in
      // Sending does not change them.
      var vector = unsafe iovec(
        iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
      return unsafe clinux_send_vectors(backendSocket.number, &vector, 1)
    }
  }
}
