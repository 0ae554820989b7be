// The sensors of a guest: what the model of its cores says, its voltages, and what the host counts.

import Machine
import SCMI

extension GuestResources {
  var sensorCount: Int { 1 + guestCount * ResourceTable.guestSensors }

  /// Which sensor of which guest; nil for the uptime, which is everybody's.
  @inline(never)
  private func place(_ sensor: SensorID) -> (guest: Int, which: ResourceTable.GuestSensor)? {
    guard sensor.index != ResourceTable.uptime else { return nil }
    let index = sensor.index - 1
    guard let which = ResourceTable.GuestSensor(rawValue: index % ResourceTable.guestSensors) else {
      return nil
    }
    return (index / ResourceTable.guestSensors, which)
  }

  mutating func sensor(_ sensor: SensorID) -> SensorDescription {
    // Units as they are sent: 2 degrees Celsius, 5 volts, 7 watts, 20 hertz, 21 seconds.
    switch place(sensor)?.which {
    case .temperature:
      SensorDescription(
        quantity: SensorQuantity(type: 2, exponent: -3, resolutionExponent: -3, lowest: 0, highest: 125_000),
        hasTripPoints: true)
    case .power:
      SensorDescription(quantity: SensorQuantity(type: 7, exponent: -3, resolutionExponent: -3, lowest: 0))
    case .processorVoltage, .peripheralVoltage:
      SensorDescription(quantity: SensorQuantity(type: 5, exponent: -6, resolutionExponent: -6, lowest: 0))
    case .exits: SensorDescription(quantity: SensorQuantity(type: 20, lowest: 0))
    case .tremor:
      SensorDescription(
        quantity: axis(0, of: sensor), axisCount: 3, intervalCount: 3, timeStampExponent: -6,
        notifiesUpdates: true)
    case nil: SensorDescription(quantity: SensorQuantity(type: 21, lowest: 0))
    }
  }

  mutating func name(of sensor: SensorID) -> SCMIName {
    switch place(sensor)?.which {
    case .temperature: SCMIName("temperature")
    case .power: SCMIName("power")
    case .processorVoltage: SCMIName("vdd-cores")
    case .peripheralVoltage: SCMIName("vdd-peripherals")
    case .exits: SCMIName("exits")
    case .tremor: SCMIName("tremor")
    case nil: SCMIName("host-uptime")
    }
  }

  @inline(never)
  mutating func reading(_ axis: Int, of sensor: SensorID) throws(SCMIStatus) -> SensorReading {
    guard let (guest, which) = place(sensor) else {
      return SensorReading(value: Int64(uptimeMicroseconds / 1_000_000))
    }
    measure(guest)
    switch which {
    case .temperature: return SensorReading(value: guests[guest].processor.temperature)
    case .power: return SensorReading(value: Int64(guests[guest].processor.power))
    case .processorVoltage: return SensorReading(value: Int64(guests[guest].processor.microvolts))
    case .peripheralVoltage:
      let isThere = guests[guest].arePeripheralsOn && guests[guest].arePinsSupply
      return SensorReading(value: isThere ? Int64(guests[guest].peripheralMicrovolts) : 0)
    case .exits: return SensorReading(value: Int64(guests[guest].processor.exitsPerSecond))
    case .tremor: return tremor(axis, guest)
    }
  }

  /// Brings the model of a guest's cores up to date.
  mutating func measure(_ guest: Int) {
    guests[guest].processor.advance(exits: Cores.exitCount(of: guest))
  }
}

// MARK: Tremor: an accelerometer on the board, which shakes with the work of the cores

extension GuestResources {
  mutating func axis(_ index: Int, of sensor: SensorID) -> SensorQuantity {
    // 89: metres per second squared.
    SensorQuantity(
      type: 89, exponent: -3, resolutionExponent: -3, lowest: -20_000, highest: 20_000)
  }
  mutating func axisName(_ index: Int, of sensor: SensorID) -> SCMIName {
    switch index {
    case 0: SCMIName("tremor_X")
    case 1: SCMIName("tremor_Y")
    default: SCMIName("tremor_Z")
    }
  }

  /// Gravity, and in the plane what the last second's exits shake.
  private mutating func tremor(_ axis: Int, _ guest: Int) -> SensorReading {
    let shake = Int64(min(guests[guest].processor.exitsPerSecond, 10_000))
    return SensorReading(
      value: axis == 2 ? 9807 : axis == 0 ? shake : -shake, timeStamp: uptimeMicroseconds)
  }

  /// Whether a guest's sensor is on, and its interval over since the last time that this said so.
  mutating func isTremorDue(_ guest: Int) -> Bool {
    guard guests[guest].isTremorOn, guests[guest].nextTremor.hasPassed else { return false }
    let milliseconds: UInt64 =
      switch guests[guest].tremorInterval {
      case 0: 100
      case 1: 1000
      default: 2000
      }
    // A tick may come somewhat early.
    guests[guest].nextTremor = .after(milliseconds: milliseconds - 20)
    return true
  }

  mutating func isEnabled(_ sensor: SensorID) throws(SCMIStatus) -> Bool {
    guard let (guest, which) = place(sensor), which == .tremor else { return true }
    return guests[guest].isTremorOn
  }
  mutating func setEnabled(_ isEnabled: Bool, _ sensor: SensorID) throws(SCMIStatus) {
    guard let (guest, which) = place(sensor), which == .tremor else { return }
    guests[guest].isTremorOn = isEnabled
  }
  mutating func updateInterval(_ index: Int, of sensor: SensorID) -> UpdateInterval {
    switch index {
    case 0: UpdateInterval(100, exponent: -3)
    case 1: UpdateInterval(1, exponent: 0)
    default: UpdateInterval(2, exponent: 0)
    }
  }
  mutating func currentInterval(of sensor: SensorID) throws(SCMIStatus) -> Int {
    guard let (guest, _) = place(sensor) else { return 0 }
    return guests[guest].tremorInterval
  }
  mutating func setInterval(_ index: Int, of sensor: SensorID) throws(SCMIStatus) {
    if let (guest, _) = place(sensor) { guests[guest].tremorInterval = index }
  }
}
