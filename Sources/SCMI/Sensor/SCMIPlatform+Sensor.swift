// SCMI Sensor management protocol, platform side: readings and configuration.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  mutating func sensor() throws(SCMIStatus) -> Int {
    switch call.header.message {
    case CommonMessage.attributes:
      output.store(UInt32(viewCount(.sensor, call.agent)) | operationLimit() << 16, at: 8)
      writeStatistics()
      return 16
    case SensorMessage.descriptionGet: return try describeSensors()
    case SensorMessage.tripPointNotify: return try enableTripPoints()
    case SensorMessage.tripPointConfig: return try setTripPoint()
    case SensorMessage.readingGet: return try readSensor()
    case SensorMessage.axisDescriptionGet: return try describeAxes()
    case SensorMessage.listUpdateIntervals: return try listIntervals()
    case SensorMessage.configGet: return try sensorConfiguration()
    case SensorMessage.configSet: return try configureSensor()
    case SensorMessage.continuousUpdateNotify:
      let index = try index(.sensor)
      let isOffered = backend.sensor(SensorID(index)).notifiesUpdates
      return try subscribe(to: SensorMessage.update, .sensor, index, isOffered: isOffered)
    case SensorMessage.nameGet: return try nameGet(.sensor)
    default: return try nameAxes()
    }
  }

  /// SENSOR_READING_GET: PROTOCOL_ERROR for a sensor that is off.
  private mutating func readSensor() throws(SCMIStatus) -> Int {
    let sensor = SensorID(try index(.sensor))
    let isAsynchronous = try flag(call[1])
    guard try backend.isEnabled(sensor) else { throw .protocolError }
    if !isAsynchronous { return try writeReadings(sensor, at: 8) }
    guard backend.sensor(sensor).isAsynchronous else { throw .notSupported }
    try begin(resource: sensor.index, identifier: call[0])
    guard let operation = call.operation else { return 0 }
    return conclude(try backend.startReading(of: sensor, operation: operation))
  }

  /// Writes the readings of all axes, each a value and a time stamp; in SCMI 2.0, one value. Returns their
  /// length.
  mutating func writeReadings(_ sensor: SensorID, at offset: Int) throws(SCMIStatus) -> Int {
    if call.isLegacy {
      output.store(try backend.reading(0, of: sensor).value, at: offset)
      return 8
    }
    let count = max(1, backend.sensor(sensor).axisCount)
    guard call.room >= offset + 16 * count else { throw .protocolError }
    let hasTimeStamps = sensors[sensor.index].timeStamps.contains(call.agent)
    for axis in 0..<count {
      let reading = try backend.reading(axis, of: sensor)
      output.store(reading.value, at: offset + 16 * axis)
      output.store(hasTimeStamps ? reading.timeStamp : 0, at: offset + 16 * axis + 8)
    }
    return 16 * count
  }

  /// SENSOR_CONFIG_GET.
  private mutating func sensorConfiguration() throws(SCMIStatus) -> Int {
    let sensor = SensorID(try index(.sensor))
    var configuration: UInt32 = 0
    if backend.sensor(sensor).intervalCount > 0 {
      let current = try backend.currentInterval(of: sensor)
      configuration = backend.updateInterval(current, of: sensor).word << 11
    }
    if sensors[sensor.index].timeStamps.contains(call.agent) {
      configuration |= SensorConfiguration.hasTimeStamps
    }
    var isOn = resources[.sensor, sensor.index].votes.state(for: call.agent)
    if isOn == nil { isOn = try backend.isEnabled(sensor) }
    if isOn == true { configuration |= SensorConfiguration.isEnabled }
    output.store(configuration, at: 8)
    return 4
  }

  /// SENSOR_CONFIG_SET: on or off, time stamps, and with other than 0 in bits 11 to 31 the interval.
  private mutating func configureSensor() throws(SCMIStatus) -> Int {
    let grant = try find(.sensor, call[0])
    let sensor = SensorID(Int(grant.resource))
    let configuration = call[1]
    guard configuration & 0x1FC == 0 else { throw .invalidParameters }
    let isOn = configuration & SensorConfiguration.isEnabled != 0
    let wantsTimeStamps = configuration & SensorConfiguration.hasTimeStamps != 0
    let description = backend.sensor(sensor)
    guard !wantsTimeStamps || description.timeStampExponent != nil else { throw .notSupported }
    guard grant.rights.contains(.state) else { throw .denied }
    let wanted = UpdateInterval(word: configuration >> 11)
    if wanted.word != 0 {
      guard description.intervalCount > 0 else { throw .notSupported }
      let place = intervalIndex(wanted, configuration, description.intervalCount, sensor)
      guard place >= 0 else { throw .invalidParameters }
      try backend.setInterval(place, of: sensor)
    }
    if resources[.sensor, sensor.index].votes.isDecidedBy(call.agent) { try backend.setEnabled(isOn, sensor) }
    resources[.sensor, sensor.index].votes.set(call.agent, isOn)
    sensors[sensor.index].timeStamps.set(call.agent, wantsTimeStamps)
    return 0
  }

  /// The place of the interval next to the wanted one as the flags say, or -1 when there is none on that
  /// side.
  private mutating func intervalIndex(
    _ wanted: UpdateInterval, _ flags: UInt32, _ count: Int, _ sensor: SensorID
  ) -> Int {
    var below = -1
    while below + 1 < count && backend.updateInterval(below + 1, of: sensor).isAtMost(wanted) { below += 1 }
    let isExact = below >= 0 && wanted.isAtMost(backend.updateInterval(below, of: sensor))
    let above = isExact ? below : (below + 1 < count ? below + 1 : -1)
    if flags & SensorConfiguration.roundsToNearest == 0 {
      return flags & SensorConfiguration.roundsUp != 0 ? above : below
    }
    if below < 0 || above < 0 { return max(below, above) }
    let (low, high) = (backend.updateInterval(below, of: sensor), backend.updateInterval(above, of: sensor))
    return wanted.isNearer(to: low, than: high) ? below : above
  }
}
