// SCMI: the messages that every protocol has.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  /// PROTOCOL_VERSION (0x0): the version that the agent uses, which is the highest before any negotiation.
  mutating func version() -> Int {
    let protocolID = call.header.protocolID
    output.store(call.isLegacy ? protocolID.legacyVersion : protocolID.version, at: 8)
    return 4
  }

  /// PROTOCOL_MESSAGE_ATTRIBUTES (0x2): NOT_FOUND for a message that the agent does not have.
  mutating func messageAttributes() throws(SCMIStatus) -> Int {
    let message = call[0]
    var attributes: UInt32 = 0
    if message == UInt32(CommonMessage.negotiateVersion) {
      guard canNegotiate() else { throw .notFound }
    } else {
      guard message < 16 else { throw .notFound }
      let rule = call.header.protocolID.rule(UInt8(message))
      guard rule.length(isLegacy: call.isLegacy) != MessageRule.none else { throw .notFound }
      guard !rule.has(MessageRule.isConditional) || isOffered(rule) else { throw .notFound }
      attributes = self.attributes(of: UInt8(message), rule)
    }
    output.store(attributes, at: 8)
    return 4
  }

  /// What a protocol says about one of its messages.
  private mutating func attributes(of message: UInt8, _ rule: MessageRule) -> UInt32 {
    switch call.header.protocolID {
    case .systemPower: systemAttributes(of: message)
    case .performance:
      rule.has(MessageRule.hasFastChannel) && hasFastChannel(message, .performanceDomain) ? 1 : 0
    case .powercap: rule.has(MessageRule.hasFastChannel) && hasFastChannel(message, .powercapDomain) ? 1 : 0
    default: 0
    }
  }

  /// NEGOTIATE_PROTOCOL_VERSION (0x10), the only message above 15. An agent can go to the version of SCMI 2.0
  /// and back; a lower minor version has nothing that the higher one lacks.
  mutating func negotiate(_ request: RawSpan) throws(SCMIStatus) -> Int {
    guard call.header.message == CommonMessage.negotiateVersion, canNegotiate() else { throw .notFound }
    guard request.byteCount == 8 else { throw .protocolError }
    let protocolID = call.header.protocolID
    let wanted: UInt32 = request.load(at: 4)
    let bit = protocolID.bit
    if wanted != 0 && wanted == protocolID.legacyVersion {
      agents[call.agent].legacyProtocols |= bit
    } else if wanted >> 16 == protocolID.version >> 16 && wanted <= protocolID.version {
      agents[call.agent].legacyProtocols &= ~bit
    } else {
      throw .notSupported
    }
    updateRules(call.agent)
    return 0
  }

  /// SCMI 2.0 has no negotiation; who came to its version by negotiation can do it again.
  private mutating func canNegotiate() -> Bool {
    agents[call.agent].description.profile == .version32
  }
}
