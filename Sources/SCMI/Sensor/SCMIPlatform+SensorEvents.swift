// SCMI Sensor management protocol, platform side: trip points and notifications.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  /// How many trip points each agent has of each sensor that has them.
  static var tripPointCount: Int { 4 }

  /// SENSOR_TRIP_POINT_NOTIFY.
  mutating func enableTripPoints() throws(SCMIStatus) -> Int {
    let index = try index(.sensor)
    let isOffered = backend.sensor(SensorID(index)).hasTripPoints
    let count = try subscribe(to: SensorMessage.tripPointEvent, .sensor, index, isOffered: isOffered)
    if call[1] == 0 { sensors[index].endTripPoints(call.agent) }
    return count
  }

  /// SENSOR_TRIP_POINT_CONFIG.
  mutating func setTripPoint() throws(SCMIStatus) -> Int {
    let sensor = SensorID(try index(.sensor))
    let control = call[1]
    guard backend.sensor(sensor).hasTripPoints else { throw .notSupported }
    let place = Int(control >> 4 & 0xFF)
    guard control & ~0xFF3 == 0, place < Self.tripPointCount else { throw .invalidParameters }
    // Crossings count from the value that the sensor has now.
    if sensors[sensor.index].value == nil {
      sensors[sensor.index].value = try backend.reading(0, of: sensor).value
    }
    sensors[sensor.index].trips[call.agent][place] = TripPoint(
      value: Int64(bitPattern: call.wide(2)), directions: control & 3)
    return 0
  }

  /// Says that a sensor has a new value: its trip points are compared with it, and those who asked are told.
  /// Traps when there is no such sensor.
  public mutating func sensorUpdated(_ sensor: SensorID) {
    let index = sensor.index
    raise(SensorMessage.update, .sensor, index, by: .platform)
    var new: Int64 = 0
    do throws(SCMIStatus) { new = try backend.reading(0, of: sensor).value } catch { return }
    let old = sensors[index].value
    sensors[index].value = new
    guard let old else { return }
    let event = SensorMessage.tripPointEvent
    let subscribers = resources[.sensor, index].notices[Int(event)].subscribers
    for agent in 0..<agentCount where subscribers.contains(agent) {
      for i in 0..<Self.tripPointCount where sensors[index].trips[agent][i].cross(old, new) {
        raise(event, .sensor, index, for: agent)
      }
    }
  }

  /// SENSOR_TRIP_POINT_EVENT or SENSOR_UPDATE.
  mutating func writeSensorEvent(_ event: UInt8, _ sensor: SensorID) throws(SCMIStatus) -> Int {
    if event == SensorMessage.update { return 12 + (try writeReadings(sensor, at: 12)) }
    let index = sensor.index
    for i in 0..<Self.tripPointCount where sensors[index].trips[call.agent][i].pending != 0 {
      let isUp = sensors[index].trips[call.agent][i].pending & TripPoint.up != 0
      sensors[index].trips[call.agent][i].pending = 0
      output.store(UInt32(i) | (isUp ? 1 << 16 : 0), at: 12)
      // There may be more of them.
      raise(event, .sensor, index, for: call.agent)
      return 16
    }
    throw .notFound
  }
}
