// SCMI Sensor management protocol, platform side: what there is to read, in parts where it is long.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  /// SENSOR_DESCRIPTION_GET: as many descriptors as fit. INVALID_PARAMETERS beyond the last one.
  mutating func describeSensors() throws(SCMIStatus) -> Int {
    let first = call[0]
    let total = viewCount(.sensor, call.agent)
    guard first < UInt32(total) else { throw .invalidParameters }
    var (count, length) = (0, 4)
    while Int(first) + count < total && call.room >= 8 + length + 52 {
      let identifier = Int(first) + count
      length += describeSensor(UInt32(identifier), at: 8 + length)
      count += 1
    }
    output.store(UInt32(count) | UInt32(total - Int(first) - count) << 16, at: 8)
    return length
  }

  /// One descriptor: 28 bytes, and 24 more of a sensor without axes since SCMI 3.0.
  private mutating func describeSensor(
    _ identifier: UInt32, at offset: Int
  ) -> Int {
    let sensor = SensorID(resource(.sensor, Int(identifier), call.agent))
    let description = backend.sensor(sensor)
    let isExtended = writeName(of: .sensor, sensor.index, at: offset + 12)
    let quantity = description.quantity
    var low: UInt32 = description.hasTripPoints && call.hasChannel ? 4 : 0
    var high = quantity.unitWord
    if description.isAsynchronous && call.hasChannel { low |= SensorAttribute.isAsynchronous }
    if call.isLegacy {
      if description.intervalCount > 0 {
        high |= legacyInterval(backend.updateInterval(0, of: sensor))
      }
    } else {
      if description.notifiesUpdates && call.hasChannel { low |= SensorAttribute.notifiesUpdates }
      if isExtended { low |= SensorAttribute.hasExtendedName }
      if let exponent = description.timeStampExponent {
        low |= SensorAttribute.hasTimeStamps | (UInt32(truncatingIfNeeded: exponent) & 0x1F) << 10
      }
      if description.axisCount > 0 {
        high |= 1 << 8 | UInt32(description.axisCount) << 16
      } else {
        low |= SensorAttribute.hasExtendedAttributes
      }
    }
    output.store(identifier, at: offset)
    output.store(low, at: offset + 4)
    output.store(high, at: offset + 8)
    guard low & SensorAttribute.hasExtendedAttributes != 0 else { return 28 }
    output.store(description.powerMicrowatts, at: offset + 28)
    output.write(quantity, at: offset + 32)
    return 52
  }

  /// SENSOR_AXIS_DESCRIPTION_GET: as many axes as fit, 48 bytes each.
  mutating func describeAxes() throws(SCMIStatus) -> Int {
    let sensor = SensorID(try index(.sensor))
    var offset = 12
    for axis in try axes(sensor, size: 48) {
      let quantity = backend.axis(axis, of: sensor)
      let name = backend.axisName(axis, of: sensor)
      output.store(UInt32(axis), at: offset)
      output.store(
        SensorAttribute.hasExtendedAttributes | (name.isExtended ? SensorAttribute.axisHasExtendedName : 0),
        at: offset + 4)
      output.store(quantity.unitWord, at: offset + 8)
      output.write(name, at: offset + 12, size: 16)
      output.write(quantity, at: offset + 28)
      offset += 48
    }
    return offset - 8
  }

  /// SENSOR_AXIS_NAME_GET: as many names as fit, 68 bytes each.
  mutating func nameAxes() throws(SCMIStatus) -> Int {
    let sensor = SensorID(try index(.sensor))
    var offset = 12
    for axis in try axes(sensor, size: 68) {
      output.store(UInt32(axis), at: offset)
      output.write(backend.axisName(axis, of: sensor), at: offset + 4, size: 64)
      offset += 68
    }
    return offset - 8
  }

  /// The axes that a response has room for.
  private mutating func axes(_ sensor: SensorID, size: Int) throws(SCMIStatus) -> Range<Int> {
    let total = backend.sensor(sensor).axisCount
    guard total > 0 else { throw .notSupported }
    return try part(of: total, size: size, remaining: 26)
  }

  /// SENSOR_LIST_UPDATE_INTERVALS: a list, in ascending order.
  mutating func listIntervals() throws(SCMIStatus) -> Int {
    let sensor = SensorID(try index(.sensor))
    let total = backend.sensor(sensor).intervalCount
    guard total > 0 else { throw .notSupported }
    var offset = 12
    for i in try part(of: total, size: 4) {
      output.store(backend.updateInterval(i, of: sensor).word, at: offset)
      offset += 4
    }
    return offset - 8
  }
}

extension ByteArray {
  /// Resolution and range of a quantity, 20 bytes.
  fileprivate mutating func write(_ quantity: SensorQuantity, at offset: Int) {
    store(quantity.resolutionWord, at: offset)
    store(quantity.lowest, at: offset + 4)
    store(quantity.highest, at: offset + 12)
  }
}

/// An interval in bits 22 to 31, as SCMI 2.0 has it, if its count fits in five bits.
private func legacyInterval(_ interval: UpdateInterval) -> UInt32 {
  let count = interval.word >> 5
  return count < 32 ? count << 27 | (interval.word & 0x1F) << 22 : 0
}
