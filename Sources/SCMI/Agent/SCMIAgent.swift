// An SCMI agent: sends commands and checks every word of what comes back. The platform is not trusted.

import Wire

/// An asynchronous command that the platform has accepted.
public struct AwaitedResponse: Equatable, Sendable {
  /// The header of the delayed response.
  let header: UInt32
}

/// A notification or delayed response.
public struct AgentEvent {
  /// Its header.
  public let header: MessageHeader
  private let bytes: MessageBytes
  private let byteCount: Int

  init(_ header: MessageHeader, _ bytes: borrowing MessageBytes, _ byteCount: Int) {
    self.header = header
    self.bytes = copy bytes
    self.byteCount = byteCount
  }

  /// Whether this is a notification: otherwise it is a delayed response.
  public var isNotification: Bool { header.type == MessageType.notification }

  /// Whether this is the delayed response to `command`.
  public func answers(_ command: AwaitedResponse) -> Bool { header.word == command.header }

  /// The values of a notification. Throws `.malformed` when they are not there.
  public func notification<Values: MessageValues>(
    _: Values.Type = Values.self
  ) throws(AgentFault) -> Values {
    var reader = MessageReader(bytes, from: MessageHeader.byteCount, byteCount: byteCount)
    return try Values(&reader)
  }

  /// The values of a delayed response. Throws its status when that is not SUCCESS.
  public func delayedResponse<Values: MessageValues>(
    _: Values.Type = Values.self
  ) throws(AgentFault) -> Values {
    var reader = MessageReader(bytes, from: MessageHeader.byteCount, byteCount: byteCount)
    let status = SCMIStatus(rawValue: try reader.next())
    guard status == .success else { throw .status(status) }
    return try Values(&reader)
  }
}

/// An agent over one channel, with one command under way at a time.
///
/// `call` waits for the answer, polling or for interrupts, as the channel does. `begin` and `finish` are its
/// halves, for callers that have something else to do until the interrupt comes.
public struct SCMIAgent<Channel: AgentChannel & ~Copyable>: ~Copyable {
  /// The channel.
  public var channel: Channel
  /// Messages that belonged to nothing this agent had asked for, and were dropped.
  public private(set) var strayMessageCount: UInt32 = 0
  private var token: UInt16 = 0
  /// The command under way.
  private var current: MessageHeader?
  private var currentIsAsynchronous = false
  /// The delayed response came before the answer.
  private var isCompleted = false
  /// Headers of the delayed responses that are awaited; 0 is none.
  private var awaited = [8 of UInt32](repeating: 0)
  private var message = MessageBytes()

  /// An agent over `channel`.
  public init(_ channel: consuming Channel) { self.channel = channel }

  /// Sends `command`, waits for its answer and returns what it says.
  public mutating func call<Values: MessageValues>(
    _ command: AgentCommand<Values>
  ) throws(AgentFault) -> Values {
    var attempt = 0
    while try !start(command) {
      guard channel.wait(attempt: attempt) else { throw .timedOut }
      attempt += 1
    }
    attempt = 0
    while true {
      if let values = try finish(command) { return values }
      guard channel.wait(attempt: attempt) else {
        abandon()
        throw .timedOut
      }
      attempt += 1
    }
  }

  /// Sends an asynchronous `command` and waits until it is accepted. The delayed response is an event.
  public mutating func callAsynchronously(
    _ command: AgentCommand<NoValues>
  ) throws(AgentFault) -> AwaitedResponse {
    precondition(command.isAsynchronous, "a command that is answered at once")
    _ = try call(command)
    return AwaitedResponse(header: delayedHeader(lastHeader))
  }

  /// Sends `command`. Throws `.busy` while another one is under way. `finish` has the answer.
  public mutating func begin<Values: MessageValues>(_ command: AgentCommand<Values>) throws(AgentFault) {
    guard current == nil, try start(command) else { throw .busy }
  }

