// The agents: what is the same for all of them.

import CMachine
import Machine
import SCMI
import Wire

/// An agent of the controller, on a core of its own.
typealias Agent = SCMIAgent<SharedMemoryAgentChannel<Doorbell>>

/// Rings at the controller, and waits for it.
struct Doorbell: AgentDoorbell {
  private let commands: MessageArea
  private let events: MessageArea
  private var deadline = Deadline.never
  /// Whether to look at the area again and again, instead of sleeping until the controller rings.
  var polls = false

  init(_ agent: Int) {
    commands = MessageArea(SharedMemory.commands(of: agent))
    events = MessageArea(SharedMemory.events(of: agent))
  }

  mutating func ring() { Cores.ring(0) }

  mutating func wait(attempt: Int) -> Bool {
    if attempt == 0 { deadline = .after(milliseconds: Agents.patience) }
    let commands = commands
    if polls {
      while !commands.isFree { if deadline.hasPassed { return false } }
      return true
    }
    return Interrupts.wait(until: deadline) { commands.isFree } && !deadline.hasPassed
  }

  /// Sleeps until the controller has sent something on its own. False when it does not.
  func waitForEvent() -> Bool {
    let events = events
    return Interrupts.wait(until: .after(milliseconds: Agents.patience)) { !events.isFree }
  }
}

enum Agents {
  /// How many there are: the cores behind the controller's.
  static var count: Int { 2 }
  /// The longest that anything may take, in milliseconds: the machine may be a slow emulator.
  static var patience: UInt64 { 20_000 }

  /// What an agent's core does.
  static func run(_ index: Int) -> Never {
    let agent = Agent(
      SharedMemoryAgentChannel(
        commands: SharedMemory.commands(of: index), events: SharedMemory.events(of: index),
        doorbell: Doorbell(index), wantsInterrupt: true))
    if index == 0 {
      var checker = Checker(agent)
      Report.end(passed: checker.run())
    }
    var neighbour = Neighbour(agent)
    neighbour.run()
    while true { machine_wait_for_interrupt() }
  }

  /// Waits until the agents are as far as `phase`.
  static func wait(for phase: UInt32) {
    let end = Deadline.after(milliseconds: 3 * patience)
    while SharedMemory.phase < phase {
      // Nobody rings for this.
      _ = Interrupts.wait(until: .after(milliseconds: 2)) { SharedMemory.phase >= phase }
      if end.hasPassed { Report.fail("the other agent does not go on") }
    }
  }
}

extension SCMIAgent where Channel: ~Copyable {
  /// Whether a command fails with that status.
  mutating func isRefused<Values: MessageValues>(
    _ command: AgentCommand<Values>, _ status: SCMIStatus
  ) -> Bool {
    do throws(AgentFault) {
      _ = try call(command)
      return false
    } catch {
      return error == .status(status)
    }
  }
}
