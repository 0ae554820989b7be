// A board as a short text: a resource a line. It comes from the user, who may have made a mistake.

/// The resources of a made-up board.
public struct BoardTable: Equatable, Sendable {
  /// A clock: a name, and the rates that it can run at, in hertz, ascending. It starts at the first.
  public struct Clock: Equatable, Sendable {
    /// Its name.
    public var name: String
    /// Its rates.
    public var rates: [UInt64]
  }

  /// A temperature sensor.
  public struct Sensor: Equatable, Sendable {
    /// Its name.
    public var name: String
    /// What it reads, in thousandths of a degree Celsius.
    public var millidegrees: Int64
  }

  /// What is wrong with a text, and where.
  public struct Mistake: Error, Equatable, CustomStringConvertible {
    /// Counted from 1.
    public var line: Int
    /// In words.
    public var reason: String
    /// Both.
    public var description: String { "line \(line): \(reason)" }
  }

  /// The most resources of a kind.
  public static var limit: Int { 64 }
  /// Bytes of a name.
  public static var nameByteCountMax: Int { 63 }

  /// Its clocks.
  public private(set) var clocks: [Clock] = []
  /// The names of its power domains, which are off at first.
  public private(set) var powerDomains: [String] = []
  /// The names of its reset domains.
  public private(set) var resetDomains: [String] = []
  /// Its sensors.
  public private(set) var sensors: [Sensor] = []

  /// A board with some of each, for those who have no table.
  public static var example: String {
    """
    clock   cpu      500000000 1000000000 1500000000
    clock   uart     24000000
    clock   display  74250000 148500000
    power   display
    power   camera
    reset   uart
    reset   display
    sensor  cpu      45000
    """
  }

  /// The board of `text`: `clock NAME HERTZ...`, `power NAME`, `reset NAME`, `sensor NAME MILLIDEGREES`;
  /// blank lines and what follows `#` mean nothing.
  public init(_ text: String) throws(Mistake) {
    var number = 0
    for line in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
      number += 1
      let words = line.prefix { $0 != "#" }.split { $0 == " " || $0 == "\t" }.map(String.init)
      guard let kind = words.first else { continue }
      do throws(Reason) { try take(kind, Array(words.dropFirst())) } catch {
        throw Mistake(line: number, reason: error.text)
      }
    }
  }

  private struct Reason: Error { var text: String }

  private mutating func take(_ kind: String, _ words: [String]) throws(Reason) {
    guard let name = words.first else { throw Reason(text: "a name is missing") }
    guard name.utf8.count <= Self.nameByteCountMax, name.utf8.allSatisfy({ $0 < 0x80 }) else {
      throw Reason(text: "a name has at most \(Self.nameByteCountMax) characters, all of ASCII")
    }
    let values = words.dropFirst()
    switch kind {
    case "clock": try takeClock(name, values)
    case "power":
      guard values.isEmpty else { throw Reason(text: "a power domain has a name alone") }
      powerDomains.append(name)
    case "reset":
      guard values.isEmpty else { throw Reason(text: "a reset domain has a name alone") }
      resetDomains.append(name)
    case "sensor":
      guard values.count == 1, let value = Int64(values.first!), value.magnitude < 1 << 31 else {
        throw Reason(text: "a sensor has a name and thousandths of a degree")
      }
      sensors.append(Sensor(name: name, millidegrees: value))
    default: throw Reason(text: "there is no kind of resource \(kind)")
    }
    guard [clocks.count, powerDomains.count, resetDomains.count, sensors.count].max()! <= Self.limit else {
      throw Reason(text: "more than \(Self.limit) of a kind")
    }
  }

  private mutating func takeClock(_ name: String, _ values: ArraySlice<String>) throws(Reason) {
    let rates = values.compactMap { UInt64($0) }
    guard rates.count == values.count, !rates.isEmpty, rates.count <= 256, rates[0] > 0,
      zip(rates, rates.dropFirst()).allSatisfy({ $0 < $1 })
    else { throw Reason(text: "a clock has a name and 1 to 256 rates in hertz, ascending") }
    clocks.append(Clock(name: name, rates: rates))
  }
}
