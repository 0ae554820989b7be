// A TFTP client that reads one file (RFC 1350), with the options blksize (RFC 2348) and tsize (RFC 2349).
// Everything that arrives is suspect: other ports, old and future blocks, sizes that were not agreed.

/// Why a download ended early.
public enum TFTPFailure: Equatable, Sendable {
  /// The server does not answer, or no longer.
  case unanswered
  /// The server says so, with its error code (RFC 1350 section 5).
  case refused(UInt16)
  /// The server sent a packet that the protocol does not allow.
  case violation
  /// The file is longer than this side takes.
  case tooLong
  /// The file was not as long as the server had said.
  case wrongSize
}

enum TFTPOpcode {
  static let readRequest: UInt16 = 1
  static let data: UInt16 = 3
  static let acknowledgment: UInt16 = 4
  static let error: UInt16 = 5
  static let optionAcknowledgment: UInt16 = 6
}

struct TFTPClient {
  static let serverPort: UInt16 = 69
  /// The block size that is asked for: what fits a frame, rounded down. Without the option it is 512.
  static let blockSize = 1428
  static let attempts = 6

  enum State: Equatable {
    case requesting
    case downloading
    /// All is there. The last acknowledgment is repeated if the server repeats its last block.
    case finished
    case failed(TFTPFailure)
  }

  private(set) var state = State.requesting
  /// The port that the server answers from, once it has (RFC 1350 section 4).
  private(set) var serverPort: UInt16?
  private(set) var byteCount: UInt64 = 0
  /// The file's size if the server gives it.
  private(set) var announcedSize: UInt64?

  private let file: FileName
  private let byteLimit: UInt64
  private var agreedBlockSize = 512
  /// Number of the last block that arrived; the protocol shows its low 16 bits.
  private var lastBlock: UInt32 = 0
  private var retry: Retry
  /// A packet to send at once that is no repetition.
  private var isDue = false

  /// A client that asks for `file`, of `byteLimit` bytes at most, and never more than 4 GiB.
  init(file: FileName, byteLimit: UInt64, now: UInt64) {
    self.file = file
    self.byteLimit = min(byteLimit, 1 << 32)
    retry = Retry(attempts: Self.attempts, interval: 1000, now: now)
  }

  /// When to call `transmit` again; nil if nothing is to be sent.
  var due: UInt64? {
    switch state {
    case .requesting, .downloading: isDue ? 0 : retry.due
    case .finished, .failed: isDue ? 0 : nil
    }
  }

  /// Appends the packet that is due to a frame that has its headers, if one is.
  mutating func transmit(_ now: UInt64, into frame: inout Frame) -> Bool {
    guard let due, due <= now else { return false }
    let wasDue = isDue
    isDue = false
    switch state {
    case .requesting, .downloading:
      switch wasDue ? .send : retry.step(now) {
      case .wait: return false
      case .giveUp:
        state = .failed(.unanswered)
        return false
      case .send: break
      }
      if state == .requesting { appendRequest(&frame) } else { appendAcknowledgment(&frame) }
    case .finished: appendAcknowledgment(&frame)
    case .failed(let failure): Self.appendError(failure == .tooLong ? 3 : 4, &frame)
    }
    return true
  }

  /// What a packet brought.
  enum Arrival: Equatable {
    /// Nothing.
    case none
    /// The next bytes of the file, at this place in the frame.
    case data(Range<Int>)
    /// A packet from a port that has nothing to do with this transfer: it gets error 5.
    case stranger
  }

  /// Takes a datagram from the server's address to our port.
  mutating func receive(_ frame: RawSpan, _ datagram: UDPDatagram, _ now: UInt64) -> Arrival {
    if let serverPort, serverPort != datagram.sourcePort { return .stranger }
    if case .failed = state { return .none }
    let packet = datagram.payload
    guard packet.count >= 4 else { return .none }
    let body = packet.lowerBound + 4..<packet.upperBound
    let number = frame.big16(packet.lowerBound + 2)
    switch frame.big16(packet.lowerBound) {
    case TFTPOpcode.data: return receiveData(number, body, from: datagram.sourcePort, now)
    case TFTPOpcode.optionAcknowledgment:
      receiveOptions(frame, packet.lowerBound + 2..<packet.upperBound, from: datagram.sourcePort, now)
    case TFTPOpcode.error where state != .finished: state = .failed(.refused(number))
    default: break
    }
    return .none
  }

  private mutating func receiveData(
    _ number: UInt16, _ body: Range<Int>, from port: UInt16, _ now: UInt64
  ) -> Arrival {
    if number == UInt16(truncatingIfNeeded: lastBlock), state != .requesting, lastBlock > 0 {
      // Our acknowledgment was lost, or is late: say it again. The server does not answer that with another
      // copy of the next block (RFC 1123 section 4.2.3.1), so this cannot go round.
      isDue = true
      return .none
    }
    guard state != .finished, number == UInt16(truncatingIfNeeded: lastBlock + 1) else { return .none }
    guard body.count <= agreedBlockSize else {
      fail(.violation)
      return .none
    }
    guard UInt64(body.count) <= byteLimit - byteCount else {
      fail(.tooLong)
      return .none
    }
    serverPort = port
    lastBlock += 1
    byteCount += UInt64(body.count)
    state = body.count < agreedBlockSize ? .finished : .downloading
    if state == .finished, let announcedSize, announcedSize != byteCount {
      fail(.wrongSize)
      return .none
    }
    proceed(now)
    return .data(body)
  }

  private mutating func receiveOptions(
    _ frame: RawSpan, _ range: Range<Int>, from port: UInt16, _ now: UInt64
  ) {
    if state == .downloading, lastBlock == 0 {
      isDue = true  // repeated: our acknowledgment of block 0 was lost
      return
    }
    guard state == .requesting else { return }
    serverPort = port
    var reader = TFTPOptions(range)
    while let option = reader.next(frame) {
      switch option {
      case .blockSize(let size) where size >= 8 && size <= Self.blockSize: agreedBlockSize = Int(size)
      case .size(let size): announcedSize = size
      default: return fail(.violation)
      }
    }
    if let announcedSize, announcedSize > byteLimit { return fail(.tooLong) }
    state = .downloading
    proceed(now)
  }

  /// Something new has come: acknowledge it, and count the attempts anew.
  private mutating func proceed(_ now: UInt64) {
    retry = Retry(attempts: Self.attempts, interval: 1000, now: now + 1000)
    isDue = true
  }

  private mutating func fail(_ failure: TFTPFailure) {
    state = .failed(failure)
    isDue = true
  }

  private func appendRequest(_ frame: inout Frame) {
    frame.append16(TFTPOpcode.readRequest)
    for index in 0..<file.count { frame.append(file[index]) }
    frame.append("\0octet\0blksize\01428\0tsize\00\0")
  }

  private func appendAcknowledgment(_ frame: inout Frame) {
    frame.append16(TFTPOpcode.acknowledgment)
    frame.append16(UInt16(truncatingIfNeeded: lastBlock))
  }

  /// Appends an error packet without a text.
  static func appendError(_ code: UInt16, _ frame: inout Frame) {
    frame.append16(TFTPOpcode.error)
    frame.append16(code)
    frame.append(0)
  }
}
