import Testing

@testable import DriverChecks

@Suite struct `DHCP client` {
  @Test func `discover is what RFC 2131 asks for`() throws {
    var host = Host()
    let frames = host.sent()
    #expect(frames.count == 1)
    let datagram = try #require(frames[0].withBytes { UDPDatagram(frame: $0) })
    #expect(datagram.source == .unspecified && datagram.destination == .broadcast)
    #expect(datagram.sourcePort == 68 && datagram.destinationPort == 67)
    let message = Array(frames[0][datagram.payload])
    #expect(message.count >= 300)
    #expect(Array(message[0..<12]) == [1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78, 0, 0, 0x80, 0])
    #expect(Array(message[28..<34]) == [0x52, 0x54, 0x00, 0x12, 0x34, 0x56])
    #expect(Array(message[236..<243]) == [0x63, 0x82, 0x53, 0x63, 53, 1, 1])
    #expect(message[243...].contains(255))
  }

  @Test func `an offer is taken up and acknowledged`() throws {
    var host = Host()
    _ = host.sent()
    host.receive(DHCPServer.frame(2, host.transaction))
    let frames = host.sent()
    #expect(frames.count == 1)
    let message = payload(frames[0])
    #expect(Array(message[240..<243]) == [53, 1, 3])
    #expect(Array(message[243..<255]) == [50, 4, 10, 0, 2, 15, 54, 4, 10, 0, 2, 2])
    host.receive(DHCPServer.frame(5, host.transaction))
    #expect(host.isIdle)
    let lease = try #require(host.client.lease)
    #expect(lease.address == ourAddress && lease.mask == IPv4Address(255, 255, 255, 0))
    #expect(lease.router == serverAddress && lease.bootServer == serverAddress)
    #expect(lease.bootFile.count == 0 && lease.seconds == 86400)
    #expect(host.client.due == nil)
  }

  @Test func `with no answer it tries five times and gives up`() {
    var host = Host()
    var times: [UInt64] = []
    while host.failure == nil, host.sleep() {
      if !host.sent().isEmpty { times.append(host.now) }
    }
    #expect(times == [0, 1000, 3000, 7000, 15000])
    #expect(host.failure == .noServer && host.now == 23000)
  }

  @Test func `a lost request is sent again`() {
    var host = Host()
    _ = host.sent()
    host.receive(DHCPServer.frame(2, host.transaction))
    let first = host.sent()
    #expect(host.sent().isEmpty)
    host.now = 1000
    #expect(host.sent() == first)
  }

  @Test func `a server that refuses for ever is left`() {
    var host = Host()
    for attempt in 0..<3 as Range<UInt32> {
      let discover = host.sent()
      #expect(discover.count == 1)
      host.receive(DHCPServer.frame(2, host.transaction + attempt))
      _ = host.sent()
      host.receive(DHCPServer.frame(6, host.transaction + attempt))
    }
    #expect(host.failure == .leaseRefused)
    #expect(host.client.due == nil)
  }

  @Test func `offers that are not ours or not sound are ignored`() {
    let good = DHCPServer(transaction: 0x1234_5678, options: DHCPServer.standardOptions(2))
    var bad: [DHCPServer] = []
    func add(_ change: (inout DHCPServer) -> Void) {
      var copy = good
      change(&copy)
      bad.append(copy)
    }
    add { $0.operation = 1 }
    add { $0.transaction += 1 }
    add { $0.client = serverMAC }
    add { $0.magic = 0 }
    add { $0.sourcePort = 66 }
    add { $0.address = .unspecified }
    add { $0.address = IPv4Address(127, 0, 0, 1) }
    add { $0.address = .broadcast }
    add { $0.options = DHCPServer.standardOptions(2, server: .unspecified) }
    add { $0.options = DHCPServer.standardOptions(5) }
    add { $0.options = DHCPServer.standardOptions(6) }
    add { $0.options = [53, 2, 2, 2, 255] }
    add { $0.options = [53, 1, 2, 54, 3, 10, 0, 2, 255] }
    add { $0.options = [53, 1, 2, 54, 4, 10, 0] }
    add { $0.options = [53] }
    add { $0.options = [53, 1, 2, 54, 4, 10, 0, 2, 2, 3, 0, 255] }
    add { $0.options = [53, 1, 2, 54, 4, 10, 0, 2, 2, 67, 1, 7, 255] }
    for server in bad {
      var host = Host()
      _ = host.sent()
      host.receive(server.frame())
      #expect(host.sent().isEmpty, "\(server.options)")
      host.receive(good.frame())
      #expect(host.sent().count == 1)
    }
  }

