// SCMI Pin control protocol, platform side: descriptions and settings.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  mutating func pinControl(_ request: RawSpan) throws(SCMIStatus) -> Int {
    switch call.header.message {
    case CommonMessage.attributes:
      let (pins, groups) = (viewCount(.pin, call.agent), viewCount(.pinGroup, call.agent))
      output.store(UInt32(pins) | UInt32(groups) << 16, at: 8)
      output.store(UInt32(viewCount(.pinFunction, call.agent)), at: 12)
      return 8
    case PinControlMessage.pinAttributes: return try pinAttributes()
    case PinControlMessage.listAssociations: return try listAssociations()
    case PinControlMessage.settingsGet: return try pinSettings()
    case PinControlMessage.settingsConfigure: return try configurePins(request)
    case PinControlMessage.request: return try requestPins()
    case PinControlMessage.release: return try releasePins()
    case PinControlMessage.nameGet: return try nameGet(try selector(call[1]))
    default: return try setPinPermissions()
    }
  }

  /// PINCTRL_ATTRIBUTES.
  private mutating func pinAttributes() throws(SCMIStatus) -> Int {
    let kind = try selector(call[1])
    let index = try index(kind)
    let isExtended = writeName(of: kind, index, at: 12)
    var attributes: UInt32 = isExtended ? PinAttribute.hasExtendedName : 0
    if kind == .pin {
      attributes |= 1
    } else {
      for i in 0..<elementCount(kind, index) where element(i, kind, index) != nil {
        attributes += 1
      }
    }
    if kind == .pinFunction {
      let description = backend.function(PinFunctionID(index))
      if description.isPinFunction { attributes |= PinAttribute.isPinFunction }
      if description.isGPIO { attributes |= PinAttribute.isGPIO }
    }
    output.store(attributes, at: 8)
    return 20
  }

  /// How many pins a group has, or pins or groups a function.
  private mutating func elementCount(_ kind: ResourceKind, _ index: Int) -> Int {
    kind == .pinGroup
      ? backend.pinCount(of: PinGroupID(index)) : backend.function(PinFunctionID(index)).count
  }

  /// What the agent calls element `i` of a group or a function, if it sees it.
  private mutating func element(_ i: Int, _ kind: ResourceKind, _ index: Int) -> UInt32? {
    if kind == .pinGroup {
      return identifier(of: .pin, backend.pin(i, of: PinGroupID(index)).index, call.agent)
    }
    let function = PinFunctionID(index)
    if backend.function(function).isPinFunction {
      return identifier(of: .pin, backend.pin(i, of: function).index, call.agent)
    }
    return identifier(of: .pinGroup, backend.group(i, of: function).index, call.agent)
  }

  /// PINCTRL_LIST_ASSOCIATIONS: the pins of a group, the groups or pins of a function; two bytes each.
  private mutating func listAssociations() throws(SCMIStatus) -> Int {
    let kind = try selector(call[1])
    guard kind != .pin else { throw .invalidParameters }
    let index = try index(kind)
    let skip = call[2]
    let room = min((call.room - 12) / 2, 0xFFF)
    var (seen, count): (UInt32, Int) = (0, 0)
    for i in 0..<elementCount(kind, index) {
      guard let element = element(i, kind, index) else { continue }
      if seen >= skip && count < room {
        output.store(UInt16(truncatingIfNeeded: element), at: 12 + 2 * count)
        count += 1
      }
      seen += 1
    }
    guard skip < seen else { throw .outOfRange }
    output.store(UInt32(count) | (seen - skip - UInt32(count)) << 16, at: 8)
    return 4 + 2 * count
  }

  /// PINCTRL_SETTINGS_GET: the function, and one setting, all settings in parts, or none.
  private mutating func pinSettings() throws(SCMIStatus) -> Int {
    let attributes = call[1]
    let kind = try selector(attributes >> 16 & 3)
    let target = try target(kind, try index(kind))
    let which = attributes >> 18 & 3
    guard attributes >> 20 == 0, which != 3 else { throw .invalidParameters }
    var function: UInt32?
    if let it = try backend.selectedFunction(of: target) {
      function = identifier(of: .pinFunction, it.index, call.agent)
    }
    output.store(function ?? PinControlMessage.noFunction, at: 8)
    output.store(0 as UInt32, at: 12)
    if which == 2 { return 8 }
    let total = backend.settingCount(of: target)
    if which == 0 {
      for i in 0..<total {
        let setting = try backend.setting(i, of: target)
        guard setting.type == UInt8(truncatingIfNeeded: attributes) else { continue }
        guard call.room >= 24 else { throw .protocolError }
        output.store(1 as UInt32, at: 12)
        output.write(setting, at: 16)
        return 16
      }
      throw .notSupported
    }
    let skip = Int(attributes >> 8 & 0xFF)
    guard skip <= total else { throw .invalidParameters }
    let count = min(total - skip, (call.room - 16) / 8)
    for i in 0..<count { output.write(try backend.setting(skip + i, of: target), at: 16 + 8 * i) }
    output.store(UInt32(count) | UInt32(total - skip - count) << 24, at: 12)
    return 8 + 8 * count
  }
}

extension ByteArray {
  /// A setting, 8 bytes.
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
