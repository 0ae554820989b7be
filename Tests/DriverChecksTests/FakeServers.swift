@testable import DriverChecks

/// Builds what a DHCP server sends; every part can be wrong.
struct DHCPServer {
  var operation: UInt8 = 2
  var transaction: UInt32
  var address = ourAddress
  var next = serverAddress
  var client = ourMAC
  var magic: UInt32 = 0x6382_5363
  var file: [UInt8] = []
  var name: [UInt8] = []
  var options: [UInt8] = []
  var sourcePort: UInt16 = 67

  static func standardOptions(_ type: UInt8, server: IPv4Address = serverAddress) -> [UInt8] {
    [53, 1, type, 54, 4] + bytes(server.rawValue)
      + [1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 2, 2, 51, 4, 0, 1, 0x51, 0x80, 255]
  }

  static func bytes(_ word: UInt32) -> [UInt8] { (0..<4).map { UInt8(word >> (24 - 8 * $0) & 0xff) } }

  private func padded(_ bytes: [UInt8], _ count: Int) -> [UInt8] {
    bytes + [UInt8](repeating: 0, count: count - bytes.count)
  }

  func message() -> [UInt8] {
    var body: [UInt8] = [operation, 1, 6, 0] + Self.bytes(transaction) + [0, 0, 0x80, 0]
    body += Self.bytes(0) + Self.bytes(address.rawValue) + Self.bytes(next.rawValue) + Self.bytes(0)
    body += (0..<6).map { UInt8(client.rawValue >> (40 - 8 * $0) & 0xff) } + [UInt8](repeating: 0, count: 10)
    body += padded(name, 64) + padded(file, 128) + Self.bytes(magic) + options
    return body
  }

  func frame() -> [UInt8] {
    Frame.built { frame in
      UDPDatagram.begin(
        &frame,
        UDPDatagram.Route(
          sourceMAC: serverMAC, destinationMAC: .broadcast, source: serverAddress, destination: .broadcast,
          sourcePort: sourcePort, destinationPort: 68))
      for byte in message() { frame.append(byte) }
      UDPDatagram.end(&frame)
    }
  }

  /// An offer (2), acknowledgment (5) or refusal (6) as QEMU's sends it.
  static func frame(_ type: UInt8, _ transaction: UInt32) -> [UInt8] {
    DHCPServer(transaction: transaction, options: standardOptions(type)).frame()
  }
}

/// Builds what a TFTP server sends.
enum TFTPServer {
  static func frame(
    _ payload: [UInt8], port: UInt16 = 69, to client: UInt16, from address: IPv4Address = serverAddress
  )
    -> [UInt8]
  {
    Frame.built { frame in
      UDPDatagram.begin(
        &frame,
        UDPDatagram.Route(
          sourceMAC: serverMAC, destinationMAC: ourMAC, source: address, destination: ourAddress,
          sourcePort: port, destinationPort: client))
      for byte in payload { frame.append(byte) }
      UDPDatagram.end(&frame)
    }
  }

  static func data(_ block: UInt16, _ bytes: [UInt8]) -> [UInt8] {
    [0, 3, UInt8(block >> 8), UInt8(block & 0xff)] + bytes
  }

  static func options(_ text: String) -> [UInt8] { [0, 6] + [UInt8](text.utf8) }

  static func error(_ code: UInt8) -> [UInt8] { [0, 5, 0, code] + [UInt8]("no".utf8) + [0] }
}

/// The client under test with its clock, driven frame by frame.
struct Host {
  var client: NetworkClient
  var now: UInt64 = 0
  var transaction: UInt32 = 0x1234_5678

  init() { client = NetworkClient(mac: ourMAC, random: 0x0000_0001_1234_5678, now: 0) }

  /// All that is to be sent now.
  mutating func sent() -> [[UInt8]] {
    var frames: [[UInt8]] = []
    var frame = Frame()
    while client.transmit(now, into: &frame) {
      frames.append((0..<frame.count).map { frame[$0] })
      if frames.count > 8 { return frames }
    }
    return frames
  }

  mutating func receive(_ frame: [UInt8]) {
    frame.withBytes { client.receive($0, now: now) }
  }

  /// Moves the clock to when the client has something to do; false if it waits for ever.
  mutating func sleep() -> Bool {
    guard let due = client.due else { return false }
    now = max(now, due)
    return true
  }

  /// With a lease as QEMU's server gives it.
  static func configured() -> Host {
    var host = Host()
    _ = host.sent()
    host.receive(DHCPServer.frame(2, host.transaction))
    _ = host.sent()
    host.receive(DHCPServer.frame(5, host.transaction))
    _ = host.sent()
    return host
  }

  /// After the request for a file was sent; returns the port it came from.
  mutating func startDownload(_ name: StaticString = "file", byteLimit: UInt64 = 1 << 20) -> UInt16 {
    client.download(FileName(name), from: serverAddress, byteLimit: byteLimit, now: now)
    _ = sent()
    receive(Self.arpReply)
    let request = sent()
    guard request.count == 1 else { return 0 }
    return UInt16(request[0][34]) << 8 | UInt16(request[0][35])
  }

  static var arpReply: [UInt8] {
    Frame.built {
      ARPMessage(
        operation: ARPMessage.reply, senderMAC: serverMAC, sender: serverAddress, targetMAC: ourMAC,
        target: ourAddress
      ).write(to: &$0)
    }
  }

  var isFinished: Bool { if case .finished = client.phase { true } else { false } }
  var failure: NetworkFailure? { if case .failed(let failure) = client.phase { failure } else { nil } }
  var isIdle: Bool { if case .idle = client.phase { true } else { false } }
}

/// The TFTP part of a frame that the client sent.
func payload(_ frame: [UInt8]) -> [UInt8] {
  frame.withBytes { UDPDatagram(frame: $0) }.map { Array(frame[$0.payload]) } ?? []
}
