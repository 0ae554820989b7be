// The learning switch: where frames go, and what a hostile port can and cannot do to the others.

import DeviceTypes
import Testing
import Wire

/// A switch that expectations can ask.
private final class Fabric {
  var value = NetworkSwitch<4>()
}

@Suite struct NetworkSwitchTests {
  private let group = MACAddress(0x33, 0x33, 0, 0, 0, 1)

  private func station(_ number: Int) -> MACAddress {
    MACAddress(2, 0, 0, UInt8(number >> 16 & 0xff), UInt8(number >> 8 & 0xff), UInt8(number & 0xff))
  }

  /// The ports that a frame goes to, lowest first.
  private func route(
    _ fabric: Fabric, from source: MACAddress, to destination: MACAddress, port: Int, at now: UInt64 = 0
  ) -> [Int] {
    var head = ByteArray<14>()
    for index in 0..<6 {
      head[index] = destination[index]
      head[6 + index] = source[index]
    }
    var ports = fabric.value.route(head, from: port, at: now)
    var list: [Int] = []
    while let port = ports.popFirst() { list.append(port) }
    return list
  }

  @Test func `what is unknown goes everywhere but back`() {
    let fabric = Fabric()
    #expect(route(fabric, from: station(1), to: station(2), port: 1) == [0, 2, 3])
    #expect(route(fabric, from: station(1), to: .broadcast, port: 1) == [0, 2, 3])
    #expect(route(fabric, from: station(1), to: group, port: 3) == [0, 1, 2])
    #expect(fabric.value.floodedCount == 3 && fabric.value.filteredCount == 0)
  }

  @Test func `an address that was seen gets its frames alone`() {
    let fabric = Fabric()
    _ = route(fabric, from: station(1), to: .broadcast, port: 1)
    #expect(route(fabric, from: station(2), to: station(1), port: 2) == [1])
    #expect(route(fabric, from: station(1), to: station(2), port: 1) == [2])
    // On the same port it has got the frame already.
    #expect(route(fabric, from: station(9), to: station(1), port: 1) == [])
    #expect(fabric.value.filteredCount == 1)
  }

  @Test func `a station that moves is found where it sent last`() {
    let fabric = Fabric()
    _ = route(fabric, from: station(1), to: .broadcast, port: 1, at: 0)
    _ = route(fabric, from: station(1), to: .broadcast, port: 3, at: 1)
    #expect(route(fabric, from: station(2), to: station(1), port: 0, at: 2) == [3])
    #expect(route(fabric, from: station(2), to: station(1), port: 1, at: 2) == [3])
  }

  @Test func `a silent address is forgotten, one that sends is not`() {
    let fabric = Fabric()
    let limit = NetworkSwitch<4>.ageLimit
    _ = route(fabric, from: station(1), to: .broadcast, port: 1, at: 0)
    _ = route(fabric, from: station(2), to: .broadcast, port: 2, at: 0)
    _ = route(fabric, from: station(2), to: .broadcast, port: 2, at: limit - 1)
    #expect(route(fabric, from: station(3), to: station(1), port: 0, at: limit - 1) == [1])
    #expect(route(fabric, from: station(3), to: station(1), port: 0, at: limit) == [1, 2, 3])
    #expect(route(fabric, from: station(3), to: station(2), port: 0, at: limit) == [2])
    // Known again at its old port, after it was seen elsewhere meanwhile.
    _ = route(fabric, from: station(1), to: .broadcast, port: 3, at: limit + 1)
    _ = route(fabric, from: station(1), to: .broadcast, port: 1, at: limit + 2)
    #expect(route(fabric, from: station(3), to: station(1), port: 0, at: limit + 3) == [1])
  }

  @Test func `a bound address cannot be taken, whoever sends from it`() {
    let fabric = Fabric()
    fabric.value.bind(station(1), to: 1)
    // Known without having sent, and for ever.
    #expect(route(fabric, from: station(2), to: station(1), port: 2, at: .max / 2) == [1])
    #expect(route(fabric, from: station(1), to: station(2), port: 3) == [])
    #expect(route(fabric, from: station(1), to: .broadcast, port: 3) == [])
    #expect(fabric.value.filteredCount == 2)
    #expect(route(fabric, from: station(2), to: station(1), port: 0) == [1])
    #expect(route(fabric, from: station(1), to: .broadcast, port: 1) == [0, 2, 3])
  }

  @Test func `binding takes an address from where it was learned`() {
    let fabric = Fabric()
    _ = route(fabric, from: station(1), to: .broadcast, port: 3)
    fabric.value.bind(station(1), to: 1)
    #expect(route(fabric, from: station(2), to: station(1), port: 0) == [1])
  }

  @Test func `a port that sends from many addresses forgets only its own`() {
    let fabric = Fabric()
    _ = route(fabric, from: station(1), to: .broadcast, port: 1)
    for number in 100..<20_000 {
      _ = route(fabric, from: station(number), to: .broadcast, port: 2, at: UInt64(number))
    }
    #expect(route(fabric, from: station(3), to: station(1), port: 0, at: 20_000) == [1])
    let known = (100..<20_000).filter {
      route(fabric, from: station(3), to: station($0), port: 0, at: 20_000) == [2]
    }
    #expect(!known.isEmpty && known.count <= 64)
    // The newest is among them.
    #expect(known.contains(19_999))
  }

  @Test func `a port that is emptied is forgotten`() {
    let fabric = Fabric()
    _ = route(fabric, from: station(1), to: .broadcast, port: 1)
    fabric.value.forget(port: 1)
    #expect(route(fabric, from: station(2), to: station(1), port: 0) == [1, 2, 3])
  }

  @Test func `groups are no senders, and what is for the link stays there`() {
    let fabric = Fabric()
    #expect(route(fabric, from: group, to: .broadcast, port: 1) == [])
    #expect(route(fabric, from: .broadcast, to: station(1), port: 1) == [])
    #expect(route(fabric, from: station(2), to: group, port: 0) == [1, 2, 3])
    for last in 0...15 as ClosedRange<UInt8> {
      #expect(route(fabric, from: station(2), to: MACAddress(1, 0x80, 0xc2, 0, 0, last), port: 0) == [])
    }
    #expect(route(fabric, from: station(2), to: MACAddress(1, 0x80, 0xc2, 0, 0, 16), port: 0) == [1, 2, 3])
    #expect(fabric.value.filteredCount == 18)
  }

  @Test func `all 32 ports are reached`() {
    var fabric = NetworkSwitch<32>()
    var head = ByteArray<14>()
    for index in 0..<6 { head[index] = 0xff }
    let fromLast = fabric.route(head, from: 31, at: 0)
    #expect(fromLast == NetworkPorts(rawValue: .max >> 1))
    let fromFirst = fabric.route(head, from: 0, at: 0)
    #expect(fromFirst == NetworkPorts(rawValue: .max << 1))
  }
}
