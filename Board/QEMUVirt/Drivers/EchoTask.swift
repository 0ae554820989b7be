// A console port (virtio 1.4 §5.3) whose input goes back to where it came from.

import DeviceTypes
import Machine
import Virtio
import Wire

/// The work with the console device.
enum EchoTask {
  typealias Driver = ConsoleDriver<SlotRegisters, 4>

  /// How much the host sends when it checks.
  private static let checkedByteCount = 16_384
  /// For the other end to be opened, and for each next piece to come: the host may be busy.
  private static let patience: UInt64 = 60_000
  private static let portName: StaticString = "vireo.echo"

  /// Sends back what comes to the port: a fixed number of bytes in a check, else until a key is pressed.
  static func run(_ slot: Slot, _ orders: Orders) throws(TaskError) {
    var byteCount = 0
    try slot.use { (transport, arena) throws(TaskError) in
      var driver = try start(transport, &arena, orders)
      slot.reportNegotiated(driver.transport)
      guard let port = try open(&driver, slot, orders) else { return }
      Report.line("console.ready", UInt64(slot.index))
      try echo(&driver, port, slot, orders, &byteCount)
    }
    Report.line("console.echo", UInt64(byteCount))
  }

  @inline(never) private static func start(
    _ transport: consuming SlotTransport, _ arena: inout DriverArena, _ orders: Orders
  ) throws(TaskError) -> Driver {
    let driver: Driver?
    do throws(DeviceFault) {
      driver = try Driver(transport, memory: &arena, ringFeatures: orders.ringFeatures)
    } catch {
      throw .device(error)
    }
    guard let driver else { throw .outOfMemory }
    return driver
  }

  /// Opens the port and waits for its other end to be open too; nil when a key was pressed before that.
  @inline(never) private static func open(
    _ driver: inout Driver, _ slot: Slot, _ orders: Orders
  ) throws(TaskError) -> Int? {
    var opened: Int?
    let deadline = orders.isCheck ? Deadline.after(milliseconds: patience) : .never
    while true {
      try poll(&driver)
      if let port = opened {
        if driver.port(port).isDeviceOpen { return port }
      } else if let port = find(driver) {
        if try checked({ () throws(DeviceFault) in try driver.setOpen(true, port: port) }) {
          opened = port
          if !orders.isCheck { Serial.line("  waiting for somebody at vireo.echo; any key ends") }
          continue
        }
      }
      let what: StaticString = opened == nil ? "the port vireo.echo" : "the other end of vireo.echo"
      if try !wait(slot, orders, until: deadline, for: what) { return nil }
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
    guard name.byteCount == portName.utf8CodeUnitCount else { return false }
    for index in 0..<name.byteCount where name[index] != Serial.byte(of: portName, at: index) { return false }
    return true
  }

  @inline(never) private static func echo(
    _ driver: inout Driver, _ port: Int, _ slot: Slot, _ orders: Orders, _ byteCount: inout Int
  ) throws(TaskError) {
    var chunk = ByteArray<512>()
    while !orders.isCheck || byteCount < checkedByteCount {
      try poll(&driver)
      let count = try checked { () throws(DeviceFault) in
        var bytes = chunk.mutableBytes
        return try driver.read(port: port, into: &bytes)
      }
      var sent = 0
      while sent < count {
        sent += try checked { () throws(DeviceFault) in
          try driver.write(port: port, chunk.bytes.extracting(sent..<count))
        }
        if sent == count { break }
        // The device is behind with what it was sent.
        if try !wait(slot, orders, until: .after(milliseconds: patience), for: "output") { return }
        try poll(&driver)
      }
      byteCount += count
      if count > 0 { continue }
      guard driver.port(port).isDeviceOpen else {
        if orders.isCheck { throw .wrong("the other end of vireo.echo was closed") }
        return
      }
      let deadline = orders.isCheck ? Deadline.after(milliseconds: patience) : .never
      if try !wait(slot, orders, until: deadline, for: "input") { return }
    }
    // What was sent may still be with the device, which a reset would make forget it.
    while try !checked({ () throws(DeviceFault) in try driver.isDrained(port: port) }) {
      try slot.wait(until: .after(milliseconds: patience), for: "output")
    }
  }

  @inline(never) private static func poll(_ driver: inout Driver) throws(TaskError) {
    // There are at most a few messages for each port; a device that always has more is left to the deadlines.
    for _ in 0..<64 {
      guard try checked({ () throws(DeviceFault) in try driver.poll() }) else { return }
    }
  }

  /// Sleeps until the device interrupts; false when a key was pressed, which nothing else waits for.
  @inline(never) private static func wait(
    _ slot: Slot, _ orders: Orders, until deadline: Deadline, for what: StaticString
  ) throws(TaskError) -> Bool {
    if orders.isCheck {
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
