// virtio 1.4 §5.3.6.2 Multiport Device Operation, device side: ports as the host has them, as the driver
// knows them, and the messages that lead from one to the other.

import Virtio
import Wire

/// A message that the driver is owed about one port, as a bit. They are sent in this order. What they say is
/// taken from the port when they are sent, so there is never more than one of a kind to remember.
enum PortMessage {
  static var remove: UInt8 { 1 }
  static var add: UInt8 { 2 }
  static var consolePort: UInt8 { 4 }
  static var name: UInt8 { 8 }
  static var resize: UInt8 { 16 }
  static var close: UInt8 { 32 }
  static var open: UInt8 { 64 }
  static var all: UInt8 { 127 }
}

/// One port of a console device.
struct PortState: ~Copyable {
  // As the host has it.
  var isAttached = false
  var isConsole = false
  var isOpen = false
  var name = ConsolePortName()
  var size = ConsoleSize(columns: 0, rows: 0)

  // As the driver knows it.
  /// DEVICE_ADD was sent, and no DEVICE_REMOVE since.
  var isAnnounced = false
  /// The driver answered with a successful PORT_READY.
  var isReady = false
  var isDriverOpen = false
  /// The driver opened its end in this call: input may be waiting for it.
  var hasJustOpened = false
  /// What the last PORT_OPEN to the driver said.
  var isShownOpen = false
  /// Bits of `PortMessage`.
  var owed: UInt8 = 0

  var output: OutputBuffer?
  /// Bytes of the next output buffer that were taken before it was given back.
  var takenByteCount: UInt32 = 0

  func owes(_ message: UInt8) -> Bool { owed & message != 0 }

  mutating func attach(name: ConsolePortName, isConsole: Bool, isOpen: Bool, size: ConsoleSize) {
    isAttached = true
    self.name = name
    self.isConsole = isConsole
    self.isOpen = isOpen
    self.size = size
  }

  /// Owes what a port has beyond its existence, once the driver is ready for it.
  mutating func oweDescription() {
    if isConsole { owed |= PortMessage.consolePort | PortMessage.resize }
    if name.byteCount != 0 { owed |= PortMessage.name }
    if isOpen { owed |= PortMessage.open }
  }

  /// The driver no longer knows the port.
  mutating func forgetDriver() {
    isAnnounced = false
    isReady = false
    isDriverOpen = false
    hasJustOpened = false
    isShownOpen = false
  }
}

extension ConsoleDevice where Backend: ~Copyable {
  // MARK: What the host does

  /// Whether `port` is there.
  public func hasPort(_ port: Int) -> Bool { ports[port].isAttached }

  /// Whether the driver can use `port`, and has its end open.
  public func isDriverOpen(_ port: Int) -> Bool { ports[port].isReady && ports[port].isDriverOpen }

  /// Adds `port`, which must not be there and which only a driver that negotiated MULTIPORT sees.
  ///
  /// `size` is that of a console port. Traps on a port that is there or beyond `portCount`.
  public mutating func addPort(
    _ port: Int, name: ConsolePortName = ConsolePortName(), isConsole: Bool = false, isOpen: Bool = true,
    size: ConsoleSize = ConsoleSize(columns: 80, rows: 25)
  ) {
    precondition(!ports[port].isAttached, "the port is there already")
    ports[port].attach(name: name, isConsole: isConsole, isOpen: isOpen, size: size)
    if isDriverReady { ports[port].owed |= PortMessage.add }
  }

  /// Takes `port` away. Output not taken yet is lost. Traps on a port that is not there.
  public mutating func removePort(_ port: Int) {
    precondition(ports[port].isAttached, "no such port")
    ports[port].isAttached = false
    ports[port].owed = ports[port].isAnnounced ? PortMessage.remove : 0
    ports[port].output?.isStale = true
    setDriverOpen(false, port)
  }

  /// Opens or closes the host's end of `port`. Output to a closed port is lost. Traps on a port that is not
  /// there.
  public mutating func setOpen(_ isOpen: Bool, port: Int) {
    precondition(ports[port].isAttached, "no such port")
    ports[port].isOpen = isOpen
    guard ports[port].isReady else { return }
    if isOpen {
      // After a close that the driver has yet to hear of: it hears of both.
      if !ports[port].isShownOpen || ports[port].owes(PortMessage.close) {
        ports[port].owed |= PortMessage.open
      }
    } else {
      ports[port].owed &= ~PortMessage.open
      if ports[port].isShownOpen { ports[port].owed |= PortMessage.close }
    }
  }

