// A link that the tests hold at its other end, and short ways to make frames and devices.

import DeviceTypes
import TestSupport
import Virtio
import Wire

/// The other end of the link.
final class TestLink {
  /// Frames that came out of the device.
  var sent: [(bytes: [UInt8], offload: NetworkOffload)] = []
  /// Frames that wait to be received.
  var waiting: [(bytes: [UInt8], offload: NetworkOffload)] = []
  /// Frames that may still be sent before the link is busy.
  var room = Int.max
  /// Whether the next reception fails.
  var isBroken = false
  /// Whether frames stay pending until `finish` is called with their tag.
  var isSlow = false
  /// Tags of the frames that are pending, in the order in which they came.
  private(set) var pending: [UInt32] = []
  /// Tags that the device takes back next.
  fileprivate var finished: [UInt32] = []
  /// Tags of frames that the device forgot.
  fileprivate(set) var cancelled: [UInt32] = []
  /// What the device last allowed.
  var receiveOffloads = NetworkOffloads.none
  /// Number of pieces of the frames sent and received.
  var pieceCounts: [Int] = []

  /// The frame of `tag` was sent.
  func finish(_ tag: UInt32) {
    pending.removeAll { $0 == tag }
    finished.append(tag)
  }

  fileprivate func begin(_ tag: UInt32) -> NetworkTransmission {
    guard isSlow else { return .done }
    pending.append(tag)
    return .pending
  }

  func offer(_ bytes: [UInt8], _ offload: NetworkOffload = .complete) { waiting.append((bytes, offload)) }
}

/// The device's end.
struct TestBackend: NetworkBackend {
  let link: TestLink
  var transmitOffloads = NetworkOffloads.none
  var receiveOffloads = NetworkOffloads.none

  mutating func transmit(
    _ frame: borrowing NetworkFrame, _ offload: NetworkOffload, tag: UInt32
  ) -> NetworkTransmission {
    if link.room == 0 { return .busy }
    link.room -= 1
    var bytes: [UInt8] = []
    for index in frame.ranges.indices {
      var byte = ByteArray<1>()
      for offset in 0..<frame.ranges[index].byteCount {
        var target = byte.mutableBytes
        frame.ranges[index].dropFirst(offset).copyOut(to: &target)
        bytes.append(byte[0])
      }
    }
    link.pieceCounts.append(frame.ranges.count)
    link.sent.append((bytes, offload))
    return link.begin(tag)
  }

  mutating func nextTransmission() -> UInt32? {
    link.finished.isEmpty ? nil : link.finished.removeFirst()
  }

  mutating func cancel(tag: UInt32) { link.cancelled.append(tag) }

  mutating func waitingFrame() -> NetworkWaitingFrame? {
    guard let (bytes, offload) = link.waiting.first else { return nil }
    let prefix = unsafe ByteArray<64>(prefixOf: bytes.span.bytes)  // bytes have no padding
    return NetworkWaitingFrame(byteCount: bytes.count, prefix: prefix, offload: offload)
  }

  mutating func receive(into frame: borrowing NetworkFrame) -> Bool {
    let (bytes, _) = link.waiting.removeFirst()
    if link.isBroken { return false }
    link.pieceCounts.append(frame.ranges.count)
    // Bytes have no padding.
    let count = unsafe frame.copyIn(from: bytes.span.bytes)
    return frame.byteCount == bytes.count && count == bytes.count
  }

  mutating func dropFrame() { link.waiting.removeFirst() }

  mutating func setReceiveOffloads(_ offloads: NetworkOffloads) { link.receiveOffloads = offloads }
}

/// The address of the devices under test.
let deviceMAC = MACAddress(2, 1, 2, 3, 4, 5)

extension MACAddress {
  var list: [UInt8] { (0..<6).map { self[$0] } }
}

/// A frame of `byteCount` bytes with a payload that depends on `seed`.
func frame(
  to destination: MACAddress = deviceMAC, vlan: UInt16? = nil, byteCount: Int = 60, seed: Int = 0
) -> [UInt8] {
  var bytes = destination.list + [2, 9, 9, 9, 9, 9]
  if let vlan { bytes += [0x81, 0, UInt8(vlan >> 8) | 0x20, UInt8(vlan & 0xff)] }
  bytes += [0x88, 0xb5]
  while bytes.count < byteCount { bytes.append(UInt8(truncatingIfNeeded: bytes.count &* 7 &+ seed)) }
  return bytes
}

