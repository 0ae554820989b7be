// SCMI Powercap management protocol, agent side.

/// Commands of the Powercap protocol. Domains are numbered as this agent sees them.
public enum PowercapCommand {
  private static func command<Values: MessageValues>(
    _ message: UInt8, _ domain: UInt32
  ) -> AgentCommand<Values> {
    AgentCommand(.powercap, message).with(domain)
  }

  /// POWERCAP_DOMAIN_ATTRIBUTES.
  public static func domainAttributes(_ domain: UInt32) -> AgentCommand<Attributes> {
    command(PowercapMessage.domainAttributes, domain)
  }

  /// POWERCAP_CAP_GET, in the domain's unit.
  public static func capGet(_ domain: UInt32) -> AgentCommand<UInt32> {
    command(PowercapMessage.capGet, domain)
  }

  /// POWERCAP_CAP_SET.
  public static func capSet(_ domain: UInt32, _ cap: UInt32) -> AgentCommand<NoValues> {
    command(PowercapMessage.capSet, domain).with(UInt32(0)).with(cap)
  }

  /// POWERCAP_CAP_SET that is answered at once. The delayed response is a `ResourceValue` with the cap.
  public static func capSetAsynchronously(_ domain: UInt32, _ cap: UInt32) -> AgentCommand<NoValues> {
    command(PowercapMessage.capSet, domain).with(PowercapFlag.isAsynchronous).with(cap).asynchronous(true)
  }

  /// POWERCAP_PAI_GET, in microseconds.
  public static func intervalGet(_ domain: UInt32) -> AgentCommand<UInt32> {
    command(PowercapMessage.intervalGet, domain)
  }

  /// POWERCAP_PAI_SET.
  public static func intervalSet(_ domain: UInt32, _ microseconds: UInt32) -> AgentCommand<NoValues> {
    command(PowercapMessage.intervalSet, domain).with(UInt32(0)).with(microseconds)
  }

  /// POWERCAP_DOMAIN_NAME_GET.
  public static func domainNameGet(_ domain: UInt32) -> AgentCommand<ExtendedName> {
    command(PowercapMessage.domainNameGet, domain)
  }

  /// POWERCAP_MEASUREMENTS_GET.
  public static func measurementsGet(_ domain: UInt32) -> AgentCommand<Measurements> {
    command(PowercapMessage.measurementsGet, domain)
  }

  /// POWERCAP_CAP_NOTIFY. Notifications are a `ResourcePairNotification`: cap and averaging interval.
  public static func capNotify(_ domain: UInt32, _ isEnabled: Bool) -> AgentCommand<NoValues> {
    command(PowercapMessage.capNotify, domain).enabling(isEnabled)
  }

  /// POWERCAP_MEASUREMENTS_NOTIFY below `low` and above `high`. Notifications are a `ResourceNotification`
  /// with the power.
  public static func measurementsNotify(
    _ domain: UInt32, _ isEnabled: Bool, low: UInt32, high: UInt32
  ) -> AgentCommand<NoValues> {
    command(PowercapMessage.measurementsNotify, domain).enabling(isEnabled).with(low).with(high)
  }

  /// POWERCAP_DESCRIBE_FASTCHANNEL, for a message of this protocol.
  public static func describeFastChannel(
    _ domain: UInt32, _ message: UInt8
  ) -> AgentCommand<FastChannelValues> {
    command(PowercapMessage.describeFastChannel, domain).with(UInt32(message))
  }

  /// What POWERCAP_DOMAIN_ATTRIBUTES says.
  public struct Attributes: MessageValues, Sendable {
    /// Bits of `PowercapAttribute`.
    public let attributes: UInt32
    /// The name, or the start of it.
    public let name: SCMIName
    /// The averaging intervals that can be set, in microseconds.
    public let intervals: Range
    /// The caps that can be set, in the domain's unit.
    public let caps: Range
    /// The power that can be sustained.
    public let sustainablePower: UInt32
    /// The accuracy of measurements, in hundredths of a percent.
    public let accuracy: UInt32
    /// The domain that this one is a part of; `PowercapMessage.noParent` for none.
    public let parent: UInt32

    /// Reads all fields.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      attributes = try reader.next()
      name = try reader.nextName(16)
      intervals = try Range(&reader)
      caps = try Range(&reader)
      sustainablePower = try reader.next()
      accuracy = try reader.next()
      parent = try reader.next()
    }
  }

  /// Values that can be set.
  public struct Range: MessageValues, Equatable, Sendable {
    /// The lowest.
    public let lowest: UInt32
    /// The highest.
    public let highest: UInt32
    /// From one to the next; 0 when there is one alone.
    public let step: UInt32

    /// Reads three words. Throws `.malformed` when they are not in order.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      lowest = try reader.next()
      highest = try reader.next()
      step = try reader.next()
      guard lowest <= highest else { throw .malformed }
    }
  }

  /// What POWERCAP_MEASUREMENTS_GET says.
  public struct Measurements: MessageValues, Equatable, Sendable {
    /// The power, in the domain's unit.
    public let power: UInt32
    /// The interval over which it was averaged, in microseconds.
    public let intervalMicroseconds: UInt32

    /// Reads two words.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      power = try reader.next()
      intervalMicroseconds = try reader.next()
    }
  }
}
