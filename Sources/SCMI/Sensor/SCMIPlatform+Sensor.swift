// SCMI Sensor management protocol, platform side: readings and configuration.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  mutating func sensor(
    _ message: UInt8, _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    switch message {
    case CommonMessage.version: return version(call, &reply)
    case CommonMessage.attributes:
      reply.store(UInt32(viewCount(.sensor, call.agent)) | operationLimit(call) << 16, at: 8)
      writeStatistics(.sensor, call, &reply, at: 12)
      return 16
    case CommonMessage.messageAttributes: return try messageAttributes(call, request, &reply)
    case SensorMessage.descriptionGet: return try describeSensors(call, request, &reply)
    case SensorMessage.tripPointNotify: return try enableTripPoints(call, request)
    case SensorMessage.tripPointConfig: return try setTripPoint(call, request)
    case SensorMessage.readingGet: return try readSensor(call, request, &reply)
    case SensorMessage.axisDescriptionGet: return try describeAxes(call, request, &reply)
    case SensorMessage.listUpdateIntervals: return try listIntervals(call, request, &reply)
    case SensorMessage.configGet: return try sensorConfiguration(call, request, &reply)
    case SensorMessage.configSet: return try configureSensor(call, request)
    case SensorMessage.continuousUpdateNotify: return try enableUpdates(call, request)
    case SensorMessage.nameGet:
      return reply.write(backend.name(of: SensorID(try index(.sensor, call, request, at: 4))))
    default: return try nameAxes(call, request, &reply)
    }
  }

  /// SENSOR_READING_GET: PROTOCOL_ERROR for a sensor that is off.
  private mutating func readSensor(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let identifier: UInt32 = request.load(at: 4)
    let sensor = SensorID(Int(try find(.sensor, identifier, call).resource))
    let isAsynchronous = try flag(request.load(at: 8))
    guard try backend.isEnabled(sensor) else { throw .protocolError }
    if !isAsynchronous {
      return try writeReadings(sensor, call.agent, isLegacy: call.isLegacy, &reply, at: 8)
    }
    guard backend.sensor(sensor).isAsynchronous else { throw .notSupported }
    let operation = try begin(call, resource: sensor.index, identifier: identifier, isSilent: false)
    do throws(SCMIStatus) {
      if case .finished = try backend.startReading(of: sensor, operation: operation) { finish(operation) }
    } catch {
      abandon(operation)
      throw error
    }
    return 0
  }

  /// Writes the readings of all axes, each a value and a time stamp; in SCMI 2.0, one value. Returns their
  /// length.
  mutating func writeReadings(
    _ sensor: SensorID, _ agent: Int, isLegacy: Bool, _ reply: inout MutableRawSpan, at offset: Int
  ) throws(SCMIStatus) -> Int {
    if isLegacy {
      reply.store(try backend.reading(0, of: sensor).value, at: offset)
      return 8
    }
    let count = max(1, backend.sensor(sensor).axisCount)
    guard reply.byteCount >= offset + 16 * count else { throw .protocolError }
    let hasTimeStamps = sensors[sensor.index].timeStamps.contains(agent)
    for axis in 0..<count {
      let reading = try backend.reading(axis, of: sensor)
      reply.store(reading.value, at: offset + 16 * axis)
      reply.store(hasTimeStamps ? reading.timeStamp : 0, at: offset + 16 * axis + 8)
    }
    return 16 * count
  }

  /// SENSOR_CONFIG_GET.
  private mutating func sensorConfiguration(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let sensor = SensorID(try index(.sensor, call, request, at: 4))
    var configuration: UInt32 = 0
    if backend.sensor(sensor).intervalCount > 0 {
      let current = try backend.currentInterval(of: sensor)
      configuration = backend.updateInterval(current, of: sensor).word << 11
    }
    if sensors[sensor.index].timeStamps.contains(call.agent) {
      configuration |= SensorConfiguration.hasTimeStamps
    }
    var isOn = sensors[sensor.index].votes.state(for: call.agent)
    if isOn == nil { isOn = try backend.isEnabled(sensor) }
    if isOn == true { configuration |= SensorConfiguration.isEnabled }
    reply.store(configuration, at: 8)
    return 4
  }

  /// SENSOR_CONFIG_SET: on or off, time stamps, and with other than 0 in bits 11 to 31 the interval.
  private mutating func configureSensor(_ call: Call, _ request: RawSpan) throws(SCMIStatus) -> Int {
    let grant = try find(.sensor, request.load(at: 4), call)
    let sensor = SensorID(Int(grant.resource))
    let configuration: UInt32 = request.load(at: 8)
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
    if sensors[sensor.index].votes.isDecidedBy(call.agent) { try backend.setEnabled(isOn, sensor) }
    sensors[sensor.index].votes.set(call.agent, isOn)
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

  /// What an agent held or asked of the sensors that it sees.
  mutating func releaseSensors(_ agent: Int) {
    for i in 0..<viewCount(.sensor, agent) {
      let index = resource(.sensor, i, agent)
      sensors[index].forget(agent)
      // A sensor that cannot be turned off stays on, for nobody: there is no one to tell.
      if sensors[index].votes.release(agent) { try? backend.setEnabled(false, SensorID(index)) }
    }
  }
}
