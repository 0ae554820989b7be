// The saved state of an SCMI device: whether its agent runs, and with events. What the platform knows about
// the agent is the platform's own to save.

public import Virtio

extension SCMIDevice where Backend: ~Copyable {
  /// Nothing to finish: a command is answered in the call that takes it, and events wait in the platform.
  public mutating func prepareToSave(_ context: inout DeviceContext) throws(DriverFault) -> SaveReadiness {
    .ready
  }

  /// Whether the agent runs.
  public func save(into state: inout StateWriter) { state.append(isStarted) }

  /// Tells the platform of an agent that runs, as at its start.
  public mutating func restore(from state: inout StateReader, features: Features) throws(StateFault) {
    isStarted = try state.nextFlag()
    hasEventQueue = isStarted && features.contains(SCMIFeature.platformToAgent)
    if isStarted { backend.start(receivesEvents: hasEventQueue) }
  }
}
