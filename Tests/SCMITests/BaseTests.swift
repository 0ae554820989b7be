// SCMI Base protocol, platform side: discovery, negotiation, permissions, error reports.

import SCMI
import Testing
import Wire

/// Two agents that see one clock each and share a third; the first is trusted.
private func sharedBench(profile: SCMIProfile = .version32) -> (Bench, AgentID, AgentID) {
  let clock = TestClock(rates: [1000], rate: 1000)
  let bench = Bench(TestBoard(clocks: [clock, clock, clock]))
  let first = bench.platform.addAgent(
    AgentDescription(name: SCMIName("manager"), profile: profile, isTrusted: true))
  let second = bench.platform.addAgent(
    AgentDescription(name: SCMIName("an agent with a long name"), profile: profile))
  bench.platform.grant(.clock, 0, to: first)
  bench.platform.grant(.clock, 2, to: first)
  bench.platform.grant(.clock, 1, to: second)
  bench.platform.grant(.clock, 2, to: second)
  return (bench, first, second)
}

@Suite struct `SCMI Base protocol` {
  @Test func `versions and attributes in both profiles`() {
    for (profile, version) in [(SCMIProfile.version32, 0x20001 as UInt32), (.version20, 0x20000)] {
      let (bench, first, second) = sharedBench(profile: profile)
      #expect(bench.send(.base, 0, from: first) == .words(version))
      #expect(bench.send(.base, 1, from: second) == .words(0x0201))
      for message in 0...11 as ClosedRange<UInt32> {
        #expect(bench.send(.base, 2, message, from: first) == .words(0))
      }
    }
  }

  @Test func `vendor, sub-vendor and version of the implementation`() {
    let (bench, first, _) = sharedBench()
    #expect(bench.send(.base, 3, from: first).bytes == name("Vendor"))
    #expect(bench.send(.base, 4, from: first).bytes == name("A sub-vendor of"))
    #expect(bench.send(.base, 5, from: first) == .words(0x0102_0304))
  }

  @Test func `the list of protocols is whole words, and ends`() {
    let (bench, first, _) = sharedBench()
    #expect(bench.send(.base, 6, 0, from: first).bytes == [1, 0, 0, 0, 0x14, 0, 0, 0])
    #expect(bench.send(.base, 6, 1, from: first) == .words(0))
    #expect(bench.send(.base, 6, 2, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.base, 6, .max, from: first) == .failure(.invalidParameters))
  }

  @Test func `agents have names, the platform too`() {
    let (bench, first, second) = sharedBench()
    #expect(bench.send(.base, 7, 0, from: first).bytes == [0, 0, 0, 0] + name("platform"))
    #expect(bench.send(.base, 7, 1, from: second).bytes == [1, 0, 0, 0] + name("manager"))
    #expect(
      bench.send(.base, 7, .max, from: second).bytes == [2, 0, 0, 0] + name("an agent with a long name"))
    #expect(bench.send(.base, 7, 3, from: second) == .failure(.notFound))
    #expect(bench.send(.base, 7, 0xFFFF_FFFE, from: second) == .failure(.notFound))
  }

  @Test func `a wrong length is a protocol error`() {
    let (bench, first, _) = sharedBench()
    let lengths = [0, 0, 1, 0, 0, 0, 1, 1, 1, 3, 4, 2]
    for (message, length) in lengths.enumerated() {
      for count in 0...5 where count != length {
        let header = MessageHeader(.base, UInt8(message)).word
        let request = littleEndian([header] + Array(repeating: 0, count: count))
        let reply = bench.exchange(request, from: first)
        #expect(words(reply) == [header, UInt32(bitPattern: -10)])
        // One byte more is as wrong as one word.
        #expect(words(bench.exchange(request + [0], from: first)) == [header, UInt32(bitPattern: -10)])
      }
    }
  }

  @Test func `the version is negotiated there and back`() {
    let (bench, first, _) = sharedBench()
    #expect(bench.send(.clock, 0, from: first) == .words(0x30000))
    #expect(bench.send(.clock, 0x10, 0x10000, from: first) == .done)
    #expect(bench.send(.clock, 0, from: first) == .words(0x10000))
    #expect(bench.send(.clock, 8, 0, from: first) == .failure(.notFound))
    #expect(bench.send(.clock, 2, 8, from: first) == .failure(.notFound))
    for version in [0, 1, 0x20000, 0x30001, 0x40000, .max] as [UInt32] {
      #expect(bench.send(.clock, 0x10, version, from: first) == .failure(.notSupported))
    }
    #expect(bench.send(.clock, 0x10, 0x30000, from: first) == .done)
    #expect(bench.send(.clock, 8, 0, from: first).status == .success)
    #expect(bench.send(.base, 0x10, 0x20000, from: first) == .done)
    #expect(bench.send(.base, 0, from: first) == .words(0x20000))
    #expect(bench.send(.clock, 0x10, from: first) == .failure(.protocolError))
    bench.platform.resetAgent(first)
    #expect(bench.send(.base, 0, from: first) == .words(0x20001))
  }

  @Test func `SCMI 2_0 has no negotiation`() {
    let (bench, first, _) = sharedBench(profile: .version20)
    #expect(bench.send(.base, 0x10, 0x20001, from: first) == .failure(.notFound))
    #expect(bench.send(.base, 2, 0x10, from: first) == .failure(.notFound))
  }
}

