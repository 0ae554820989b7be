// A host on an Ethernet that obtains an address and downloads one file, and nothing else. It does no I/O and
// knows no clock: frames and milliseconds come in, frames go out.

public import Wire

/// Why the network was of no use.
public enum NetworkFailure: Equatable, Sendable {
  /// No DHCP server has answered.
  case noServer
  /// The DHCP server took its offers back.
  case leaseRefused
  /// Nobody has the address of the file server, or of the router to it.
  case unreachable
  /// The download failed.
  case download(TFTPFailure)
}

/// The host.
public struct NetworkClient {
  /// How far it has come.
  public enum Phase {
    /// Waiting for a lease.
    case configuring
    /// It has a lease and nothing to do.
    case idle
    /// Asking for the hardware address of the file server.
    case resolving
    /// The file is on its way.
    case downloading
    /// The file is there.
    case finished
    /// It has come no further.
    case failed(NetworkFailure)
  }

  /// How far it has come.
  public private(set) var phase = Phase.configuring
  /// The lease, once there is one.
  public private(set) var lease: Lease?

  private let mac: EthernetAddress
  private var dhcp: DHCPClient
  private var tftp: TFTPClient?
  private var hash = SHA256()
  private var server = IPv4Address.unspecified
  private var serverMAC: EthernetAddress?
  private var port: UInt16
  private var resolve: Retry
  /// Answers that are owed: to an ARP request, and to a stranger's TFTP packet.
  private var owedARP: ARPMessage?
  private var owedError: UInt16?

  /// A host that starts to ask for a lease. `random` makes its transaction number and its port.
  public init(mac: EthernetAddress, random: UInt64, now: UInt64) {
    self.mac = mac
    dhcp = DHCPClient(client: mac, transaction: UInt32(truncatingIfNeeded: random), now: now)
    port = 0xc000 | UInt16(truncatingIfNeeded: random >> 32) & 0x3fff
    resolve = Retry(attempts: 0, interval: 0, now: now)
  }

  /// Starts the download of `file`, of `byteLimit` bytes at most. Traps unless idle or finished.
  public mutating func download(_ file: FileName, from server: IPv4Address, byteLimit: UInt64, now: UInt64) {
    switch phase {
    case .idle, .finished: break
    default: preconditionFailure("a download without a lease, or during another")
    }
    self.server = server
    port = port &+ 1 | 0xc000
    hash = SHA256()
    serverMAC = nil
    resolve = Retry(attempts: 5, interval: 500, now: now)
    tftp = TFTPClient(file: file, byteLimit: byteLimit, now: now)
    phase = .resolving
  }

  /// Bytes of the file so far.
  public var byteCount: UInt64 { hash.byteCount }

  /// The SHA-256 of the file. Once, after it has arrived.
  public mutating func finishHash() -> ByteArray<32> { hash.finish() }

  /// When `transmit` has something to do at the latest; nil for never.
  public var due: UInt64? {
    if owedARP != nil || owedError != nil { return 0 }
    switch phase {
    case .configuring: return dhcp.due
    case .resolving: return resolve.due
    case .downloading, .finished: return tftp?.due
    case .failed: return tftp?.due
    case .idle: return nil
    }
  }

  /// Makes `frame` the next one to send; false when there is none now. Call it until it says so.
  public mutating func transmit(_ now: UInt64, into frame: inout Frame) -> Bool {
    if let answer = owedARP {
      owedARP = nil
      answer.write(to: &frame)
      return true
    }
    if let port = owedError {
      owedError = nil
      return send(to: port, &frame) { (frame: inout Frame) in
        TFTPClient.appendError(5, &frame)
        return true
      }
    }
    switch phase {
    case .configuring:
      if dhcp.transmit(now, into: &frame) { return true }
      followDHCP()
      return false
    case .resolving: return transmitRequest(now, into: &frame)
    case .downloading, .finished, .failed: return transmitTFTP(now, into: &frame)
    case .idle: return false
    }
  }

