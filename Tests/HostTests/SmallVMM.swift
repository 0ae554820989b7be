// A VMM without a guest: the registers of virtio-mmio in front, the messages of vhost-user behind. Thus our
// own drivers reach any device that a server of ours has, also those that QEMU has no front end for.

import CLinux
import Glibc
import QTestSupport
import Testing
import Virtio

@testable import Host

/// One device, of which another thread or process serves the rings.
final class SmallVMM: RegisterAccess {
  /// The memory that is shared with the server.
  let ram: GuestRAM

  private struct Ring {
    var size: UInt32 = 0
    var addresses = QueueAddresses()
    var isReady = false
    let kick: OpenFile
    let call: OpenFile
  }

  private static let frontEndBase: UInt64 = 0x7000_0000_0000

  private let frontEnd: HostileFrontEnd
  private let deviceID: DeviceID
  private let offered: Features
  private var accepted = Features.none
  private var rings: [Ring] = []
  private var status: UInt32 = 0
  private var interrupts: UInt32 = 0
  private var selectedWord: UInt32 = 0
  private var selectedRing = 0

  /// The device of type `deviceID` that is served at `path`, with `ringCount` rings and `byteCount` bytes of
  /// memory.
  init(_ path: String, _ deviceID: DeviceID, ringCount: Int, byteCount: Int = 4 << 20) throws {
    self.deviceID = deviceID
    ram = try GuestRAM(size: byteCount)
    frontEnd = try HostileFrontEnd(path)
    offered = Features(low: frontEnd.negotiateProtocol() & ~VhostUserFeature.protocolFeatures)
    for _ in 0..<ringCount { rings.append(Ring(kick: try .event(), call: try .event())) }
    try share(ram, at: GuestRAM.base)
  }

  /// Shares `memory` at the guest address `base`. What is shared already stays where it is.
  func share(_ memory: GuestRAM, at base: UInt64) throws {
    let file = OpenFile(dup(memory.file.number))
    let byteCount = unsafe UInt64(memory.bytes.count)
    let region = le(UInt64(0), base, byteCount, Self.frontEndBase + base, UInt64(0))
    try #require(frontEnd.ask(.addMemoryRegion, region, [file]) == true)
  }

