// Ethernet II frames and the address resolution protocol (RFC 826). Whoever sends a frame is not trusted.

/// The address of a network interface.
public struct EthernetAddress: Equatable, Sendable {
  /// The six bytes, the first one in bits 40 to 47.
  public let rawValue: UInt64

  /// The address in the low 48 bits.
  public init(_ rawValue: UInt64) { self.rawValue = rawValue & 0xffff_ffff_ffff }

  /// All stations.
  public static var broadcast: EthernetAddress { EthernetAddress(0xffff_ffff_ffff) }

  /// Whether it names one station.
  var isUnicast: Bool { rawValue >> 40 & 1 == 0 && rawValue != 0 }
}

extension RawSpan {
  /// The address at `offset`. Traps outside.
  func mac(_ offset: Int) -> EthernetAddress {
    EthernetAddress(UInt64(big16(offset)) << 32 | UInt64(big32(offset + 2)))
  }
}

enum EtherType {
  static let ipv4: UInt16 = 0x0800
  static let arp: UInt16 = 0x0806
}

enum Ethernet {
  static let headerByteCount = 14
  /// Shortest frame; a shorter one is padded.
  static let minimumByteCount = 60
}

extension Frame {
  mutating func append(_ address: EthernetAddress) {
    append16(UInt16(truncatingIfNeeded: address.rawValue >> 32))
    append32(UInt32(truncatingIfNeeded: address.rawValue))
  }

  /// Starts a frame with its header.
  mutating func begin(to destination: EthernetAddress, from source: EthernetAddress, type: UInt16) {
    clear()
    append(destination)
    append(source)
    append16(type)
  }

  /// Brings the frame up to the shortest length.
  mutating func pad() { appendZeros(max(Ethernet.minimumByteCount - count, 0)) }
}

/// An ARP message for IPv4 over Ethernet.
struct ARPMessage: Equatable {
  static let request: UInt16 = 1
  static let reply: UInt16 = 2
  private static let byteCount = 28

  var operation: UInt16
  var senderMAC: EthernetAddress
  var sender: IPv4Address
  var targetMAC: EthernetAddress
  var target: IPv4Address

  init(
    operation: UInt16, senderMAC: EthernetAddress, sender: IPv4Address, targetMAC: EthernetAddress,
    target: IPv4Address
  ) {
    self.operation = operation
    self.senderMAC = senderMAC
    self.sender = sender
    self.targetMAC = targetMAC
    self.target = target
  }

  /// The message in a frame, or nil if it holds none.
  init?(frame: RawSpan) {
    let start = Ethernet.headerByteCount
    guard frame.byteCount >= start + Self.byteCount, frame.big16(12) == EtherType.arp,
      frame.big16(start) == 1, frame.big16(start + 2) == EtherType.ipv4,
      frame.byte(start + 4) == 6, frame.byte(start + 5) == 4
    else { return nil }
    operation = frame.big16(start + 6)
    senderMAC = frame.mac(start + 8)
    sender = IPv4Address(frame.big32(start + 14))
    targetMAC = frame.mac(start + 18)
    target = IPv4Address(frame.big32(start + 24))
  }

  /// Makes `frame` one that carries the message.
  func write(to frame: inout Frame) {
    let isRequest = operation == Self.request
    frame.begin(to: isRequest ? .broadcast : targetMAC, from: senderMAC, type: EtherType.arp)
    frame.append16(1)  // Ethernet
    frame.append16(EtherType.ipv4)
    frame.append(6)
    frame.append(4)
    frame.append16(operation)
    frame.append(senderMAC)
    frame.append32(sender.rawValue)
    frame.append(targetMAC)
    frame.append32(target.rawValue)
    frame.pad()
  }
}
