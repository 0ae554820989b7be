// A console port (virtio 1.4 §5.3) whose input goes back to where it came from.

import DeviceTypes
import Machine
import Platform
import Virtio
import Wire

/// The work with the console device.
enum EchoTask {
  typealias Driver = ConsoleDriver<SlotRegisters, 4>

  /// How much the host sends when it checks.
  private static let checkedByteCount = 16_384
  /// For the other end to be opened, and for each next piece to come: the host may be busy.
  private static let patience: UInt64 = 60_000
  private static let portName: FixedText = "vireo.echo"

  /// Sends back what comes to the port: a fixed number of bytes in a check, else until a key is pressed.
  static func run(_ slot: Slot, _ arena: inout DriverArena) throws(Failed) {
    var driver = try start(slot, &arena)
    guard let port = try open(&driver, slot) else { return }
    Report.line("console.ready", UInt64(slot.index))
    let byteCount = try echo(&driver, port, slot)
    Report.line("console.echo", UInt64(byteCount))
  }

  @inline(never) private static func start(
    _ slot: Slot, _ arena: inout DriverArena
  ) throws(Failed) -> Driver {
    let driver: Driver?
    let transport = try slot.device()
    do throws(DeviceFault) {
      driver = try Driver(transport, memory: &arena, ringFeatures: Orders.ringFeatures)
    } catch {
      throw Report.failed(error)
    }
    guard let driver else { throw Report.failed("the memory for devices is too small") }
    slot.reportNegotiated(driver.transport.features)
    return driver
  }

  /// Opens the port and waits for its other end to be open too; nil when a key was pressed before that.
  @inline(never) private static func open(
    _ driver: inout Driver, _ slot: Slot
  ) throws(Failed) -> Int? {
    if !Orders.isCheck { Serial.line("  waiting for somebody at vireo.echo; any key ends") }
    var opened: Int?
    let deadline = Orders.isCheck ? Deadline.after(milliseconds: patience) : .never
    while true {
      try poll(&driver)
      if let port = opened {
        if driver.port(port).isDeviceOpen { return port }
      } else if let port = find(driver) {
        if try checked({ () throws(DeviceFault) in try driver.setOpen(true, port: port) }) {
          opened = port
          continue
        }
      }
      let what: FixedText = opened == nil ? "the port vireo.echo" : "the other end of vireo.echo"
      if try !wait(slot, until: deadline, for: what) { return nil }
    }
  }

  /// The port of the name that this image looks for.
  @inline(never) private static func find(_ driver: borrowing Driver) -> Int? {
    for index in 0..<4 {
      let port = driver.port(index)
      if port.isPresent, !port.isConsole, isName(port.name) { return index }
    }
    return nil
  }

  private static func isName(_ name: ConsolePortName) -> Bool {
    guard name.byteCount == portName.count else { return false }
    let bytes = portName.bytes
    for index in 0..<name.byteCount where name[index] != bytes[index] { return false }
    return true
  }

  /// Returns how many bytes were sent back.
  @inline(never) private static func echo(
    _ driver: inout Driver, _ port: Int, _ slot: Slot
  ) throws(Failed) -> Int {
    var byteCount = 0
    var chunk = ByteArray<512>()
    while !Orders.isCheck || byteCount < checkedByteCount {
      try poll(&driver)
      let count = try checked { () throws(DeviceFault) in
        var bytes = chunk.mutableBytes
        return try driver.read(port: port, into: &bytes)
      }
      if count > 0 {
        guard try send(&driver, port, slot, chunk, count) else { break }
        byteCount += count
        continue
      }
      guard driver.port(port).isDeviceOpen else {
        if Orders.isCheck { throw Report.failed("the other end of vireo.echo was closed") }
        break
      }
      if try !wait(slot, until: Orders.isCheck ? .after(milliseconds: patience) : .never, for: "input") {
        break
      }
    }
    // What was sent may still be with the device, which a reset would make forget it.
    while try !checked({ () throws(DeviceFault) in try driver.isDrained(port: port) }) {
      try slot.wait(until: .after(milliseconds: patience), for: "output")
    }
    return byteCount
  }

  /// Sends the first `count` bytes of `chunk`; false when a key was pressed before they were all taken.
  private static func send(
    _ driver: inout Driver, _ port: Int, _ slot: Slot, _ chunk: ByteArray<512>, _ count: Int
  ) throws(Failed) -> Bool {
    var sent = 0
    while true {
      sent += try checked { () throws(DeviceFault) in
        try driver.write(port: port, chunk.bytes.extracting(sent..<count))
      }
      if sent == count { return true }
      // The device is behind with what it was sent.
      if try !wait(slot, until: .after(milliseconds: patience), for: "output") { return false }
      try poll(&driver)
    }
  }

  @inline(never) private static func poll(_ driver: inout Driver) throws(Failed) {
    // There are at most a few messages for each port; a device that always has more is left to the deadlines.
    for _ in 0..<64 {
      guard try checked({ () throws(DeviceFault) in try driver.poll() }) else { return }
    }
  }

  /// Sleeps until the device interrupts; false when a key was pressed, which nothing else waits for.
  @inline(never) private static func wait(
    _ slot: Slot, until deadline: Deadline, for what: FixedText
  ) throws(Failed) -> Bool {
    if Orders.isCheck {
      try slot.wait(until: deadline, for: what)
      return true
    }
    let index = slot.index
    _ = Interrupts.wait(until: deadline) { StatusLatch.isSet(index) || SerialInput.isReady }
    if SerialInput.next() != nil { return false }
    try slot.wait(until: .after(milliseconds: 0), for: what)
    return true
  }
}