  /// Waits until `condition`, for as long as a loaded machine may need.
  func wait(until condition: () throws -> Bool) throws {
    var now = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &now)
    let end = now.tv_sec + 60
    while !(try condition()) {
      usleep(100)
      unsafe clock_gettime(CLOCK_MONOTONIC, &now)
      try #require(now.tv_sec < end)
    }
  }

  /// Lets the server work on ring `index`, or not.
  func enable(_ index: Int, _ isEnabled: Bool) {
    #expect(frontEnd.ask(.setRingEnable, le(UInt32(index), UInt32(isEnabled ? 1 : 0))) == true)
  }

  /// Sleeps until there is an interrupt, for up to `seconds`. Whether there is one, to be acknowledged.
  func waitForInterrupt(seconds: Int) -> Bool {
    var polled = rings.map { pollfd(fd: $0.call.number, events: Int16(POLLIN), revents: 0) }
    // As many as there are.
    return unsafe poll(&polled, nfds_t(polled.count), Int32(seconds * 1000)) > 0
  }

  // MARK: Registers

  func read8(_ offset: Int) -> UInt8 { configuration(offset, 1) }
  func read16(_ offset: Int) -> UInt16 { configuration(offset, 2) }

  func read32(_ offset: Int) -> UInt32 {
    switch offset {
    case MMIORegister.magicValue: MMIORegister.magic
    case MMIORegister.version: 2
    case MMIORegister.deviceID: deviceID.rawValue
    case MMIORegister.deviceFeatures: offered.word(selectedWord)
    case MMIORegister.queueSizeMax: selectedRing < rings.count ? 256 : 0
    case MMIORegister.queueReady: rings[selectedRing].isReady ? 1 : 0
    case MMIORegister.interruptStatus: interruptStatus()
    case MMIORegister.status: status
    case MMIORegister.configuration...: configuration(offset, 4)
    default: 0
    }
  }

  func write8(_ value: UInt8, _ offset: Int) { configure(offset, [value]) }
  func write16(_ value: UInt16, _ offset: Int) { configure(offset, le(value)) }

  func write32(_ value: UInt32, _ offset: Int) {
    switch offset {
    case MMIORegister.deviceFeaturesSelect, MMIORegister.driverFeaturesSelect: selectedWord = value
    case MMIORegister.driverFeatures: _ = accepted.setWord(selectedWord, value)
    case MMIORegister.queueSelect: selectedRing = Int(value)
    case MMIORegister.queueSize: rings[selectedRing].size = value
    case MMIORegister.queueDescriptorLow..<MMIORegister.sharedMemorySelect:
      setAddress(offset, value)
    case MMIORegister.queueReady: start(selectedRing)
    case MMIORegister.queueNotify: rings[Int(value & 0xffff)].kick.signal()
    case MMIORegister.interruptAcknowledge: interrupts &= ~value
    case MMIORegister.status: setStatus(value)
    case MMIORegister.configuration...: configure(offset, le(value))
    default: break
    }
  }

  private func setAddress(_ offset: Int, _ value: UInt32) {
    func set(_ address: inout UInt64) {
      let isHigh = offset & 4 != 0
      address = isHigh ? address & 0xffff_ffff | UInt64(value) << 32 : address & ~0xffff_ffff | UInt64(value)
    }
    switch offset & ~4 {
    case MMIORegister.queueDescriptorLow: set(&rings[selectedRing].addresses.descriptorArea)
    case MMIORegister.queueDriverLow: set(&rings[selectedRing].addresses.driverArea)
    default: set(&rings[selectedRing].addresses.deviceArea)
    }
  }

  private func setStatus(_ value: UInt32) {
    if value == 0 {
      #expect(frontEnd.ask(.resetDevice) == true)
      for i in rings.indices { rings[i].isReady = false }
      accepted = .none
    }
    let before = status
    status = value
    let featuresOK = UInt32(DeviceStatus.featuresOK.rawValue)
    guard value & featuresOK != 0, before & featuresOK == 0 else { return }
    let bits = accepted.low | VhostUserFeature.protocolFeatures
    if frontEnd.ask(.setFeatures, le(bits)) != true {
      status &= ~featuresOK
    }
  }

  private func start(_ index: Int) {
    let ring = rings[index]
    let number = UInt32(index)
    let areas = ring.addresses
    let addresses = le(
      number, UInt32(0), Self.frontEndBase + areas.descriptorArea, Self.frontEndBase + areas.deviceArea,
      Self.frontEndBase + areas.driverArea, UInt64(0))
    let answers = [
      frontEnd.ask(.setRingSize, le(number, ring.size)), frontEnd.ask(.setRingAddresses, addresses),
      frontEnd.ask(.setRingCall, le(UInt64(index)), [ring.call]),
      frontEnd.ask(.setRingKick, le(UInt64(index)), [ring.kick]),
      frontEnd.ask(.setRingEnable, le(number, UInt32(1))),
    ]
    rings[index].isReady = answers.allSatisfy { $0 == true }
  }

  private func interruptStatus() -> UInt32 {
    for ring in rings where clinux_clear(ring.call.number) != 0 { interrupts |= MMIOInterrupt.usedBuffer }
    return interrupts
  }

  private func configuration<T: FixedWidthInteger>(_ offset: Int, _ byteCount: Int) -> T {
    let place = le(UInt32(offset - MMIORegister.configuration), UInt32(byteCount), UInt32(0))
    let room = [UInt8](repeating: 0, count: byteCount)
    frontEnd.send(VhostUserRequest.getConfiguration.rawValue, place + room, flags: 1)
    return frontEnd.receive()?.load(T.self, at: 12) ?? 0
  }

  private func configure(_ offset: Int, _ bytes: [UInt8]) {
    let place = le(UInt32(offset - MMIORegister.configuration), UInt32(bytes.count), UInt32(0))
    #expect(frontEnd.ask(.setConfiguration, place + bytes) == true)
  }
}
