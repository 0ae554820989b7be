// Several guests, each with our driver on our block device, on shares of one disk: our driver on whatever
// plays the hardware.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

/// A guest of a shared disk: its memory, and its device.
final class DiskGuest<Registers: RegisterAccess & ~Copyable> {
  typealias Device = BlockDevice<DriverDisk<Registers>>
  typealias Driver = BlockDriver<LoopbackRegisters<Device, 1>>

  let memory: TestMemory
  let bench: Bench<Device, 1>

  init(_ memory: TestMemory, _ backend: consuming DriverDisk<Registers>) {
    self.memory = memory
    bench = Bench(BlockDevice(backend: backend), memory)
  }

  func makeDriver(
    _ arena: inout DriverArena, _ ringFeatures: Features = .none, less: Features = .none
  ) throws -> Driver {
    var options = BlockDriverOptions()
    options.ringFeatures = ringFeatures
    options.queueSize = 128
    options.segmentLimit = 256
    options.deviceFeatures = BlockDriverOptions.knownFeatures.subtracting(less)
    return try Driver(try MMIODriverTransport(bench.registers), memory: &arena, options: options)!
  }
}

/// A shared disk and its guests.
@safe
final class DiskGuests<Registers: RegisterAccess & ~Copyable> {
  /// Where the hardware sees the memory of guest `i`, and where the guest does.
  static func hardwareAddress(_ i: Int) -> UInt64 { 0x8000_0000 + UInt64(i) * 0x1000_0000 }
  static var guestAddress: UInt64 { 0x4000_0000 }

  let disk: UnsafeMutablePointer<SharedDisk<Registers>>
  private(set) var guests: [DiskGuest<Registers>] = []
  /// Lets the hardware do something; true when it interrupts.
  var hardware: () -> Bool = { false }

  /// Shares `driver` between `memories`, `shareSectorCount` sectors each or all of it.
  init(
    _ driver: consuming BlockDriver<Registers>, _ memories: [TestMemory], shareSectorCount: UInt64?,
    isReadOnly: Bool = false
  ) {
    unsafe disk = .allocate(capacity: 1)
    var identifier = ByteArray<20>()
    identifier.store(UInt32(0x6b73_6964), at: 0)
    unsafe disk.initialize(
      to: SharedDisk(driver, shareCount: memories.count, identifier: identifier))
    for (i, memory) in memories.enumerated() {
      // The disk lives as long as this, and everything runs on one thread.
      let backend = unsafe DriverDisk(
        disk, share: i, firstSector: UInt64(i) * (shareSectorCount ?? 0),
        sectorCount: shareSectorCount ?? .max, isReadOnly: isReadOnly, memory: memory.guest,
        deviceOffset: Self.hardwareAddress(i) - memory.address)
      guests.append(DiskGuest(memory, backend))
    }
  }

  deinit {
    unsafe disk.deinitialize(count: 1)
    unsafe disk.deallocate()
  }

  /// What an embedder does: after calls of the guests, and at an interrupt of the hardware.
  func turn() {
    unsafe disk.pointee.publish()
    if hardware() { unsafe disk.pointee.service() }
    pollGuests()
  }

  func pollGuests() {
    for guest in guests { guest.bench.transport.poll() }
    unsafe disk.pointee.publish()
  }

  /// A wait of a guest's driver, of at most so many turns.
  func patience(_ turns: Int = 1000) -> () -> Bool {
    var left = turns
    return {
      self.turn()
      left -= 1
      return left > 0
    }
  }

  func checkProgress() {
    unsafe disk.pointee.checkProgress()
    pollGuests()
  }

  var failureCount: Int { unsafe disk.pointee.failureCount }
  var isBroken: Bool { unsafe disk.pointee.isBroken }
  var hasCompletions: Bool { unsafe disk.pointee.hasCompletions }
}

/// Guests on our own device with a scripted disk as the hardware.
@safe
final class SharedDiskRig {
  typealias Registers = LoopbackRegisters<BlockDevice<ScriptedDisk>, 4>

  let script: DiskScript
  let hardware: BlockRig.TestBench
  let guests: DiskGuests<Registers>
  private let regions: UnsafeMutableBufferPointer<GuestRegion>
  private let memories: [TestMemory]

  init(
    _ script: DiskScript = DiskScript(sectorCount: 2048), guestCount: Int = 2,
    shareSectorCount: UInt64? = 1024,
    queueSize: UInt16 = 128, features: Features = .mmioTransportBits.subtracting(.inOrder),
    less: Features = .none,
    isReadOnly: Bool = false
  ) throws {
    self.script = script
    let own = TestMemory(address: 0x1000_0000)
    memories = (0..<guestCount).map { _ in
      TestMemory(byteCount: 1 << 21, address: DiskGuests<Registers>.guestAddress)
    }
    let all =
      [own.region]
      + memories.enumerated().map { $1.region(at: DiskGuests<Registers>.hardwareAddress($0)) }
    unsafe regions = .allocate(capacity: all.count)
    _ = unsafe regions.initialize(from: all)
    // The table lives as long as this.
    hardware = unsafe BlockRig.TestBench(
      BlockDevice(backend: ScriptedDisk(script)), GuestMemory(regions: UnsafeBufferPointer(regions)))
    var arena = own.arena()
    var options = BlockDriverOptions()
    options.ringFeatures = features
    options.deviceFeatures = BlockDriverOptions.knownFeatures.subtracting(less)
    options.queueSize = queueSize
    options.segmentLimit = SharedDisk<Registers>.segmentLimit
    let driver = try BlockDriver(
      try MMIODriverTransport(hardware.registers), memory: &arena, options: options)!
    guests = DiskGuests(driver, memories, shareSectorCount: shareSectorCount, isReadOnly: isReadOnly)
    guests.hardware = { [hardware] in
      hardware.transport.poll()
      return hardware.transport.line.isAsserted
    }
    // The hardware's own memory lives as long as its device.
    keep = own
  }

  private let keep: TestMemory

  deinit { unsafe regions.deallocate() }

  subscript(guest: Int) -> DiskGuest<Registers> { guests.guests[guest] }

  /// A sector of the hardware.
  func sector(_ index: UInt64) -> [UInt8] { hardware.transport.device.backend.sector(index) }
}

extension BlockDriver where Registers: ~Copyable {
  /// Starts to read one segment.
  mutating func startRead(_ sector: UInt64, _ segment: DMASegment) throws(BlockFailure) -> BlockToken? {
    let segments: [1 of DMASegment] = [segment]
    return try submitRead(sector: sector, into: segments.span)
  }

  /// Starts to write one segment.
  mutating func startWrite(_ sector: UInt64, _ segment: DMASegment) throws(BlockFailure) -> BlockToken? {
    let segments: [1 of DMASegment] = [segment]
    return try submitWrite(sector: sector, from: segments.span)
  }
}
