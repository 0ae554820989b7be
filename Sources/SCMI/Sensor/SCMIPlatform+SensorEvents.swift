// SCMI Sensor management protocol, platform side: trip points and notifications.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  /// How many trip points each agent has of each sensor that has them.
  static var tripPointCount: Int { 4 }

  /// SENSOR_TRIP_POINT_NOTIFY.
  mutating func enableTripPoints(_ call: Call, _ request: RawSpan) throws(SCMIStatus) -> Int {
    let sensor = SensorID(try index(.sensor, call, request, at: 4))
    let isEnabled = try flag(request.load(at: 8))
    guard backend.sensor(sensor).hasTripPoints else { throw .notSupported }
    if isEnabled {
      sensors[sensor.index].tripSubscribers.insert(call.agent)
    } else {
      sensors[sensor.index].endTripPoints(call.agent)
    }
    return 0
  }

  /// SENSOR_TRIP_POINT_CONFIG.
  mutating func setTripPoint(_ call: Call, _ request: RawSpan) throws(SCMIStatus) -> Int {
    let sensor = SensorID(try index(.sensor, call, request, at: 4))
    let control: UInt32 = request.load(at: 8)
    guard backend.sensor(sensor).hasTripPoints else { throw .notSupported }
    let place = Int(control >> 4 & 0xFF)
    guard control & ~0xFF3 == 0, place < Self.tripPointCount else { throw .invalidParameters }
    // Crossings count from the value that the sensor has now.
    if sensors[sensor.index].value == nil {
      sensors[sensor.index].value = try backend.reading(0, of: sensor).value
    }
    sensors[sensor.index].trips[call.agent][place] = TripPoint(
      value: request.load(at: 12), directions: UInt8(control & 3))
    return 0
  }

  /// SENSOR_CONTINUOUS_UPDATE_NOTIFY.
  mutating func enableUpdates(_ call: Call, _ request: RawSpan) throws(SCMIStatus) -> Int {
    let sensor = SensorID(try index(.sensor, call, request, at: 4))
    let isEnabled = try flag(request.load(at: 8))
    guard backend.sensor(sensor).notifiesUpdates else { throw .notSupported }
    sensors[sensor.index].updated.subscribe(call.agent, isEnabled)
    return 0
  }

  /// Says that a sensor has a new value: its trip points are compared with it, and those who asked are told.
  /// Traps when there is no such sensor.
  public mutating func sensorUpdated(_ sensor: SensorID) {
    let index = sensor.index
    announce(.sensor, to: sensors[index].updated.raise(AgentID.platform.rawValue))
    var new: Int64 = 0
    do throws(SCMIStatus) { new = try backend.reading(0, of: sensor).value } catch { return }
    let old = sensors[index].value
    sensors[index].value = new
    guard let old, !sensors[index].tripSubscribers.isEmpty else { return }
    for agent in 0..<agentCount where sensors[index].tripSubscribers.contains(agent) {
      for i in 0..<Self.tripPointCount where sensors[index].trips[agent][i].cross(old, new) {
        agents[agent].pendingProtocols |= ProtocolID.sensor.bit
      }
    }
  }

  /// SENSOR_TRIP_POINT_EVENT or SENSOR_UPDATE, for the next sensor that has one.
  mutating func nextSensorEvent(_ agent: Int, _ buffer: inout MutableRawSpan) -> Int {
    let start = agents[agent].cursor
    let isLegacy = agents[agent].legacyProtocols & ProtocolID.sensor.bit != 0
    for step in 0..<viewCount(.sensor, agent) {
      let (identifier, index) = searched(.sensor, start + step, agent)
      for i in 0..<Self.tripPointCount where sensors[index].trips[agent][i].pending != 0 {
        let isUp = sensors[index].trips[agent][i].pending & TripPoint.up != 0
        sensors[index].trips[agent][i].pending = 0
        agents[agent].cursor = identifier
        startNotification(
          .sensor, SensorMessage.tripPointEvent, cause: AgentID.platform.rawValue, &buffer)
        buffer.store(UInt32(identifier), at: 8)
        buffer.store(UInt32(i) | (isUp ? 1 << 16 : 0), at: 12)
        return 16
      }
      guard sensors[index].updated.pending.contains(agent) else { continue }
      sensors[index].updated.pending.remove(agent)
      agents[agent].cursor = identifier + 1
      do throws(SCMIStatus) {
        let count = try writeReadings(SensorID(index), agent, isLegacy: isLegacy, &buffer, at: 12)
        startNotification(.sensor, SensorMessage.update, cause: AgentID.platform.rawValue, &buffer)
        buffer.store(UInt32(identifier), at: 8)
        return 12 + count
      } catch { continue }
    }
    return 0
  }
}
