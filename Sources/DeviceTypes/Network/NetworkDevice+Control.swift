// virtio 1.4 §5.1.9.5 Control Virtqueue, device side. A command that is unknown, not negotiated, of the wrong
// length or out of range is answered with VIRTIO_NET_ERR and changes nothing.

import Virtio
import Wire

extension NetworkDevice where Backend: ~Copyable {
  /// Executes the commands of the control queue.
  mutating func control(_ index: Int, _ context: inout DeviceContext) throws(DriverFault) {
    while var chain = try context.queues[index].nextOutOfLine() {
      let pairCount = steering.pairCount
      // What a command changes has changed before its buffer is used (§5.1.9.5.2.1, §5.1.9.5.4.2).
      let isDone = try execute(&chain, index, &context)
      var ack = ByteArray<1>()
      ack[0] = isDone ? NetworkControl.ok : NetworkControl.error
      try chain.write(ack, context.queues[index])
      try context.queues[index].useOutOfLine(chain, written: 1)
      // Frames may wait in queues that were out of use.
      for pair in pairCount..<max(pairCount, steering.pairCount) { try transmit(pair: pair, &context) }
    }
  }

  private mutating func execute(
    _ chain: inout DescriptorChain, _ index: Int, _ context: inout DeviceContext
  ) throws(DriverFault) -> Bool {
    var head = ByteArray<2>()
    var bytes = head.mutableBytes
    guard try chain.read(into: &bytes, context.queues[index]) == 2 else { return false }
    let features = context.features
    switch head[0] {
    case NetworkControl.receive:
      guard let mode = NetworkReceiveMode(rawValue: head[1]), features.contains(mode.requiredFeature),
        let data: ByteArray<1> = try arguments(&chain, context.queues[index]), data[0] <= 1
      else { return false }
      filter.set(mode, data[0] == 1)
      return true
    case NetworkControl.mac:
      return try setMAC(head[1], &chain, index, &context)
    case NetworkControl.vlan:
      guard head[1] <= NetworkControl.vlanDelete, features.contains(NetworkFeature.controlVLAN),
        let data: ByteArray<2> = try arguments(&chain, context.queues[index])
      else { return false }
      let vlan: UInt16 = data.load(at: 0)
      guard vlan < NetworkFilter.vlanCount else { return false }
      filter.set(vlan: vlan, head[1] == NetworkControl.vlanAdd)
      return true
    case NetworkControl.announce:
      guard head[1] == NetworkControl.announceAcknowledge, features.contains(NetworkFeature.guestAnnounce),
        try isAtEnd(&chain, context.queues[index])
      else { return false }
      change(&context) { $0.status &= ~NetworkConfiguration.announce }
      return true
    case NetworkControl.multiQueue:
      guard head[1] == NetworkControl.pairsSet, features.contains(NetworkFeature.multiQueue),
        let data: ByteArray<2> = try arguments(&chain, context.queues[index])
      else { return false }
      let count = Int(data.load(UInt16.self, at: 0))
      guard count >= 1, count <= maximumPairCount else { return false }
      steering.pairCount = count
      return true
    case NetworkControl.guestOffloads:
      guard head[1] == NetworkControl.guestOffloadsSet,
        features.contains(NetworkFeature.controlGuestOffloads),
        let data: ByteArray<8> = try arguments(&chain, context.queues[index])
      else { return false }
      return setOffloads(NetworkOffloads(rawValue: data.load(at: 0)), features)
    default:
      return false
    }
  }

  /// §5.1.9.5.9: only what was negotiated can be switched on, and nothing without what it requires.
  private mutating func setOffloads(_ offloads: NetworkOffloads, _ features: Features) -> Bool {
    guard NetworkOffloads(receive: features).contains(offloads),
      NetworkFeature.isConsistent(offloads.receiveFeatures)
    else { return false }
    setReceiveOffloads(offloads)
    return true
  }

  /// §5.1.9.5.2 Setting MAC Address Filtering.
  private mutating func setMAC(
    _ command: UInt8, _ chain: inout DescriptorChain, _ index: Int, _ context: inout DeviceContext
  ) throws(DriverFault) -> Bool {
    switch command {
    case NetworkControl.macTableSet:
      var (unicast, multicast) = (MACTable(), MACTable())
      guard context.features.contains(NetworkFeature.controlReceive),
        try unicast.read(from: &chain, context.queues[index]),
        try multicast.read(from: &chain, context.queues[index]),
        try isAtEnd(&chain, context.queues[index])
      else { return false }
      filter.unicast = unicast
      filter.multicast = multicast
      return true
    case NetworkControl.macAddressSet:
      guard context.features.contains(NetworkFeature.controlMACAddress),
        let data: ByteArray<6> = try arguments(&chain, context.queues[index])
      else { return false }
      let address = MACAddress(data)
      if address.isMulticast { return false }
      change(&context) { $0.mac = address }
      knowsAddress = true
      return true
    default:
      return false
    }
  }

  /// Changes the configuration space; its generation follows if it did change.
  private mutating func change(_ context: inout DeviceContext, _ body: (inout Self) -> Void) {
    let (mac, status) = (self.mac, self.status)
    body(&self)
    if self.mac != mac || self.status != status { context.configurationChanged = true }
  }
}

/// The command-specific data of a command, when it has exactly that length.
private func arguments<let count: Int>(
  _ chain: inout DescriptorChain, _ queue: borrowing DeviceVirtqueue
) throws(DriverFault) -> ByteArray<count>? {
  var data = ByteArray<count>()
  var bytes = data.mutableBytes
  guard try chain.read(into: &bytes, queue) == count, try isAtEnd(&chain, queue) else { return nil }
  return data
}

private func isAtEnd(
  _ chain: inout DescriptorChain, _ queue: borrowing DeviceVirtqueue
) throws(DriverFault) -> Bool {
  try chain.skip(1, queue) == 0
}

extension MACTable {
  /// Takes struct virtio_net_ctrl_mac from the next bytes of a command into an empty table. False when they
  /// end too early. Addresses beyond the capacity are skipped, not read.
  @inline(never)
  fileprivate mutating func read(
    from chain: inout DescriptorChain, _ queue: borrowing DeviceVirtqueue
  ) throws(DriverFault) -> Bool {
    var entries = ByteArray<4>()
    var bytes = entries.mutableBytes
    guard try chain.read(into: &bytes, queue) == 4 else { return false }
    let count: UInt32 = entries.load(at: 0)
    for _ in 0..<min(Int(count), Self.capacity) {
      var entry = ByteArray<6>()
      var bytes = entry.mutableBytes
      guard try chain.read(into: &bytes, queue) == 6 else { return false }
      insert(MACAddress(entry))
    }
    if count <= UInt32(Self.capacity) { return true }
    let (rest, overflow) = (count - UInt32(Self.capacity)).multipliedReportingOverflow(by: 6)
    guard !overflow, try chain.skip(rest, queue) == rest else { return false }
    setOverfull()
    return true
  }
}