/// A UDP packet over IPv4 whose checksum field holds the sum of the pseudo header.
func udpFrame(
  from source: (host: UInt8, port: UInt16), to destination: (host: UInt8, port: UInt16), byteCount: Int = 60
) -> [UInt8] {
  var bytes = deviceMAC.list + [2, 9, 9, 9, 9, 9] + [8, 0]
  let length = byteCount - 14
  bytes += [0x45, 0, UInt8(length >> 8), UInt8(length & 0xff), 0, 0, 0, 0, 64, 17, 0, 0]
  bytes += [10, 0, 0, source.host, 10, 0, 0, destination.host]
  bytes += [UInt8(source.port >> 8), UInt8(source.port & 0xff)]
  bytes += [UInt8(destination.port >> 8), UInt8(destination.port & 0xff)]
  let udpLength = length - 20
  let pseudo =
    [10, 0, 0, source.host, 10, 0, 0, destination.host, 0, 17]
    + [UInt8(udpLength >> 8), UInt8(udpLength & 0xff)]
  let sum = onesComplementSum(pseudo)
  bytes += [UInt8(udpLength >> 8), UInt8(udpLength & 0xff), UInt8(sum >> 8), UInt8(sum & 0xff)]
  while bytes.count < byteCount { bytes.append(UInt8(truncatingIfNeeded: bytes.count)) }
  return bytes
}

/// The sum of RFC 1071, not complemented.
func onesComplementSum(_ bytes: some Collection<UInt8>) -> UInt16 {
  var sum: UInt32 = 0
  for (index, byte) in bytes.enumerated() { sum += index & 1 == 0 ? UInt32(byte) << 8 : UInt32(byte) }
  while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
  return UInt16(sum)
}

/// What a backend does for a partial checksum.
func completeChecksum(_ bytes: inout [UInt8], start: UInt16, offset: UInt16) {
  let at = Int(start) + Int(offset)
  let sum = ~onesComplementSum(bytes[Int(start)...])
  bytes[at] = UInt8(sum >> 8)
  bytes[at + 1] = UInt8(sum & 0xff)
}

/// A device with `pairs` pairs of queues on a link.
func makeNetworkDevice<let pairs: Int>(
  _ link: TestLink, transmit: NetworkOffloads = .none, receive: NetworkOffloads = .none, mtu: UInt16? = nil,
  withheld: Features = .none
) -> NetworkDevice<TestBackend, pairs> {
  NetworkDevice(
    backend: TestBackend(link: link, transmitOffloads: transmit, receiveOffloads: receive),
    settings: NetworkDeviceSettings(mac: deviceMAC, mtu: mtu, withheld: withheld))
}

/// One pair, three queues.
typealias NetworkBench = Bench<NetworkDevice<TestBackend, 1>, 3>
/// Four pairs, nine queues.
typealias MultiNetworkBench = Bench<NetworkDevice<TestBackend, 4>, 9>
typealias LoopbackNetworkDriver<let pairs: Int> =
  NetworkDriver<LoopbackRegisters<NetworkDevice<TestBackend, 1>, 3>, pairs>
typealias MultiLoopbackNetworkDriver =
  NetworkDriver<LoopbackRegisters<NetworkDevice<TestBackend, 4>, 9>, 3>

extension NetworkDriver where Registers: ~Copyable {
  /// Transmits an array.
  mutating func transmit(
    _ bytes: [UInt8], _ offload: NetworkOffload = .complete, pair: Int = 0
  ) throws -> NetworkSubmission {
    unsafe try transmit(bytes.span.bytes, offload: offload, pair: pair)  // bytes have no padding
  }

  /// Receives an array.
  mutating func receive() throws -> (bytes: [UInt8], offload: NetworkOffload)? {
    var bytes = [UInt8](repeating: 0xee, count: 70_000)
    var span = bytes.mutableSpan
    var target = unsafe span.mutableBytes  // as above
    guard let frame = try receive(into: &target) else { return nil }
    return (Array(bytes.prefix(frame.byteCount)), frame.offload)
  }

  /// Transmits until the device has taken it all.
  mutating func transmitAll(_ frames: [[UInt8]]) throws {
    for frame in frames { _ = try transmit(frame) }
  }
}

/// The fault that `body` throws.
func fault(_ body: () throws -> Void) -> DeviceFault? {
  do {
    try body()
    return nil
  } catch {
    return error as? DeviceFault
  }
}
