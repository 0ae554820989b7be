// A channel whose platform says what the test tells it to.

import SCMI
import Wire

/// Keeps what was sent and hands out what the test put in.
struct LyingChannel: AgentChannel {
  var messageByteCountMax = 136
  var receivesEvents = true
  /// Bytes of the commands that were sent.
  var commands: [[UInt8]] = []
  /// What comes back, in order; nil is nothing for once. A length other than the truth is in `lengths`.
  var responses: [[UInt8]?] = []
  var events: [[UInt8]] = []
  /// The length that is claimed for the next messages, instead of the truth.
  var claims: [Int] = []
  /// How often `send` finds the channel busy.
  var busyCount = 0
  var fault: ChannelFault?
  /// What to answer a command with, given its bytes, instead of `responses`.
  var answer: (@Sendable ([UInt8]) -> [UInt8])?
  /// Waits that were allowed.
  var patience = 10
  var waitCount = 0

  mutating func send(_ command: borrowing MessageBytes, byteCount: Int) throws(ChannelFault) -> Bool {
    if let fault { throw fault }
    if busyCount > 0 {
      busyCount -= 1
      return false
    }
    var bytes: [UInt8] = []
    for i in 0..<byteCount { bytes.append(command[i]) }
    commands.append(bytes)
    if let answer { responses.append(answer(bytes)) }
    return true
  }

  private mutating func put(_ bytes: [UInt8], _ message: inout MessageBytes) -> Int {
    for (i, byte) in bytes.prefix(256).enumerated() { message[i] = byte }
    return claims.isEmpty ? bytes.count : claims.removeFirst()
  }

  mutating func receive(_ response: inout MessageBytes) throws(ChannelFault) -> Int? {
    if let fault { throw fault }
    if responses.isEmpty { return nil }
    guard let bytes = responses.removeFirst() else { return nil }
    return put(bytes, &response)
  }

  mutating func receiveEvent(_ event: inout MessageBytes) throws(ChannelFault) -> Int? {
    if let fault { throw fault }
    if events.isEmpty { return nil }
    return put(events.removeFirst(), &event)
  }

  mutating func wait(attempt: Int) -> Bool {
    waitCount += 1
    return attempt < patience
  }
}
