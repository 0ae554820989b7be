// SCMI Sensor management protocol: messages.

/// Messages of the Sensor protocol.
public enum SensorMessage {
  /// The version in SCMI 3.2.
  public static var version: UInt32 { 0x30001 }
  /// The version in SCMI 2.0.
  public static var legacyVersion: UInt32 { 0x10000 }

  /// SENSOR_DESCRIPTION_GET.
  public static var descriptionGet: UInt8 { 0x3 }
  /// SENSOR_TRIP_POINT_NOTIFY.
  public static var tripPointNotify: UInt8 { 0x4 }
  /// SENSOR_TRIP_POINT_CONFIG.
  public static var tripPointConfig: UInt8 { 0x5 }
  /// SENSOR_READING_GET.
  public static var readingGet: UInt8 { 0x6 }
  /// SENSOR_AXIS_DESCRIPTION_GET.
  public static var axisDescriptionGet: UInt8 { 0x7 }
  /// SENSOR_LIST_UPDATE_INTERVALS.
  public static var listUpdateIntervals: UInt8 { 0x8 }
  /// SENSOR_CONFIG_GET.
  public static var configGet: UInt8 { 0x9 }
  /// SENSOR_CONFIG_SET.
  public static var configSet: UInt8 { 0xA }
  /// SENSOR_CONTINUOUS_UPDATE_NOTIFY.
  public static var continuousUpdateNotify: UInt8 { 0xB }
  /// SENSOR_NAME_GET.
  public static var nameGet: UInt8 { 0xC }
  /// SENSOR_AXIS_NAME_GET.
  public static var axisNameGet: UInt8 { 0xD }

  /// SENSOR_TRIP_POINT_EVENT, a notification.
  public static var tripPointEvent: UInt8 { 0x0 }
  /// SENSOR_UPDATE, a notification.
  public static var update: UInt8 { 0x1 }

  static func rule(_ message: UInt8) -> MessageRule {
    switch message {
    case CommonMessage.version: .both(0, reply: 4)
    case CommonMessage.attributes: .both(0, reply: 16)
    case CommonMessage.messageAttributes: .both(4, reply: 4)
    case descriptionGet: .both(4, reply: 56)
    case tripPointNotify: .both(8, traits: MessageRule.notifies)
    case tripPointConfig: .both(16, traits: MessageRule.notifies)
    case readingGet: .both(8, reply: 8)
    case axisDescriptionGet: .new(8, reply: 52)
    case listUpdateIntervals: .new(8, reply: 16)
    case configGet: .new(4, reply: 4)
    case configSet: .new(8)
    case continuousUpdateNotify: .new(8, traits: MessageRule.notifies)
    case nameGet: .new(4, reply: 68)
    case axisNameGet: .new(8, reply: 72)
    default: .absent
    }
  }
}

/// Bits of the first word of attributes of a sensor, and of an axis where noted.
public enum SensorAttribute {
  /// Bit 8, also of an axis: resolution and range follow the name.
  public static var hasExtendedAttributes: UInt32 { 1 << 8 }
  /// Bit 9: readings can have time stamps.
  public static var hasTimeStamps: UInt32 { 1 << 9 }
  /// Bit 9 of an axis: its name is longer than 15 characters.
  public static var axisHasExtendedName: UInt32 { 1 << 9 }
  /// Bit 29: its name is longer than 15 characters.
  public static var hasExtendedName: UInt32 { 1 << 29 }
  /// Bit 30: it gives notice of each new value.
  public static var notifiesUpdates: UInt32 { 1 << 30 }
  /// Bit 31: it can be read asynchronously.
  public static var isAsynchronous: UInt32 { 1 << 31 }
}

/// Bits of the configuration of a sensor. The update interval is in bits 11 to 31.
public enum SensorConfiguration {
  /// Bit 0: it is on.
  public static var isEnabled: UInt32 { 1 }
  /// Bit 1: readings have time stamps.
  public static var hasTimeStamps: UInt32 { 2 }
  /// Bit 9 of SENSOR_CONFIG_SET: to the next longer interval, not the next shorter one.
  public static var roundsUp: UInt32 { 1 << 9 }
  /// Bit 10 of SENSOR_CONFIG_SET: to the nearest interval.
  public static var roundsToNearest: UInt32 { 1 << 10 }
}
