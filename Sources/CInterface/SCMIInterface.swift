// The SCMI platform of vireo.h: bytes in, bytes out, the agent named by the caller.

public import CVireo
import SCMI
import Wire

typealias CallbackPlatform = SCMIPlatform<CallbackBoard, 8, 32>

/// A platform in the caller's storage.
struct SCMIBox: ~Copyable {
  /// Tells it from other storage.
  var mark: UInt32 = SCMIBox.knownMark
  /// Whether a call is under way: its callbacks cannot begin another one.
  var isEntered = false
  /// What agents were granted, a bit for each resource of each kind.
  var granted = [8 of [5 of UInt32]](repeating: [5 of UInt32](repeating: 0))
  var platform: CallbackPlatform

  static var knownMark: UInt32 { 0x5649_0100 }

  init(_ board: CallbackBoard) { platform = CallbackPlatform(backend: board) }
}

/// Calls `body` with the platform of a handle, unless the handle is none or a call is under way.
@inline(__always)
private func with(
  _ handle: OpaquePointer?, _ body: (inout SCMIBox) -> vireo_status
) -> vireo_status {
  guard let handle = unsafe handle else { return VIREO_BAD_ARGUMENT }
  // Set up by `vireo_scmi_create`, or nothing of ours, which the mark tells.
  let box = unsafe UnsafeMutableRawPointer(handle).assumingMemoryBound(to: SCMIBox.self)
  guard unsafe box.pointee.mark == SCMIBox.knownMark else { return VIREO_BAD_ARGUMENT }
  if unsafe box.pointee.isEntered { return VIREO_WRONG_STATE }
  unsafe box.pointee.isEntered = true
  let status = unsafe body(&box.pointee)
  unsafe box.pointee.isEntered = false
  return status
}

extension SCMIBox {
  /// The agent of that number, if there is one.
  fileprivate func agent(_ number: UInt32) -> AgentID? {
    number >= 1 && number <= UInt32(platform.agentCount) ? AgentID(UInt8(number)) : nil
  }
}

/// See vireo.h.
@c(vireo_scmi_size)
public func scmiSize() -> Int { MemoryLayout<SCMIBox>.size }

/// See vireo.h.
@c(vireo_scmi_create)
public func scmiCreate(
  _ storage: UnsafeMutableRawPointer?, _ storageSize: Int, _ settings: UnsafePointer<vireo_scmi_settings>?,
  _ scmi: UnsafeMutablePointer<OpaquePointer?>?
) -> vireo_status {
  guard let storage = unsafe storage, let settings = unsafe settings, let scmi = unsafe scmi,
    storageSize >= MemoryLayout<SCMIBox>.size, UInt(bitPattern: storage) % UInt(deviceAlignment) == 0,
    unsafe settings.pointee.struct_size == MemoryLayout<vireo_scmi_settings>.size,
    let board = unsafe CallbackBoard(settings.pointee)
  else { return VIREO_BAD_ARGUMENT }
  // Nothing lives there yet: the storage is the caller's gift, checked to be large enough and aligned.
  let box = unsafe storage.bindMemory(to: SCMIBox.self, capacity: 1)
  unsafe box.initialize(to: SCMIBox(board))
  unsafe scmi.pointee = OpaquePointer(box)
  return VIREO_OK
}

/// See vireo.h.
@c(vireo_scmi_add_agent)
public func scmiAddAgent(
  _ scmi: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ flags: UInt32,
  _ agent: UnsafeMutablePointer<UInt32>?
) -> vireo_status {
  guard let name = unsafe name, let agent = unsafe agent, flags < 8 else { return VIREO_BAD_ARGUMENT }
  return unsafe with(scmi) { box in
    guard box.platform.agentCount < 8 else { return VIREO_BUSY }
    var text = ByteArray<64>()
    var length = 0
    while length < 63, unsafe name[length] != 0 {
      text[length] = unsafe UInt8(bitPattern: name[length])
      length += 1
    }
    let added = box.platform.addAgent(
      AgentDescription(
        name: SCMIName(bytes: text.bytes),
        profile: flags & UInt32(VIREO_SCMI_VERSION_20) != 0 ? .version20 : .version32,
        hasPlatformToAgentChannel: flags & UInt32(VIREO_SCMI_EVENTS) != 0,
        isTrusted: flags & UInt32(VIREO_SCMI_TRUSTED) != 0))
    unsafe agent.pointee = UInt32(added.rawValue)
    return VIREO_OK
  }
}

