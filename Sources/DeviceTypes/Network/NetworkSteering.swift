// virtio 1.4 §5.1.9.5.6 Automatic receive steering in multiqueue mode, device side.

import Wire

/// Which pair of queues the frames of a flow belong to: the one that the driver last transmitted on.
struct NetworkSteering {
  /// Pairs in use, from 1.
  var pairCount = 1
  /// By hash of the flow: its pair.
  var pairs = [256 of UInt8](repeating: 0)

  /// The driver transmitted the frame that starts with `prefix` on `pair`.
  mutating func note(_ prefix: ByteArray<64>, pair: Int) {
    if let flow = Self.flow(prefix) { pairs[Int(flow)] = UInt8(truncatingIfNeeded: pair) }
  }

  /// The pair for a received frame. Flows that are unknown or belong to a pair out of use go to the first.
  /// Mutating, as the table would be copied to look at it otherwise.
  mutating func pair(for prefix: ByteArray<64>) -> Int {
    guard pairCount > 1, let flow = Self.flow(prefix) else { return 0 }
    let pair = Int(pairs[Int(flow)])
    return pair < pairCount ? pair : 0
  }

  /// A hash of addresses, protocol and ports, the same in both directions; nil for what is not IP.
  private static func flow(_ prefix: ByteArray<64>) -> UInt8? {
    let start = Ethernet.headerByteCount(prefix)
    let type = UInt16(prefix[start - 2]) << 8 | UInt16(prefix[start - 1])
    var hash: UInt32
    let transport: Int
    let number: UInt8
    switch type {
    case 0x0800:
      number = prefix[start + 9]
      hash = prefix.load(UInt32.self, at: start + 12) ^ prefix.load(UInt32.self, at: start + 16)
      // Of a fragmented packet only the first piece has ports: none is used, so that all go the same way.
      let isFragment = prefix[start + 6] & 0x3f != 0 || prefix[start + 7] != 0
      transport = isFragment ? prefix.bytes.byteCount : start + 4 * Int(prefix[start] & 0xf)
    case 0x86dd:
      number = prefix[start + 6]
      hash = 0
      for offset in stride(from: start + 8, to: start + 40, by: 4) {
        hash ^= prefix.load(UInt32.self, at: offset)
      }
      transport = start + 40
    default: return nil
    }
    hash ^= UInt32(number)
    if number == 6 || number == 17, transport + 4 <= prefix.bytes.byteCount {
      hash ^= UInt32(prefix.load(UInt16.self, at: transport) ^ prefix.load(UInt16.self, at: transport + 2))
    }
    return UInt8(truncatingIfNeeded: (hash &* 0x9e37_79b1) >> 24)
  }
}
