// Our agent on our driver, our device and our platform: SCMI over virtio, in one process.

import DeviceTypes
import SCMI
import SCMIVirtio
import TestSupport
import Testing
import Virtio
import Wire

/// A board with two clocks and nothing else.
struct ClockBoard: PlatformBackend {
  var vendor: SCMIName { SCMIName("Vireo") }
  var subVendor: SCMIName { SCMIName("tests") }
  var implementationVersion: UInt32 { 1 }
  var rates: [UInt64] = [100, 200]
  var isOn = [false, false]
  var pending: OperationID?

  var clockCount: Int { 2 }
  func clock(_ clock: ClockID) -> ClockDescription {
    ClockDescription(
      rates: .list(count: 40), enableLatencyMicroseconds: 0, parentCount: 0, hasExtendedConfiguration: false,
      notifiesRateChanges: true)
  }
  func name(of clock: ClockID) -> SCMIName { SCMIName("clock") }
  func supportedRate(_ index: Int, of clock: ClockID) -> UInt64 { 100 * UInt64(index + 1) }
  func rate(of clock: ClockID) throws(SCMIStatus) -> UInt64 { rates[clock.index] }
  mutating func setRate(
    _ rate: UInt64, of clock: ClockID, operation: OperationID?
  ) throws(SCMIStatus) -> Progress {
    rates[clock.index] = rate
    pending = operation
    return operation == nil ? .finished : .pending
  }
  func isEnabled(_ clock: ClockID) throws(SCMIStatus) -> Bool { isOn[clock.index] }
  mutating func setEnabled(_ isEnabled: Bool, _ clock: ClockID) throws(SCMIStatus) {
    isOn[clock.index] = isEnabled
  }
}

typealias TestPlatform = SCMIPlatform<ClockBoard, 2, 2>
typealias TestPort = PlatformPort<ClockBoard, 2, 2>

/// Looks at the device when the agent waits.
struct DevicePatience: AgentPatience {
  let bench: Bench<SCMIDevice<TestPort>, 2>

  mutating func wait(attempt: Int) -> Bool {
    bench.transport.poll()
    return attempt < 3
  }
}

/// A platform with two agents, each behind a device of its own.
@safe
final class Machine {
  private let pointer: UnsafeMutablePointer<TestPlatform>
  let memory = [TestMemory(), TestMemory()]
  let benches: [Bench<SCMIDevice<TestPort>, 2>]

  init(implementsEvents: Bool = true) {
    unsafe pointer = .allocate(capacity: 1)
    unsafe pointer.initialize(to: TestPlatform(backend: ClockBoard()))
    var agents: [AgentID] = []
    for name in [SCMIName("first"), SCMIName("second")] {
      agents.append(unsafe pointer.pointee.addAgent(AgentDescription(name: name)))
    }
    unsafe pointer.pointee.grant(.clock, 0, to: agents[0])
    unsafe pointer.pointee.grant(.clock, 1, to: agents[0])
    unsafe pointer.pointee.grant(.clock, 1, to: agents[1])
    let (pointer, memory) = unsafe (pointer, memory)
    benches = (0..<2).map { index in
      let port = unsafe TestPort(pointer, agent: agents[index], implementsEvents: implementsEvents)
      return Bench(SCMIDevice(backend: port), memory[index])
    }
  }

  deinit {
    unsafe pointer.deinitialize(count: 1)
    unsafe pointer.deallocate()
  }

  var board: ClockBoard { unsafe pointer.pointee.backend }

  func finishPending() {
    if let operation = board.pending { unsafe pointer.pointee.finish(operation) }
  }

  func agent(_ index: Int, ringFeatures: Features = .mmioTransportBits) throws -> TestAgent {
    var arena = memory[index].arena()
    let driver = try SCMIDriver(
      try MMIODriverTransport(benches[index].registers), memory: &arena, ringFeatures: ringFeatures)!
    return SCMIAgent(VirtioAgentChannel(driver, patience: DevicePatience(bench: benches[index])))
  }
}

