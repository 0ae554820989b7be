// A platform under test with the steps that many tests share: sending a command and reading the response.

import SCMI
import Testing
import Wire

typealias TestPlatform = SCMIPlatform<TestBoard, 4, 16>

/// What came back: the status and the bytes after it.
struct Reply: Equatable {
  var status: SCMIStatus
  var bytes: [UInt8]

  static func failure(_ status: SCMIStatus) -> Reply { Reply(status: status, bytes: []) }
  /// SUCCESS and nothing else.
  static var done: Reply { Reply(status: .success, bytes: []) }
  /// SUCCESS and words.
  static func words(_ words: UInt32...) -> Reply { Reply(status: .success, bytes: littleEndian(words)) }

  /// The bytes as words.
  var words: [UInt32] { SCMITests.words(bytes) }
}

func littleEndian(_ words: [UInt32]) -> [UInt8] {
  words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * UInt32($0))) } }
}

func words(_ bytes: [UInt8]) -> [UInt32] {
  stride(from: 0, to: bytes.count - 3, by: 4).map { i in
    (0..<4).reduce(0) { $0 | UInt32(bytes[i + $1]) << UInt32(8 * $1) }
  }
}

/// A name field of `size` bytes.
func name(_ text: String, _ size: Int = 16) -> [UInt8] {
  let bytes = Array(text.utf8.prefix(size - 1))
  return bytes + Array(repeating: 0, count: size - bytes.count)
}

/// A class, because the platform is noncopyable and tests capture it.
final class Bench {
  var platform: TestPlatform
  /// The most bytes of a response: header, status and 128 more, as Linux takes them.
  var capacity = 136
  /// The header of the last command sent by `send`.
  private(set) var lastHeader: UInt32 = 0
  private var token: UInt16 = 0

  /// The board behind it; `#expect` takes no noncopyable value.
  var board: TestBoard {
    get { platform.backend }
    set { platform.backend = newValue }
  }

  init(_ board: TestBoard) { platform = TestPlatform(backend: board) }

  /// Sends bytes as they are and returns those of the response.
  func exchange(_ request: [UInt8], from agent: AgentID) -> [UInt8] {
    var message = ByteArray<256>()
    for (i, byte) in request.enumerated() { message[i] = byte }
    var reply = ByteArray<256>()
    // Stale bytes show whether a response writes all that it counts.
    for i in 0..<256 { reply[i] = 0xA5 }
    var target = reply.mutableBytes
    var window = target._mutatingExtracting(0..<capacity)
    let count = platform.handle(message.bytes.extracting(0..<request.count), from: agent, into: &window)
    return (0..<count).map { reply[$0] }
  }

  /// Sends a command and checks that the response has its header.
  @discardableResult
  func send(
    _ protocolID: ProtocolID, _ message: UInt8, _ parameters: UInt32..., from agent: AgentID,
    at location: SourceLocation = #_sourceLocation
  ) -> Reply {
    token = (token + 1) & 0x3FF
    let header = MessageHeader(protocolID, message, token: token)
    lastHeader = header.word
    let bytes = exchange(littleEndian([header.word] + parameters), from: agent)
    #expect(
      bytes.count >= 8 && Array(bytes.prefix(4)) == littleEndian([header.word]), sourceLocation: location)
    guard bytes.count >= 8 else { return .failure(.genericError) }
    let status = SCMIStatus(rawValue: Int32(bitPattern: words(bytes)[1]))
    #expect(status == .success || bytes.count == 8, sourceLocation: location)
    return Reply(status: status, bytes: Array(bytes.dropFirst(8)))
  }

  func hasMessage(for agent: AgentID) -> Bool { platform.hasMessage(for: agent) }

  /// The next message of the platform's own, whole; empty when there is none.
  func next(for agent: AgentID) -> [UInt8] {
    var buffer = ByteArray<128>()
    for i in 0..<128 { buffer[i] = 0xA5 }
    var target = buffer.mutableBytes
    let count = platform.nextMessage(for: agent, into: &target)
    return (0..<count).map { buffer[$0] }
  }

  /// The next one as words.
  func nextWords(for agent: AgentID) -> [UInt32] { words(next(for: agent)) }
}

func notification(_ protocolID: ProtocolID, _ event: UInt8) -> UInt32 {
  MessageHeader(protocolID, event, type: MessageType.notification).word
}
