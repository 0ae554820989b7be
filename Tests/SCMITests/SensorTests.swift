// SCMI Sensor management protocol, platform side.

import SCMI
import Testing
import Wire

/// Sensor 0 is a shared thermometer, sensor 1 the first agent's three axes with all features.
private func sensorBench(profile: SCMIProfile = .version32) -> (Bench, AgentID, AgentID) {
  let degrees = SensorQuantity(
    type: 2, exponent: -3, resolution: 5, resolutionExponent: -2, lowest: -40_000, highest: 125_000)
  let axis = SensorQuantity(type: 0x5A, exponent: 1, resolution: 1, lowest: -1, highest: 1)
  let bench = Bench(
    TestBoard(sensors: [
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
    ]))
  let first = bench.platform.addAgent(AgentDescription(name: SCMIName("first"), profile: profile))
  let second = bench.platform.addAgent(AgentDescription(name: SCMIName("second"), profile: profile))
  bench.platform.grant(.sensor, 1, to: first)
  bench.platform.grant(.sensor, 0, to: first)
  bench.platform.grant(.sensor, 0, to: second)
  return (bench, first, second)
}

private let trip = notification(.sensor, 0)
private let update = notification(.sensor, 1)
private let minus40 = UInt32(bitPattern: -40_000)

@Suite struct `SCMI Sensor descriptions` {
  @Test func `versions, messages and attributes in both profiles`() {
    let (bench, first, second) = sensorBench()
    let (old, oldAgent, _) = sensorBench(profile: .version20)
    #expect(bench.send(.sensor, 0, from: first) == .words(0x30001))
    #expect(old.send(.sensor, 0, from: oldAgent) == .words(0x10000))
    #expect(bench.send(.sensor, 1, from: first) == .words(0x8_0002, 0x2345_6015, 1, 64))
    #expect(bench.send(.sensor, 1, from: second) == .words(0x8_0001, 0, 0, 0))
    for message in 0...14 as ClosedRange<UInt32> {
      #expect(
        bench.send(.sensor, 2, message, from: first) == (message < 14 ? .words(0) : .failure(.notFound)))
      #expect(
        old.send(.sensor, 2, message, from: oldAgent) == (message < 7 ? .words(0) : .failure(.notFound)))
    }
  }

  @Test func `a descriptor has all of it, and comes when it fits`() {
    let (bench, first, second) = sensorBench()
    let thermometer =
      littleEndian([0x104, 0x1D << 11 | 2]) + name("thermometer")
      + littleEndian([77, 0x1E << 27 | 5, minus40, .max, 125_000, 0])
    let axes = littleEndian([0, 0xE000_0000 | 0x17 << 10 | 1 << 9, 3 << 16 | 1 << 11 | 0x15A])
    let both = axes + name("a sensor with three axes") + littleEndian([1]) + thermometer
    #expect(bench.send(.sensor, 3, 0, from: first).bytes == littleEndian([2]) + both)
    #expect(bench.send(.sensor, 3, 0, from: second).bytes == littleEndian([1, 0]) + thermometer)
    bench.capacity = 64
    #expect(bench.send(.sensor, 3, 0, from: first).words.first == 0x1_0001)
    #expect(bench.send(.sensor, 3, 1, from: first).words.prefix(2) == [1, 1])
    #expect(bench.send(.sensor, 3, 2, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.sensor, 3, .max, from: first) == .failure(.invalidParameters))
    bench.capacity = 63
    #expect(bench.send(.sensor, 3, 0, from: first) == .failure(.protocolError))
  }

  @Test func `SCMI 2_0 descriptors are 28 bytes with the first interval`() {
    let (bench, _, second) = sensorBench(profile: .version20)
    #expect(
      bench.send(.sensor, 3, 0, from: second).bytes
        == littleEndian([1, 0, 4, 5 << 27 | 0x1D << 22 | 0x1D << 11 | 2]) + name("thermometer"))
  }

  @Test func `axes, names and intervals`() {
    let (bench, first, second) = sensorBench()
    let attributes: [UInt32] = [1 << 11 | 0x5A]
    let range: [UInt32] = [1, .max, .max, 1, 0]
    let x = littleEndian([0, 0x100] + attributes) + name("x") + littleEndian(range)
    let y = littleEndian([1, 0x100] + attributes) + name("y") + littleEndian(range)
    let z = littleEndian([2, 0x300] + attributes) + name("an axis with a long name") + littleEndian(range)
    #expect(bench.send(.sensor, 7, 0, 0, from: first).bytes == littleEndian([1 << 26 | 2]) + x + y)
    #expect(bench.send(.sensor, 7, 0, 2, from: first).bytes == littleEndian([1]) + z)
    #expect(bench.send(.sensor, 7, 0, 3, from: first) == .failure(.outOfRange))
    #expect(bench.send(.sensor, 7, 1, 0, from: first) == .failure(.notSupported))
    let long = littleEndian([1, 2]) + name("an axis with a long name", 64)
    #expect(bench.send(.sensor, 13, 0, 2, from: first).bytes == long)
    #expect(bench.send(.sensor, 13, 0, 0, from: first).words[0] == 2 << 26 | 1)
    #expect(bench.send(.sensor, 13, 0, 3, from: first) == .failure(.outOfRange))
    #expect(
      bench.send(.sensor, 12, 0, from: first).bytes == [0, 0, 0, 0] + name("a sensor with three axes", 64))
    #expect(bench.send(.sensor, 8, 1, 0, from: first) == .words(3, 5 << 5 | 0x1D, 1 << 5, 2 << 5 | 1))
    bench.capacity = 24
    #expect(bench.send(.sensor, 8, 1, 1, from: first) == .words(2, 1 << 5, 2 << 5 | 1))
    #expect(bench.send(.sensor, 8, 1, 3, from: first) == .failure(.outOfRange))
    #expect(bench.send(.sensor, 8, 0, 0, from: first) == .failure(.notSupported))
    bench.capacity = 136
    for message in [7, 8, 13] as [UInt8] {
      #expect(bench.send(.sensor, message, 1, 0, from: second) == .failure(.notFound))
    }
  }
}