/// See vireo.h.
@c(vireo_scmi_grant)
public func scmiGrant(
  _ scmi: OpaquePointer?, _ agent: UInt32, _ resource: UInt32, _ isReadOnly: Int32
) -> vireo_status {
  unsafe with(scmi) { box in
    guard let agent = box.agent(agent), let it = box.platform.backend.identify(Int(resource)) else {
      return VIREO_BAD_ARGUMENT
    }
    let bit: UInt32 = 1 << UInt32(it.index)
    let place = Int(agent.rawValue) - 1
    if box.granted[place][it.kind] & bit != 0 { return VIREO_WRONG_STATE }
    box.granted[place][it.kind] |= bit
    box.platform.grant(
      BoardKind.resourceKind(it.kind), it.index, to: agent, rights: isReadOnly != 0 ? .none : .all)
    return VIREO_OK
  }
}

/// See vireo.h.
@c(vireo_scmi_handle)
public func scmiHandle(
  _ scmi: OpaquePointer?, _ agent: UInt32, _ command: UnsafeRawPointer?, _ commandSize: Int,
  _ response: UnsafeMutableRawPointer?, _ capacity: Int, _ responseSize: UnsafeMutablePointer<Int>?
) -> vireo_status {
  guard let command = unsafe command, let response = unsafe response, let responseSize = unsafe responseSize,
    commandSize >= 0, capacity >= 0
  else { return VIREO_BAD_ARGUMENT }
  return unsafe with(scmi) { box in
    guard let agent = box.agent(agent) else { return VIREO_BAD_ARGUMENT }
    // Fetched once: the caller's buffer may be the agent's own memory.
    guard commandSize <= MemoryLayout<MessageBytes>.size else { return VIREO_TOO_SMALL }
    let request = unsafe MessageBytes(
      prefixOf: RawSpan(_unsafeBytes: UnsafeRawBufferPointer(start: command, count: commandSize)))
    var reply = MessageBytes()
    let room = min(capacity, MemoryLayout<MessageBytes>.size)
    var bytes = reply.mutableBytes
    var target = bytes._mutatingExtracting(first: room)
    let count = box.platform.handle(request.bytes.extracting(first: commandSize), from: agent, into: &target)
    guard count > 0 else { return VIREO_TOO_SMALL }
    // At most `room`, which there is.
    unsafe copy(reply, count, to: response)
    unsafe responseSize.pointee = count
    return VIREO_OK
  }
}

/// See vireo.h.
@c(vireo_scmi_next)
public func scmiNext(
  _ scmi: OpaquePointer?, _ agent: UInt32, _ message: UnsafeMutableRawPointer?, _ capacity: Int,
  _ messageSize: UnsafeMutablePointer<Int>?
) -> vireo_status {
  guard let message = unsafe message, let messageSize = unsafe messageSize else { return VIREO_BAD_ARGUMENT }
  return unsafe with(scmi) { box in
    guard let agent = box.agent(agent) else { return VIREO_BAD_ARGUMENT }
    guard capacity >= CallbackPlatform.messageByteLimit else { return VIREO_TOO_SMALL }
    var bytes = MessageBytes()
    var all = bytes.mutableBytes
    var target = all._mutatingExtracting(first: CallbackPlatform.messageByteLimit)
    let count = box.platform.nextMessage(for: agent, into: &target)
    guard count > 0 else { return VIREO_EMPTY }
    // At most `messageByteLimit`, for which there is room.
    unsafe copy(bytes, count, to: message)
    unsafe messageSize.pointee = count
    return VIREO_OK
  }
}

/// Copies the first bytes of a message to where the caller has as much room.
@unsafe
private func copy(_ message: borrowing MessageBytes, _ count: Int, to target: UnsafeMutableRawPointer) {
  unsafe message.bytes.extracting(first: count).withUnsafeBytes {
    unsafe target.copyMemory(from: $0.baseAddress!, byteCount: count)
  }
}

/// See vireo.h.
@c(vireo_scmi_finish)
public func scmiFinish(_ scmi: OpaquePointer?, _ operation: UInt32, _ status: Int32) -> vireo_status {
  guard let operation = OperationID(number: operation), status <= 0 else { return VIREO_BAD_ARGUMENT }
  return unsafe with(scmi) { box in
    box.platform.finish(operation, SCMIStatus(rawValue: status))
    return VIREO_OK
  }
}

/// See vireo.h.
@c(vireo_scmi_reset_agent)
public func scmiResetAgent(_ scmi: OpaquePointer?, _ agent: UInt32) -> vireo_status {
  unsafe with(scmi) { box in
    guard let agent = box.agent(agent) else { return VIREO_BAD_ARGUMENT }
    box.platform.resetAgent(agent)
    return VIREO_OK
  }
}
