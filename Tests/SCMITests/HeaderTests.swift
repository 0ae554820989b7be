// SCMI message header, and commands that no protocol sees: literal bytes and hostile ones.

import SCMI
import Testing
import Wire

@Suite struct `SCMI message header` {
  @Test func `fields lie where the specification puts them`() {
    let header = MessageHeader(.clock, 0x6, type: MessageType.delayedResponse, token: 0x3FF)
    #expect(header.word == 0x0FFC_0000 | 0x14 << 10 | 2 << 8 | 6)
    #expect(header.message == 6 && header.type == 2 && header.protocolID == .clock && header.token == 0x3FF)
    #expect(MessageHeader(.base, 0, token: 0x400).token == 0)
  }

  @Test func `a response repeats the header of its command`() {
    let bench = Bench(TestBoard())
    let agent = bench.platform.addAgent(AgentDescription(name: SCMIName("a")))
    let reply = bench.exchange([0x00, 0x40, 0x54, 0x01], from: agent)
    #expect(reply == [0x00, 0x40, 0x54, 0x01, 0, 0, 0, 0, 0x01, 0x00, 0x02, 0x00])
  }

  @Test func `a request without a whole header, or without room for a status, has no response`() {
    let bench = Bench(TestBoard())
    let agent = bench.platform.addAgent(AgentDescription(name: SCMIName("a")))
    for count in 0..<4 { #expect(bench.exchange(Array(repeating: 0, count: count), from: agent).isEmpty) }
    bench.capacity = 7
    #expect(bench.exchange([0, 0x40, 0, 0], from: agent).isEmpty)
  }

  @Test(arguments: [1, 2, 3, 0x10, 0x20, 0x40, 0x80, 0xF0] as [UInt32])
  func `a wrong type or a reserved bit is a protocol error`(_ bits: UInt32) {
    let bench = Bench(TestBoard())
    let agent = bench.platform.addAgent(AgentDescription(name: SCMIName("a")))
    let word = MessageHeader(.base, 0).word | (bits < 4 ? bits << 8 : bits << 24)
    #expect(words(bench.exchange(littleEndian([word]), from: agent)) == [word, UInt32(bitPattern: -10)])
    #expect(bench.send(.base, 0, from: agent) == .words(0x20001))
  }

  @Test func `a protocol that the agent does not see is not supported`() {
    let bench = Bench(TestBoard(clocks: [TestClock()]))
    let agent = bench.platform.addAgent(AgentDescription(name: SCMIName("a")))
    for number in 0...255 where number != 0x10 {
      let reply = bench.send(ProtocolID(rawValue: UInt8(number)), 0, from: agent)
      #expect(reply == .failure(.notSupported))
    }
  }

  @Test func `a message that is not there is not found, and has no attributes`() {
    let bench = Bench(TestBoard())
    let agent = bench.platform.addAgent(AgentDescription(name: SCMIName("a")))
    for message in 0x0C...0xFF where message != 0x10 {
      #expect(bench.send(.base, UInt8(message), from: agent) == .failure(.notFound))
      #expect(bench.send(.base, 2, UInt32(message), from: agent) == .failure(.notFound))
    }
    #expect(bench.send(.base, 2, 0x100, from: agent) == .failure(.notFound))
    #expect(bench.send(.base, 2, .max, from: agent) == .failure(.notFound))
    #expect(bench.send(.base, 2, 0x10, from: agent) == .words(0))
  }

  @Test func `a response that does not fit is a protocol error, and a repeated token is nobody's business`() {
    let bench = Bench(TestBoard())
    let agent = bench.platform.addAgent(AgentDescription(name: SCMIName("a")))
    bench.capacity = 11
    #expect(bench.send(.base, 0, from: agent) == .failure(.protocolError))
    bench.capacity = 12
    #expect(bench.send(.base, 0, from: agent) == .words(0x20001))
    let request = littleEndian([MessageHeader(.base, 0, token: 5).word])
    #expect(bench.exchange(request, from: agent) == bench.exchange(request, from: agent))
  }
}