typealias TestRegisters = LoopbackRegisters<SCMIDevice<TestPort>, 2>
typealias TestAgent = SCMIAgent<VirtioAgentChannel<TestRegisters, DevicePatience>>

@Suite struct `SCMI over virtio` {
  let machine = Machine()

  @Test(arguments: ringFeatureMatrix)
  func `commands, delayed responses and notifications`(_ ringFeatures: Features) throws {
    var agent = try machine.agent(0, ringFeatures: ringFeatures)
    var version = try agent.call(CommonCommand.version(.base))
    #expect(version == 0x20001)
    version = try agent.call(CommonCommand.version(.clock))
    #expect(version == 0x30000)
    _ = try agent.call(ClockCommand.rateNotify(0, true))
    for round in 1...20 as ClosedRange<UInt64> {
      let pending = try agent.callAsynchronously(ClockCommand.rateSetAsynchronously(0, 100 * round))
      var event = try agent.nextEvent()
      #expect(event == nil)
      machine.finishPending()
      machine.benches[0].transport.poll()
      event = try agent.nextEvent()
      #expect(event?.answers(pending) == true)
      let change = try event?.delayedResponse(ClockCommand.RateChange.self)
      #expect(change?.rate == 100 * round)
      event = try agent.nextEvent()
      let notification = try event?.notification(ClockCommand.RateNotification.self)
      #expect(notification?.change.rate == 100 * round && notification?.agent == 1)
    }
    let strayMessageCount = agent.strayMessageCount
    #expect(strayMessageCount == 0)
    #expect(machine.benches[0].transport.fault == nil)
  }

  @Test func `a list comes in as many parts as the driver's buffer asks for`() throws {
    var agent = try machine.agent(0)
    var rates: [UInt64] = []
    while true {
      var part = try agent.call(ClockCommand.describeRates(0, from: UInt32(rates.count))).list
      // 136 bytes, of which 124 are for rates.
      #expect(part.count == min(15, 40 - rates.count))
      for _ in 0..<part.count { rates.append(try part.next()) }
      if part.remaining == 0 { break }
    }
    #expect(rates == (1...40).map { 100 * $0 })
  }

  @Test func `5.17.6.1.1 device: without P2A_CHANNELS nothing that leads to events is there`() throws {
    let machine = Machine(implementsEvents: false)
    let offered = machine.benches[0].transport.offeredFeatures
    #expect(!offered.contains(SCMIFeature.platformToAgent))
    var agent = try machine.agent(0)
    // CLOCK_RATE_NOTIFY, as an agent without manners asks for it, and what is said of it.
    let notify = AgentCommand<NoValues>(.clock, 0x9).with(UInt32(0)).with(UInt32(1))
    #expect(status { _ = try agent.call(notify) } == .notSupported)
    #expect(status { _ = try agent.call(CommonCommand.messageAttributes(.clock, 0x9)) } == .notFound)
    let setLater = AgentCommand<NoValues>(.clock, 0x5).with(UInt32(1)).with(UInt32(0)).with(UInt64(300))
    #expect(status { _ = try agent.call(setLater) } == .notSupported)
    #expect(status { _ = try agent.call(ClockCommand.rateNotify(0, true)) } == nil)
    let attributes = try agent.call(CommonCommand.attributes(.clock))
    #expect(attributes == 2)
    let rate = try agent.call(ClockCommand.rateGet(0))
    #expect(rate == 100)
  }

  @Test func `a driver that does not accept P2A_CHANNELS is such an agent too, until the next one`() throws {
    var arena = machine.memory[0].arena()
    let driver = try SCMIDriver(
      try MMIODriverTransport(machine.benches[0].registers), memory: &arena, features: .none)!
    var agent = SCMIAgent(
      VirtioAgentChannel(driver, patience: DevicePatience(bench: machine.benches[0])))
    let notify = AgentCommand<NoValues>(.clock, 0x9).with(UInt32(0)).with(UInt32(1))
    #expect(status { _ = try agent.call(notify) } == .notSupported)
    var next = try machine.agent(0)
    _ = try next.call(ClockCommand.rateNotify(0, true))
  }

