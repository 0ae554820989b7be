// The saved state of a network device: what the driver set through the control queue and reads in the
// configuration. Frames are with the backend, or in their queue.

public import Virtio

extension NetworkDevice where Backend: ~Copyable {
  /// Uses what the backend has sent. What it still has keeps the state from being saved.
  public mutating func prepareToSave(_ context: inout DeviceContext) throws(DriverFault) -> SaveReadiness {
    drainTransmissions()
    transmissions.retire(&context)
    return transmissions.isEmpty ? .ready : .busy
  }

  /// Address, link as the driver knows it, offloads, filter and steering.
  public func save(into state: inout StateWriter) {
    state.append(mac.bits)
    state.append(knowsAddress)
    state.append(status)
    state.append(wantsAnnouncement)
    state.append(receiveOffloads.rawValue)
    filter.save(into: &state)
    steering.save(into: &state)
  }

  /// Takes all of it over. A link whose state is another now is announced at the next poll.
  public mutating func restore(from state: inout StateReader, features: Features) throws(StateFault) {
    let address = MACAddress(bits: try state.next())
    knowsAddress = try state.nextFlag()
    status = try state.next()
    wantsAnnouncement = try state.nextFlag()
    let offloads = NetworkOffloads(rawValue: try state.next())
    guard let address, !address.isMulticast,
      status & ~(NetworkConfiguration.linkUp | NetworkConfiguration.announce) == 0,
      NetworkOffloads(receive: features).contains(offloads),
      NetworkFeature.isConsistent(offloads.receiveFeatures)
    else { throw .malformed }
    mac = address
    try filter.restore(from: &state)
    filter.limitsMulticast = features.contains(NetworkFeature.controlReceive)
    filter.limitsVLANs = features.contains(NetworkFeature.controlVLAN)
    try steering.restore(from: &state)
    guard steering.pairCount <= maximumPairCount,
      steering.pairCount == 1 || features.contains(NetworkFeature.multiQueue)
    else { throw .malformed }
    setReceiveOffloads(offloads)
  }
}

extension NetworkFilter {
  func save(into state: inout StateWriter) {
    unicast.save(into: &state)
    multicast.save(into: &state)
    state.append(modes)
    for word in vlans.indices { state.append(vlans[word]) }
  }

  mutating func restore(from state: inout StateReader) throws(StateFault) {
    try unicast.restore(from: &state)
    try multicast.restore(from: &state)
    modes = try state.next()
    for word in vlans.indices { vlans[word] = try state.next() }
  }
}

extension MACTable {
  func save(into state: inout StateWriter) {
    state.append(isOverfull)
    state.append(UInt8(count))
    for index in 0..<count { state.append(addresses[index]) }
  }

  mutating func restore(from state: inout StateReader) throws(StateFault) {
    isOverfull = try state.nextFlag()
    let total = Int(try state.next(UInt8.self))
    guard total <= Self.capacity else { throw .malformed }
    count = total
    for index in 0..<total { addresses[index] = try state.next() }
  }
}

extension NetworkSteering {
  func save(into state: inout StateWriter) {
    state.append(UInt8(pairCount))
    for flow in pairs.indices { state.append(pairs[flow]) }
  }

  mutating func restore(from state: inout StateReader) throws(StateFault) {
    pairCount = Int(try state.next(UInt8.self))
    guard pairCount >= 1 else { throw .malformed }
    for flow in pairs.indices { pairs[flow] = try state.next() }
  }
}
