// SCMI Base protocol, platform side: a trusted agent takes access to devices away from agents and gives it
// back. What the board granted is the most that an agent can have.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  /// BASE_SET_DEVICE_PERMISSIONS: access to every resource of a device.
  mutating func setDevicePermissions() throws(SCMIStatus) -> Int {
    let agent = try manages(call[0])
    let device = BoardDeviceID(call[1])
    guard backend.hasDevice(device) else { throw .notFound }
    let isAllowed = try flag(call[2])
    set(Grant.deniedDevice, isAllowed, agent, device, only: nil)
    return 0
  }

  /// BASE_SET_PROTOCOL_PERMISSIONS: access to the resources of a device by one protocol.
  mutating func setProtocolPermissions() throws(SCMIStatus) -> Int {
    let agent = try manages(call[0])
    let device = BoardDeviceID(call[1])
    guard backend.hasDevice(device) else { throw .notFound }
    let command = call[2]
    let isAllowed = try flag(call[3])
    guard command > UInt32(ProtocolID.base.rawValue), command <= UInt32(ProtocolID.pinControl.rawValue)
    else { throw .invalidParameters }
    set(Grant.deniedProtocol, isAllowed, agent, device, only: ProtocolID(rawValue: UInt8(command)))
    return 0
  }

  /// BASE_RESET_AGENT_CONFIGURATION. Every agent may reset itself, but not its permissions.
  mutating func resetAgentConfiguration() throws(SCMIStatus) -> Int {
    let flags = call[1]
    let wanted = call[0]
    let isTrusted = agents[call.agent].description.isTrusted
    guard isTrusted || wanted == UInt32(call.agent) + 1 else { throw .denied }
    guard wanted > 0, wanted <= UInt32(agentCount) else { throw .notFound }
    let resetsPermissions = try flag(flags)
    guard isTrusted || !resetsPermissions else { throw .denied }
    resetAgent(AgentID(UInt8(wanted)))
    if resetsPermissions {
      let agent = Int(wanted) - 1
      for kind in 0..<ResourceKind.count {
        for i in 0..<agents[agent].views[kind].count { agents[agent].views[kind].grants[i].denials = 0 }
      }
      updateDenials(agent)
    }
    return 0
  }

  /// The agent whose permissions a command sets. An agent without that right learns nothing about others.
  private mutating func manages(_ agent: UInt32) throws(SCMIStatus) -> Int {
    guard agents[call.agent].description.isTrusted else { throw .denied }
    guard agent > 0, agent <= UInt32(agentCount) else { throw .notFound }
    return Int(agent) - 1
  }

  private mutating func set(
    _ denial: UInt8, _ isAllowed: Bool, _ agent: Int, _ device: BoardDeviceID, only: ProtocolID?
  ) {
    for place in 0..<ResourceKind.count {
      guard let kind = ResourceKind(rawValue: UInt8(place)), only == nil || kind.protocolID == only else {
        continue
      }
      for i in 0..<agents[agent].views[place].count {
        let index = Int(agents[agent].views[place].grants[i].resource)
        guard backend.device(of: kind, index) == device else { continue }
        if isAllowed {
          agents[agent].views[place].grants[i].denials &= ~denial
        } else {
          agents[agent].views[place].grants[i].denials |= denial
          // What it may not use, it is not told of.
          resources[kind, index].endNotices(agent)
          if kind == .sensor { sensors[index].endTripPoints(agent) }
        }
      }
    }
    updateDenials(agent)
  }

  /// A protocol is denied to an agent when all that it could reach by it is.
  mutating func updateDenials(_ agent: Int) {
    var denied: UInt16 = 0
    var allowed: UInt16 = 0
    for place in 0..<ResourceKind.count {
      guard let kind = ResourceKind(rawValue: UInt8(place)) else { continue }
      let bit = kind.protocolID.bit
      for i in 0..<agents[agent].views[place].count {
        if agents[agent].views[place].grants[i].denials == 0 { allowed |= bit } else { denied |= bit }
      }
    }
    agents[agent].deniedProtocols = denied & ~allowed
    updateRules(agent)
  }
}
