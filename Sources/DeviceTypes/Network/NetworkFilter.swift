// virtio 1.4 §5.1.9.5 Control Virtqueue, device side: which frames a driver gets. Tables come from an
// untrusted driver, frames from an untrusted network.

import Wire

/// A table of MAC addresses of fixed capacity.
struct MACTable {
  /// Addresses that are matched one by one.
  static var capacity: Int { 64 }

  var addresses = [64 of UInt64](repeating: 0)
  var count = 0
  /// More addresses were given than fit: everything matches, as §5.1.9.5.2 lets a device do.
  var isOverfull = false

  mutating func insert(_ address: MACAddress) {
    addresses[count] = address.bits
    count += 1
  }

  mutating func setOverfull() { isOverfull = true }

  mutating func removeAll() {
    count = 0
    isOverfull = false
  }

  mutating func matches(_ address: MACAddress) -> Bool {
    if isOverfull { return true }
    for index in 0..<count where addresses[index] == address.bits { return true }
    return false
  }
}

/// The receive filter: modes, MAC tables and VLAN table.
struct NetworkFilter {
  /// Unicast addresses beside the device's own.
  var unicast = MACTable()
  /// Multicast addresses.
  var multicast = MACTable()
  /// Whether multicast frames are received only when asked for: CTRL_RX was negotiated, so they can be.
  var limitsMulticast = false
  /// Whether tagged frames are received only with a tag of the table: CTRL_VLAN was negotiated.
  var limitsVLANs = false
  /// One bit a mode.
  var modes: UInt8 = 0
  /// One bit a VLAN.
  var vlans = [64 of UInt64](repeating: 0)

  static var vlanCount: UInt16 { 4096 }

  /// Everything empty and off.
  mutating func reset() {
    unicast.removeAll()
    multicast.removeAll()
    limitsMulticast = false
    limitsVLANs = false
    modes = 0
    for word in 0..<64 { vlans[word] = 0 }
  }

  private func has(_ mode: NetworkReceiveMode) -> Bool { modes & 1 << mode.rawValue != 0 }

  mutating func set(_ mode: NetworkReceiveMode, _ isOn: Bool) {
    let bit: UInt8 = 1 << mode.rawValue
    modes = isOn ? modes | bit : modes & ~bit
  }

  /// Adds a VLAN, below 4096, or removes it.
  mutating func set(vlan: UInt16, _ isMember: Bool) {
    let bit: UInt64 = 1 << UInt64(vlan & 63)
    let word = Int(vlan >> 6)
    vlans[word] = isMember ? vlans[word] | bit : vlans[word] & ~bit
  }

  /// The VLAN of a frame, if it has one.
  static func vlan(_ prefix: ByteArray<64>) -> UInt16? {
    guard Ethernet.isTagged(prefix) else { return nil }
    return UInt16(prefix[14] & 0xf) << 8 | UInt16(prefix[15])
  }

  /// Whether the frame that starts with `prefix` goes to the driver. `own` is the device's address, or nil
  /// when the driver uses one that the device does not know. Changes nothing: a borrowed filter would be
  /// copied.
  @inline(never)
  mutating func accepts(_ prefix: ByteArray<64>, own: MACAddress?) -> Bool {
    // §5.1.9.5.1.1: promiscuous mode wins over all others.
    if has(.promiscuous) { return true }
    if limitsVLANs, let vlan = Self.vlan(prefix), vlans[Int(vlan >> 6)] & 1 << UInt64(vlan & 63) == 0 {
      return false
    }
    let destination = MACAddress(prefix)
    // §5.1.9.5.1.1: what is suppressed stays so in the modes that let all of a kind pass.
    if destination == .broadcast { return !has(.noBroadcast) }
    if destination.isMulticast {
      if has(.noMulticast) { return false }
      return !limitsMulticast || has(.allMulticast) || multicast.matches(destination)
    }
    if has(.noUnicast) { return false }
    guard let own else { return true }
    return destination == own || has(.allUnicast) || unicast.matches(destination)
  }
}
