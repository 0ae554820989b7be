import Testing

@testable import DriverChecks

@Suite struct `TFTP client` {
  private static func content(_ count: Int) -> [UInt8] {
    var random = Seeded(UInt64(count))
    return (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
  }

  private static func block(_ content: [UInt8], _ number: Int, _ size: Int) -> [UInt8] {
    Array(content.dropFirst((number - 1) * size).prefix(size))
  }

  @Test func `the address of the server is asked first, then the file`() {
    var host = Host.configured()
    host.client.download(FileName("a/b.img"), from: serverAddress, byteLimit: 100, now: 0)
    let question = host.sent()
    #expect(question.count == 1)
    let message = question[0].withBytes { ARPMessage(frame: $0) }
    #expect(message?.operation == ARPMessage.request && message?.target == serverAddress)
    host.receive(Host.arpReply)
    let request = host.sent()
    #expect(request.count == 1)
    #expect(payload(request[0]) == [0, 1] + [UInt8]("a/b.img\0octet\0blksize\01428\0tsize\00\0".utf8))
    #expect(Array(request[0][0..<6]) == [0x52, 0x55, 0x0a, 0x00, 0x02, 0x02])
    #expect(Array(request[0][36..<38]) == [0, 69])
  }

  @Test(arguments: [0, 1, 1427, 1428, 1429, 2856, 10_000]) func `a file with options`(count: Int) {
    let content = Self.content(count)
    var host = Host.configured()
    let port = host.startDownload()
    host.receive(TFTPServer.frame(TFTPServer.options("tsize\0\(count)\0blksize\01428\0"), to: port))
    #expect(host.sent().map(payload) == [[0, 4, 0, 0]])
    for number in 1...count / 1428 + 1 {
      let data = TFTPServer.data(UInt16(number), Self.block(content, number, 1428))
      host.receive(TFTPServer.frame(data, to: port))
      #expect(host.sent().map(payload) == [[0, 4, UInt8(number >> 8), UInt8(number & 0xff)]])
    }
    #expect(host.isFinished && host.client.byteCount == count)
    #expect(host.client.finishHash().array == content.sha256)
  }

  @Test func `a server without options, from a port of its own`() {
    let content = Self.content(1000)
    var host = Host.configured()
    let port = host.startDownload()
    host.receive(TFTPServer.frame(TFTPServer.data(1, Self.block(content, 1, 512)), port: 4711, to: port))
    let acknowledgment = host.sent()
    #expect(acknowledgment.map(payload) == [[0, 4, 0, 1]])
    #expect(Array(acknowledgment[0][36..<38]) == [0x12, 0x67])
    host.receive(TFTPServer.frame(TFTPServer.data(2, Self.block(content, 2, 512)), port: 4711, to: port))
    #expect(host.isFinished)
    #expect(host.client.finishHash().array == content.sha256)
  }

  @Test func `block numbers go on after 65535`() {
    var host = Host.configured()
    let port = host.startDownload()
    host.receive(TFTPServer.frame(TFTPServer.options("blksize\08\0"), to: port))
    var frame = TFTPServer.frame(TFTPServer.data(0, [1, 2, 3, 4, 5, 6, 7, 8]), to: port)
    for number in 1...65_540 {
      frame[44] = UInt8(number >> 8 & 0xff)
      frame[45] = UInt8(number & 0xff)
      frame[40] = 0  // no checksum
      frame[41] = 0
      host.receive(frame)
    }
    #expect(host.sent().map(payload) == [[0, 4, 0, 4]])
    #expect(host.client.byteCount == 65_540 * 8)
  }

  @Test func `a repeated block is acknowledged again and counted once`() {
    let content = Self.content(1000)
    var host = Host.configured()
    let port = host.startDownload()
    let first = TFTPServer.frame(TFTPServer.data(1, Self.block(content, 1, 512)), to: port)
    host.receive(first)
    _ = host.sent()
    host.receive(first)
    #expect(host.sent().map(payload) == [[0, 4, 0, 1]])
    let second = TFTPServer.frame(TFTPServer.data(2, Self.block(content, 2, 512)), to: port)
    host.receive(second)
    _ = host.sent()
    #expect(host.isFinished)
    host.receive(second)
    #expect(host.sent().map(payload) == [[0, 4, 0, 2]])
    host.receive(first)
    #expect(host.sent().isEmpty && host.isFinished)
    #expect(host.client.finishHash().array == content.sha256)
  }

  @Test func `repeated options are acknowledged again`() {
    var host = Host.configured()
    let port = host.startDownload()
    let options = TFTPServer.frame(TFTPServer.options("blksize\01024\0"), to: port)
    host.receive(options)
    _ = host.sent()
    host.receive(options)
    #expect(host.sent().map(payload) == [[0, 4, 0, 0]])
  }

  @Test func `blocks that are too early are ignored`() {
    var host = Host.configured()
    let port = host.startDownload()
    for number in [2, 3, 0, 65535] as [UInt16] {
      host.receive(TFTPServer.frame(TFTPServer.data(number, [1, 2]), to: port))
    }
    #expect(host.client.byteCount == 0 && host.failure == nil && host.sent().isEmpty)
  }

  @Test func `another port gets error 5 and disturbs nothing`() {
    let content = Self.content(600)
    var host = Host.configured()
    let port = host.startDownload()
    host.receive(TFTPServer.frame(TFTPServer.data(1, Self.block(content, 1, 512)), port: 4000, to: port))
    _ = host.sent()
    host.receive(TFTPServer.frame(TFTPServer.data(2, [6, 6, 6]), port: 4001, to: port))
    let answer = host.sent()
    #expect(answer.map(payload) == [[0, 5, 0, 5, 0]])
    #expect(Array(answer[0][36..<38]) == [0x0f, 0xa1])
    host.receive(TFTPServer.frame(TFTPServer.error(1), port: 4001, to: port))
    _ = host.sent()
    host.receive(TFTPServer.frame(TFTPServer.data(2, Self.block(content, 2, 512)), port: 4000, to: port))
    #expect(host.isFinished)
    #expect(host.client.finishHash().array == content.sha256)
  }

  @Test func `other hosts, other ports of ours and broken packets are ignored`() {
    var host = Host.configured()
    let port = host.startDownload()
    let data = TFTPServer.data(1, [1, 2, 3])
    host.receive(TFTPServer.frame(data, to: port, from: IPv4Address(10, 0, 2, 9)))
    host.receive(TFTPServer.frame(data, to: port + 1))
    host.receive(TFTPServer.frame([], to: port))
    host.receive(TFTPServer.frame([0, 3, 0], to: port))
    host.receive(TFTPServer.frame([0, 9, 0, 1, 1, 2], to: port))
    host.receive(TFTPServer.frame([0, 1, 0, 1, 1, 2], to: port))
    #expect(host.sent().isEmpty && host.client.byteCount == 0 && host.failure == nil)
  }

  @Test func `a larger block than agreed ends the download`() {
    for (options, size) in [(nil, 513), ("blksize\0100\0", 101), ("tsize\05000\0", 513)] as [(String?, Int)] {
      var host = Host.configured()
      let port = host.startDownload()
      if let options { host.receive(TFTPServer.frame(TFTPServer.options(options), to: port)) }
      _ = host.sent()
      host.receive(TFTPServer.frame(TFTPServer.data(1, [UInt8](repeating: 0, count: size)), to: port))
      #expect(host.failure == .download(.violation))
      #expect(host.sent().map(payload) == [[0, 5, 0, 4, 0]])
      #expect(host.client.due == nil)
    }
  }

  @Test(arguments: [
    "blksize\01429\0", "blksize\07\0", "blksize\0\0", "blksize\0x\0", "blksize\0", "blksize",
    "windowsize\04\0",
    "tsize\0-1\0", "blksize\0512", "tsize\01234567890123456\0",
  ])
  func `options that were not asked for end the download`(options: String) {
    var host = Host.configured()
    let port = host.startDownload()
    host.receive(TFTPServer.frame(TFTPServer.options(options), to: port))
    #expect(host.failure == .download(.violation))
    #expect(host.sent().map(payload) == [[0, 5, 0, 4, 0]])
  }

  @Test func `options in capitals are options`() {
    var host = Host.configured()
    let port = host.startDownload()
    host.receive(TFTPServer.frame(TFTPServer.options("BLKSIZE\0512\0TSize\03\0"), to: port))
    host.receive(TFTPServer.frame(TFTPServer.data(1, [1, 2, 3]), to: port))
    #expect(host.isFinished)
  }

  @Test func `a file that is too long, by announcement or in fact`() {
    var host = Host.configured()
    var port = host.startDownload(byteLimit: 1000)
    host.receive(TFTPServer.frame(TFTPServer.options("tsize\01001\0"), to: port))
    #expect(host.failure == .download(.tooLong))
    #expect(host.sent().map(payload) == [[0, 5, 0, 3, 0]])
    host = Host.configured()
    port = host.startDownload(byteLimit: 1000)
    let block = [UInt8](repeating: 1, count: 512)
    host.receive(TFTPServer.frame(TFTPServer.data(1, block), to: port))
    host.receive(TFTPServer.frame(TFTPServer.data(2, block), to: port))
    #expect(host.failure == .download(.tooLong))
  }

  @Test func `a file of another length than announced`() {
    var host = Host.configured()
    let port = host.startDownload()
    host.receive(TFTPServer.frame(TFTPServer.options("tsize\0100\0"), to: port))
    host.receive(TFTPServer.frame(TFTPServer.data(1, [1, 2, 3]), to: port))
    #expect(host.failure == .download(.wrongSize))
  }

  @Test func `the server's error ends the download`() {
    var host = Host.configured()
    let port = host.startDownload()
    host.receive(TFTPServer.frame(TFTPServer.error(1), to: port))
    #expect(host.failure == .download(.refused(1)))
    #expect(host.sent().isEmpty && host.client.due == nil)
  }

  @Test func `an unanswered request is repeated, then given up`() {
    var host = Host.configured()
    _ = host.startDownload()
    var count = 1
    while host.failure == nil, host.sleep() { count += host.sent().count }
    #expect(count == TFTPClient.attempts)
    #expect(host.failure == .download(.unanswered))
    #expect(host.now <= 40_000)
  }

  @Test func `a server that stops is given up, and every block gives it new time`() {
    var host = Host.configured()
    let port = host.startDownload()
    host.receive(TFTPServer.frame(TFTPServer.data(1, [UInt8](repeating: 0, count: 512)), to: port))
    #expect(host.sent().count == 1)
    var acknowledgments = 0
    while host.failure == nil, host.sleep() {
      for frame in host.sent() {
        #expect(payload(frame) == [0, 4, 0, 1])
        acknowledgments += 1
      }
    }
    #expect(acknowledgments == TFTPClient.attempts)
    #expect(host.failure == .download(.unanswered))
  }

  @Test func `nobody with that address`() {
    var host = Host.configured()
    host.client.download(FileName("f"), from: serverAddress, byteLimit: 10, now: 0)
    while host.failure == nil, host.sleep() { _ = host.sent() }
    #expect(host.failure == .unreachable)
  }
}
