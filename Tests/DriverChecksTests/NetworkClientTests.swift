import Testing

@testable import DriverChecks

@Suite struct `Network client` {
  private static func question(for address: IPv4Address, from mac: EthernetAddress = serverMAC) -> [UInt8] {
    Frame.built {
      ARPMessage(
        operation: ARPMessage.request, senderMAC: mac, sender: serverAddress, targetMAC: EthernetAddress(0),
        target: address
      ).write(to: &$0)
    }
  }

  @Test func `it answers who asks for its address`() {
    var host = Host.configured()
    host.receive(Self.question(for: ourAddress))
    let answer = host.sent()
    #expect(answer.count == 1)
    #expect(
      answer[0].withBytes { ARPMessage(frame: $0) }
        == ARPMessage(
          operation: ARPMessage.reply, senderMAC: ourMAC, sender: ourAddress, targetMAC: serverMAC,
          target: serverAddress))
  }

  @Test func `it answers for no other address, to no group, and not before it has one`() {
    var host = Host.configured()
    host.receive(Self.question(for: serverAddress))
    host.receive(Self.question(for: ourAddress, from: .broadcast))
    #expect(host.sent().isEmpty)
    host = Host()
    _ = host.sent()
    host.receive(Self.question(for: ourAddress))
    #expect(host.sent().isEmpty)
  }

  @Test func `many questions are one answer`() {
    var host = Host.configured()
    for _ in 0..<100 { host.receive(Self.question(for: ourAddress)) }
    #expect(host.sent().count == 1)
  }

  @Test func `frames for other stations are ignored`() {
    var host = Host()
    _ = host.sent()
    var offer = DHCPServer.frame(2, host.transaction)
    offer.replaceSubrange(0..<6, with: [0x52, 0x54, 0, 0, 0, 1])
    host.receive(offer)
    #expect(host.sent().isEmpty)
  }

  @Test func `an ARP reply counts only from the address that was asked`() {
    var host = Host.configured()
    host.client.download(FileName("f"), from: serverAddress, byteLimit: 10, now: 0)
    _ = host.sent()
    let other = Frame.built {
      ARPMessage(
        operation: ARPMessage.reply, senderMAC: serverMAC, sender: IPv4Address(10, 0, 2, 3),
        targetMAC: ourMAC,
        target: ourAddress
      ).write(to: &$0)
    }
    host.receive(other)
    #expect(host.sent().isEmpty)
    host.receive(Host.arpReply)
    #expect(host.sent().count == 1)
  }

  @Test func `a second download has another port and a hash of its own`() {
    var host = Host.configured()
    let first = host.startDownload()
    host.receive(TFTPServer.frame(TFTPServer.data(1, [1]), to: first))
    #expect(host.isFinished)
    let second = host.startDownload()
    #expect(second != first && second >= 0xc000)
    host.receive(TFTPServer.frame(TFTPServer.data(1, [2, 3]), to: first))
    #expect(!host.isFinished)
    host.receive(TFTPServer.frame(TFTPServer.data(1, [4, 5, 6]), to: second))
    #expect(host.isFinished)
    #expect(host.client.finishHash().array == [4, 5, 6].sha256)
  }

  /// Whatever arrives, the client neither traps nor sends without bound, and it ends.
  @Test func `noise ends in a result`() {
    var random = Seeded(6)
    let offers = [DHCPServer.frame(2, 0x1234_5678), DHCPServer.frame(5, 0x1234_5678), Host.arpReply]
    for _ in 0..<200 {
      var host = Bool.random(using: &random) ? Host() : Host.configured()
      var port: UInt16 = 0
      if host.isIdle { port = host.startDownload() }
      for _ in 0..<100 {
        var frame: [UInt8]
        switch Int.random(in: 0...3, using: &random) {
        case 0: frame = offers.randomElement(using: &random)!
        case 1:
          frame = TFTPServer.frame(TFTPServer.data(UInt16.random(in: 0...3, using: &random), [1]), to: port)
        case 2: frame = TFTPServer.frame(TFTPServer.options("blksize\0512\0"), to: port)
        default:
          frame = (0..<Int.random(in: 0...1600, using: &random)).map { _ in
            UInt8.random(in: 0...255, using: &random)
          }
        }
        if Bool.random(using: &random), !frame.isEmpty {
          frame[Int.random(in: 0..<frame.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
        host.receive(frame)
        #expect(host.sent().count <= 4)
        host.now += UInt64.random(in: 0...2000, using: &random)
      }
      var steps = 0
      while host.sleep(), steps < 100 {
        _ = host.sent()
        steps += 1
      }
      #expect(steps < 100)
    }
  }
}
