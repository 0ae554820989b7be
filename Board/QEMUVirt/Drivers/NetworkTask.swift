// The network (virtio 1.4 §5.1): an address by DHCP, and a file by TFTP.

import DeviceTypes
import DriverChecks
import Machine
import Platform
import Virtio
import Wire

/// The work with the network device.
enum NetworkTask {
  typealias Driver = NetworkDriver<SlotRegisters, 1>

  /// For the lease, and again for the file: bounds what a server can do that always has another piece.
  private static let patience: UInt64 = 120_000
  private static let byteLimit: UInt64 = 64 << 20

  /// Gets an address and a file, and prints what they are.
  static func run(_ slot: Slot, _ arena: inout DriverArena) throws(Failed) {
    var driver = try start(slot, &arena)
    if !driver.linkIsUp { throw Report.failed("the link is down") }
    var host = NetworkClient(mac: address(of: driver), random: random(), now: now)
    try work(&driver, &host, slot, "a lease")
    guard let lease = host.lease else { throw Report.failed("there is no lease") }
    describe(lease)
    let file = lease.bootFile.count == 0 ? FileName("vireo.bin") : lease.bootFile
    host.download(file, from: lease.bootServer, byteLimit: byteLimit, now: now)
    try work(&driver, &host, slot, "the file")
    Report.line("tftp.bytes", host.byteCount)
    Report.line("tftp.sha256", host.finishHash())
  }

  private static var now: UInt64 { Clock.milliseconds(from: 0, to: Clock.ticks) }

  /// What nobody on the network knows for sure.
  private static func random() -> UInt64 {
    var stream = SplitMix64(seed: Clock.ticks)
    return stream.next()
  }

  @inline(never) private static func start(
    _ slot: Slot, _ arena: inout DriverArena
  ) throws(Failed) -> Driver {
    let made: Driver?
    let transport = try slot.device()
    do throws(DeviceFault) {
      made = try Driver(transport, memory: &arena, ringFeatures: Orders.ringFeatures)
    } catch {
      throw Report.failed(error)
    }
    guard let driver = made else { throw Report.failed("the memory for devices is too small") }
    slot.reportNegotiated(driver.transport.features)
    return driver
  }

  private static func address(of driver: borrowing Driver) -> EthernetAddress {
    var bits: UInt64 = 0
    for index in 0..<6 { bits = bits << 8 | UInt64(driver.address[index]) }
    return EthernetAddress(bits)
  }

  private static func describe(_ lease: Lease) {
    Report.begin("net.lease")
    Serial.put(lease.address)
    Serial.newLine()
    Serial.put("  mask ")
    Serial.put(lease.mask)
    Serial.put(", router ")
    Serial.put(lease.router)
    Serial.put(", file server ")
    Serial.put(lease.bootServer)
    Serial.put(", for ")
    Serial.put(decimal: UInt64(lease.seconds))
    Serial.put(" seconds, boot file ")
    if lease.bootFile.count == 0 { Serial.put("none") }
    for index in 0..<lease.bootFile.count { Serial.put(byte: lease.bootFile[index]) }
    Serial.newLine()
  }

  /// Carries frames between the host and the device until the host has nothing more to do.
  @inline(never) private static func work(
    _ driver: inout Driver, _ host: inout NetworkClient, _ slot: Slot, _ what: FixedText
  ) throws(Failed) {
    let end = now + patience
    var frame = Frame()
    while true {
      while host.transmit(now, into: &frame) { try send(&driver, frame, slot) }
      switch host.phase {
      case .idle, .finished: return try drain(&driver, slot)
      case .failed(let failure):
        Report.beginFailure()
        Serial.put(describing: failure)
        Serial.newLine()
        throw Failed()
      case .configuring, .resolving, .downloading: break
      }
      if try receive(&driver, &host) { continue }
      let time = now
      guard time < end else { throw slot.failure(what) }
      let due = min(host.due ?? end, end)
      _ = slot.sleep(until: .after(milliseconds: due > time ? due - time : 0))
    }
  }

  private static func receive(
    _ driver: inout Driver, _ host: inout NetworkClient
  ) throws(Failed) -> Bool {
    var buffer = ByteArray<1514>()
    let received = try checked { () throws(DeviceFault) in
      var bytes = buffer.mutableBytes
      return try driver.receive(into: &bytes)
    }
    guard let received else { return false }
    if received.byteCount <= Frame.capacity {
      host.receive(buffer.bytes.extracting(0..<received.byteCount), now: now)
    }
    return true
  }

  private static func send(
    _ driver: inout Driver, _ frame: borrowing Frame, _ slot: Slot
  ) throws(Failed) {
    while true {
      let submission = try checked { () throws(DeviceFault) in try driver.transmit(frame.bytes) }
      switch submission {
      case .accepted: return
      case .refused: throw Report.failed("the driver refuses a frame")
      case .full: try slot.wait(until: .after(milliseconds: patience), for: "frames to be sent")
      }
    }
  }

  /// Waits until everything is sent: a reset would make the device forget it.
  private static func drain(_ driver: inout Driver, _ slot: Slot) throws(Failed) {
    let deadline = Deadline.after(milliseconds: patience)
    while try !checked({ () throws(DeviceFault) in try driver.transmissionIsComplete() }) {
      if deadline.hasPassed { throw slot.failure("frames to be sent") }
      // The driver asks for no interrupt when frames are gone, only when there was no room for one.
      _ = slot.sleep(until: .after(milliseconds: 2))
    }
  }
}
