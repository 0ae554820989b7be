// SCMI Sensor management protocol, agent side.

/// Commands of the Sensor protocol. Sensors are numbered as this agent sees them.
public enum SensorCommand {
  private static func command<Values: MessageValues>(
    _ message: UInt8, _ sensor: UInt32
  ) -> AgentCommand<Values> {
    AgentCommand(.sensor, message).with(sensor)
  }

  /// SENSOR_DESCRIPTION_GET from sensor `index` on.
  public static func descriptionGet(from index: UInt32) -> AgentCommand<Descriptions> {
    command(SensorMessage.descriptionGet, index)
  }

  /// SENSOR_TRIP_POINT_NOTIFY. Notifications are a `ResourceNotification` whose value is the trip point in
  /// bits 0 to 7, and its direction, up or not, in bit 16.
  public static func tripPointNotify(_ sensor: UInt32, _ isEnabled: Bool) -> AgentCommand<NoValues> {
    command(SensorMessage.tripPointNotify, sensor).enabling(isEnabled)
  }

  /// SENSOR_TRIP_POINT_CONFIG: trip point `point` at `value`, when it is crossed upwards, downwards or both.
  public static func tripPointConfig(
    _ sensor: UInt32, point: UInt8, value: Int64, upwards: Bool, downwards: Bool
  ) -> AgentCommand<NoValues> {
    // event_control: 0 off, 1 upwards, 2 downwards, 3 both; the trip point in bits 4 to 11.
    let control = (upwards ? 1 : 0 as UInt32) | (downwards ? 2 : 0) | UInt32(point) << 4
    var command: AgentCommand<NoValues> = command(SensorMessage.tripPointConfig, sensor).with(control).with(
      value)
    command.needsEvents = upwards || downwards
    return command
  }

  /// SENSOR_READING_GET of SCMI 3.2: a reading for each axis.
  public static func readingGet(_ sensor: UInt32) -> AgentCommand<Readings> {
    command(SensorMessage.readingGet, sensor).with(UInt32(0))
  }

  /// SENSOR_READING_GET of SCMI 2.0: the value.
  public static func legacyReadingGet(_ sensor: UInt32) -> AgentCommand<UInt64> {
    command(SensorMessage.readingGet, sensor).with(UInt32(0))
  }

  /// SENSOR_READING_GET that is answered at once. The delayed response is a `SensorReadings`.
  public static func readingGetAsynchronously(_ sensor: UInt32) -> AgentCommand<NoValues> {
    command(SensorMessage.readingGet, sensor).with(UInt32(1)).asynchronous(true)
  }

  /// SENSOR_AXIS_DESCRIPTION_GET from axis `index` on.
  public static func axisDescriptionGet(_ sensor: UInt32, from index: UInt32) -> AgentCommand<Axes> {
    command(SensorMessage.axisDescriptionGet, sensor).with(index)
  }

  /// SENSOR_LIST_UPDATE_INTERVALS from interval `index` on.
  public static func listUpdateIntervals(_ sensor: UInt32, from index: UInt32) -> AgentCommand<Intervals> {
    command(SensorMessage.listUpdateIntervals, sensor).with(index)
  }

  /// SENSOR_CONFIG_GET: bits of `SensorConfiguration`.
  public static func configGet(_ sensor: UInt32) -> AgentCommand<UInt32> {
    command(SensorMessage.configGet, sensor)
  }

  /// SENSOR_CONFIG_SET.
  public static func configSet(_ sensor: UInt32, _ configuration: UInt32) -> AgentCommand<NoValues> {
    command(SensorMessage.configSet, sensor).with(configuration)
  }

  /// SENSOR_CONTINUOUS_UPDATE_NOTIFY. Notifications are an `Update`.
  public static func continuousUpdateNotify(_ sensor: UInt32, _ isEnabled: Bool) -> AgentCommand<NoValues> {
    command(SensorMessage.continuousUpdateNotify, sensor).enabling(isEnabled)
  }

  /// SENSOR_NAME_GET.
  public static func nameGet(_ sensor: UInt32) -> AgentCommand<ExtendedName> {
    command(SensorMessage.nameGet, sensor)
  }

  /// SENSOR_AXIS_NAME_GET from axis `index` on.
  public static func axisNameGet(_ sensor: UInt32, from index: UInt32) -> AgentCommand<AxisNames> {
    command(SensorMessage.axisNameGet, sensor).with(index)
  }
}

extension SensorCommand {
  /// What SENSOR_DESCRIPTION_GET of SCMI 3.2 says: `list` yields a `Description` for each sensor.
  public struct Descriptions: MessageValues, Sendable {
    /// The sensors.
    public var list: ListPart

