// Every command of Sensor, Powercap and Pin control, our agent on our platform.

import SCMI
import Testing
import Wire

@Suite struct `Our agent on our sensors, caps and pins` {
  /// The next event, which must be there.
  private func event(_ it: Loopback) throws -> AgentEvent {
    it.wires.serve()
    return try #require(try it.agent.nextEvent())
  }

  private func sensors() -> Loopback {
    let degrees = SensorQuantity(
      type: 2, exponent: -3, resolution: 5, resolutionExponent: -2, lowest: -40_000, highest: 125_000)
    let axis = SensorQuantity(type: 0x5A, exponent: 1, resolution: 1, lowest: -1, highest: 1)
    var board = TestBoard()
    board.sensors = [
      TestSensor(
        name: SCMIName("thermometer"),
        description: SensorDescription(
          quantity: degrees, intervalCount: 3, powerMicrowatts: 77, hasTripPoints: true),
        values: [-5],
        intervals: [
          UpdateInterval(5, exponent: -3), UpdateInterval(1, exponent: 0), UpdateInterval(2, exponent: 1),
        ]),
      TestSensor(
        name: SCMIName("a sensor with three axes"),
        description: SensorDescription(
          quantity: axis, axisCount: 3, timeStampExponent: -9, isAsynchronous: true, notifiesUpdates: true),
        axes: [axis, axis, axis],
        axisNames: [SCMIName("x"), SCMIName("y"), SCMIName("an axis with a long name")],
        values: [1, 2, 1 << 40]),
    ]
    return Loopback(board)
  }

  @Test func `Sensor descriptions`() throws {
    let it = sensors()
    #expect(try it.call(CommonCommand.attributesAndRegion(.sensor)).attributes & 0xFFFF == 2)
    // One description fits the area.
    var list = try it.call(SensorCommand.descriptionGet(from: 0)).list
    #expect(list.count == 1 && list.remaining == 1)
    let first = try list.next(SensorCommand.Description.self)
    #expect(first.identifier == 0 && first.name == SCMIName("thermometer") && first.powerMicrowatts == 77)
    #expect(first.quantity?.lowest == -40_000 && first.quantity?.highest == 125_000)
    #expect(try it.call(SensorCommand.nameGet(1)).name == SCMIName("a sensor with three axes"))
    var axes = try it.call(SensorCommand.axisDescriptionGet(1, from: 1)).list
    #expect(axes.count == 1 && axes.remaining == 1)
    let axis = try axes.next(SensorCommand.Axis.self)
    #expect(axis.identifier == 1 && axis.name == SCMIName("y") && axis.quantity?.highest == 1)
    var names = try it.call(SensorCommand.axisNameGet(1, from: 2)).list
    #expect(try names.next(SensorCommand.AxisName.self).name == SCMIName("an axis with a long name"))
    var intervals = try it.call(SensorCommand.listUpdateIntervals(0, from: 0))
    #expect(!intervals.isRange && intervals.list.count == 3)
    #expect(try intervals.list.next(UInt32.self) == 5 << 5 | 0x1D)
  }

  @Test func `Sensor readings and events`() throws {
    let it = sensors()
    var readings = try it.call(SensorCommand.readingGet(0)).list
    #expect(readings.count == 1)
    #expect(try readings.next(SensorCommand.Reading.self).value == -5)
    #expect(try it.call(SensorCommand.configGet(0)) & SensorConfiguration.isEnabled != 0)
    _ = try it.call(
      SensorCommand.configSet(1, SensorConfiguration.isEnabled | SensorConfiguration.hasTimeStamps))
    readings = try it.call(SensorCommand.readingGet(1)).list
    #expect(readings.count == 3)
    let reading = try readings.next(SensorCommand.Reading.self)
    #expect(reading.value == 1 && reading.timeStamp == 0x1_0000_0000)

    _ = try it.call(SensorCommand.tripPointConfig(0, point: 1, value: 100, upwards: true, downwards: false))
    _ = try it.call(SensorCommand.tripPointNotify(0, true))
    it.bench.platform.backend.sensors[0].values = [101]
    it.bench.platform.sensorUpdated(SensorID(0))
    let trip = try event(it).notification(ResourceNotification.self)
    #expect(trip.identifier == 0 && trip.value == 1 | 1 << 16)

    _ = try it.call(SensorCommand.continuousUpdateNotify(1, true))
    it.bench.platform.sensorUpdated(SensorID(1))
    var update = try event(it).notification(SensorCommand.Update.self)
    #expect(update.sensor.sensor == 1 && update.sensor.readings.list.count == 3)
    _ = try update.sensor.readings.list.next(SensorCommand.Reading.self)
    #expect(try update.sensor.readings.list.next(SensorCommand.Reading.self).value == 2)
    _ = try it.call(SensorCommand.continuousUpdateNotify(1, false))
    let pending = try it.agent.callAsynchronously(SensorCommand.readingGetAsynchronously(1))
    let delayed = try event(it)
    #expect(delayed.answers(pending))
    #expect(try delayed.delayedResponse(SensorCommand.SensorReadings.self).readings.list.count == 3)
    _ = try it.call(CommonCommand.negotiate(.sensor, version: 0x10000))
    #expect(try it.call(SensorCommand.legacyReadingGet(0)) == 101)
  }

