// virtio 1.4 §5.1.9.5 Control Virtqueue, driver side. Each command waits for its answer.

public import Virtio

/// The status of a network device.
public struct NetworkStatus: Equatable, Sendable {
  /// Whether the link is up; always, without STATUS.
  public let linkIsUp: Bool
  /// Whether the device asks this host to announce itself: send gratuitous packets, then call
  /// `acknowledgeAnnouncement()`.
  public let mustAnnounce: Bool

  /// A status of these values.
  public init(linkIsUp: Bool, mustAnnounce: Bool) {
    self.linkIsUp = linkIsUp
    self.mustAnnounce = mustAnnounce
  }
}

extension NetworkDriver where Registers: ~Copyable {
  /// Reads the status again, as after a configuration change. Throws `.needsReset` when the device has given
  /// up.
  public mutating func readStatus() throws(DeviceFault) -> NetworkStatus {
    if let fault { throw fault }
    do throws(DeviceFault) {
      if transport.needsReset { throw .needsReset }
      let configuration = try NetworkDriverConfiguration(transport)
      linkIsUp = configuration.linkIsUp
      return NetworkStatus(linkIsUp: linkIsUp, mustAnnounce: configuration.mustAnnounce)
    } catch {
      fault = error
      throw error
    }
  }

  /// Says that this host has announced itself, or is about to. False when the device refuses; throws
  /// `.featureMissing` without GUEST_ANNOUNCE.
  public mutating func acknowledgeAnnouncement() throws(DeviceFault) -> Bool {
    try begin(NetworkControl.announce, NetworkControl.announceAcknowledge, NetworkFeature.guestAnnounce)
    return try send()
  }

  /// Switches a receive mode. False when the device refuses; throws `.featureMissing` without CTRL_RX, or
  /// CTRL_RX_EXTRA for the modes that need it.
  public mutating func set(_ mode: NetworkReceiveMode, _ isOn: Bool) throws(DeviceFault) -> Bool {
    try begin(NetworkControl.receive, mode.rawValue, mode.requiredFeature)
    controlQueue!.append(isOn ? 1 as UInt8 : 0)
    return try send()
  }

  /// Addresses that `setTable` takes, of both kinds together.
  public static var tableLimit: Int { 128 }

  /// Receives frames to these addresses beside the own one. Traps when there are more than `tableLimit`, or a
  /// unicast address is a multicast one or the other way round. False when the device refuses; throws
  /// `.featureMissing` without CTRL_RX.
  public mutating func setTable(
    unicast: Span<MACAddress>, multicast: Span<MACAddress>
  ) throws(DeviceFault) -> Bool {
    precondition(unicast.count + multicast.count <= Self.tableLimit, "too many addresses")
    try begin(NetworkControl.mac, NetworkControl.macTableSet, NetworkFeature.controlReceive)
    append(unicast, areMulticast: false)
    append(multicast, areMulticast: true)
    return try send()
  }

  /// §5.1.9.5.2.2: a count, then as many addresses.
  private mutating func append(_ addresses: Span<MACAddress>, areMulticast: Bool) {
    controlQueue!.append(UInt32(addresses.count))
    for index in 0..<addresses.count {
      let address = addresses[index]
      precondition(address.isMulticast == areMulticast, "an address in the wrong table")
      controlQueue!.append(address)
    }
  }

  /// Whether `setAddress` can be used: with CTRL_MAC_ADDR, and with CTRL_RX, which §5.1.9.5.2.2 asks for.
  public var canSetAddress: Bool {
    features.contains(NetworkFeature.controlMACAddress | NetworkFeature.controlReceive)
  }

  /// Changes the address. Traps on a multicast address. False when the device refuses; throws
  /// `.featureMissing` unless `canSetAddress`.
  public mutating func setAddress(_ address: MACAddress) throws(DeviceFault) -> Bool {
    precondition(!address.isMulticast, "a group cannot be an address")
    try begin(
      NetworkControl.mac, NetworkControl.macAddressSet,
      NetworkFeature.controlMACAddress | NetworkFeature.controlReceive)
    controlQueue!.append(address)
    guard try send() else { return false }
    self.address = address
    return true
  }

  /// Receives frames of a VLAN, or no more. Traps unless `vlan` is below 4096. False when the device refuses;
  /// throws `.featureMissing` without CTRL_VLAN.
  public mutating func set(vlan: UInt16, _ isMember: Bool) throws(DeviceFault) -> Bool {
    precondition(vlan < 4096, "a VLAN that cannot be")
    try begin(
      NetworkControl.vlan, isMember ? NetworkControl.vlanAdd : NetworkControl.vlanDelete,
      NetworkFeature.controlVLAN)
    controlQueue!.append(vlan)
    return try send()
  }

  /// Uses the first `count` pairs of queues. Traps unless `count` is 1 to `pairCount`. False when the device
  /// refuses; throws `.featureMissing` without MQ.
  public mutating func usePairs(_ count: Int) throws(DeviceFault) -> Bool {
    precondition(count >= 1 && count <= pairCount, "pairs that are not set up")
    try begin(NetworkControl.multiQueue, NetworkControl.pairsSet, NetworkFeature.multiQueue)
    controlQueue!.append(UInt16(count))
    // §5.1.9.5.6.1: fewer from the moment the command is available, more once it was executed.
    let before = activePairCount
    activePairCount = min(before, count)
    let isDone = try send()
    activePairCount = isDone ? count : before
    return isDone
  }

  /// Chooses what the device may leave to do for received frames. Traps on offloads that were not negotiated.
  /// False when the device refuses; throws `.featureMissing` without CTRL_GUEST_OFFLOADS.
  public mutating func setReceiveOffloads(_ offloads: NetworkOffloads) throws(DeviceFault) -> Bool {
    // §5.1.9.5.9.2: MUST NOT enable what was not negotiated.
    precondition(receiveOffloads.contains(offloads), "offloads that were not negotiated")
    try begin(
      NetworkControl.guestOffloads, NetworkControl.guestOffloadsSet, NetworkFeature.controlGuestOffloads)
    controlQueue!.append(offloads.rawValue)
    return try send()
  }

  private mutating func begin(
    _ class: UInt8, _ command: UInt8, _ feature: Features
  ) throws(DeviceFault) {
    if let fault { throw fault }
    guard features.contains(feature | NetworkFeature.controlQueue) else { throw .featureMissing(feature) }
    controlQueue!.begin(`class`, command)
  }

  /// Sends the command and waits for its answer: whether it was executed. Every look at the answer is also
  /// one at a register, so that the wait lasts long enough for a device that needs time.
  @inline(never)
  private mutating func send() throws(DeviceFault) -> Bool {
    do throws(DeviceFault) {
      if controlQueue!.submit() { transport.notify(controlQueue!.queue) }
      for _ in 0..<commandPollLimit {
        if let isDone = try controlQueue!.result() { return isDone }
        if transport.needsReset { throw .needsReset }
      }
      throw .commandTimedOut
    } catch {
      fault = error
      throw error
    }
  }
}
