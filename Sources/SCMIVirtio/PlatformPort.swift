// An SCMI platform behind SCMI devices, each of which is one of its agents.

public import DeviceTypes
public import SCMI

/// The platform as one agent's SCMI device sees it (virtio 1.4 §5.17). Several ports share one platform.
@safe
public struct PlatformPort<
  Backend: PlatformBackend & ~Copyable, let agentLimit: Int, let resourceLimit: Int
>: SCMIBackend {
  /// Whether the device offers notifications and delayed responses.
  public let implementsEvents: Bool
  private let platform: UnsafeMutablePointer<SCMIPlatform<Backend, agentLimit, resourceLimit>>
  private let agent: AgentID

  /// The port of `agent`, which the platform has.
  ///
  /// The caller promises that the platform stays where it is for as long as the port is used, and that
  /// nothing else uses it during a call of the port's device.
  @unsafe
  public init(
    _ platform: UnsafeMutablePointer<SCMIPlatform<Backend, agentLimit, resourceLimit>>, agent: AgentID,
    implementsEvents: Bool = true
  ) {
    unsafe self.platform = platform
    self.agent = agent
    self.implementsEvents = implementsEvents
  }

  // Each use of the pointer below rests on that promise.

  /// See `SCMIBackend`.
  public mutating func start(receivesEvents: Bool) {
    unsafe platform.pointee.setPlatformToAgentChannel(receivesEvents, for: agent)
  }

  /// See `SCMIBackend`.
  public mutating func respond(to command: RawSpan, into response: inout MutableRawSpan) -> Int {
    unsafe platform.pointee.handle(command, from: agent, into: &response)
  }

  /// See `SCMIBackend`.
  public var hasEvent: Bool {
    mutating get { unsafe platform.pointee.hasMessage(for: agent) }
  }

  /// See `SCMIBackend`.
  public mutating func nextEvent(into event: inout MutableRawSpan) -> Int {
    unsafe platform.pointee.nextMessage(for: agent, into: &event)
  }

  /// See `SCMIBackend`.
  public mutating func reset() { unsafe platform.pointee.resetAgent(agent) }
}
