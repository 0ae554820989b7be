// The event loop of a vhost-user daemon: one device, one front end at a time.

import CLinux
import Glibc
public import Virtio

/// Serves a device on a socket, to one front end after the other.
///
/// Everything happens on the thread that calls `run`. A front end that breaks the protocol loses its
/// connection, and the device is reset; the next one finds it as new.
public struct VhostUserServer<Device: HostedDevice & ~Copyable, let queueCount: Int>: ~Copyable {
  private enum Token {
    static var listener: UInt64 { 1 << 32 }
    static var connection: UInt64 { 2 << 32 }
    static var backend: UInt64 { 3 << 32 }
    static var signals: UInt64 { 4 << 32 }
    /// A ring's kick is its number.
    static var kickMax: UInt64 { 63 }
  }

  private var session: VhostUserSession<Device, queueCount>
  private var loop: EventLoop
  private var kicks: [queueCount of OpenFile?] = InlineArray(repeating: nil)
  private var connection: OpenFile?
  private var window = PollingWindow()

  /// A server of `device` that does not offer `withheld`. Throws when the system has no address space or
  /// descriptors for it.
  public init(_ device: consuming Device, withheld: Features = .none) throws(SystemError) {
    clinux_ignore_broken_pipes()
    let memory = try SharedMemory()
    let loop = try EventLoop()
    for event in device.events { try loop.add(event, token: Token.backend, isEdge: true) }
    self.loop = loop
    // Until a front end shares memory there is none: queues are made again when it does.
    session = VhostUserSession(device, memory: memory, initial: memory.placeholder, withheld: withheld)
  }

  /// Listens at `path` and serves until SIGINT or SIGTERM; then stops cleanly, with nothing in flight. SIGHUP
  /// and SIGWINCH let the device look at its backend again.
  public consuming func listen(at path: String) throws(SystemError) {
    let listener = try OpenFile(checking: unsafe clinux_listen(path))
    try loop.add(listener, token: Token.listener, isEdge: false)
    let signals = try OpenFile(checking: clinux_signals())
    try loop.add(signals, token: Token.signals, isEdge: false)
    try SystemError.check(clinux_drop_privileges())
    Log.note("listening at \(path)")
    try run(listener, signals)
    if connection != nil { disconnect() }
  }

  /// Serves the front end at the other end of `connection` until it closes it.
  public consuming func serve(_ connection: OpenFile) throws(SystemError) {
    try loop.add(connection, token: Token.connection, isEdge: false)
    self.connection = connection
    try run(nil, nil)
  }

  /// Until a signal comes, or, without a listener, until the connection ends.
  private mutating func run(_ listener: OpenFile?, _ signals: OpenFile?) throws(SystemError) {
    var hasMore = false
    while true {
      let count = try loop.look(waits: !hasMore)
      var isKicked = hasMore
      for i in 0..<count {
        let token = loop.token(i)
        switch token {
        case 0...Token.kickMax:
          session.device.notify(Int(token))
          isKicked = true
        case Token.backend: session.device.poll()
        case Token.connection: receive()
        case Token.listener: if let listener { try accept(listener) }
        default:
          guard let signals else { return }
          // SIGWINCH: a terminal has another size.
          guard [SIGHUP, SIGWINCH].contains(clinux_next_signal(signals.number)) else { return }
          session.device.lookAgain()
        }
        if token > Token.kickMax { isKicked = true }
      }
      hasMore = isKicked && connection != nil ? session.device.run() : false
      if isKicked && connection != nil && !hasMore { hasMore = spin() }
      session.announceConfigurationChange()
      // What is no longer watched has been closed.
      for event in session.device.device.takeNewEvents() {
        try loop.add(event, token: Token.backend, isEdge: true)
      }
      if session.memory.wasLost(), connection != nil {
        Log.warn("the front end took guest memory away; connection closed")
        disconnect()
      }
      if listener == nil && connection == nil { return }
    }
  }

