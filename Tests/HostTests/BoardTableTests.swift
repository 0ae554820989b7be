// Tables of boards as users write them, well and badly.

import Testing

@testable import Host

@Suite struct `The table of a board` {
  @Test func `a resource a line, comments and blanks aside`() throws {
    let table = try BoardTable(
      "# a board\n\nclock  pll 10 20 30 # slow\r\n\tpower gpu\nreset gpu\nsensor die -5000\nclock osc 1")
    #expect(
      table.clocks == [
        BoardTable.Clock(name: "pll", rates: [10, 20, 30]), BoardTable.Clock(name: "osc", rates: [1]),
      ])
    #expect(table.powerDomains == ["gpu"] && table.resetDomains == ["gpu"])
    #expect(table.sensors == [BoardTable.Sensor(name: "die", millidegrees: -5000)])
    let example = try BoardTable(BoardTable.example)
    #expect(example.clocks.count == 3 && example.sensors.count == 1)
    #expect(try BoardTable("") == BoardTable("\n \n#x"))
  }

  @Test(arguments: [
    "clock", "clock a", "clock a 0", "clock a 5 5", "clock a 9 3", "clock a -1", "clock a 1 x",
    "clock a 99999999999999999999", "power", "power a b", "reset a 1", "sensor a", "sensor a 1 2",
    "sensor a 2147483648", "sensor a 1.5", "fan a", "power \(String(repeating: "a", count: 64))", "power é",
  ])
  func `a mistake is told with its line`(_ line: String) throws {
    let mistake = #expect(throws: BoardTable.Mistake.self) { _ = try BoardTable("power ok\n\n" + line) }
    #expect(mistake?.line == 3)
  }

  @Test func `there is room for 64 of a kind`() throws {
    let full = Array(repeating: "reset a", count: 64).joined(separator: "\n")
    #expect(try BoardTable(full).resetDomains.count == 64)
    #expect(throws: BoardTable.Mistake.self) { _ = try BoardTable(full + "\nreset b") }
  }
}