  @Test func `two agents share a clock, and a reset releases what an agent held`() throws {
    var first = try machine.agent(0)
    var second = try machine.agent(1)
    _ = try first.call(ClockCommand.configSet(1, isEnabled: true))
    _ = try second.call(ClockCommand.configSet(0, isEnabled: true))
    _ = try second.call(ClockCommand.configSet(0, isEnabled: false))
    #expect(machine.board.isOn == [false, true])
    #expect(status { _ = try second.call(ClockCommand.rateGet(1)) } == .notFound)
    // The driver goes away.
    machine.benches[0].transport.write(0, at: MMIORegister.status, byteCount: 4)
    #expect(machine.board.isOn == [false, false])
  }

  @Test func `a repeated token is another command each time, also of delayed responses without a buffer`() {
    let (bench, memory) = (machine.benches[0], machine.memory[0])
    var driver = FakeDriver(bench.registers, memory)
    driver.start(features: SCMIFeature.platformToAgent, queues: 0..<2)
    let at = memory.address + 0x10000
    var sent: UInt16 = 0
    let token: UInt32 = 5 << 18

    /// Sends a command to the clocks, and returns the words behind the header of the answer.
    func answer(_ message: UInt32, _ parameters: UInt32...) -> [UInt32] {
      let header = token | 0x14 << 10 | message
      memory.write(bytes([header] + parameters), at)
      driver.descriptor(0, 0, address: at, byteCount: UInt32(4 + 4 * parameters.count), flags: 1, next: 1)
      driver.descriptor(0, 1, address: at + 0x800, byteCount: 136, flags: 2)
      driver.makeAvailable(0, 0)
      sent += 1
      #expect(driver.usedIndex(0) == sent)
      let answer = words(memory.bytes(at + 0x800, Int(driver.used(0, sent - 1).byteCount)))
      #expect(answer.first == header)
      return Array(answer.dropFirst())
    }

    for state in [1, 0, 0, 1] as [UInt32] {
      #expect(answer(0x7, 0, state, 0) == [0])
      #expect(machine.board.isOn[0] == (state == 1))
      #expect(answer(0x6, 0) == [0, 100, 0])
    }
    // Two asynchronous commands with that token, whose delayed responses find no buffer.
    for clock in [0, 1] as [UInt32] {
      #expect(answer(0x5, 1, clock, 300, 0) == [0])
      machine.finishPending()
      bench.transport.poll()
      #expect(answer(0x6, clock) == [0, 300, 0] && driver.usedIndex(1) == 0)
    }
    for slot in 0..<2 as Range<UInt16> {
      driver.offer(1, slot, address: at + 0x1000, byteCount: 136, deviceWritable: true, notify: true)
      #expect(driver.usedIndex(1) == slot + 1)
      let event = words(memory.bytes(at + 0x1000, Int(driver.used(1, slot).byteCount)))
      #expect(event == [token | 0x14 << 10 | 2 << 8 | 0x5, 0, UInt32(slot), 300, 0])
    }
    #expect(bench.transport.fault == nil)
  }

  /// The status that a call fails with; nil for another failure, or none.
  private func status(_ body: () throws -> Void) -> SCMIStatus? {
    do {
      try body()
    } catch AgentFault.status(let status) {
      return status
    } catch {}
    return nil
  }
}

private func bytes(_ words: [UInt32]) -> [UInt8] {
  words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * UInt32($0))) } }
}

private func words(_ bytes: [UInt8]) -> [UInt32] {
  stride(from: 0, to: bytes.count - 3, by: 4).map { i in
    (0..<4).reduce(0) { $0 | UInt32(bytes[i + $1]) << UInt32(8 * $1) }
  }
}