  /// What the answer to `command` says, which is under way; nil while there is none.
  public mutating func finish<Values: MessageValues>(
    _ command: AgentCommand<Values>
  ) throws(AgentFault) -> Values? {
    guard let count = try receive() else { return nil }
    // Any bits of the header that are not the command's make it another message.
    guard count >= MessageHeader.byteCount, message.load(at: 0) == current?.word else {
      strayMessageCount &+= 1
      return nil
    }
    current = nil
    var reader = MessageReader(message, from: MessageHeader.byteCount, byteCount: count)
    let status = SCMIStatus(rawValue: try reader.next())
    guard status == .success else { throw .status(status) }
    if currentIsAsynchronous && !isCompleted { expect(delayedHeader(lastHeader)) }
    return try Values(&reader)
  }

  /// Gives the command that is under way up. Its answer will be ignored.
  public mutating func abandon() { current = nil }

  /// The next notification or delayed response; nil when there is none. A delayed response that is not
  /// awaited is dropped.
  public mutating func nextEvent() throws(AgentFault) -> AgentEvent? {
    let received: Int?
    do throws(ChannelFault) {
      received = try channel.receiveEvent(&message)
    } catch {
      throw .channel(error)
    }
    guard let count = received else { return nil }
    let header = MessageHeader(word: message.load(at: 0))
    if count >= MessageHeader.byteCount {
      if header.type == MessageType.notification || takeAwaited(header.word) {
        return AgentEvent(header, message, count)
      }
    }
    strayMessageCount &+= 1
    return nil
  }

  // MARK: Commands

  private var lastHeader = MessageHeader(word: 0)

  /// Sends `command` if the channel is free.
  private mutating func start<Values: MessageValues>(
    _ command: AgentCommand<Values>
  ) throws(AgentFault) -> Bool {
    precondition(command.byteCount <= channel.messageByteCountMax, "a command too long for the channel")
    // virtio 1.4 §5.17.6.1.2: MUST NOT ask for what cannot come. It holds for every transport.
    guard !command.needsEvents || channel.receivesEvents else { throw .noEventChannel }
    guard !command.isAsynchronous || hasRoomForAwaited else { throw .busy }
    // A token that repeats only after all others: a late answer is not taken for another one.
    let header = MessageHeader(word: command.bytes.load(UInt32.self, at: 0) | UInt32(token) << 18)
    message = command.bytes
    message.store(header.word, at: 0)
    do throws(ChannelFault) {
      guard try channel.send(message, byteCount: command.byteCount) else { return false }
    } catch {
      throw .channel(error)
    }
    token = (token + 1) & 0x3FF
    lastHeader = header
    current = header
    currentIsAsynchronous = command.isAsynchronous
    isCompleted = false
    return true
  }

  private mutating func receive() throws(AgentFault) -> Int? {
    do throws(ChannelFault) {
      return try channel.receive(&message)
    } catch {
      // What could not be read was the answer, or as good as that.
      current = nil
      throw .channel(error)
    }
  }

  // MARK: Delayed responses

  private func delayedHeader(_ header: MessageHeader) -> UInt32 {
    header.word | UInt32(MessageType.delayedResponse) << 8
  }

  private var hasRoomForAwaited: Bool {
    for i in 0..<8 where awaited[i] == 0 { return true }
    return false
  }

  private mutating func expect(_ header: UInt32) {
    for i in 0..<8 where awaited[i] == 0 {
      awaited[i] = header
      return
    }
  }

  /// Whether a delayed response with this header is awaited; from now on it is not.
  private mutating func takeAwaited(_ header: UInt32) -> Bool {
    for i in 0..<8 where header != 0 && awaited[i] == header {
      awaited[i] = 0
      return true
    }
    guard let current, currentIsAsynchronous, !isCompleted, header == delayedHeader(current) else {
      return false
    }
    isCompleted = true
    return true
  }
}
