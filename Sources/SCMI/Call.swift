// The command that the platform is answering, or the agent for which it is writing a message of its own.

import Wire

/// Whom the platform works for, and what of the command fits in a few words.
struct Call {
  /// The agent's place in `agents`.
  var agent = 0
  var header = MessageHeader(word: 0)
  /// Whether the agent uses the protocol as SCMI 2.0 has it.
  var isLegacy = false
  /// Whether the agent can be sent notifications and delayed responses.
  var hasChannel = false
  /// The most bytes that the response can have, header and status included.
  var room = 0
  /// The slot of an asynchronous command that was accepted.
  var operation: OperationID?
  /// The first parameters, as far as the command has them: every command but PINCTRL_SETTINGS_CONFIGURE is
  /// whole here.
  private var parameters = [4 of UInt32](repeating: 0)

  /// The agent as boards know it.
  var agentID: AgentID { AgentID(UInt8(truncatingIfNeeded: agent + 1)) }

  /// The parameter word at `place`, which the length of the command covers.
  subscript(place: Int) -> UInt32 { parameters[place] }

  /// The parameter at `place` that takes two words.
  func wide(_ place: Int) -> UInt64 { UInt64(parameters[place]) | UInt64(parameters[place + 1]) << 32 }

  /// Reads the parameters of a command.
  mutating func read(_ request: RawSpan) {
    for place in 0..<4 where request.byteCount >= 4 * place + 8 {
      parameters[place] = request.load(at: 4 * place + 4)
    }
  }
}

extension SCMIPlatform where Backend: ~Copyable {
  /// Turns to an agent: what follows answers its command, or writes a message to it.
  mutating func take(_ header: MessageHeader, of agent: Int) {
    call.agent = agent
    call.header = header
    call.isLegacy = agents[agent].legacyProtocols & header.protocolID.bit != 0
    call.hasChannel = agents[agent].description.hasPlatformToAgentChannel
    call.room = Self.messageByteLimit
    call.operation = nil
  }
}