    /// Reads the number of sensors. Their descriptions differ in length: each is checked when it is read.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      let flags: UInt32 = try reader.next()
      list = try ListPart(reader, count: flags & 0xFFF, remaining: flags >> 16, byteCount: 28)
    }
  }

  /// A range of values and their resolution.
  public struct Quantity: MessageValues, Equatable, Sendable {
    /// The resolution: the value in bits 0 to 26, and a power of ten, signed, above it.
    public let resolution: UInt32
    /// The lowest value.
    public let lowest: Int64
    /// The highest value.
    public let highest: Int64

    /// Reads five words.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      resolution = try reader.next()
      lowest = try reader.next()
      highest = try reader.next()
    }
  }

  /// A sensor.
  public struct Description: MessageValues, Sendable {
    /// Its number.
    public let identifier: UInt32
    /// Bits of `SensorAttribute`.
    public let attributes: UInt32
    /// Type, unit and update intervals, or the number of axes.
    public let moreAttributes: UInt32
    /// The name, or the start of it.
    public let name: SCMIName
    /// The power that it takes, in microwatts; 0 where it is not said.
    public let powerMicrowatts: UInt32
    /// Resolution and range, where they are said.
    public let quantity: Quantity?

    /// Reads an entry, whose length its attributes tell.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      identifier = try reader.next()
      attributes = try reader.next()
      moreAttributes = try reader.next()
      name = try reader.nextName(16)
      if attributes & SensorAttribute.hasExtendedAttributes != 0 {
        powerMicrowatts = try reader.next()
        quantity = try Quantity(&reader)
      } else {
        powerMicrowatts = 0
        quantity = nil
      }
    }
  }

  /// What SENSOR_AXIS_DESCRIPTION_GET says: `list` yields an `Axis` for each.
  public struct Axes: MessageValues, Sendable {
    /// The axes.
    public var list: ListPart

    /// Reads the number of axes. Their descriptions differ in length: each is checked when it is read.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      let flags: UInt32 = try reader.next()
      list = try ListPart(reader, count: flags & 0x3F, remaining: flags >> 26, byteCount: 28)
    }
  }

  /// An axis of a sensor.
  public struct Axis: MessageValues, Sendable {
    /// Its number.
    public let identifier: UInt32
    /// Bits of `SensorAttribute`, those of an axis.
    public let attributes: UInt32
    /// Type and unit.
    public let moreAttributes: UInt32
    /// The name, or the start of it.
    public let name: SCMIName
    /// Resolution and range, where they are said.
    public let quantity: Quantity?

    /// Reads an entry, whose length its attributes tell.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      identifier = try reader.next()
      attributes = try reader.next()
      moreAttributes = try reader.next()
      name = try reader.nextName(16)
      quantity =
        attributes & SensorAttribute.hasExtendedAttributes != 0 ? try Quantity(&reader) : nil
    }
  }

  /// What SENSOR_AXIS_NAME_GET says: `list` yields an `AxisName` for each.
  public struct AxisNames: MessageValues, Sendable {
    /// The names.
    public var list: ListPart

    /// Reads the number of names, and checks that they are there.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      let flags: UInt32 = try reader.next()
      list = try ListPart(reader, count: flags & 0x3F, remaining: flags >> 26, byteCount: 68)
    }
  }

  /// The name of an axis.
  public struct AxisName: MessageValues, Sendable {
    /// The axis.
    public let identifier: UInt32
    /// Its name.
    public let name: SCMIName

    /// Reads an entry.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      identifier = try reader.next()
      name = try reader.nextName(64)
    }
  }

  /// What SENSOR_LIST_UPDATE_INTERVALS says: `list` yields a `UInt32` for each interval, seconds in bits 5
  /// to 20 and a power of ten, signed, below.
  public struct Intervals: MessageValues, Sendable {
    /// Whether the list is lowest interval, highest interval and step.
    public let isRange: Bool
    /// The intervals.
    public var list: ListPart

    /// Reads the number of intervals, and checks that they are there.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      let flags: UInt32 = try reader.next()
      isRange = flags & 1 << 12 != 0
      guard !isRange || flags & 0xFFF == 3 else { throw .malformed }
      list = try ListPart(reader, count: flags & 0xFFF, remaining: flags >> 16, byteCount: 4)
    }
  }

  /// One value of a sensor or axis.
  public struct Reading: MessageValues, Equatable, Sendable {
    /// The value, in the sensor's unit.
    public let value: Int64
    /// When it was taken, in the sensor's time; 0 without time stamps.
    public let timeStamp: UInt64

    /// Reads four words.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      value = try reader.next()
      timeStamp = try reader.nextPair()
    }
  }

  /// Readings: `list` yields a `Reading` for each axis, or for the sensor.
  public struct Readings: MessageValues, Sendable {
    /// The readings.
    public var list: ListPart

    /// Takes what is left of the message. Throws `.malformed` when that is not whole readings, and one at
    /// least.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      guard reader.byteCount >= 16, reader.byteCount % 16 == 0 else { throw .malformed }
      list = ListPart(reader, count: UInt32(reader.byteCount / 16), remaining: 0)
    }
  }

  /// The delayed response to SENSOR_READING_GET.
  public struct SensorReadings: MessageValues, Sendable {
    /// The sensor.
    public let sensor: UInt32
    /// What it measures.
    public var readings: Readings

    /// Reads a word and the readings.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      sensor = try reader.next()
      readings = try Readings(&reader)
    }
  }

  /// SENSOR_UPDATE.
  public struct Update: MessageValues, Sendable {
    /// The agent that caused it; 0 is the platform.
    public let agent: UInt32
    /// What the sensor measures.
    public var sensor: SensorReadings

    /// Reads two words and the readings.
    public init(_ reader: inout MessageReader) throws(AgentFault) {
      agent = try reader.next()
      sensor = try SensorReadings(&reader)
    }
  }
}
