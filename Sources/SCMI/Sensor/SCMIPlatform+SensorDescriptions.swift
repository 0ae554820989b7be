// SCMI Sensor management protocol, platform side: what there is to read, in parts where it is long.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  /// SENSOR_DESCRIPTION_GET: as many descriptors as fit. INVALID_PARAMETERS beyond the last one.
  mutating func describeSensors(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let first: UInt32 = request.load(at: 4)
    let total = viewCount(.sensor, call.agent)
    guard first < UInt32(total) else { throw .invalidParameters }
    var (count, length) = (0, 4)
    while Int(first) + count < total && reply.byteCount >= 8 + length + 52 {
      let identifier = Int(first) + count
      length += describeSensor(UInt32(identifier), call, &reply, at: 8 + length)
      count += 1
    }
    reply.store(UInt32(count) | UInt32(total - Int(first) - count) << 16, at: 8)
    return length
  }

  /// One descriptor: 28 bytes, and 24 more of a sensor without axes since SCMI 3.0.
  private mutating func describeSensor(
    _ identifier: UInt32, _ call: Call, _ reply: inout MutableRawSpan, at offset: Int
  ) -> Int {
    let sensor = SensorID(resource(.sensor, Int(identifier), call.agent))
    let (description, name) = (backend.sensor(sensor), backend.name(of: sensor))
    let quantity = description.quantity
    let hasChannel = agents[call.agent].description.hasPlatformToAgentChannel
    var low: UInt32 = description.hasTripPoints && hasChannel ? 4 : 0
    var high = UInt32(quantity.type) | (UInt32(truncatingIfNeeded: quantity.exponent) & 0x1F) << 11
    if description.isAsynchronous && hasChannel { low |= SensorAttribute.isAsynchronous }
    if call.isLegacy {
      if description.intervalCount > 0 {
        high |= legacyInterval(backend.updateInterval(0, of: sensor))
      }
    } else {
      if description.notifiesUpdates && hasChannel { low |= SensorAttribute.notifiesUpdates }
      if name.isExtended { low |= SensorAttribute.hasExtendedName }
      if let exponent = description.timeStampExponent {
        low |= SensorAttribute.hasTimeStamps | (UInt32(truncatingIfNeeded: exponent) & 0x1F) << 10
      }
      if description.axisCount > 0 {
        high |= 1 << 8 | UInt32(description.axisCount) << 16
      } else {
        low |= SensorAttribute.hasExtendedAttributes
      }
    }
    reply.store(identifier, at: offset)
    reply.store(low, at: offset + 4)
    reply.store(high, at: offset + 8)
    name.write(to: &reply, at: offset + 12, size: 16)
    guard low & SensorAttribute.hasExtendedAttributes != 0 else { return 28 }
    reply.store(description.powerMicrowatts, at: offset + 28)
    reply.write(quantity, at: offset + 32)
    return 52
  }

  /// SENSOR_AXIS_DESCRIPTION_GET: as many axes as fit, 48 bytes each.
  mutating func describeAxes(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let sensor = SensorID(try index(.sensor, call, request, at: 4))
    let (first, count) = try axes(sensor, request, room: (reply.byteCount - 12) / 48, &reply)
    for i in 0..<count {
      let offset = 12 + 48 * i
      let quantity = backend.axis(first + i, of: sensor)
      let name = backend.axisName(first + i, of: sensor)
      reply.store(UInt32(first + i), at: offset)
      reply.store(
        SensorAttribute.hasExtendedAttributes | (name.isExtended ? SensorAttribute.axisHasExtendedName : 0),
        at: offset + 4)
      reply.store(
        UInt32(quantity.type) | (UInt32(truncatingIfNeeded: quantity.exponent) & 0x1F) << 11, at: offset + 8)
      name.write(to: &reply, at: offset + 12, size: 16)
      reply.write(quantity, at: offset + 28)
    }
    return 4 + 48 * count
  }

  /// SENSOR_AXIS_NAME_GET: as many names as fit, 68 bytes each.
  mutating func nameAxes(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let sensor = SensorID(try index(.sensor, call, request, at: 4))
    let (first, count) = try axes(sensor, request, room: (reply.byteCount - 12) / 68, &reply)
    for i in 0..<count {
      reply.store(UInt32(first + i), at: 12 + 68 * i)
      backend.axisName(first + i, of: sensor).write(to: &reply, at: 16 + 68 * i, size: 64)
    }
    return 4 + 68 * count
  }

  /// The axes that a response has room for, whose numbers it starts with.
  private mutating func axes(
    _ sensor: SensorID, _ request: RawSpan, room: Int, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> (first: Int, count: Int) {
    let total = backend.sensor(sensor).axisCount
    guard total > 0 else { throw .notSupported }
    let first: UInt32 = request.load(at: 8)
    guard first < UInt32(total) else { throw .outOfRange }
    let count = min(total - Int(first), room)
    reply.store(UInt32(count) | UInt32(total - Int(first) - count) << 26, at: 8)
    return (Int(first), count)
  }

  /// SENSOR_LIST_UPDATE_INTERVALS: a list, in ascending order.
  mutating func listIntervals(
    _ call: Call, _ request: RawSpan, _ reply: inout MutableRawSpan
  ) throws(SCMIStatus) -> Int {
    let sensor = SensorID(try index(.sensor, call, request, at: 4))
    let total = backend.sensor(sensor).intervalCount
    guard total > 0 else { throw .notSupported }
    let first: UInt32 = request.load(at: 8)
    guard first < UInt32(total) else { throw .outOfRange }
    let count = min(total - Int(first), (reply.byteCount - 12) / 4)
    for i in 0..<count {
      reply.store(backend.updateInterval(Int(first) + i, of: sensor).word, at: 12 + 4 * i)
    }
    reply.store(UInt32(count) | UInt32(total - Int(first) - count) << 16, at: 8)
    return 4 + 4 * count
  }
}

extension MutableRawSpan {
  /// Resolution and range of a quantity, 20 bytes.
  @_lifetime(self: copy self)
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
