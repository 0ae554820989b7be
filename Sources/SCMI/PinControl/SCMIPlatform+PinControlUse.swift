// SCMI Pin control protocol, platform side: who has a pin, and what it does with it.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  /// PINCTRL_SETTINGS_CONFIGURE: all of it is checked before any of it is done.
  mutating func configurePins(_ request: RawSpan) throws(SCMIStatus) -> Int {
    let attributes = call[2]
    let count = Int(attributes >> 2 & 0xFF)
    guard request.byteCount == 16 + 8 * count else { throw .protocolError }
    guard attributes >> 11 == 0 else { throw .invalidParameters }
    let kind = try selector(attributes & 3)
    let grant = try find(kind, call[0])
    let target = try target(kind, Int(grant.resource))
    let function = try wantedFunction(attributes, target)
    for i in 0..<count {
      guard backend.supports(try setting(i, request), of: target) else { throw .notSupported }
    }
    guard grant.rights.contains(.state), isFree(target, for: call.agent) else { throw .denied }
    resources[kind, Int(grant.resource)].changers.insert(call.agent)
    if attributes & 1 << 10 != 0 { try backend.select(function, of: target) }
    for i in 0..<count { try backend.set(try setting(i, request), of: target) }
    return 0
  }

  /// The function that a command selects. INVALID_PARAMETERS for one that the pin or the group cannot have.
  private mutating func wantedFunction(
    _ attributes: UInt32, _ target: PinTarget
  ) throws(SCMIStatus) -> PinFunctionID? {
    let identifier = call[1]
    guard attributes & 1 << 10 != 0, identifier != PinControlMessage.noFunction else { return nil }
    let function = PinFunctionID(Int(try find(.pinFunction, identifier).resource))
    let description = backend.function(function)
    for i in 0..<description.count {
      switch target {
      case .pin(let pin):
        if description.isPinFunction && backend.pin(i, of: function) == pin { return function }
      case .group(let group):
        if !description.isPinFunction && backend.group(i, of: function) == group { return function }
      }
    }
    throw .invalidParameters
  }

  /// Whether no other agent has the pin, or any pin of the group, to itself.
  private mutating func isFree(_ target: PinTarget, for agent: Int) -> Bool {
    let own = UInt8(agent + 1)
    switch target {
    case .pin(let pin): return pins[pin.index].owner == 0 || pins[pin.index].owner == own
    case .group(let group):
      for i in 0..<backend.pinCount(of: group) {
        let owner = pins[backend.pin(i, of: group).index].owner
        if owner != 0 && owner != own { return false }
      }
      return true
    }
  }

  /// PINCTRL_REQUEST: a pin, or all pins of a group, for one agent alone. IN_USE when another one has it.
  mutating func requestPins() throws(SCMIStatus) -> Int {
    let kind = try selector(call[1])
    let grant = try find(kind, call[0])
    let target = try target(kind, Int(grant.resource))
    guard grant.rights.contains(.state) else { throw .denied }
    guard isFree(target, for: call.agent) else { throw .inUse }
    let own = UInt8(call.agent + 1)
    switch target {
    case .pin(let pin):
      pins[pin.index].owner = own
      pins[pin.index].isRequested = true
    case .group(let group):
      if groupOwners[group.index] == own { return 0 }
      groupOwners[group.index] = own
      for i in 0..<backend.pinCount(of: group) {
        let pin = backend.pin(i, of: group)
        pins[pin.index].owner = own
        pins[pin.index].groupCount += 1
      }
    }
    return 0
  }

  /// PINCTRL_RELEASE. INVALID_PARAMETERS for what the agent did not request.
  mutating func releasePins() throws(SCMIStatus) -> Int {
    let kind = try selector(call[1])
    let target = try target(kind, try index(kind))
    guard release(target, call.agent) else { throw .invalidParameters }
    return 0
  }

  /// Gives back what an agent requested. Returns whether it had.
  mutating func release(_ target: PinTarget, _ agent: Int) -> Bool {
    let own = UInt8(agent + 1)
    switch target {
    case .pin(let pin):
      guard pins[pin.index].owner == own, pins[pin.index].isRequested else { return false }
      pins[pin.index].isRequested = false
      pins[pin.index].releaseIfUnused()
    case .group(let group):
      guard groupOwners[group.index] == own else { return false }
      groupOwners[group.index] = 0
      for i in 0..<backend.pinCount(of: group) {
        let pin = backend.pin(i, of: group)
        pins[pin.index].groupCount -= 1
        pins[pin.index].releaseIfUnused()
      }
    }
    return true
  }

  /// PINCTRL_SET_PERMISSIONS: a trusted agent denies another one a pin, a group or a function, which it names
  /// by its own identifier, or gives it back.
  mutating func setPinPermissions() throws(SCMIStatus) -> Int {
    guard agents[call.agent].description.isTrusted else { throw .denied }
    let agent = call[0]
    let flags = call[2]
    guard flags < 8 else { throw .invalidParameters }
    let kind = try selector(flags & 3)
    guard agent > 0, agent <= UInt32(agentCount) else { throw .notFound }
    let index = try index(kind, 1)
    guard let identifier = identifier(of: kind, index, Int(agent) - 1) else { throw .notFound }
    let place = Int(kind.rawValue)
    if flags & 4 != 0 {
      agents[Int(agent) - 1].views[place].grants[Int(identifier)].denials &= ~Grant.deniedPin
    } else {
      agents[Int(agent) - 1].views[place].grants[Int(identifier)].denials |= Grant.deniedPin
    }
    updateDenials(Int(agent) - 1)
    return 0
  }
}

/// Setting `i` of PINCTRL_SETTINGS_CONFIGURE.
private func setting(_ i: Int, _ request: RawSpan) throws(SCMIStatus) -> PinSetting {
  let type: UInt32 = request.load(at: 16 + 8 * i)
  guard let type = UInt8(exactly: type) else { throw .invalidParameters }
  return PinSetting(type: type, value: request.load(at: 20 + 8 * i))
}
