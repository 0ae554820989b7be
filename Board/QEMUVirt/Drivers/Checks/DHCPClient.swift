// A DHCP client (RFC 2131 section 3.1) up to the lease. It is not renewed: an image uses it for minutes.

/// What a lease gives.
public struct Lease: Sendable {
  /// Our address.
  public let address: IPv4Address
  /// The mask of our network.
  public let mask: IPv4Address
  /// The way out of it; unspecified if there is none.
  public let router: IPv4Address
  /// The host with the boot files.
  public let bootServer: IPv4Address
  /// The boot file; empty if the server names none.
  public let bootFile: FileName
  /// How long the lease holds.
  public let seconds: UInt32

  /// Where to send what is for `destination`.
  func nextHop(to destination: IPv4Address) -> IPv4Address {
    let isNear = (destination.rawValue ^ address.rawValue) & mask.rawValue == 0
    return isNear || router == .unspecified ? destination : router
  }
}

struct DHCPClient {
  static let clientPort: UInt16 = 68
  static let serverPort: UInt16 = 67
  /// Each message is sent this often: after 1, 2, 4 and 8 seconds again, and given up 8 seconds later.
  static let attempts = 5
  /// Offers that were taken up and refused by the server, before the client gives up.
  static let refusalLimit = 3

  enum State {
    case selecting
    case requesting(DHCPReply)
    case bound(Lease)
    /// No server has answered.
    case unanswered
    /// The server takes its offers back.
    case refused
  }

  private(set) var state = State.selecting
  private let client: EthernetAddress
  private var transaction: UInt32
  private var retry: Retry
  private var refusals = 0

  init(client: EthernetAddress, transaction: UInt32, now: UInt64) {
    self.client = client
    self.transaction = transaction
    retry = Retry(attempts: Self.attempts, interval: 1000, now: now)
  }

  /// When to call `transmit` again; nil once there is nothing to send any more.
  var due: UInt64? {
    switch state {
    case .selecting, .requesting: retry.due
    default: nil
    }
  }

  /// Writes the frame that is due, if one is.
  mutating func transmit(_ now: UInt64, into frame: inout Frame) -> Bool {
    if due == nil { return false }
    switch retry.step(now) {
    case .wait: return false
    case .giveUp:
      state = .unanswered
      return false
    case .send: break
    }
    var request = DHCPRequest(type: DHCPRequest.discover, transaction: transaction, client: client)
    if case .requesting(let offer) = state {
      request.type = DHCPRequest.request
      request.address = offer.address
      request.server = offer.server
    }
    request.write(to: &frame)
    return true
  }

  /// Takes a datagram that came to the client's port. What does not belong here is ignored.
  mutating func receive(_ frame: RawSpan, _ datagram: UDPDatagram, _ now: UInt64) {
    guard datagram.sourcePort == Self.serverPort,
      let reply = DHCPReply(frame: frame, datagram.payload, transaction: transaction, client: client)
    else { return }
    switch state {
    case .selecting where reply.type == DHCPReply.offer:
      guard reply.address.isHost, reply.server.isHost else { return }
      state = .requesting(reply)
      retry = Retry(attempts: Self.attempts, interval: 1000, now: now)
    case .requesting(let offer) where reply.server == offer.server:
      if reply.type == DHCPReply.acknowledge {
        accept(reply)
      } else if reply.type == DHCPReply.refuse {
        startAgain(now)
      }
    default: break
    }
  }

  private mutating func accept(_ reply: DHCPReply) {
    guard reply.address.isHost, reply.leaseSeconds > 0 else { return }
    state = .bound(
      Lease(
        address: reply.address, mask: reply.mask, router: reply.router.isHost ? reply.router : .unspecified,
        bootServer: reply.bootServer, bootFile: reply.bootFile, seconds: reply.leaseSeconds))
  }

  private mutating func startAgain(_ now: UInt64) {
    refusals += 1
    guard refusals < Self.refusalLimit else {
      state = .refused
      return
    }
    transaction &+= 1
    state = .selecting
    retry = Retry(attempts: Self.attempts, interval: 1000, now: now)
  }
}