@Suite struct `SCMI Base permissions` {
  @Test func `a device that is denied is denied to that agent alone`() {
    let (bench, first, second) = sharedBench()
    // Device 8 holds clock 1, which the second agent calls 0.
    #expect(bench.send(.base, 9, 2, 8, 0, from: first) == .done)
    #expect(bench.send(.clock, 6, 0, from: second) == .failure(.denied))
    #expect(bench.send(.clock, 6, 1, from: second).status == .success)
    #expect(bench.send(.clock, 6, 0, from: first).status == .success)
    #expect(bench.send(.base, 9, 2, 8, 1, from: first) == .done)
    #expect(bench.send(.clock, 6, 0, from: second).status == .success)
  }

  @Test func `a protocol without anything left is denied as a whole`() {
    let bench = Bench(TestBoard(clocks: [TestClock(rates: [1], rate: 1)]))
    let first = bench.platform.addAgent(AgentDescription(name: SCMIName("a"), isTrusted: true))
    bench.platform.grant(.clock, 0, to: first)
    #expect(bench.send(.base, 10, 1, 7, 0x14, 0, from: first) == .done)
    #expect(bench.send(.clock, 0, from: first) == .failure(.denied))
    #expect(bench.send(.base, 6, 0, from: first) == .words(0))
    #expect(bench.send(.base, 1, from: first) == .words(0x0100))
    // Access to the device does not give the protocol back; a reset of the permissions does.
    #expect(bench.send(.base, 9, 1, 7, 1, from: first) == .done)
    #expect(bench.send(.clock, 0, from: first) == .failure(.denied))
    #expect(bench.send(.base, 11, 1, 0, from: first) == .done)
    #expect(bench.send(.clock, 0, from: first) == .failure(.denied))
    #expect(bench.send(.base, 11, 1, 1, from: first) == .done)
    #expect(bench.send(.clock, 0, from: first) == .words(0x30000))
  }

  @Test func `another protocol's permission leaves this one alone`() {
    let (bench, first, second) = sharedBench()
    #expect(bench.send(.base, 10, 2, 8, 0x11, 0, from: first) == .done)
    #expect(bench.send(.clock, 6, 0, from: second).status == .success)
  }