@Suite struct `SCMI Sensor readings` {
  private let minus5: [UInt32] = [UInt32(bitPattern: -5), .max]

  @Test func `values of all axes, with time stamps for those who want them`() {
    let (bench, first, second) = sensorBench()
    #expect(bench.send(.sensor, 6, 1, 0, from: first).words == minus5 + [0, 0])
    #expect(bench.send(.sensor, 6, 0, 0, from: second).words == minus5 + [0, 0])
    #expect(bench.send(.sensor, 6, 0, 0, from: first) == .words(1, 0, 0, 0, 2, 0, 0, 0, 0, 256, 0, 0))
    #expect(bench.send(.sensor, 10, 0, 3, from: first) == .done)
    #expect(bench.send(.sensor, 6, 0, 0, from: first) == .words(1, 0, 0, 1, 2, 0, 1, 1, 0, 256, 2, 1))
    #expect(bench.send(.sensor, 6, 0, 2, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.sensor, 6, 2, 0, from: first) == .failure(.notFound))
    #expect(bench.send(.sensor, 6, 1, 0, from: second) == .failure(.notFound))
    bench.board.fault = .hardwareError
    #expect(bench.send(.sensor, 6, 1, 0, from: first) == .failure(.hardwareError))
    bench.capacity = 55
    #expect(bench.send(.sensor, 6, 0, 0, from: first) == .failure(.protocolError))
    let (old, oldAgent, _) = sensorBench(profile: .version20)
    #expect(old.send(.sensor, 6, 1, 0, from: oldAgent).words == minus5)
  }

  @Test func `asynchronous readings have delayed responses`() {
    let (bench, first, _) = sensorBench()
    bench.board.isSlow = true
    #expect(bench.send(.sensor, 6, 0, 1, from: first) == .done)
    #expect(bench.next(for: first).isEmpty)
    bench.platform.finish(bench.board.pending[0])
    let header = MessageHeader(.sensor, 6, type: 2, token: 1).word
    #expect(bench.nextWords(for: first) == [header, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 256, 0, 0])
    #expect(bench.send(.sensor, 6, 1, 1, from: first) == .failure(.notSupported))
    #expect(bench.send(.sensor, 6, 0, 1, from: first) == .done)
    bench.platform.finish(bench.board.pending[1])
    bench.board.fault = .hardwareError
    #expect(bench.nextWords(for: first).dropFirst() == [UInt32(bitPattern: -9)])
    #expect(bench.send(.sensor, 6, 0, 1, from: first) == .failure(.hardwareError))
  }

