// The control queue of the network device, and the receive filter that it sets.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

@Suite struct NetworkDeviceControlTests {
  private static let receive = NetworkFeature.controlQueue | NetworkFeature.controlReceive
  private static let extra = receive | NetworkFeature.controlReceiveExtra
  private static let withMAC = receive | NetworkFeature.mac | NetworkFeature.controlMACAddress

  private let other = MACAddress(2, 7, 7, 7, 7, 7)
  private let group = MACAddress(0x33, 0x33, 0, 0, 0, 1)

  private func started(_ features: Features) -> NetworkRig {
    var rig = NetworkRig()
    rig.start(features | NetworkFeature.mac)
    return rig
  }

  /// The frames that get through: own unicast, other unicast, multicast, broadcast.
  private func accepted(_ rig: inout NetworkRig) -> [Bool] {
    [deviceMAC, other, group, .broadcast].map { rig.accepts(frame(to: $0)) }
  }

  private func set(_ mode: UInt8, _ on: UInt8, _ rig: inout NetworkRig) {
    #expect(rig.command([0, mode, on]) == 0)
  }

  // MARK: Receive modes

  @Test func `5.1.9.5.1.1 device: promiscuous mode is switched on and off`() {
    var rig = started(Self.receive)
    #expect(accepted(&rig) == [true, false, false, true])
    set(0, 1, &rig)
    #expect(accepted(&rig) == [true, true, true, true])
    set(0, 0, &rig)
    #expect(accepted(&rig) == [true, false, false, true])
  }

  @Test func `5.1.9.5.1.1 device: promiscuous mode wins over the other modes`() {
    var rig = started(Self.extra)
    for mode in [3, 4, 5] as [UInt8] { set(mode, 1, &rig) }
    #expect(accepted(&rig) == [false, false, false, false])
    set(0, 1, &rig)
    #expect(accepted(&rig) == [true, true, true, true])
  }

  @Test func `5.1.9.5.1.1 device: with all-multicast on every multicast frame is received`() {
    var rig = started(Self.receive)
    set(1, 1, &rig)
    #expect(accepted(&rig) == [true, false, true, true])
    set(1, 0, &rig)
    #expect(accepted(&rig) == [true, false, false, true])
  }

  @Test func `5.1.9.5.1.1 device: with all-unicast on every unicast frame is received`() {
    var rig = started(Self.extra)
    set(2, 1, &rig)
    #expect(accepted(&rig) == [true, true, false, true])
    set(2, 0, &rig)
    #expect(accepted(&rig) == [true, false, false, true])
  }

  @Test func `5.1.9.5.1.1 device: no multicast, even with all-multicast, but broadcast`() {
    var rig = started(Self.extra)
    set(1, 1, &rig)
    set(3, 1, &rig)
    #expect(accepted(&rig) == [true, false, false, true])
    set(3, 0, &rig)
    #expect(accepted(&rig) == [true, false, true, true])
  }

  @Test func `5.1.9.5.1.1 device: no unicast, even with all-unicast`() {
    var rig = started(Self.extra)
    set(2, 1, &rig)
    set(4, 1, &rig)
    #expect(accepted(&rig) == [false, false, false, true])
    set(4, 0, &rig)
    #expect(accepted(&rig) == [true, true, false, true])
  }

  @Test func `5.1.9.5.1.1 device: no broadcast, even with all-multicast`() {
    var rig = started(Self.extra)
    set(1, 1, &rig)
    set(5, 1, &rig)
    #expect(accepted(&rig) == [true, false, true, false])
    set(5, 0, &rig)
    #expect(accepted(&rig) == [true, false, true, true])
  }

