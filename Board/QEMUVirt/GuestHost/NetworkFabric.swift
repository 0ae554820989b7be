// The network that the guests and the board's network interface meet in. Used under the lock of the networks
// only, by reference, since the device of one guest reaches those of the others through it.

import DeviceTypes
import Machine
import Platform
import Virtio

/// The switch and what is at its ports: port g is guest g, the one behind the guests' is the uplink.
@safe struct NetworkFabric: ~Copyable {
  private static var uplinkPort: Int { 4 }

  private var fabric = NetworkSwitch<5>()
  /// Of each guest; they stay where they are.
  private let transports: [4 of UnsafeMutablePointer<GuestTransport>?]
  /// The board's network interface, if it has one.
  let uplink: UplinkReference?
  /// Guests that got frames which they are not told of yet.
  private var receivers = NetworkPorts.none

  init(transports: borrowing PerGuest<GuestTransport>, _ setup: borrowing HostSetup, uplink: UplinkReference?)
  {
    for guest in 0..<setup.guestCount { fabric.bind(setup.tables[guest].address, to: guest) }
    unsafe self.transports = InlineArray {
      unsafe $0 < transports.count ? transports.pointer($0) : nil
    }
    self.uplink = uplink
  }

  /// A guest ended: what was learned at its port is gone with it.
  mutating func forget(guest: Int) { fabric.forget(port: guest) }

  /// Passes on what a guest sends. To other guests at once, in one copy from its memory to theirs; to the
  /// uplink from where it lies. Only what goes nowhere but there waits for room there.
  mutating func transmit(
    _ packet: borrowing NetworkPacket, from guest: Int, tag: UInt32
  ) -> NetworkTransmission {
    let ports = fabric.route(packet.head, from: guest, at: Self.now)
    var outcome = NetworkTransmission.done
    if ports.contains(Self.uplinkPort), let uplink {
      outcome = uplink.with { $0.transmit(packet, from: guest, tag: tag) }
      if outcome == .busy {
        if ports.isOnly(Self.uplinkPort) { return .busy }
        // A copy for everybody: the others get theirs now, and this one is lost.
        uplink.with { $0.droppedCount &+= 1 }
        outcome = .done
      }
    }
    deliver(packet, to: ports)
    return outcome
  }

  /// Passes frames on that came from outside, at most as many as fit into one call; segments of one stream
  /// are joined. Returns whether there may be more.
  ///
  /// This and what it calls for each frame is not built for size: the calls of code that others share would
  /// take a sixth of the time.
  @_optimize(speed)
  mutating func receive() -> Bool {
    guard let uplink else { return false }
    var pieces = [64 of GuestRange](repeating: .empty)
    for count in 1...64 {
      guard let frame = uplink.with({ $0.holdFrame(&pieces) }) else {
        deliverRun(of: uplink)
        return false
      }
      let held = NetworkFrame(pieces.span.extracting(first: frame.pieceCount), byteCount: frame.byteCount)
      let packet = NetworkPacket(held, frame.offload)
      if !uplink.with({ $0.run.join(packet) }) {
        deliverRun(of: uplink)
        if !uplink.with({ $0.run.begin(packet) }) { deliverFromUplink(packet) }
      }
      uplink.with { $0.releaseFrame() }
      // Guests begin with these while more are on the way.
      if count % 8 == 0 { finishDeliveries() }
    }
    deliverRun(of: uplink)
    return true
  }

  /// Passes on what was joined so far.
  private mutating func deliverRun(of uplink: UplinkReference) {
    var pieces = [1 of GuestRange](repeating: .empty)
    guard let offload = uplink.with({ $0.run.finish(&pieces[0]) }) else { return }
    let frame = NetworkFrame(pieces.span, byteCount: Int(pieces[0].byteCount))
    deliverFromUplink(NetworkPacket(frame, offload))
  }

  private mutating func deliverFromUplink(_ packet: borrowing NetworkPacket) {
    deliver(packet, to: fabric.route(packet.head, from: Self.uplinkPort, at: Self.now))
  }

  @_optimize(speed)
  private mutating func deliver(_ packet: borrowing NetworkPacket, to ports: NetworkPorts) {
    var ports = ports
    while let port = ports.popFirst() {
      guard port != Self.uplinkPort, let transport = unsafe transports[port] else { continue }
      // Never the one that is calling, which is that of another port. What it does not take is counted there.
      unsafe transport.pointee.accept(packet)
      receivers.rawValue |= 1 << UInt32(port)
    }
  }

  /// Tells guests of the frames that they got: once for all that came in one go.
  @inline(never)
  mutating func finishDeliveries() {
    while let port = receivers.popFirst() {
      // Only those with a transport got any. As in `deliver`, it is not the one that is calling.
      unsafe transports[port]?.pointee.finishCalls()
    }
  }

  private static var now: UInt64 { Clock.milliseconds(from: 0, to: Clock.ticks) }
}

extension NetworkPorts {
  /// Whether `port` is among them, and no other.
  func isOnly(_ port: Int) -> Bool { rawValue == 1 << UInt32(port) }
}

extension GuestTransport {
  /// Gives the guest a frame, if its driver is there. `finishCalls` follows.
  @_optimize(speed)
  mutating func accept(_ packet: borrowing NetworkPacket) {
    _ = callOneOfMany { (device, context) throws(DriverFault) in try device.deliver(packet, &context) }
  }
}

/// A guest's end of the network.
@safe struct GuestNetworkPort: NetworkBackend {
  let guest: Int
  /// Set before the guest runs; never freed.
  private let fabric: FabricReference

  init(guest: Int, fabric: FabricReference) {
    self.guest = guest
    self.fabric = fabric
  }

  /// What another guest takes as it is, and is finished in software for everybody else.
  var transmitOffloads: NetworkOffloads { .checksum | .tcp4 | .tcp6 | .ecn }
  var receiveOffloads: NetworkOffloads { transmitOffloads }

  mutating func transmit(
    _ frame: borrowing NetworkFrame, _ offload: NetworkOffload, tag: UInt32
  ) -> NetworkTransmission {
    let packet = NetworkPacket(frame, offload)
    return fabric.with { $0.transmit(packet, from: guest, tag: tag) }
  }

  mutating func nextTransmission() -> UInt32? {
    fabric.with { $0.uplink?.with { $0.nextTransmission(of: guest) } ?? nil }
  }

  // Frames from others are delivered, and do not wait here.
  mutating func waitingFrame() -> NetworkWaitingFrame? { nil }
  mutating func receive(into frame: borrowing NetworkFrame) -> Bool { false }
  mutating func dropFrame() {}
}

/// Where the fabric is, which is made after the ports that refer to it.
@safe struct FabricReference {
  private let place: UnsafeMutablePointer<NetworkFabric>

  /// A place without a fabric: `set` follows before anybody looks there.
  init() { unsafe place = UnsafeMutablePointer<NetworkFabric>.allocate(capacity: 1) }

  /// Puts the fabric there, once.
  func set(_ fabric: consuming NetworkFabric) { unsafe place.initialize(to: fabric) }

  /// Calls `body` with the fabric. Everybody who does so holds the lock of the networks, and `body` does not
  /// come back here.
  @inline(__always)
  func with<Result>(_ body: (inout NetworkFabric) -> Result) -> Result {
    // Allocated once and never freed; set before any guest runs.
    unsafe body(&place.pointee)
  }
}
