// SCMI Pin control protocol, platform side: descriptions and settings.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  mutating func pinControl(
    _ message: UInt8, _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    switch message {
    case CommonMessage.version: return version(call, &reply)
    case CommonMessage.attributes:
      let (pins, groups) = (viewCount(.pin, call.agent), viewCount(.pinGroup, call.agent))
      reply.store(UInt32(pins) | UInt32(groups) << 16, at: 8)
      reply.store(UInt32(viewCount(.pinFunction, call.agent)), at: 12)
      return 8
    case CommonMessage.messageAttributes: return try messageAttributes(call, request, &reply)
    case PinControlMessage.pinAttributes: return try pinAttributes(call, request, &reply)
    case PinControlMessage.listAssociations: return try listAssociations(call, request, &reply)
    case PinControlMessage.settingsGet: return try pinSettings(call, request, &reply)
    case PinControlMessage.settingsConfigure: return try configurePins(call, request)
    case PinControlMessage.request: return try requestPins(call, request)
    case PinControlMessage.release: return try releasePins(call, request)
    case PinControlMessage.nameGet:
      let kind = try selector(request.load(at: 8))
      return reply.write(name(of: kind, try index(kind, call, request, at: 4)))
    default: return try setPinPermissions(call, request)
    }
  }

  private mutating func name(of kind: ResourceKind, _ index: Int) -> SCMIName {
    switch kind {
    case .pin: backend.name(of: PinID(index))
    case .pinGroup: backend.name(of: PinGroupID(index))
    default: backend.name(of: PinFunctionID(index))
    }
  }

  /// PINCTRL_ATTRIBUTES.
  private mutating func pinAttributes(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let kind = try selector(request.load(at: 8))
    let index = try index(kind, call, request, at: 4)
    let name = name(of: kind, index)
    var attributes: UInt32 = name.isExtended ? PinAttribute.hasExtendedName : 0
    if kind == .pin {
      attributes |= 1
    } else {
      for i in 0..<elementCount(kind, index) where element(i, kind, index, call.agent) != nil {
        attributes += 1
      }
    }
    if kind == .pinFunction {
      let description = backend.function(PinFunctionID(index))
      if description.isPinFunction { attributes |= PinAttribute.isPinFunction }
      if description.isGPIO { attributes |= PinAttribute.isGPIO }
    }
    reply.store(attributes, at: 8)
    name.write(to: &reply, at: 12, size: 16)
    return 20
  }

  /// How many pins a group has, or pins or groups a function.
  private mutating func elementCount(_ kind: ResourceKind, _ index: Int) -> Int {
    kind == .pinGroup
      ? backend.pinCount(of: PinGroupID(index)) : backend.function(PinFunctionID(index)).count
  }

  /// What the agent calls element `i` of a group or a function, if it sees it.
  private mutating func element(_ i: Int, _ kind: ResourceKind, _ index: Int, _ agent: Int) -> UInt32? {
    if kind == .pinGroup {
      return identifier(of: .pin, backend.pin(i, of: PinGroupID(index)).index, agent)
    }
    let function = PinFunctionID(index)
    if backend.function(function).isPinFunction {
      return identifier(of: .pin, backend.pin(i, of: function).index, agent)
    }
    return identifier(of: .pinGroup, backend.group(i, of: function).index, agent)
  }

  /// PINCTRL_LIST_ASSOCIATIONS: the pins of a group, the groups or pins of a function; two bytes each.
  private mutating func listAssociations(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let kind = try selector(request.load(at: 8))
    guard kind != .pin else { throw .invalidParameters }
    let index = try index(kind, call, request, at: 4)
    let skip: UInt32 = request.load(at: 12)
    let room = min((reply.byteCount - 12) / 2, 0xFFF)
    var (seen, count): (UInt32, Int) = (0, 0)
    for i in 0..<elementCount(kind, index) {
      guard let element = element(i, kind, index, call.agent) else { continue }
      if seen >= skip && count < room {
        reply.store(UInt16(truncatingIfNeeded: element), at: 12 + 2 * count)
        count += 1
      }
      seen += 1
    }
    guard skip < seen else { throw .outOfRange }
    reply.store(UInt32(count) | (seen - skip - UInt32(count)) << 16, at: 8)
    return 4 + 2 * count
  }

  /// PINCTRL_SETTINGS_GET: the function, and one setting, all settings in parts, or none.
  private mutating func pinSettings(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let attributes: UInt32 = request.load(at: 8)
    let kind = try selector(attributes >> 16 & 3)
    let target = try target(kind, try index(kind, call, request, at: 4))
    let which = attributes >> 18 & 3
    guard attributes >> 20 == 0, which != 3 else { throw .invalidParameters }
    var function: UInt32?
    if let it = try backend.selectedFunction(of: target) {
      function = identifier(of: .pinFunction, it.index, call.agent)
    }
    reply.store(function ?? PinControlMessage.noFunction, at: 8)
    reply.store(0 as UInt32, at: 12)
    if which == 2 { return 8 }
    let total = backend.settingCount(of: target)
    if which == 0 {
      for i in 0..<total {
        let setting = try backend.setting(i, of: target)
        guard setting.type == UInt8(truncatingIfNeeded: attributes) else { continue }
        guard reply.byteCount >= 24 else { throw .protocolError }
        reply.store(1 as UInt32, at: 12)
        reply.write(setting, at: 16)
        return 16
      }
      throw .notSupported
    }
    let skip = Int(attributes >> 8 & 0xFF)
    guard skip <= total else { throw .invalidParameters }
    let count = min(total - skip, (reply.byteCount - 16) / 8)
    for i in 0..<count { reply.write(try backend.setting(skip + i, of: target), at: 16 + 8 * i) }
    reply.store(UInt32(count) | UInt32(total - skip - count) << 24, at: 12)
    return 8 + 8 * count
  }
}

extension MutableRawSpan {
  /// A setting, 8 bytes.
  @_lifetime(self: copy self)
  fileprivate mutating func write(_ setting: PinSetting, at offset: Int) {
    store(UInt32(setting.type), at: offset)
    store(setting.value, at: offset + 4)
  }
}

/// A pin, a group or a function, as the lowest two bits of a word say; the others are zero.
func selector(_ word: UInt32) throws(SCMIStatus) -> ResourceKind {
  switch word {
  case 0: return .pin
  case 1: return .pinGroup
  case 2: return .pinFunction
  default: throw .invalidParameters
  }
}

/// The pin or the group that has settings; a function has none.
func target(_ kind: ResourceKind, _ index: Int) throws(SCMIStatus) -> PinTarget {
  switch kind {
  case .pin: return .pin(PinID(index))
  case .pinGroup: return .group(PinGroupID(index))
  default: throw .invalidParameters
  }
}
