// virtio 1.4 §5.3.6.2 Multiport Device Operation, driver side. Every message may be a lie.

public import Virtio
import Wire

extension ConsoleDriver where Registers: ~Copyable {
  /// Opens or closes our end of `port`, and tells the device. Returns whether it could be told: not while
  /// the device is behind with earlier messages, and not about a port that is not there.
  ///
  /// The device sends input to an open port only. Without VIRTIO_CONSOLE_F_MULTIPORT port 0 is always open.
  public mutating func setOpen(_ isOpen: Bool, port: Int) throws(DeviceFault) -> Bool {
    if let fault { throw fault }
    guard hasPort(port) else { return false }
    guard control != nil else { return isOpen }
    do throws(DeviceFault) {
      guard try control!.transmit.hasRoom() else { return false }
      let value: UInt16 = isOpen ? 1 : 0
      try send(ConsoleControl(id: UInt32(port), event: ConsoleEvent.portOpen, value: value))
      ports[port].state.isOpen = isOpen
      return true
    } catch {
      fault = error
      throw error
    }
  }

  /// Sends a message. There is room for it.
  mutating func send(_ message: ConsoleControl) throws(DeviceFault) {
    let bytes = message.bytes
    let count = try control!.transmit.write(bytes.bytes, to: transport)
    precondition(count == ConsoleControl.byteCount, "a message without room")
  }

  /// Takes the device's messages: no more at once than there are buffers. Returns whether there were any.
  mutating func receiveMessages() throws(DeviceFault) -> Bool {
    var isNews = false
    for _ in 0..<control!.receive.queue.size {
      // A message may need an answer: without room for that it waits.
      guard try control!.transmit.hasRoom(), try control!.receive.advance() else { break }
      isNews = true
      let answer = try takeMessage()
      // The buffer first: a device without one when it takes our answer may drop what it has to say.
      control!.receive.release()
      control!.receive.publish(to: transport)
      if let answer { try send(answer) }
    }
    return isNews
  }

  /// Takes the message being read. Returns the answer it asks for.
  private mutating func takeMessage() throws(DeviceFault) -> ConsoleControl? {
    guard control!.receive.end >= ConsoleControl.byteCount else { return refuse() }
    let message = ConsoleControl(
      id: control!.receive.load(at: 0), event: control!.receive.load(at: 4),
      value: control!.receive.load(at: 6))
    // §5.3.6.2.1: a port is below `max_nr_ports`.
    guard message.id < portCountMax else { return refuse() }
    if message.event == ConsoleEvent.deviceAdd { return try addPort(message.id) }
    guard let port = Int(exactly: message.id), hasPort(port) else { return refuse() }
    switch message.event {
    case ConsoleEvent.deviceRemove:
      ports[port].state = ConsolePort()
    case ConsoleEvent.consolePort:
      ports[port].state.isConsole = true
      ports[port].state.isOpen = true
      // §5.3.6.2.2: MUST respond with PORT_OPEN, of value 1.
      return ConsoleControl(id: message.id, event: ConsoleEvent.portOpen, value: 1)
    case ConsoleEvent.resize:
      guard control!.receive.end >= ConsoleControl.byteCount + 4 else { return refuse() }
      takeSize(port)
    case ConsoleEvent.portOpen:
      ports[port].state.isDeviceOpen = message.value != 0
    case ConsoleEvent.portName:
      takeName(port)
    default:
      return refuse()
    }
    return nil
  }

  /// Ignores a message. It costs nothing, so there is no reason to give the console up for it.
  private mutating func refuse() -> ConsoleControl? {
    refusedMessageCount &+= 1
    return nil
  }

  private mutating func addPort(_ id: UInt32) throws(DeviceFault) -> ConsoleControl? {
    // A port that we have no queues for cannot be used, and the device is told so.
    let port = Int(exactly: id) ?? portLimit
    let hasQueues = port < portLimit && ports[port].channels != nil
    if hasQueues {
      // §5.3.6.2.1: a port is added once.
      if ports[port].state.isPresent { return refuse() }
      ports[port].state.isPresent = true
      // What an earlier port of that number left unread is not for this one.
      try ports[port].channels!.receive.discard()
      ports[port].channels!.receive.publish(to: transport)
    }
    return ConsoleControl(id: id, event: ConsoleEvent.portReady, value: hasQueues ? 1 : 0)
  }

  private mutating func takeSize(_ port: Int) {
    ports[port].state.size = ConsoleSize(
      columns: control!.receive.load(at: ConsoleControl.byteCount),
      rows: control!.receive.load(at: ConsoleControl.byteCount + 2))
  }

  /// The name ends where the message ends; QEMU counts a terminator, which is not part of it.
  private mutating func takeName(_ port: Int) {
    var end = control!.receive.end
    while end > ConsoleControl.byteCount, control!.receive.load(UInt8.self, at: end - 1) == 0 { end -= 1 }
    ports[port].state.name = ConsolePortName()
    for offset in ConsoleControl.byteCount..<end {
      ports[port].state.name.append(control!.receive.load(at: offset))
    }
  }
}
