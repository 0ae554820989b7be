// The controller: the SCMI platform and its loop.

import Machine
import SCMI

typealias Platform = SCMIPlatform<Board, 2, 4>

/// All that the controller has. Only the first core touches it.
struct ControllerState: ~Copyable {
  var platform = Platform(backend: Board())
  var channels: InlineArray<2, PlatformChannel>

  init() {
    let first = platform.addAgent(AgentDescription(name: SCMIName("checker"), isTrusted: true))
    let second = platform.addAgent(AgentDescription(name: SCMIName("neighbour")))
    platform.grant(.clock, Board.counter, to: first, rights: .none)
    platform.grant(.clock, Board.ticker, to: first)
    // The neighbour sees the ticker alone, as its clock 0.
    platform.grant(.clock, Board.ticker, to: second)
    channels = InlineArray { agent in
      PlatformChannel(
        commands: SharedMemory.commands(of: agent), events: SharedMemory.events(of: agent))
    }
  }

  /// Does what there is to do, and rings at the cores that wait for it.
  mutating func serve() {
    if let operation = platform.backend.tick() { platform.finish(operation) }
    for index in 0..<Agents.count {
      let agent = AgentID(UInt8(index + 1))
      let wantsInterrupt = channels[index].serve(agent, &platform) == .answered(wantsInterrupt: true)
      let isSent = channels[index].sendEvent(agent, &platform, wantsInterrupt: true)
      if wantsInterrupt || isSent { Cores.ring(index + 1) }
    }
  }

  /// Whether an agent has sent a command, or has made room for what waits for it.
  mutating func hasWork() -> Bool {
    for index in 0..<Agents.count {
      if channels[index].hasCommand { return true }
      let agent = AgentID(UInt8(index + 1))
      if channels[index].canSendEvent, platform.hasMessage(for: agent) { return true }
    }
    return false
  }
}

enum Controller {
  // Allocated once, before any other core runs, and never freed; the first core's alone.
  nonisolated(unsafe) private static var state: UnsafeMutablePointer<ControllerState>?

  /// Sets the platform and the channels up: agents find them free.
  static func prepare() {
    SharedMemory.allocate()
    let place = UnsafeMutablePointer<ControllerState>.allocate(capacity: 1)
    unsafe place.initialize(to: ControllerState())
    unsafe state = place
  }

  /// Serves for ever. Sleeps until an agent rings or the ticker is due.
  static func run() -> Never {
    let state = unsafe state.unsafelyUnwrapped
    while true {
      unsafe state.pointee.serve()
      let deadline = unsafe state.pointee.platform.backend.deadline
      _ = Interrupts.wait(until: deadline) { unsafe state.pointee.hasWork() }
    }
  }
}