  /// Looks at the rings for a moment, as often as that brings something, up to a number of times: then
  /// signals and messages have their turn. Returns whether `run()` has more to do.
  private mutating func spin() -> Bool {
    guard window.opens() else { return false }
    session.device.stopNotifications()
    for _ in 0..<256 {
      let found = PollingWindow.wait { session.device.look() }
      window.ended(well: found)
      guard found else { break }
      _ = session.device.run()
    }
    return session.device.startNotifications() || session.device.hasWork
  }

  private mutating func accept(_ listener: OpenFile) throws(SystemError) {
    let number = clinux_accept(listener.number)
    guard number >= 0 else { return }
    let new = OpenFile(number)
    guard connection == nil else {
      Log.warn("a second front end was refused: one is connected already")
      return
    }
    try loop.add(new, token: Token.connection, isEdge: false)
    connection = new
    Log.note("front end connected")
  }

  private mutating func disconnect() {
    if let connection { loop.remove(connection) }
    connection = nil
    session.end()
    takeOverKicks()
  }

  /// One message of the front end.
  private mutating func receive() {
    guard let connection else { return }
    var what: UInt32 = 0
    do throws(VhostUserError) {
      guard let message = try Self.message(from: connection) else {
        Log.note("front end disconnected")
        return disconnect()
      }
      what = message.header.request
      if let reply = try session.handle(message) {
        let descriptors = reply.descriptors.map(\.number)
        // The arrays' own elements, as many as are said.
        let result = unsafe reply.bytes.withUnsafeBytes { bytes in
          unsafe clinux_send(
            connection.number, bytes.baseAddress, bytes.count, descriptors, Int32(descriptors.count))
        }
        if result < 0 { throw .system(SystemError(-result)) }
      }
      takeOverKicks()
    } catch {
      Log.warn("the front end broke the protocol with request \(what): \(error); connection closed")
      disconnect()
    }
  }

  /// Watches the descriptors that the session has been given, and no longer those that it gave up.
  private mutating func takeOverKicks() {
    for change in session.kicks {
      if let old = kicks[change.ring] { loop.remove(old) }
      kicks[change.ring] = change.new
      guard let new = change.new else { continue }
      do throws(SystemError) {
        try loop.add(new, token: UInt64(change.ring), isEdge: true)
      } catch {
        Log.warn("the kick descriptor of ring \(change.ring) cannot be watched: \(error)")
      }
    }
    session.kicks = []
  }

  /// The next message, or nil at the end of the connection.
  private static func message(from connection: OpenFile) throws(VhostUserError) -> VhostUserMessage? {
    var descriptors: [OpenFile] = []
    guard let start = try bytes(VhostUserHeader.byteCount, from: connection, &descriptors) else { return nil }
    guard let header = VhostUserHeader(start) else { throw .invalid("no header of a message") }
    guard header.payloadByteCount > 0 else {
      return VhostUserMessage(header: header, payload: [], descriptors: descriptors)
    }
    var more: [OpenFile] = []
    let payload = try bytes(header.payloadByteCount, from: connection, &more)
    guard let payload else { throw .wrongLength }
    return VhostUserMessage(header: header, payload: payload, descriptors: descriptors + more)
  }

  /// Exactly `count` bytes and the descriptors that come with them; nil when the connection ends before the
  /// first.
  private static func bytes(
    _ count: Int, from connection: OpenFile, _ descriptors: inout [OpenFile]
  ) throws(VhostUserError) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      var numbers: [8 of Int32] = InlineArray(repeating: -1)
      var numberCount: Int32 = 8
      var span = numbers.mutableSpan
      // Both buffers are as long as the counts beside them.
      let result = unsafe bytes.withUnsafeMutableBytes { buffer in
        unsafe span.withUnsafeMutableBufferPointer { room in
          unsafe clinux_receive(
            connection.number, buffer.baseAddress! + done, count - done, room.baseAddress, &numberCount)
        }
      }
      for i in 0..<Int(numberCount) { descriptors.append(OpenFile(numbers[i])) }
      if result < 0 { throw .system(SystemError(Int32(truncatingIfNeeded: -result))) }
      if result == 0 {
        if done == 0 { return nil }
        throw .wrongLength
      }
      done += result
    }
    guard descriptors.count <= 8 else { throw .wrongDescriptors }
    return bytes
  }
}