  @Test func `modes that were not negotiated are refused`() {
    var rig = started(Self.receive)
    for mode in 0..<8 as Range<UInt8> { #expect(rig.command([0, mode, 1]) == (mode < 2 ? 0 : 1)) }
    rig.start(NetworkFeature.controlQueue)
    for mode in 0..<8 as Range<UInt8> { #expect(rig.command([0, mode, 1]) == 1) }
  }

  // MARK: MAC addresses

  private func table(_ unicast: [MACAddress], _ multicast: [MACAddress]) -> [UInt8] {
    var bytes: [UInt8] = [1, 0]
    for list in [unicast, multicast] {
      bytes += [UInt8(list.count & 0xff), UInt8(list.count >> 8), 0, 0] + list.flatMap { $0.list }
    }
    return bytes
  }

  private func unicast(_ index: Int) -> MACAddress {
    MACAddress(2, 0x80, 0, 0, UInt8(index >> 8), UInt8(index & 0xff))
  }

  private func multicast(_ index: Int) -> MACAddress {
    MACAddress(3, 0x80, 0, 0, UInt8(index >> 8), UInt8(index & 0xff))
  }

  @Test func `5.1.9.5.2.1 device: the MAC table is empty after a reset`() {
    var rig = started(Self.receive)
    #expect(rig.command(table([other], [group])) == 0)
    #expect(accepted(&rig) == [true, true, true, true])
    rig.start(Self.receive | NetworkFeature.mac)
    #expect(accepted(&rig) == [true, false, false, true])
  }

  @Test func `5.1.9.5.2.1 device: the table is in force when its command is used`() {
    var rig = started(Self.receive)
    #expect(rig.command(table([other], []), cut: [2, 10]) == 0)
    #expect(accepted(&rig) == [true, true, false, true])
    #expect(rig.command(table([], [group])) == 0)
    #expect(accepted(&rig) == [true, false, true, true])
    #expect(rig.command(table([], [])) == 0)
    #expect(accepted(&rig) == [true, false, false, true])
  }

  @Test func `5.1.9.5.2.1 device: frames to addresses that are neither set nor in the table are dropped`() {
    var rig = started(Self.withMAC)
    #expect(accepted(&rig) == [true, false, false, true])
    #expect(rig.command([1, 1] + other.list) == 0)
    #expect(accepted(&rig) == [false, true, false, true])
  }

  @Test func `5.1.9.5.2.1 device: the address in the configuration is new when its command is used`() {
    var rig = started(Self.withMAC)
    let generation = rig.bench.transport.read(at: MMIORegister.configurationGeneration, byteCount: 4)
    #expect(rig.command([1, 1] + other.list, cut: [1, 3]) == 0)
    let mac = (0..<6).map { UInt8(rig.bench.transport.read(at: 0x100 + $0, byteCount: 1)) }
    #expect(mac == other.list)
    #expect(rig.bench.transport.read(at: MMIORegister.configurationGeneration, byteCount: 4) != generation)
    rig.start(Self.withMAC)
    let before = (0..<6).map { UInt8(rig.bench.transport.read(at: 0x100 + $0, byteCount: 1)) }
    #expect(before == deviceMAC.list)
  }

  @Test func `a table that is too long lets everything of its kind pass`() {
    var rig = started(Self.receive)
    #expect(rig.command(table((0..<64).map(unicast), (0..<64).map(multicast))) == 0)
    #expect(rig.accepts(frame(to: unicast(63))) == true)
    #expect(rig.accepts(frame(to: multicast(63))) == true)
    #expect(accepted(&rig) == [true, false, false, true])
    #expect(rig.command(table((0..<65).map(unicast), [group])) == 0)
    #expect(accepted(&rig) == [true, true, true, true])
    #expect(rig.accepts(frame(to: multicast(1))) == false)
    #expect(rig.command(table([], (0..<500).map(multicast))) == 0)
    #expect(accepted(&rig) == [true, false, true, true])
  }

  @Test(
    arguments: [
      [1, 0], [1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7],
      [1, 0, 1, 0, 0, 0, 2, 2, 2, 2, 2], [1, 0, 1, 0, 0, 0, 2, 2, 2, 2, 2, 2],
      // Counts that the bytes do not hold, up to those whose product with 6 overflows.
      [1, 0, 255, 255, 255, 255, 0, 0, 0, 0], [1, 0, 0xab, 0xaa, 0xaa, 0x2a, 0, 0, 0, 0],
      [1, 0, 65, 0, 0, 0] + [UInt8](repeating: 2, count: 64 * 6), [1, 0, 0, 0, 0, 0, 255, 255, 255, 255],
    ] as [[UInt8]])
  func `a malformed table is refused and changes nothing`(_ bytes: [UInt8]) {
    var rig = started(Self.receive)
    #expect(rig.command(table([other], [])) == 0)
    #expect(rig.command(bytes) == 1)
    #expect(accepted(&rig) == [true, true, false, true])
    #expect(rig.fault == nil)
  }

  @Test func `a group cannot be the address`() {
    var rig = started(Self.withMAC)
    #expect(rig.command([1, 1] + group.list) == 1)
    #expect(accepted(&rig) == [true, false, false, true])
  }

  @Test func `without MAC a driver's unicast frames pass until its address is known`() {
    var rig = NetworkRig()
    rig.start(Self.receive | NetworkFeature.controlMACAddress)
    #expect(accepted(&rig) == [true, true, false, true])
    #expect(rig.command([1, 1] + other.list) == 0)
    #expect(accepted(&rig) == [false, true, false, true])
  }

  @Test func `without CTRL_RX multicast passes, since nobody could ask for it`() {
    var rig = started(.none)
    #expect(accepted(&rig) == [true, false, true, true])
  }

  // MARK: VLANs

  @Test func `5.1.9.5.3.1 device: without CTRL_VLAN every VLAN is received`() {
    var rig = started(.none)
    for vlan in [0, 1, 100, 4095] as [UInt16] { #expect(rig.accepts(frame(vlan: vlan)) == true) }
    #expect(rig.accepts(frame(to: other, vlan: 1)) == false)
  }

  @Test func `5.1.9.5.3.1 device: with CTRL_VLAN the VLANs of the table are received, and no others`() {
    var rig = started(NetworkFeature.controlQueue | NetworkFeature.controlVLAN)
    for vlan in [0, 1, 64, 4095] as [UInt16] { #expect(rig.accepts(frame(vlan: vlan)) == false) }
    #expect(rig.accepts(frame()) == true)
    for vlan in [0, 63, 64, 4095] as [UInt16] {
      #expect(rig.command([2, 0, UInt8(vlan & 0xff), UInt8(vlan >> 8)]) == 0)
      #expect(rig.accepts(frame(vlan: vlan)) == true)
    }
    #expect(rig.accepts(frame(vlan: 1)) == false)
    #expect(rig.accepts(frame(vlan: 65)) == false)
    #expect(rig.accepts(frame(vlan: 127)) == false)
    #expect(rig.command([2, 1, 64, 0]) == 0)
    #expect(rig.accepts(frame(vlan: 64)) == false)
    #expect(rig.accepts(frame(vlan: 63)) == true)
    // Priority bits are not part of the VLAN; a VLAN beyond 12 bits does not exist.
    #expect(rig.command([2, 0, 0, 16]) == 1)
    rig.start(NetworkFeature.controlQueue | NetworkFeature.controlVLAN | NetworkFeature.mac)
    #expect(rig.accepts(frame(vlan: 63)) == false)
  }

  // MARK: Announcements, offloads

  @Test func `5.1.9.5.4.2 device: ANNOUNCE is cleared before its acknowledgement is used`() {
    var rig = NetworkRig()
    rig.start(NetworkFeature.controlQueue | NetworkFeature.guestAnnounce | NetworkFeature.status)
    rig.bench.transport.device.requestAnnouncement()
    #expect(rig.bench.transport.read(at: 0x106, byteCount: 2) == 1)
    let events = rig.bench.transport.line.eventCount
    rig.bench.transport.poll()
    #expect(rig.bench.transport.read(at: 0x106, byteCount: 2) == 3)
    #expect(rig.bench.transport.line.eventCount == events + 1)
    #expect(rig.bench.transport.read(at: MMIORegister.interruptStatus, byteCount: 4) == 2)
    rig.bench.transport.poll()
    #expect(rig.bench.transport.line.eventCount == events + 1)
    #expect(rig.command([3, 0]) == 0)
    #expect(rig.bench.transport.read(at: 0x106, byteCount: 2) == 1)
  }

  @Test func `a driver that does not announce is not asked to`() {
    var rig = NetworkRig()
    rig.start(NetworkFeature.controlQueue | NetworkFeature.status)
    rig.bench.transport.device.requestAnnouncement()
    rig.bench.transport.poll()
    #expect(rig.bench.transport.read(at: 0x106, byteCount: 2) == 1)
    #expect(rig.command([3, 0]) == 1)
  }

  @Test func `5.1.9.5.9 offloads are switched within what was negotiated`() {
    var rig = NetworkRig(receive: .all)
    rig.start(
      NetworkFeature.controlQueue | NetworkFeature.controlGuestOffloads | NetworkFeature.guestChecksum
        | NetworkFeature.guestTSO4)
    #expect(rig.link.receiveOffloads == .checksum | .tcp4)
    func offloads(_ value: UInt64) -> [UInt8] {
      [5, 0] + (0..<8).map { UInt8(value >> UInt64(8 * $0) & 0xff) }
    }
    #expect(rig.command(offloads(2)) == 0)
    #expect(rig.link.receiveOffloads == .checksum)
    #expect(rig.command(offloads(0)) == 0)
    #expect(rig.link.receiveOffloads == .none)
    #expect(rig.receive(frame(), .udp4()) == nil)
    // Not negotiated; not without the checksum; not known.
    for value in [2 | 1 << 8, 1 << 7, 2 | 1 << 54, 1 << 63, 1] as [UInt64] {
      #expect(rig.command(offloads(value)) == 1)
      #expect(rig.link.receiveOffloads == .none)
    }
    #expect(rig.command(offloads(2 | 1 << 7)) == 0)
    #expect(rig.receive(frame(), .udp4())?.header.flags == 1)
  }

  // MARK: Malformed commands

  @Test(
    arguments: [
      [], [0], [0, 0], [0, 0, 2], [0, 0, 255], [0, 0, 1, 0], [0, 6, 1], [0, 255, 1], [1, 1],
      [1, 1, 2, 2, 2, 2, 2],
      [1, 1, 2, 2, 2, 2, 2, 2, 2], [1, 2], [2, 0], [2, 0, 1], [2, 0, 1, 0, 0], [2, 2, 1, 0], [3, 0, 0],
      [3, 1],
      [4, 0, 1, 0], [4, 1], [5, 0, 0, 0, 0, 0, 0, 0, 0], [5, 1], [6, 0], [9, 0], [255, 255],
    ] as [[UInt8]])
  func `a command that is unknown or of the wrong length is answered with an error`(_ bytes: [UInt8]) {
    var rig = NetworkRig()
    rig.start(rig.bench.transport.device.offeredFeatures)
    #expect(rig.driver.status.contains(.featuresOK))
    #expect(rig.command(bytes) == 1)
    #expect(rig.fault == nil)
    #expect(rig.command([0, 0, 1]) == 0)
  }

  @Test func `a command without room for its answer is a fault`() {
    var rig = started(Self.receive)
    #expect(rig.command([0, 0, 1], ackByteCount: 0) == nil)
    #expect(rig.fault == .bufferTooShort)
  }

  @Test func `an answer takes one byte of a longer buffer`() {
    var rig = started(Self.receive)
    #expect(rig.command([0, 0, 1], ackByteCount: 8) == 0)
  }

  @Test func `without CTRL_VQ nothing is executed`() {
    var rig = started(.none)
    #expect(rig.command([0, 0, 1]) == nil)
    #expect(rig.fault == nil)
  }

  @Test func `a table of 4 GiB over few bytes is walked by descriptors, not by addresses`() {
    var rig = started(Self.receive)
    let start = rig.allocate(6)
    let ack = rig.allocate(1)
    // 699050667 entries of 6 bytes, which wrap around 32 bits; then as many as there can be.
    for entries in [0x2aaa_aaab, 0x2aaa_a000, 0xffff_ffff] as [UInt32] {
      rig.memory.write([1, 0], start)
      rig.memory.store(entries, start + 2)
      let rest = Array(repeating: (rig.memory.address, rig.memory.byteCount), count: 29)
      rig.submit(2, [(start, 6)] + rest + [(ack, 1)], readable: 30)
      #expect(rig.memory.load(UInt8.self, ack) == 1)
    }
    #expect(rig.driver.usedIndex(2) == 3 && rig.fault == nil)
  }
}
