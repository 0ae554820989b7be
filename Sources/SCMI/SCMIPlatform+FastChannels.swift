// SCMI: FastChannels, which performance and powercap domains have.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  /// PERFORMANCE_DESCRIBE_FASTCHANNEL and POWERCAP_DESCRIBE_FASTCHANNEL: performance limits take 8 bytes,
  /// everything else 4.
  mutating func describeFastChannel(_ kind: ResourceKind) throws(SCMIStatus) -> Int {
    let grant = try find(kind, call[0])
    let message = call[1]
    guard message < 16, kind.protocolID.rule(UInt8(message)).has(MessageRule.hasFastChannel) else {
      throw .invalidParameters
    }
    guard let channel = fastChannel(UInt8(message), kind, grant) else { throw .notSupported }
    let isOfLimits = kind == .performanceDomain && message < UInt32(PerformanceMessage.levelSet)
    output.write(channel, size: isOfLimits ? 8 : 4)
    return 44
  }

  /// Whether some domain that the agent sees has a FastChannel for a message.
  mutating func hasFastChannel(_ message: UInt8, _ kind: ResourceKind) -> Bool {
    let place = Int(kind.rawValue)
    for i in 0..<agents[call.agent].views[place].count
    where fastChannel(message, kind, agents[call.agent].views[place].grants[i]) != nil { return true }
    return false
  }

  /// Whether a domain has a FastChannel for one of the messages from `first` to `last`.
  mutating func hasFastChannel(
    _ first: UInt8, _ last: UInt8, _ kind: ResourceKind, _ grant: Grant
  ) -> Bool {
    for message in first...last where fastChannel(message, kind, grant) != nil { return true }
    return false
  }

  /// The FastChannel of a domain for a message that the agent may send.
  private mutating func fastChannel(
    _ message: UInt8, _ kind: ResourceKind, _ grant: Grant
  ) -> FastChannel? {
    let index = Int(grant.resource)
    if kind == .performanceDomain {
      if message == PerformanceMessage.levelSet && !grant.rights.contains(.value) { return nil }
      if message == PerformanceMessage.limitsSet && !grant.rights.contains(.limits) { return nil }
      return backend.fastChannel(message, of: PerformanceDomainID(index), for: call.agentID)
    }
    let domain = PowercapDomainID(index)
    let description = backend.powercapDomain(domain)
    if message == PowercapMessage.capSet && !canSetCap(grant, description) { return nil }
    if message == PowercapMessage.intervalSet && !canSetInterval(grant, description) { return nil }
    return backend.fastChannel(message, of: domain, for: call.agentID)
  }
}

extension ByteArray {
  /// The response of the DESCRIBE_FASTCHANNEL commands, for a channel of `size` bytes.
  fileprivate mutating func write(_ channel: FastChannel, size: UInt32) {
    let doorbell = channel.doorbell
    store(doorbell == nil ? 0 : 1 | (doorbell?.width ?? 0) << 1, at: 8)
    store(channel.rateLimitMicroseconds & 0xF_FFFF, at: 12)
    store(channel.address, at: 16)
    store(size, at: 24)
    store(doorbell?.address ?? 0, at: 28)
    store(doorbell?.setMask ?? 0, at: 36)
    store(doorbell?.preserveMask ?? 0, at: 44)
  }
}
