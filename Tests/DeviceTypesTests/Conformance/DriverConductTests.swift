// What virtio 1.4 §2.5.1, §3.1.1, §3.3.1 and §4.2.2.2 ask of every driver, asked of all four: each access to
// a register is kept and looked at.

import DeviceTypes
import TestSupport
import Testing
import Virtio

/// One of the drivers, with the configuration fields of its type: offset, width, and the feature that it
/// belongs to.
struct DriverKind: Sendable, CustomTestStringConvertible {
  typealias Field = (offset: Int, byteCount: Int, feature: Features)

  let name: String
  let id: DeviceID
  let fields: [Field]
  let features: Features
  /// Takes a device into use, and resets it.
  let run: @Sendable (RegisterWindow, inout DriverArena) throws -> Void

  var testDescription: String { name }

  static let all = [entropy, console, network, block]

  static let entropy = DriverKind(name: "entropy", id: .entropy, fields: [], features: .none) {
    let driver = try EntropyDriver(try MMIODriverTransport($0.registers), memory: &$1)!
    try driver.shutDown()
  }

  static let console = DriverKind(
    name: "console", id: .console,
    fields: [
      (0, 2, ConsoleFeature.size), (2, 2, ConsoleFeature.size), (4, 4, ConsoleFeature.multiport),
      (8, 4, ConsoleFeature.emergencyWrite),
    ], features: ConsoleFeature.all
  ) {
    let driver = try ConsoleDriver<WindowRegisters, 2>(try MMIODriverTransport($0.registers), memory: &$1)!
    try driver.shutDown()
  }

  static let network = DriverKind(
    name: "network", id: .network,
    fields: (0..<6).map { ($0, 1, NetworkFeature.mac) } + [
      (6, 2, NetworkFeature.status), (8, 2, NetworkFeature.multiQueue), (10, 2, NetworkFeature.mtu),
    ],
    // No CTRL_VQ: nobody would answer a command.
    features: NetworkFeature.mac | NetworkFeature.status | NetworkFeature.mtu
      | NetworkFeature.mergeableBuffers
  ) {
    let driver = try NetworkDriver<WindowRegisters, 1>(try MMIODriverTransport($0.registers), memory: &$1)!
    try driver.shutDown()
  }

  static let block = DriverKind(
    name: "block", id: .block,
    fields: [
      (0, 8, .none), (8, 4, BlockFeature.sizeMax), (12, 4, BlockFeature.segMax),
      (20, 4, BlockFeature.blockSize), (24, 1, BlockFeature.topology), (25, 1, BlockFeature.topology),
      (26, 2, BlockFeature.topology), (28, 4, BlockFeature.topology), (32, 1, BlockFeature.configurableCache),
      (34, 2, BlockFeature.multiqueue),
    ] + [36, 40, 44].map { ($0, 4, BlockFeature.discard) } + [
      (48, 4, BlockFeature.writeZeroes), (52, 4, BlockFeature.writeZeroes), (56, 1, BlockFeature.writeZeroes),
    ] + [60, 64, 68].map { ($0, 4, BlockFeature.secureErase) },
    features: BlockDriverOptions.knownFeatures
  ) {
    var driver = try BlockDriver(try MMIODriverTransport($0.registers), memory: &$1)!
    try driver.reset()
  }
}

@Suite struct `The conduct of drivers` {
  /// Everything that a driver did with a device that offers `features`.
  private func window(_ kind: DriverKind, _ features: Features) throws -> RegisterWindow {
    let window = RegisterWindow()
    let stub = StubRegisters(window, offering: features | .version1)
    stub.deviceID = kind.id.rawValue
    stub.queueSizeMax = 256
    // Values that make sense in every field that the four types have: small, and not zero.
    stub.configuration = [2, 0, 0, 0, 1, 0, 1, 0, 0, 2, 220, 5] + [UInt8](repeating: 2, count: 84)
    let memory = TestMemory(byteCount: 2 << 20)
    var arena = memory.arena()
    try kind.run(window, &arena)
    withExtendedLifetime(memory) {}
    return window
  }