  @Test func `an acknowledgment counts only from the server that was asked`() {
    var host = Host()
    _ = host.sent()
    host.receive(DHCPServer.frame(2, host.transaction))
    _ = host.sent()
    let other = DHCPServer.standardOptions(5, server: IPv4Address(10, 0, 2, 99))
    host.receive(DHCPServer(transaction: host.transaction, options: other).frame())
    #expect(!host.isIdle)
    host.receive(
      DHCPServer(transaction: host.transaction, address: .broadcast, options: DHCPServer.standardOptions(5))
        .frame())
    #expect(!host.isIdle)
    host.receive(DHCPServer.frame(5, host.transaction))
    #expect(host.isIdle)
  }

  private static func bound(_ change: (inout DHCPServer) -> Void) -> Lease? {
    var host = Host()
    _ = host.sent()
    host.receive(DHCPServer.frame(2, host.transaction))
    _ = host.sent()
    var server = DHCPServer(transaction: host.transaction, options: DHCPServer.standardOptions(5))
    change(&server)
    host.receive(server.frame())
    return host.client.lease
  }

  private static func text(_ name: FileName?) -> String {
    String(decoding: (0..<(name?.count ?? 0)).map { name![$0] }, as: UTF8.self)
  }

  @Test func `the boot file comes from the field, the option, or the overloaded field`() {
    let file = [UInt8]("from.field".utf8)
    let option = [67, 4] + [UInt8]("opt1".utf8)
    let standard = DHCPServer.standardOptions(5)
    #expect(Self.text(Self.bound { $0.file = file }?.bootFile) == "from.field")
    #expect(Self.text(Self.bound { $0.options = option + standard }?.bootFile) == "opt1")
    #expect(
      Self.text(
        Self.bound {
          $0.file = file
          $0.options = option + standard
        }?.bootFile) == "opt1")
    #expect(
      Self.text(
        Self.bound {
          $0.file = option + [255]
          $0.options = [52, 1, 1] + standard
        }?.bootFile) == "opt1")
    #expect(
      Self.text(
        Self.bound {
          $0.name = option + [255]
          $0.options = [52, 1, 2] + standard
        }?.bootFile) == "opt1")
    // An overload within an overload means nothing.
    #expect(
      Self.text(
        Self.bound {
          $0.file = [52, 1, 2]
          $0.name = option
          $0.options = [52, 1, 1] + standard
        }?.bootFile) == "")
    #expect(Self.text(Self.bound { $0.file = [UInt8](repeating: 0x61, count: 128) }?.bootFile).count == 128)
  }

  @Test func `the next server is the boot server, or else the DHCP server`() {
    #expect(Self.bound { $0.next = IPv4Address(10, 0, 2, 7) }?.bootServer == IPv4Address(10, 0, 2, 7))
    #expect(Self.bound { $0.next = .unspecified }?.bootServer == serverAddress)
  }

  @Test func `a lease of no time is none`() {
    let options: [UInt8] = [53, 1, 5, 54, 4, 10, 0, 2, 2, 51, 4, 0, 0, 0, 0, 255]
    #expect(Self.bound { $0.options = options } == nil)
  }

  @Test func `far hosts are reached through the router`() throws {
    let lease = try #require(Self.bound { _ in })
    #expect(lease.nextHop(to: IPv4Address(10, 0, 2, 77)) == IPv4Address(10, 0, 2, 77))
    #expect(lease.nextHop(to: IPv4Address(192, 0, 2, 1)) == serverAddress)
  }

  @Test func `damaged replies change nothing or are read within bounds`() {
    var random = Seeded(5)
    let good = DHCPServer(
      transaction: 0x1234_5678, file: [UInt8]("file".utf8),
      options: [52, 1, 3] + DHCPServer.standardOptions(2))
    for _ in 0..<5000 {
      var server = good
      for _ in 0..<Int.random(in: 1...6, using: &random) {
        server.options[Int.random(in: 0..<server.options.count, using: &random)] =
          UInt8.random(in: 0...255, using: &random)
      }
      server.options.removeLast(Int.random(in: 0...server.options.count, using: &random))
      server.file = (0..<128).map { _ in UInt8.random(in: 0...70, using: &random) }
      server.name = (0..<64).map { _ in UInt8.random(in: 0...255, using: &random) }
      var host = Host()
      _ = host.sent()
      host.receive(server.frame())
      #expect(host.sent().count <= 1)
      host.receive(DHCPServer.frame(5, host.transaction))
      #expect(host.failure == nil)
    }
  }
}
