// The vhost-user protocol: its messages. Fields are little-endian, as all hosts we run on are. The front end,
// a VMM, is not trusted.

/// What a front end can ask. Raw values are the protocol's.
enum VhostUserRequest: UInt32 {
  case getFeatures = 1
  case setFeatures = 2
  case setOwner = 3
  case resetOwner = 4
  case setMemoryTable = 5
  case setRingSize = 8
  case setRingAddresses = 9
  case setRingBase = 10
  case getRingBase = 11
  case setRingKick = 12
  case setRingCall = 13
  case setRingError = 14
  case getProtocolFeatures = 15
  case setProtocolFeatures = 16
  case getQueueCount = 17
  case setRingEnable = 18
  case setMTU = 20
  case setBackendSocket = 21
  case getConfiguration = 24
  case setConfiguration = 25
  case getInFlightFile = 31
  case setInFlightFile = 32
  case resetDevice = 34
  case getMemorySlotCount = 36
  case addMemoryRegion = 37
  case removeMemoryRegion = 38
  case setStatus = 39
  case getStatus = 40
}

/// What a back end can say of its own accord.
enum VhostUserNotice {
  static var configurationChange: UInt32 { 2 }
}

/// Protocol features, by bit.
enum VhostUserFeature {
  static var multiqueue: UInt64 { 1 << 0 }
  static var replyAck: UInt64 { 1 << 3 }
  static var mtu: UInt64 { 1 << 4 }
  static var backendSocket: UInt64 { 1 << 5 }
  static var configuration: UInt64 { 1 << 9 }
  static var inFlightFile: UInt64 { 1 << 12 }
  static var resetDevice: UInt64 { 1 << 13 }
  static var memorySlots: UInt64 { 1 << 15 }
  static var status: UInt64 { 1 << 16 }
  /// In the virtio feature word: the protocol has features at all (VHOST_USER_F_PROTOCOL_FEATURES).
  static var protocolFeatures: UInt64 { 1 << 30 }
}

/// The start of every message.
struct VhostUserHeader: Equatable {
  static var byteCount: Int { 12 }
  /// More than any message that we take: SET_CONFIG with the largest configuration space.
  static var payloadByteCountMax: Int { 4096 }
  private static var version: UInt32 { 1 }
  private static var replyFlag: UInt32 { 1 << 2 }
  private static var needsReplyFlag: UInt32 { 1 << 3 }

  var request: UInt32
  var flags: UInt32
  var payloadByteCount: Int

  /// The header in `bytes`, or nil when it is none of version 1 from a front end, or announces too much.
  init?(_ bytes: [UInt8]) {
    guard let request = bytes.load(UInt32.self, at: 0), let flags = bytes.load(UInt32.self, at: 4),
      let byteCount = bytes.load(UInt32.self, at: 8)
    else { return nil }
    guard flags & 0b11 == Self.version, flags & Self.replyFlag == 0,
      byteCount <= UInt32(Self.payloadByteCountMax)
    else { return nil }
    self.request = request
    self.flags = flags
    payloadByteCount = Int(byteCount)
  }

  /// Whether the front end wants to know how it went (with REPLY_ACK).
  var needsReply: Bool { flags & Self.needsReplyFlag != 0 }

  /// A whole message from the back end: the reply to `request`, or a notice.
  static func message(_ request: UInt32, isReply: Bool, _ payload: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(request)
    bytes.append(version | (isReply ? replyFlag : 0))
    bytes.append(UInt32(payload.count))
    return bytes + payload
  }
}

/// A message of the front end, and the descriptors that came with it.
struct VhostUserMessage {
  var header: VhostUserHeader
  var payload: [UInt8]
  var descriptors: [OpenFile] = []

  /// The payload as one number, which it must be.
  func number() throws(VhostUserError) -> UInt64 {
    guard payload.count == 8, let value = payload.load(UInt64.self, at: 0) else { throw .wrongLength }
    return value
  }

  /// The payload as a ring and a number of that ring, which it must be.
  func ringState() throws(VhostUserError) -> (ring: Int, value: UInt32) {
    guard payload.count == 8, let ring = payload.load(UInt32.self, at: 0),
      let value = payload.load(UInt32.self, at: 4)
    else { throw .wrongLength }
    return (Int(ring), value)
  }

  /// The ring that a message with at most one descriptor names, and the descriptor.
  func ringDescriptor() throws(VhostUserError) -> (ring: Int, descriptor: OpenFile?) {
    let value = try number()
    // Bit 8: no descriptor comes.
    guard descriptors.count == (value & 0x100 == 0 ? 1 : 0) else { throw .wrongDescriptors }
    return (Int(value & 0xff), descriptors.first)
  }

  /// The ring of SET_VRING_CALL or SET_VRING_ERR, and what is signalled; nil for nothing.
  func ringEvent() throws(VhostUserError) -> (ring: Int, event: PeerEvent?) {
    let (ring, descriptor) = try ringDescriptor()
    guard let descriptor else { return (ring, nil) }
    do throws(SystemError) { return (ring, try PeerEvent(descriptor)) } catch { throw .system(error) }
  }
}

/// What the back end answers.
struct VhostUserReply {
  var bytes: [UInt8]
  var descriptors: [OpenFile] = []
}

/// Why a message cannot be obeyed.
enum VhostUserError: Error, Equatable {
  /// The message has another length than its request says.
  case wrongLength
  /// It came with other descriptors than its request says.
  case wrongDescriptors
  /// It names a ring that the device does not have.
  case noSuchRing
  /// It is not a request that we know, or whose feature was negotiated.
  case notSupported
  /// It comes at a time when it cannot be obeyed, or a value in it is impossible.
  case invalid(String)
  /// The system refused something on its behalf.
  case system(SystemError)
}

extension [UInt8] {
  /// The little-endian number at `offset`, or nil where it would not fit.
  func load<T: FixedWidthInteger>(_: T.Type, at offset: Int) -> T? {
    let byteCount = T.bitWidth / 8
    guard offset >= 0, offset <= count - byteCount else { return nil }
    var value: T = 0
    for i in (0..<byteCount).reversed() { value = value << 8 | T(self[offset + i]) }
    return value
  }

  /// Appends a number, little-endian.
  mutating func append<T: FixedWidthInteger>(_ value: T) {
    for i in 0..<T.bitWidth / 8 { append(UInt8(truncatingIfNeeded: value >> T(8 * i))) }
  }
}
