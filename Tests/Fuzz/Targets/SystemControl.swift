// The SCMI platform against agents that send whatever the fuzzer makes up.

import DeviceTypes
import SCMI
import SystemControlBoard
import Virtio
import Wire

private typealias FuzzPlatform = SCMIPlatform<SystemControlBoard<2>, 3, 2>

/// A platform whose agents all see everything: a trusted one, one of SCMI 2.0, and one without events.
private func fuzzPlatform() -> FuzzPlatform {
  var platform = FuzzPlatform(backend: SystemControlBoard())
  for i in 0..<3 {
    let agent = platform.addAgent(
      AgentDescription(
        name: SCMIName("agent"), profile: i == 1 ? .version20 : .version32,
        hasPlatformToAgentChannel: i < 2, isTrusted: i == 0, systemPower: .controls))
    for kind in 0..<10 as Range<UInt8> {
      guard let kind = ResourceKind(rawValue: kind) else { continue }
      platform.grant(kind, 0, to: agent)
      platform.grant(kind, 1, to: agent)
    }
  }
  return platform
}

/// A command that is mostly one that the platform knows. Returns its length in bytes.
private func command(_ input: inout Input, _ request: inout ByteArray<256>) -> Int {
  let header = MessageHeader(
    ProtocolID(rawValue: UInt8(0x10 + input.pick(11))), UInt8(input.pick(18)), token: input.next())
  request.store(input.oneIn(32) ? input.next(UInt32.self) : header.word, at: 0)
  let count = input.pick(8)
  for i in 0..<count {
    let word = input.oneIn(4) ? input.next(UInt32.self) : UInt32(input.pick(4))
    request.store(word, at: 4 + 4 * i)
  }
  return 4 + 4 * count - (input.oneIn(16) ? input.pick(5) : 0)
}

/// Bytes in, bytes out: every command has a response, and everything that happens on the board is bounded.
@c(fuzz_scmi_platform)
public func fuzzSystemControl(_ data: UnsafePointer<UInt8>?, _ count: Int) {
  unsafe withInput(data, count) { input, _, _ in
    var platform = fuzzPlatform()
    var request = ByteArray<256>()
    var reply = ByteArray<256>()
    while !input.isEmpty {
      let agent = AgentID(UInt8(1 + input.pick(3)))
      let capacity = input.oneIn(8) ? input.pick(140) : 136
      let length = command(&input, &request)
      var bytes = reply.mutableBytes
      var room = bytes._mutatingExtracting(0..<capacity)
      let written = platform.handle(request.view(length), from: agent, into: &room)
      precondition(written <= capacity && (written >= 8 || length < 4 || capacity < 8))
      stir(&platform, &input, agent)
    }
  }
}

/// What the board and the channels do between two commands.
private func stir(_ platform: inout FuzzPlatform, _ input: inout Input, _ agent: AgentID) {
  switch input.pick(12) {
  case 0:
    platform.backend.value = input.next()
    platform.sensorUpdated(SensorID(input.pick(2)))
  case 1:
    platform.backend.power = input.next()
    platform.powerMeasured(PowercapDomainID(input.pick(2)))
  case 2: platform.requestSystemPower(.shutdown, isGraceful: true, system: 0)
  case 3:
    platform.performanceChannelWritten(
      input.oneIn(2) ? 5 : 7, UInt32(input.pick(4)), input.number(), input.number(), by: agent)
  case 4: platform.powercapChannelWritten(5, UInt32(input.pick(4)), input.number(), by: agent)
  case 5:
    if let operation = platform.backend.pending {
      platform.finish(operation, input.oneIn(2) ? .hardwareError : .success)
    }
  case 6: platform.backend.isSlow = input.oneIn(2)
  case 7: if input.oneIn(16) { platform.resetAgent(agent) }
  default:
    var buffer = ByteArray<256>()
    var room = buffer.mutableBytes
    let length = platform.nextMessage(for: agent, into: &room)
    precondition(length == 0 || (length >= 8 && length <= FuzzPlatform.messageByteLimit))
  }
}

/// The same through a shared memory area that the agent writes at will.
@c(fuzz_scmi_shared_memory)
public func fuzzSharedMemory(_ data: UnsafePointer<UInt8>?, _ count: Int) {
  unsafe withInput(data, count) { input, _, _ in attackArea(&input, by: nil) }
}