  @Test func `bad parameters`() {
    let (bench, first, second) = sharedBench()
    #expect(bench.send(.base, 9, 3, 7, 1, from: first) == .failure(.notFound))
    #expect(bench.send(.base, 9, 0, 7, 1, from: first) == .failure(.notFound))
    #expect(bench.send(.base, 9, 1, 9, 1, from: first) == .failure(.notFound))
    #expect(bench.send(.base, 9, 1, 7, 2, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.base, 10, 3, 7, 0x14, 1, from: first) == .failure(.notFound))
    #expect(bench.send(.base, 10, 1, 9, 0x14, 1, from: first) == .failure(.notFound))
    for command in [0, 0x10, 0x1A, 0x114, .max] as [UInt32] {
      #expect(bench.send(.base, 10, 1, 7, command, 1, from: first) == .failure(.invalidParameters))
    }
    #expect(bench.send(.base, 10, 1, 7, 0x14, 3, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.base, 11, 0, 0, from: first) == .failure(.notFound))
    #expect(bench.send(.base, 11, 3, 0, from: first) == .failure(.notFound))
    #expect(bench.send(.base, 11, 1, 2, from: first) == .failure(.invalidParameters))
    // Who may not set permissions does not learn which agents and devices there are.
    #expect(bench.send(.base, 9, 9, 99, 1, from: second) == .failure(.denied))
    #expect(bench.send(.base, 10, 9, 99, 0x14, 1, from: second) == .failure(.denied))
    #expect(bench.send(.base, 11, 1, 0, from: second) == .failure(.denied))
    #expect(bench.send(.base, 11, 9, 0, from: second) == .failure(.denied))
    #expect(bench.send(.base, 11, 2, 1, from: second) == .failure(.denied))
    #expect(bench.send(.base, 11, 2, 0, from: second) == .done)
  }

  @Test func `a board without devices has no permission commands`() {
    let bench = Bench(TestBoard(hasDevices: false))
    let agent = bench.platform.addAgent(AgentDescription(name: SCMIName("a"), isTrusted: true))
    #expect(bench.send(.base, 2, 9, from: agent) == .failure(.notFound))
    #expect(bench.send(.base, 2, 10, from: agent) == .failure(.notFound))
    #expect(bench.send(.base, 9, 1, 7, 1, from: agent) == .failure(.notSupported))
    #expect(bench.send(.base, 10, 1, 7, 0x14, 1, from: agent) == .failure(.notSupported))
    #expect(bench.send(.base, 2, 11, from: agent) == .words(0))
  }
}

@Suite struct `SCMI error reports` {
  private let header = MessageHeader(.clock, 5, token: 9)

  @Test func `go to the agent at fault and to trusted ones that asked`() {
    let (bench, first, second) = sharedBench()
    bench.platform.reportError(header, .commsError, of: second)
    #expect(bench.next(for: first).isEmpty && bench.next(for: second).isEmpty)
    #expect(bench.send(.base, 8, 2, from: first) == .failure(.invalidParameters))
    #expect(bench.send(.base, 8, 1, from: first) == .done)
    #expect(bench.send(.base, 8, 1, from: second) == .done)
    bench.platform.reportError(header, .commsError, of: second)
    bench.platform.reportError(header, .busy, of: second)
    bench.platform.reportError(header, .busy, of: first, isFatal: true)
    let event = notification(.base, 0)
    let both = [event, 2, 2, header.word, UInt32(bitPattern: -7), header.word, UInt32(bitPattern: -6)]
    #expect(bench.hasMessage(for: first))
    #expect(bench.nextWords(for: first) == both)
    #expect(bench.nextWords(for: first) == [event, 1, 1 << 31 | 1, header.word, UInt32(bitPattern: -6)])
    #expect(bench.next(for: first).isEmpty && !bench.hasMessage(for: first))
    #expect(bench.nextWords(for: second) == both)
    #expect(bench.next(for: second).isEmpty)
  }

  @Test func `are bounded, and end with the subscription`() {
    let (bench, _, second) = sharedBench()
    #expect(bench.send(.base, 8, 1, from: second) == .done)
    for _ in 0..<100 { bench.platform.reportError(header, .busy, of: second) }
    #expect(bench.nextWords(for: second)[2] == 8)
    bench.platform.reportError(header, .busy, of: second)
    #expect(bench.send(.base, 8, 0, from: second) == .done)
    #expect(bench.next(for: second).isEmpty)
  }

  @Test func `an agent without a channel for them cannot ask`() {
    let bench = Bench(TestBoard())
    let agent = bench.platform.addAgent(
      AgentDescription(name: SCMIName("a"), hasPlatformToAgentChannel: false))
    #expect(bench.send(.base, 8, 1, from: agent) == .failure(.notSupported))
    #expect(bench.send(.base, 2, 8, from: agent) == .failure(.notFound))
  }
}