  @Test func `a sensor is on as long as somebody wants it, and is not read when it is off`() {
    let (bench, first, second) = sensorBench()
    #expect(bench.send(.sensor, 9, 0, from: second) == .words(5 << 16 | 0x1D << 11 | 1))
    #expect(bench.send(.sensor, 10, 1, 1, from: first) == .done)
    #expect(bench.send(.sensor, 10, 0, 1, from: second) == .done)
    #expect(bench.send(.sensor, 10, 1, 0, from: first) == .done)
    #expect(bench.board.sensors[0].isOn)
    #expect(bench.send(.sensor, 9, 1, from: first) == .words(5 << 16 | 0x1D << 11))
    bench.platform.resetAgent(second)
    #expect(!bench.board.sensors[0].isOn)
    #expect(bench.send(.sensor, 6, 1, 0, from: first) == .failure(.protocolError))
  }

  @Test(
    arguments: [
      (1, 0, 0, 1), (3, 0, 0, 1), (3, 0, 1, 2), (3, 0, 2, 1), (19, 0, 2, 2), (2, 1, 0, 2), (50, 0, 0, 2),
      (4, -3, 1, 0), (4, -3, 2, 0), (65535, 15, 2, 2), (1, -16, 3, 0), (11, 0, 2, 2), (10, 0, 2, 1),
      (999, -3, 0, 0),
    ] as [(UInt16, Int, UInt32, Int)])
  func `an interval is rounded`(_ count: UInt16, _ exponent: Int, _ flags: UInt32, _ place: Int) {
    let (bench, first, _) = sensorBench()
    bench.board.sensors[0].interval = -1
    let word = UpdateInterval(count, exponent: exponent).word << 11 | flags << 9 | 1
    #expect(bench.send(.sensor, 10, 1, word, from: first) == .done)
    #expect(bench.board.sensors[0].interval == place)
  }

  @Test func `bad configurations`() {
    let (bench, first, _) = sensorBench()
    let tooShort = UpdateInterval(4, exponent: -3).word << 11
    let tooLong = UpdateInterval(21, exponent: 0).word << 11
    #expect(bench.send(.sensor, 10, 1, tooShort | 1, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.sensor, 10, 1, tooLong | 1 << 9, from: first) == .failure(.invalidParameters))
    for bit in 2...8 as ClosedRange<UInt32> {
      #expect(bench.send(.sensor, 10, 1, 1 << bit, from: first) == .failure(.invalidParameters))
    }
    #expect(bench.send(.sensor, 10, 1, 3, from: first) == .failure(.notSupported))
    #expect(bench.send(.sensor, 10, 0, 1 << 16 | 1, from: first) == .failure(.notSupported))
    #expect(bench.send(.sensor, 10, 2, 1, from: first) == .failure(.notFound))
    let reader = bench.platform.addAgent(AgentDescription(name: SCMIName("reader")))
    bench.platform.grant(.sensor, 0, to: reader, rights: .none)
    #expect(bench.send(.sensor, 10, 0, 1, from: reader) == .failure(.denied))
    bench.board.fault = .busy
    #expect(bench.send(.sensor, 10, 1, 1, from: first) == .failure(.busy))
    #expect(bench.send(.sensor, 9, 2, from: first) == .failure(.notFound))
  }
}