  /// No feature of the type, each one alone, and all.
  private func offers(_ kind: DriverKind) -> [Features] {
    [.none, kind.features] + (0..<64).map { Features.bit($0) }.filter { kind.features.contains($0) }
  }

  @Test(arguments: DriverKind.all)
  func `2.5.1 optional fields are read only when their feature is offered`(_ kind: DriverKind) throws {
    for offer in offers(kind) {
      let window = try window(kind, offer)
      let fields = kind.fields.filter { offer.contains($0.feature) }.map { ($0.offset, $0.byteCount) }
      #expect(window.violations(configurationFields: fields) == [], "\(offer)")
    }
  }

  @Test(arguments: DriverKind.all)
  func `3.1.1 no available buffer notification comes before DRIVER_OK`(_ kind: DriverKind) throws {
    for offer in offers(kind) {
      let events = try window(kind, offer).events
      let live = try #require(events.firstIndex(of: .write(15, MMIORegister.status)))
      let notified = events.firstIndex { $0.isWrite && $0.offset == MMIORegister.queueNotify }
      #expect(notified.map { $0 > live } ?? true, "\(offer)")
      let made = events.firstIndex(of: .write(1, MMIORegister.queueReady))
      #expect(made.map { $0 < live } == true, "\(offer)")
    }
  }

  @Test(arguments: DriverKind.all)
  func `3.1.1 no driver writes the configuration before FEATURES_OK`(_ kind: DriverKind) throws {
    let events = try window(kind, kind.features).events
    let agreed = try #require(events.firstIndex(of: .write(11, MMIORegister.status)))
    #expect(!events[..<agreed].contains { $0.isWrite && $0.offset >= MMIORegister.configuration })
  }

  @Test(arguments: DriverKind.all)
  func `3.3.1 the device is reset before the driver takes its buffers back`(_ kind: DriverKind) throws {
    let events = try window(kind, kind.features).events
    let last = try #require(events.lastIndex { $0.isWrite })
    #expect(events[last] == .write(0, MMIORegister.status))
    #expect(events[last...].contains { !$0.isWrite && $0.offset == MMIORegister.status && $0.value == 0 })
  }

  @Test(arguments: [1, 2, 5])
  func `2.5.1 a field of 64 bits is read again until its generation is stable`(_ changes: Int) throws {
    let window = RegisterWindow()
    let stub = StubRegisters(window, offering: .version1)
    stub.deviceID = DeviceID.block.rawValue
    stub.configuration = [UInt8](repeating: 0, count: 96)
    var remaining = changes
    // The capacity changes between the reads of its halves: 2^32 - 1, then 2^32, and so on.
    func show(_ capacity: UInt64) {
      for index in 0..<8 { stub.configuration[index] = UInt8(truncatingIfNeeded: capacity >> (8 * index)) }
    }
    show(0xffff_ffff)
    stub.beforeRead = { offset in
      guard offset == MMIORegister.configuration + 4, remaining > 0 else { return }
      remaining -= 1
      show(0x1_0000_0000 + UInt64(changes - remaining))
      stub.generations = [stub.generations[0] + 1]
    }
    let memory = TestMemory(byteCount: 2 << 20)
    var arena = memory.arena()
    let driver = try BlockDriver(try MMIODriverTransport(window.registers), memory: &arena)!
    let sectorCount = driver.sectorCount
    #expect(sectorCount == 0x1_0000_0000 + UInt64(changes))
    withExtendedLifetime(memory) {}
  }

  @Test func `5.1.4.2 the network driver writes no configuration field`() throws {
    let events = try window(.network, DriverKind.network.features).events
    #expect(!events.contains { $0.isWrite && $0.offset >= MMIORegister.configuration })
  }
}
