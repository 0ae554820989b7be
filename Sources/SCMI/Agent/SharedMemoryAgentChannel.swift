// The agent's side of shared memory channels, polled or with interrupts. The platform is not trusted.

/// How an agent tells its platform that there is something in shared memory, and how it waits.
public protocol AgentDoorbell: AgentPatience, ~Copyable {
  /// Tells the platform. Everything written to shared memory before must be visible to it.
  mutating func ring()
}

/// An agent's channels over shared memory: an area for commands and perhaps one for platform-to-agent
/// messages.
public struct SharedMemoryAgentChannel<Doorbell: AgentDoorbell & ~Copyable>: AgentChannel, ~Copyable {
  /// The doorbell.
  public var doorbell: Doorbell
  private let commands: MessageArea
  private let events: MessageArea?
  /// Whether the platform is asked to interrupt when a response is there.
  public var wantsInterrupt: Bool
  private var isWaiting = false

  /// Channels over areas that the platform has marked as free. With `wantsInterrupt` the platform is asked to
  /// interrupt when a response is there; without, `receive` finds it by looking.
  public init(
    commands: SharedArea, events: SharedArea? = nil, doorbell: consuming Doorbell,
    wantsInterrupt: Bool = false
  ) {
    self.commands = MessageArea(commands)
    if let events { self.events = MessageArea(events) } else { self.events = nil }
    self.doorbell = doorbell
    self.wantsInterrupt = wantsInterrupt
  }

  /// See `AgentChannel`.
  public var messageByteCountMax: Int { commands.capacity }
  /// See `AgentChannel`.
  public var receivesEvents: Bool { events != nil }

  /// See `AgentChannel`. A platform that never frees the area keeps the channel busy.
  public mutating func send(
    _ command: borrowing MessageBytes, byteCount: Int
  ) throws(ChannelFault) -> Bool {
    guard commands.post(command, byteCount: byteCount, wantsInterrupt: wantsInterrupt) else { return false }
    isWaiting = true
    doorbell.ring()
    return true
  }

  /// See `AgentChannel`.
  public mutating func receive(_ response: inout MessageBytes) throws(ChannelFault) -> Int? {
    guard isWaiting else { return nil }
    let content = commands.collect(&response)
    if content != .nothing { isWaiting = false }
    switch content {
    case .message(let byteCount, _): return byteCount
    case .malformed: throw .malformed
    case .error: throw .refused
    case .nothing: return nil
    }
  }

  /// See `AgentChannel`.
  public mutating func receiveEvent(_ event: inout MessageBytes) throws(ChannelFault) -> Int? {
    guard let events else { return nil }
    switch events.take(&event) {
    case .message(let byteCount, let wantsInterrupt):
      events.release()
      if wantsInterrupt { doorbell.ring() }
      return byteCount
    case .malformed(let wantsInterrupt):
      events.refuse()
      if wantsInterrupt { doorbell.ring() }
      throw .malformed
    case .nothing, .error:
      return nil
    }
  }

  /// See `AgentChannel`.
  public mutating func wait(attempt: Int) -> Bool { doorbell.wait(attempt: attempt) }
}
