// SCMI Pin control protocol, agent side.

/// What a pin control command is about.
public enum PinSelector: UInt32, Sendable {
  /// A pin.
  case pin = 0
  /// A group of pins.
  case group = 1
  /// A function of pins or groups.
  case function = 2
}

/// Commands of the Pin control protocol. Pins, groups and functions are numbered as this agent sees them.
public enum PinControlCommand {
  private static func command<Values: MessageValues>(
    _ message: UInt8, _ identifier: UInt32
  ) -> AgentCommand<Values> {
    AgentCommand(.pinControl, message).with(identifier)
  }

  /// PROTOCOL_ATTRIBUTES: how many pins, groups and functions there are.
  public static var protocolAttributes: AgentCommand<Counts> {
    AgentCommand(.pinControl, CommonMessage.attributes)
  }

  /// PINCTRL_ATTRIBUTES: bits of `PinAttribute`.
  public static func attributes(
    _ kind: PinSelector, _ identifier: UInt32
  ) -> AgentCommand<NamedAttributes> {
    command(PinControlMessage.pinAttributes, identifier).with(kind.rawValue)
  }

  /// PINCTRL_LIST_ASSOCIATIONS of a group or function from element `index` on.
  public static func listAssociations(
    _ kind: PinSelector, _ identifier: UInt32, from index: UInt32
  ) -> AgentCommand<Associations> {
    command(PinControlMessage.listAssociations, identifier).with(kind.rawValue).with(index)
  }

  /// PINCTRL_SETTINGS_GET of a pin or group: one setting, by its type.
  public static func settingGet(
    _ kind: PinSelector, _ identifier: UInt32, type: UInt8
  ) -> AgentCommand<Settings> {
    command(PinControlMessage.settingsGet, identifier).with(kind.rawValue << 16 | UInt32(type))
  }

  /// PINCTRL_SETTINGS_GET of a pin or group: all settings after the first `skip`.
  public static func settingsGet(
    _ kind: PinSelector, _ identifier: UInt32, skip: UInt8 = 0
  ) -> AgentCommand<Settings> {
    command(PinControlMessage.settingsGet, identifier)
      .with(kind.rawValue << 16 | 1 << 18 | UInt32(skip) << 8)
  }

  /// PINCTRL_SETTINGS_CONFIGURE of a pin or group: its function.
  public static func functionSet(
    _ kind: PinSelector, _ identifier: UInt32, _ function: UInt32
  ) -> AgentCommand<NoValues> {
    command(PinControlMessage.settingsConfigure, identifier).with(function).with(kind.rawValue | 1 << 10)
  }

  /// PINCTRL_SETTINGS_CONFIGURE of a pin or group: one setting.
  public static func settingSet(
    _ kind: PinSelector, _ identifier: UInt32, type: UInt32, value: UInt32
  ) -> AgentCommand<NoValues> {
    command(PinControlMessage.settingsConfigure, identifier).with(PinControlMessage.noFunction)
      .with(kind.rawValue | 1 << 2).with(type).with(value)
  }

  /// PINCTRL_REQUEST of a pin or group.
  public static func request(_ kind: PinSelector, _ identifier: UInt32) -> AgentCommand<NoValues> {
    command(PinControlMessage.request, identifier).with(kind.rawValue)
  }

  /// PINCTRL_RELEASE of a pin or group.
  public static func release(_ kind: PinSelector, _ identifier: UInt32) -> AgentCommand<NoValues> {
    command(PinControlMessage.release, identifier).with(kind.rawValue)
  }

  /// PINCTRL_SET_PERMISSIONS: takes a pin, group or function, by this agent's number, away from an agent or
  /// gives it back.
  public static func setPermissions(
    agent: UInt32, _ kind: PinSelector, _ identifier: UInt32, isAllowed: Bool
  ) -> AgentCommand<NoValues> {
    command(PinControlMessage.setPermissions, agent).with(identifier).with(
      kind.rawValue | (isAllowed ? 4 : 0))
  }

  /// PINCTRL_NAME_GET.
  public static func nameGet(_ kind: PinSelector, _ identifier: UInt32) -> AgentCommand<ExtendedName> {
    command(PinControlMessage.nameGet, identifier).with(kind.rawValue)
  }
}

extension PinControlCommand {
  /// How many pins, groups and functions there are.
  public struct Counts: MessageValues, Equatable, Sendable {
    /// Pins.
    public let pins: UInt32
    /// Groups.
    public let groups: UInt32
    /// Functions.
    public let functions: UInt32

    /// Reads two words.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      let low: UInt32 = try reader.next()
      pins = low & 0xFFFF
      groups = low >> 16
      functions = try reader.next() & 0xFFFF
    }
  }

  /// What PINCTRL_LIST_ASSOCIATIONS says: `list` yields a `UInt16` for each pin or group.
  public struct Associations: MessageValues, Sendable {
    /// The elements.
    public var list: ListPart

    /// Reads the number of elements, and checks that they are there.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      let flags: UInt32 = try reader.next()
      list = try ListPart(reader, count: flags & 0xFFF, remaining: flags >> 16, byteCount: 2)
    }
  }

  /// What PINCTRL_SETTINGS_GET says: `list` yields a `Setting` for each.
  public struct Settings: MessageValues, Sendable {
    /// The function; `PinControlMessage.noFunction` for none.
    public let function: UInt32
    /// The settings.
    public var list: ListPart

    /// Reads function and number of settings, and checks that they are there.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      function = try reader.next()
      let flags: UInt32 = try reader.next()
      list = try ListPart(reader, count: flags & 0xFF, remaining: flags >> 24, byteCount: 8)
    }
  }

  /// A setting of a pin or group.
  public struct Setting: MessageValues, Equatable, Sendable {
    /// Its type.
    public let type: UInt32
    /// Its value.
    public let value: UInt32

    /// Reads two words.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      type = try reader.next()
      value = try reader.next()
    }
  }
}
