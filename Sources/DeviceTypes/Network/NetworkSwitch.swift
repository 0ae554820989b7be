// A learning switch (IEEE 802.1Q, clause 8): which ports a frame goes to. Every port is untrusted: what one
// of them sends costs bounded time and memory, and changes what the others get only as far as said here.

public import Wire

/// A set of ports, a bit each.
public struct NetworkPorts: Equatable, Sendable {
  /// Bit `n` for port `n`.
  public var rawValue: UInt32

  /// The ports of these bits.
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// No port.
  public static var none: NetworkPorts { NetworkPorts(rawValue: 0) }

  /// Whether `port` is among them.
  public func contains(_ port: Int) -> Bool { rawValue & 1 << UInt32(port) != 0 }

  /// The lowest port, taken out; nil when there is none left.
  public mutating func popFirst() -> Int? {
    if rawValue == 0 { return nil }
    defer { rawValue &= rawValue &- 1 }
    return rawValue.trailingZeroBitCount
  }
}

/// A switch of `portCount` ports, 2 to 32.
///
/// Each port has a table of its own of 64 learned addresses: one that sends from many addresses forgets its
/// own ones, and nobody else's. An address that was bound to a port is never learned elsewhere, and a frame
/// from it that comes in elsewhere is dropped. A learned address moves to another port when that sends from
/// it, as stations do; one that was silent for `ageLimit` is forgotten. Nothing goes back where it came from:
/// as long as no two ports lead to the same network, there are no loops.
public struct NetworkSwitch<let portCount: Int> {
  /// After how many milliseconds without a frame an address is forgotten (802.1Q table 8-6: 300 s).
  public static var ageLimit: UInt64 { 300_000 }

  /// Frames that were dropped for their addresses: from a group, from an address bound elsewhere, to one that
  /// no switch may forward, or to the port they came from.
  public private(set) var filteredCount: UInt64 = 0
  /// Frames that went to every other port.
  public private(set) var floodedCount: UInt64 = 0

  private var bound: [portCount of MACAddress?] = InlineArray(repeating: nil)
  private var learned: [portCount of LearnedAddresses] = InlineArray(repeating: LearnedAddresses())

  /// A switch that knows no address.
  public init() { precondition(portCount >= 2 && portCount <= 32, "2 to 32 ports") }

  /// Binds `address` to `port`. Traps on a group.
  public mutating func bind(_ address: MACAddress, to port: Int) {
    precondition(!address.isMulticast, "a group cannot be an address")
    bound[port] = address
    for other in 0..<portCount { learned[other].forget(address) }
  }

  /// Forgets what was learned at `port`, as when its station was replaced.
  public mutating func forget(port: Int) { learned[port].forgetAll() }

  /// Where the frame that starts with `head`, of at least 14 bytes, goes to, having come in at `port` at
  /// `now`, in milliseconds.
  public mutating func route<let count: Int>(
    _ head: ByteArray<count>, from port: Int, at now: UInt64
  ) -> NetworkPorts {
    let destination = MACAddress(head)
    let source = MACAddress(head, at: 6)
    let own: UInt32 = 1 << UInt32(port)
    guard !source.isMulticast, learn(source, port, now), !destination.isReservedForLink else {
      filteredCount &+= 1
      return .none
    }
    if !destination.isMulticast, let target = owner(of: destination, now) {
      if target == port {
        filteredCount &+= 1
        return .none
      }
      return NetworkPorts(rawValue: 1 << UInt32(target))
    }
    floodedCount &+= 1
    let all = UInt32.max >> UInt32(32 - portCount)
    return NetworkPorts(rawValue: all & ~own)
  }

  /// Remembers where `source` is. False when it cannot be there.
  private mutating func learn(_ source: MACAddress, _ port: Int, _ now: UInt64) -> Bool {
    for other in 0..<portCount where bound[other] == source { return other == port }
    if learned[port].learn(source, now) {
      // New here: it may have moved.
      for other in 0..<portCount where other != port { learned[other].forget(source) }
    }
    return true
  }

  private mutating func owner(of address: MACAddress, _ now: UInt64) -> Int? {
    for port in 0..<portCount where bound[port] == address { return port }
    for port in 0..<portCount where learned[port].contains(address, now) { return port }
    return nil
  }
}

/// The addresses learned at a port: 16 sets of 4.
struct LearnedAddresses {
  private var addresses = [64 of UInt64](repeating: Self.none)
  private var times = [64 of UInt64](repeating: 0)

  /// No address: a group is never learned.
  private static var none: UInt64 { .max }
  private static var ways: Int { 4 }

  mutating func forgetAll() {
    for place in 0..<64 { addresses[place] = Self.none }
  }

  private func firstPlace(_ address: MACAddress) -> Int {
    Int((address.bits &* 0x9e37_79b9_7f4a_7c15) >> 60) * Self.ways
  }

  /// Remembers the address, in place of the one of its set that was silent longest. Returns whether it was
  /// not known.
  mutating func learn(_ address: MACAddress, _ now: UInt64) -> Bool {
    let first = firstPlace(address)
    var oldest = first
    for place in first..<first + Self.ways {
      if addresses[place] == address.bits {
        let isForgotten = now &- times[place] >= NetworkSwitch<2>.ageLimit
        times[place] = now
        return isForgotten
      }
      if addresses[oldest] == Self.none { continue }
      if addresses[place] == Self.none || times[place] < times[oldest] { oldest = place }
    }
    addresses[oldest] = address.bits
    times[oldest] = now
    return true
  }

  mutating func contains(_ address: MACAddress, _ now: UInt64) -> Bool {
    let first = firstPlace(address)
    for place in first..<first + Self.ways where addresses[place] == address.bits {
      return now &- times[place] < NetworkSwitch<2>.ageLimit
    }
    return false
  }

  mutating func forget(_ address: MACAddress) {
    let first = firstPlace(address)
    for place in first..<first + Self.ways where addresses[place] == address.bits {
      addresses[place] = Self.none
    }
  }
}

extension MACAddress {
  /// Whether no bridge may forward frames to it: 01:80:c2:00:00:00 to 0f (802.1Q table 8-1).
  var isReservedForLink: Bool { bits & 0xf0ff_ffff_ffff == 0x0000_00c2_8001 }
}