  private mutating func transmitRequest(_ now: UInt64, into frame: inout Frame) -> Bool {
    guard let lease else { return false }
    switch resolve.step(now) {
    case .wait: return false
    case .giveUp:
      tftp = nil
      phase = .failed(.unreachable)
      return false
    case .send:
      ARPMessage(
        operation: ARPMessage.request, senderMAC: mac, sender: lease.address, targetMAC: EthernetAddress(0),
        target: lease.nextHop(to: server)
      ).write(to: &frame)
      return true
    }
  }

  private mutating func transmitTFTP(_ now: UInt64, into frame: inout Frame) -> Bool {
    guard var client = tftp else { return false }
    let sent = send(to: client.serverPort ?? TFTPClient.serverPort, &frame) { (frame: inout Frame) in
      client.transmit(now, into: &frame)
    }
    tftp = client
    followTFTP()
    return sent
  }

  /// Makes `frame` a datagram to the server; `body` appends what it says, or answers false to send nothing.
  private func send(to port: UInt16, _ frame: inout Frame, _ body: (inout Frame) -> Bool) -> Bool {
    guard let lease, let serverMAC else { return false }
    UDPDatagram.begin(
      &frame,
      UDPDatagram.Route(
        sourceMAC: mac, destinationMAC: serverMAC, source: lease.address, destination: server,
        sourcePort: self.port, destinationPort: port))
    guard body(&frame) else { return false }
    UDPDatagram.end(&frame)
    return true
  }

  /// Takes a frame that has arrived. What is damaged or not for this host is ignored.
  public mutating func receive(_ frame: RawSpan, now: UInt64) {
    guard frame.byteCount >= Ethernet.headerByteCount, frame.byteCount <= Frame.capacity else { return }
    let destination = frame.mac(0)
    guard destination == mac || destination == .broadcast else { return }
    if let message = ARPMessage(frame: frame) { return receive(message) }
    guard let datagram = UDPDatagram(frame: frame) else { return }
    if datagram.destinationPort == DHCPClient.clientPort {
      guard case .configuring = phase else { return }
      dhcp.receive(frame, datagram, now)
      followDHCP()
    } else {
      receiveTFTP(frame, datagram, now)
    }
  }

  private mutating func receive(_ message: ARPMessage) {
    guard let lease, message.senderMAC.isUnicast else { return }
    if message.operation == ARPMessage.request, message.target == lease.address {
      owedARP = ARPMessage(
        operation: ARPMessage.reply, senderMAC: mac, sender: lease.address, targetMAC: message.senderMAC,
        target: message.sender)
    }
    if case .resolving = phase, message.operation == ARPMessage.reply,
      message.target == lease.address, message.sender == lease.nextHop(to: server)
    {
      serverMAC = message.senderMAC
      phase = .downloading
    }
  }

  private mutating func receiveTFTP(_ frame: RawSpan, _ datagram: UDPDatagram, _ now: UInt64) {
    guard let lease, var client = tftp, datagram.destination == lease.address, datagram.source == server,
      datagram.destinationPort == port
    else { return }
    switch client.receive(frame, datagram, now) {
    case .none: break
    case .data(let range): hash.update(frame.extracting(range))
    case .stranger: owedError = datagram.sourcePort
    }
    tftp = client
    followTFTP()
  }

  private mutating func followDHCP() {
    switch dhcp.state {
    case .bound(let lease):
      self.lease = lease
      phase = .idle
    case .unanswered: phase = .failed(.noServer)
    case .refused: phase = .failed(.leaseRefused)
    case .selecting, .requesting: break
    }
  }

  private mutating func followTFTP() {
    guard case .downloading = phase, let tftp else { return }
    switch tftp.state {
    case .finished: phase = .finished
    case .failed(let failure): phase = .failed(.download(failure))
    case .requesting, .downloading: break
    }
  }
}