@Suite struct `SCMI Sensor notifications` {
  @Test func `trip points are each agent's own`() {
    let (bench, first, second) = sensorBench()
    #expect(bench.send(.sensor, 4, 1, 1, from: first) == .done)
    #expect(bench.send(.sensor, 4, 0, 1, from: second) == .done)
    #expect(bench.send(.sensor, 5, 1, 0x31, 10, 0, from: first) == .done)
    #expect(bench.send(.sensor, 5, 0, 0x02, 20, 0, from: second) == .done)
    func set(_ value: Int64) {
      bench.board.sensors[0].values = [value]
      bench.platform.sensorUpdated(SensorID(0))
    }
    set(10)
    #expect(bench.nextWords(for: first) == [trip, 0, 1, 1 << 16 | 3])
    #expect(bench.next(for: second).isEmpty)
    set(30)
    #expect(bench.next(for: first).isEmpty && bench.next(for: second).isEmpty)
    set(-7)
    #expect(bench.next(for: first).isEmpty)
    #expect(bench.nextWords(for: second) == [trip, 0, 0, 0])
    // Of two crossings that wait, the newest counts; without a subscription none does.
    #expect(bench.send(.sensor, 5, 1, 0x33, 10, 0, from: first) == .done)
    set(50)
    set(0)
    #expect(bench.nextWords(for: first) == [trip, 0, 1, 3])
    #expect(bench.next(for: first).isEmpty)
    set(50)
    #expect(bench.send(.sensor, 4, 1, 0, from: first) == .done)
    #expect(bench.next(for: first).isEmpty)
    bench.platform.resetAgent(second)
    set(0)
    #expect(bench.next(for: second).isEmpty)
  }

  @Test func `bad trip points`() {
    let (bench, first, _) = sensorBench()
    #expect(bench.send(.sensor, 4, 0, 1, from: first) == .failure(.notSupported))
    #expect(bench.send(.sensor, 4, 1, 2, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.sensor, 4, 2, 1, from: first) == .failure(.notFound))
    #expect(bench.send(.sensor, 5, 0, 1, 0, 0, from: first) == .failure(.notSupported))
    for control in [4, 8, 0x40, 0xFF0, 0x1000, 1 << 31] as [UInt32] {
      #expect(bench.send(.sensor, 5, 1, control, 0, 0, from: first) == .failure(.invalidParameters))
    }
    #expect(bench.send(.sensor, 5, 2, 1, 0, 0, from: first) == .failure(.notFound))
    bench.board.fault = .hardwareError
    #expect(bench.send(.sensor, 5, 1, 1, 0, 0, from: first) == .failure(.hardwareError))
  }

  @Test func `updates carry the readings`() {
    let (bench, first, second) = sensorBench()
    #expect(bench.send(.sensor, 11, 0, 1, from: first) == .done)
    #expect(bench.send(.sensor, 11, 1, 1, from: first) == .failure(.notSupported))
    #expect(bench.send(.sensor, 11, 0, 2, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.sensor, 11, 2, 1, from: first) == .failure(.notFound))
    bench.platform.sensorUpdated(SensorID(1))
    bench.board.sensors[1].values[0] = 9
    bench.platform.sensorUpdated(SensorID(1))
    #expect(bench.nextWords(for: first) == [update, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 0, 256, 0, 0])
    #expect(bench.next(for: first).isEmpty && bench.next(for: second).isEmpty)
    bench.platform.sensorUpdated(SensorID(1))
    bench.board.fault = .hardwareError
    #expect(bench.next(for: first).isEmpty)
  }

  @Test func `an agent without a channel is not offered them`() {
    let (bench, _, _) = sensorBench()
    let agent = bench.platform.addAgent(
      AgentDescription(name: SCMIName("a"), hasPlatformToAgentChannel: false))
    bench.platform.grant(.sensor, 1, to: agent)
    bench.platform.grant(.sensor, 0, to: agent)
    let words = bench.send(.sensor, 3, 0, from: agent).words
    #expect(words[2] == 0x2000_0000 | 0x17 << 10 | 1 << 9 && words[9] == 0x100)
    for message in [4, 5, 11] as [UInt8] {
      #expect(bench.send(.sensor, 2, UInt32(message), from: agent) == .failure(.notFound))
    }
    #expect(bench.send(.sensor, 4, 1, 1, from: agent) == .failure(.notSupported))
    #expect(bench.send(.sensor, 6, 0, 1, from: agent) == .failure(.notSupported))
  }
}