  /// Changes the size of the console at `port`; that of port 0 is in the configuration space too. Traps on a
  /// port that is not there.
  public mutating func resize(_ size: ConsoleSize, port: Int) {
    precondition(ports[port].isAttached, "no such port")
    ports[port].size = size
    if ports[port].isReady && ports[port].isConsole { ports[port].owed |= PortMessage.resize }
  }

  // MARK: Control messages

  /// Tells the driver what it is owed, as long as it has buffers for that. The rest waits for more of them.
  mutating func sendMessages(_ queue: inout DeviceVirtqueue) throws(DriverFault) {
    for port in 0..<portCount {
      while ports[port].owed != 0, var chain = try queue.nextOutOfLine() {
        let written = try send(port, &chain, queue)
        try queue.useOutOfLine(chain, written: written)
      }
    }
  }

  /// Writes the next message about `port`. Returns its length.
  private mutating func send(
    _ port: Int, _ chain: inout DescriptorChain, _ queue: borrowing DeviceVirtqueue
  ) throws(DriverFault) -> UInt32 {
    let message = UInt8(1) << UInt8(ports[port].owed.trailingZeroBitCount)
    ports[port].owed &= ~message
    var event = ConsoleEvent.portOpen
    switch message {
    case PortMessage.remove:
      // §5.3.6.2.1: only what was added before; `removePort` owes nothing else.
      event = ConsoleEvent.deviceRemove
      ports[port].forgetDriver()
      if ports[port].isAttached { ports[port].owed |= PortMessage.add }
    case PortMessage.add:
      // §5.3.6.2.1: below `max_nr_ports`, and not twice.
      event = ConsoleEvent.deviceAdd
      ports[port].isAnnounced = true
    case PortMessage.consolePort: event = ConsoleEvent.consolePort
    case PortMessage.name: event = ConsoleEvent.portName
    case PortMessage.resize: event = ConsoleEvent.resize
    default: ports[port].isShownOpen = message == PortMessage.open
    }
    let value: UInt16 = message == PortMessage.open || message == PortMessage.consolePort ? 1 : 0
    try chain.write(ConsoleControl(id: UInt32(port), event: event, value: value).bytes, queue)
    if message == PortMessage.resize {
      try chain.write(ports[port].size.bytes, queue)
      return UInt32(ConsoleControl.byteCount + 4)
    }
    if message == PortMessage.name {
      // A name is cut where the driver's buffer ends.
      let bytes = ports[port].name.storage
      let count = try chain.write(bytes.bytes.extracting(first: ports[port].name.byteCount), queue)
      return UInt32(ConsoleControl.byteCount + count)
    }
    return UInt32(ConsoleControl.byteCount)
  }

  /// Takes the driver's messages.
  mutating func receiveMessages(_ queue: inout DeviceVirtqueue) throws(DriverFault) {
    while var chain = try queue.nextOutOfLine() {
      var bytes = ByteArray<8>()
      try chain.read(&bytes, queue)
      take(ConsoleControl(bytes))
      try queue.useOutOfLine(chain, written: 0)
    }
  }

  /// What makes no sense is ignored: it may be about a port that was taken away meanwhile.
  private mutating func take(_ message: ConsoleControl) {
    if message.event == ConsoleEvent.deviceReady {
      // The port number is unused.
      if message.value == 1 { becomeReady() }
      return
    }
    guard message.id < UInt32(portCount), ports[Int(message.id)].isAnnounced else { return }
    let port = Int(message.id)
    switch message.event {
    case ConsoleEvent.portReady:
      // A value of 0 is the driver's failure to take the port in; it stays unused then.
      guard message.value == 1, !ports[port].isReady else { return }
      ports[port].isReady = true
      if !ports[port].owes(PortMessage.remove) { ports[port].oweDescription() }
    case ConsoleEvent.portOpen:
      if ports[port].isAttached && !ports[port].owes(PortMessage.remove) {
        setDriverOpen(message.value != 0, port)
      }
    default: break
    }
  }

  private mutating func becomeReady() {
    isDriverReady = true
    for port in 0..<portCount where ports[port].isAttached && !ports[port].isAnnounced {
      ports[port].owed |= PortMessage.add
    }
  }

  mutating func setDriverOpen(_ isOpen: Bool, _ port: Int) {
    if ports[port].isDriverOpen == isOpen { return }
    ports[port].isDriverOpen = isOpen
    ports[port].hasJustOpened = isOpen
    backend.setDriverOpen(isOpen, port: port)
  }

  mutating func forgetDriver(_ port: Int) {
    setDriverOpen(false, port)
    ports[port].forgetDriver()
    ports[port].owed = 0
    ports[port].output = nil
    ports[port].takenByteCount = 0
  }
}