/// The same by SMC or HVC: registers that are not those of the doorbell leave the area alone.
@c(fuzz_scmi_call)
public func fuzzDoorbellCall(_ data: UnsafePointer<UInt8>?, _ count: Int) {
  unsafe withInput(data, count) { input, _, _ in
    attackArea(
      &input,
      by: input.oneIn(2)
        ? DoorbellCall(functionID: 0x8200_0010)
        : DoorbellCall(functionID: 0x8200_0010, areaAddress: 0x4_7f00_0080))
  }
}

private func attackArea(_ input: inout Input, by call: DoorbellCall?) {
  var platform = fuzzPlatform()
  let words = UnsafeMutableBufferPointer<UInt32>.allocate(capacity: 40)
  unsafe words.initialize(repeating: 0)
  // The words outlive the channel.
  let area = unsafe SharedArea(base: UnsafeMutableRawPointer(words.baseAddress!), byteCount: 160)
  var channel = PlatformChannel(commands: area)
  var request = ByteArray<256>()
  while !input.isEmpty {
    let length = command(&input, &request)
    for i in 0..<32 { unsafe words[6 + i] = request.load(at: 4 * i) }
    unsafe words[5] = input.oneIn(16) ? input.next() : UInt32(length)
    unsafe words[4] = UInt32(input.pick(2))
    unsafe words[1] = input.oneIn(16) ? input.next() : 0
    if let call, !isRung(call, &input) { continue }
    let wasFree = unsafe words[1] & 1 != 0
    let service = channel.serve(AgentID(1), &platform)
    precondition(wasFree == (service == .idle))
    precondition(unsafe words[1] & 1 == 1 && (wasFree || words[5] <= 136 || words[1] & 2 != 0))
    stir(&platform, &input, AgentID(1))
  }
  unsafe words.deallocate()
}

/// A call whose registers are mostly those of the doorbell. Whether it is one.
private func isRung(_ call: DoorbellCall, _ input: inout Input) -> Bool {
  var (x0, x1, x2) = call.registers
  let right = (x0, x1, x2)
  switch input.pick(8) {
  case 0: x0 = input.next()
  case 1: x1 = input.next()
  case 2: x2 = input.next()
  default: break
  }
  let verdict = call.verdict(x0, x1, x2)
  precondition((x0, x1, x2) != right || verdict == .doorbell, "the doorbell was not heard")
  return verdict == .doorbell
}

// MARK: virtio

/// The platform as the device of its first agent has it.
struct FuzzPort: SCMIBackend, ~Copyable {
  fileprivate var platform = fuzzPlatform()
  let implementsEvents: Bool

  mutating func start(receivesEvents: Bool) {
    platform.setPlatformToAgentChannel(receivesEvents, for: AgentID(1))
  }
  mutating func respond(to command: RawSpan, into response: inout MutableRawSpan) -> Int {
    platform.handle(command, from: AgentID(1), into: &response)
  }
  var hasEvent: Bool {
    mutating get { platform.hasMessage(for: AgentID(1)) }
  }
  mutating func nextEvent(into event: inout MutableRawSpan) -> Int {
    platform.nextMessage(for: AgentID(1), into: &event)
  }
  mutating func reset() { platform.resetAgent(AgentID(1)) }
}

extension SCMIDevice: AttackedDevice where Backend == FuzzPort {
  static func make(_ input: inout Input, backing: consuming PrivateMemory) -> Self {
    Self(backend: FuzzPort(implementsEvents: !input.oneIn(4)))
  }

  /// Things happen on the board, some of them because another agent asks for them.
  mutating func event(_ input: inout Input) {
    var request = ByteArray<256>()
    var reply = ByteArray<256>()
    let length = command(&input, &request)
    var room = reply.mutableBytes
    _ = backend.platform.handle(request.view(length), from: AgentID(2), into: &room)
    stir(&backend.platform, &input, AgentID(2))
  }
}

/// The SCMI device, with the platform behind it, under a driver without rules.
@c(fuzz_scmi_device)
public func fuzzSCMIDevice(_ data: UnsafePointer<UInt8>?, _ count: Int) {
  unsafe withInput(data, count) { input, memory, guest in
    var attacker = Attacker<SCMIDevice<FuzzPort>, 2>(&input, memory, guest)
    attack(&attacker, &input)
  }
}
