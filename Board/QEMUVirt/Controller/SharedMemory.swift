// The memory that the controller shares with its agents.

import SCMI
import Synchronization

/// A page for each agent: its commands at the start, and what the controller sends on its own further up. The
/// last page is for the words that all cores see.
enum SharedMemory {
  static var eventOffset: Int { 0x100 }
  static var commandByteCount: Int { 0x80 }
  static var eventByteCount: Int { 0x100 }
  /// A page behind those of the agents.
  private static var commonOffset: Int { Agents.count * 4096 }

  // Allocated once, before any other core runs, and never freed.
  nonisolated(unsafe) private static var base: UnsafeMutableRawPointer?

  static func allocate() {
    let byteCount = commonOffset + 4096
    let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 4096)
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    unsafe base = memory
  }

  /// Where an agent's page is.
  static func page(of agent: Int) -> UnsafeMutableRawPointer {
    unsafe base.unsafelyUnwrapped + agent * 4096
  }

  /// The area for commands of an agent.
  static func commands(of agent: Int) -> SharedArea {
    // Ours for ever, and accessed in no other way but by the agent that tries out wrong lengths.
    unsafe SharedArea(base: page(of: agent), byteCount: commandByteCount)
  }

  /// The area for what the controller sends an agent on its own.
  static func events(of agent: Int) -> SharedArea {
    // As above.
    unsafe SharedArea(base: page(of: agent) + eventOffset, byteCount: eventByteCount)
  }

  /// A word that all cores see: how often the ticker has ticked.
  static var ticks: UInt32 {
    get { unsafe word(0).pointee.load(ordering: .acquiring) }
    set { unsafe word(0).pointee.store(newValue, ordering: .releasing) }
  }

  /// A word that all cores see: how far the agents are.
  static var phase: UInt32 {
    get { unsafe word(4).pointee.load(ordering: .acquiring) }
    set { unsafe word(4).pointee.store(newValue, ordering: .releasing) }
  }

  /// Writes a word of an agent's area for commands, as an agent without manners does.
  static func poke(_ value: UInt32, at offset: Int, of agent: Int) {
    precondition(offset >= 0 && offset < commandByteCount)
    unsafe word(agent * 4096 + offset - commonOffset).pointee.store(value, ordering: .sequentiallyConsistent)
  }

  /// Reads a word of an agent's area for commands.
  static func peek(at offset: Int, of agent: Int) -> UInt32 {
    precondition(offset >= 0 && offset < commandByteCount)
    return unsafe word(agent * 4096 + offset - commonOffset).pointee.load(ordering: .sequentiallyConsistent)
  }

  /// A word of the common page, or with a negative offset of a page before it.
  private static func word(_ offset: Int) -> UnsafeMutablePointer<Atomic<UInt32>> {
    // Within what was allocated, and of the layout of its value.
    unsafe (base.unsafelyUnwrapped + commonOffset + offset).assumingMemoryBound(to: Atomic<UInt32>.self)
  }
}
