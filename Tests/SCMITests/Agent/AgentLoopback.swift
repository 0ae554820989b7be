// Our agent on our platform over shared memory, in one process.

import SCMI
import Wire

/// The doorbells of both sides: ringing calls the platform, at once or when the agent waits.
final class Wires {
  let platform: Bench
  let commands: SharedBytes
  let events: SharedBytes?
  private var channel: PlatformChannel
  var agent = AgentID(1)
  /// False: the platform looks at its doorbell when the agent waits.
  var isImmediate = true
  var interruptCount = 0
  var eventInterruptCount = 0

  init(_ platform: Bench, areaByteCount: Int = 128, hasEvents: Bool = true) {
    self.platform = platform
    commands = SharedBytes(areaByteCount)
    events = hasEvents ? SharedBytes(256) : nil
    channel = PlatformChannel(commands: commands.area, events: events?.area)
  }

  func serve() {
    if channel.serve(agent, &platform.platform) == .answered(wantsInterrupt: true) { interruptCount += 1 }
    if channel.sendEvent(agent, &platform.platform, wantsInterrupt: true) { eventInterruptCount += 1 }
  }

  func makeAgent(wantsInterrupt: Bool = false) -> LoopbackAgent {
    SCMIAgent(
      SharedMemoryAgentChannel(
        commands: commands.area, events: events?.area, doorbell: LoopbackDoorbell(wires: self),
        wantsInterrupt: wantsInterrupt))
  }
}

struct LoopbackDoorbell: AgentDoorbell {
  let wires: Wires

  mutating func ring() {
    if wires.isImmediate { wires.serve() }
  }

  mutating func wait(attempt: Int) -> Bool {
    if attempt == 3 { wires.serve() }
    return attempt < 5
  }
}

typealias LoopbackAgent = SCMIAgent<SharedMemoryAgentChannel<LoopbackDoorbell>>