  @Test func `Powercap`() throws {
    var part = PowercapDomainDescription(
      interval: Adjustment(lowest: 1000, highest: 1000), cap: Adjustment(lowest: 1, highest: 50),
      sustainablePower: 40, unit: .microwatts, parent: PowercapDomainID(0), isMeasured: false,
      isAsynchronous: true)
    part.defaultCap = 50
    var board = TestBoard()
    board.powercaps = [
      TestPowercap(
        description: PowercapDomainDescription(
          interval: Adjustment(lowest: 1000, highest: 5000, step: 500),
          cap: Adjustment(lowest: 10, highest: 110, step: 20), sustainablePower: 100, accuracy: 7)),
      TestPowercap(name: SCMIName("a part with a long name"), description: part, cap: 50),
    ]
    board.powercaps[0].channels = [PowercapMessage.capSet: FastChannel(address: 0x1_0000_2000)]
    let it = Loopback(board)
    let whole = try it.call(PowercapCommand.domainAttributes(0))
    #expect(whole.name == SCMIName("package") && whole.parent == PowercapMessage.noParent)
    #expect(whole.caps.lowest == 10 && whole.caps.highest == 110 && whole.caps.step == 20)
    #expect(whole.intervals.highest == 5000 && whole.sustainablePower == 100 && whole.accuracy == 7)
    #expect(try it.call(PowercapCommand.domainAttributes(1)).parent == 0)
    #expect(try it.call(PowercapCommand.domainNameGet(1)).name == SCMIName("a part with a long name"))
    _ = try it.call(PowercapCommand.capNotify(0, true))
    _ = try it.call(PowercapCommand.capSet(0, 50))
    #expect(try it.call(PowercapCommand.capGet(0)) == 50)
    let changed = try event(it).notification(ResourcePairNotification.self)
    #expect(changed.identifier == 0 && changed.first == 50 && changed.second == 1000)
    _ = try it.call(PowercapCommand.capNotify(0, false))
    _ = try it.call(PowercapCommand.intervalSet(0, 2000))
    #expect(try it.call(PowercapCommand.intervalGet(0)) == 2000)
    let measured = try it.call(PowercapCommand.measurementsGet(0))
    #expect(measured.power == 50 && measured.intervalMicroseconds == 2000)
    _ = try it.call(PowercapCommand.measurementsNotify(0, true, low: 10, high: 60))
    _ = try it.call(PowercapCommand.measurementsNotify(0, false, low: 0, high: 0))
    #expect(
      try it.call(PowercapCommand.describeFastChannel(0, PowercapMessage.capSet)).address == 0x1_0000_2000)
    let pending = try it.agent.callAsynchronously(PowercapCommand.capSetAsynchronously(1, 20))
    let delayed = try event(it)
    #expect(delayed.answers(pending))
    #expect(try delayed.delayedResponse(ResourceValue.self).value == 20)
  }

  @Test func `Pin control`() throws {
    var board = TestBoard()
    board.pins.isThere = true
    let it = Loopback(board, isTrusted: true)
    let counts = try it.call(PinControlCommand.protocolAttributes)
    #expect(counts.pins == 4 && counts.groups == 2 && counts.functions == 2)
    #expect(try it.call(PinControlCommand.attributes(.group, 1)).attributes & 0xFFFF == 3)
    #expect(try it.call(PinControlCommand.nameGet(.pin, 1)).name == SCMIName("a pin with a long name"))
    var pins = try it.call(PinControlCommand.listAssociations(.group, 1, from: 1)).list
    #expect(pins.count == 2 && pins.remaining == 0)
    #expect(try pins.next(UInt16.self) == 2)
    _ = try it.call(PinControlCommand.request(.group, 0))
    _ = try it.call(PinControlCommand.functionSet(.group, 0, 0))
    _ = try it.call(PinControlCommand.settingSet(.group, 0, type: 1, value: 5))
    let one = try it.call(PinControlCommand.settingGet(.group, 0, type: 1))
    #expect(one.function == 0 && one.list.count == 1)
    var list = one.list
    #expect(try list.next(PinControlCommand.Setting.self).value == 5)
    #expect(try it.call(PinControlCommand.settingsGet(.group, 0)).list.count >= 1)
    _ = try it.call(PinControlCommand.release(.group, 0))
    _ = try it.call(PinControlCommand.setPermissions(agent: 1, .function, 1, isAllowed: false))
    #expect(throws: AgentFault.status(.denied)) { try it.call(PinControlCommand.nameGet(.function, 1)) }
    #expect(throws: AgentFault.status(.notFound)) {
      try it.call(PinControlCommand.setPermissions(agent: 2, .function, 0, isAllowed: true))
    }
  }
}
