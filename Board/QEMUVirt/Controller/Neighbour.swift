// The second agent: it shares the ticker with the first, and then behaves badly.

import Machine
import SCMI
import Wire

struct Neighbour: ~Copyable {
  private var agent: Agent

  init(_ agent: consuming Agent) { self.agent = agent }

  mutating func run() {
    do throws(AgentFault) {
      Agents.wait(for: Phase.neighbourTakesTicker)
      try takeTicker()
      SharedMemory.phase = Phase.neighbourHasTicker
      Agents.wait(for: Phase.neighbourReleases)
      _ = try agent.call(ClockCommand.configSet(0, isEnabled: false))
      SharedMemory.phase = Phase.neighbourHasReleased
      Agents.wait(for: Phase.neighbourMisbehaves)
      misbehave()
      let rate = try agent.call(ClockCommand.rateGet(0))
      Report.line("neighbour.recovers", rate == 20)
    } catch {
      Report.fail("the second agent fails")
    }
    SharedMemory.phase = Phase.neighbourIsDone
  }

  /// Sees the ticker alone, as its clock 0, and sets it going.
  private mutating func takeTicker() throws(AgentFault) {
    let count = try agent.call(CommonCommand.attributes(.clock)) & 0xFFFF
    let isAlone = agent.isRefused(ClockCommand.rateGet(1), .notFound)
    Report.line("neighbour.view", count == 1 && isAlone)
    _ = try agent.call(ClockCommand.configSet(0, isEnabled: true))
    _ = try agent.call(ClockCommand.rateSet(0, 20))
  }

  /// Hands over commands that change while the controller reads them, and lengths that no command has.
  private mutating func misbehave() {
    let me = 1
    var random: UInt32 = 12345
    for _ in 0..<2000 {
      for offset in stride(from: 0x10, to: 0x40, by: 4) {
        random = random &* 1_664_525 &+ 1_013_904_223
        // A few words that make sense, so that the controller goes beyond the header.
        SharedMemory.poke(random >> 28 < 8 ? random >> 16 & 0x1F : random, at: offset, of: me)
      }
      SharedMemory.poke(0x0000_5005 | random & 0xF, at: 0x18, of: me)
      SharedMemory.poke(random >> 27, at: 0x14, of: me)
      SharedMemory.poke(0, at: 0x04, of: me)
      Cores.ring(0)
      for offset in stride(from: 0x3C, to: 0x10, by: -4) {
        SharedMemory.poke(random &+ UInt32(offset), at: offset, of: me)
      }
    }
    // What was handed over last is answered, or a late bell is.
    let end = Deadline.after(milliseconds: Agents.patience)
    while SharedMemory.peek(at: 0x04, of: me) & 1 == 0 {
      Cores.ring(0)
      if end.hasPassed { Report.fail("the controller does not answer") }
    }
    // Back to a rate that is known, whatever was asked for meanwhile.
    do throws(AgentFault) {
      _ = try agent.call(BaseCommand.resetAgentConfiguration(agent: 2, resetsPermissions: false))
      _ = try agent.call(ClockCommand.rateSet(0, 20))
    } catch {
      Report.fail("a good command fails after bad ones")
    }
  }
}

/// How far the agents are: each value is set by one of them and waited for by the other.
enum Phase {
  static var neighbourTakesTicker: UInt32 { 1 }
  static var neighbourHasTicker: UInt32 { 2 }
  static var neighbourReleases: UInt32 { 3 }
  static var neighbourHasReleased: UInt32 { 4 }
  static var neighbourMisbehaves: UInt32 { 5 }
  static var neighbourIsDone: UInt32 { 6 }
}
