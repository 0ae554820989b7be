// A link to a process without privileges, such as passt or another QEMU: frames in a Unix stream, each behind
// its length in four bytes, the most significant first. The peer is not trusted.

import CLinux
public import DeviceTypes
import Glibc
import Virtio
import Wire

/// The link of a network device that leads through a stream socket. Frames are complete: no offloads.
///
/// It goes down when its peer does, or sends what is no stream of frames, and comes up again by a new
/// connection where one can be had.
@safe
public struct StreamLink: HostedLink, ~Copyable {
  private static var prefixByteCount: Int { 4 }
  /// The longest frame of either direction: 65535 bytes behind an Ethernet header with a tag.
  private static var frameByteCountMax: Int { 65535 + 18 }
  /// Room for frames that came together, and one that is not whole yet.
  private static var capacity: Int { 4 * (prefixByteCount + frameByteCountMax) }
  /// Pieces of the longest list of a device, and the length before them.
  private static var vectorLimit: Int { 257 }

  /// The connection; nil while the link is down.
  private var connection: OpenFile?
  /// The number of its descriptor.
  private var socket: Int32 = -1
  /// Where connections are asked for, and come.
  private var connector: OpenFile?
  /// What came to be watched since it was last asked for.
  private var newEvents: [OpenFile] = []
  /// Bytes that the socket may keep for a peer that does not read now. A peer whose own socket is full, as
  /// the driver is slow, may wait in sending and read nothing until three quarters of it have been taken;
  /// passt does, with 8 MiB. What the driver sends meanwhile, mostly acknowledgements, has room here.
  static var unsentByteCountMax: Int { 2 << 20 }

  private let received: UnsafeMutableRawPointer
  private var receivedBytes = 0..<0
  /// The rest of a frame of which a part was sent.
  private let unsent: UnsafeMutableRawPointer
  private var unsentBytes = 0..<0
  private let vectors: UnsafeMutablePointer<iovec>
  private var handledCount = 0
  /// Whether the peer is there.
  public var isUp: Bool { connection != nil }

  /// The link at our end `socket` of a connection. Once that is lost it stays down.
  public init(_ socket: OpenFile) throws(SystemError) {
    try self.init(socket, connector: nil)
  }

  private init(_ socket: OpenFile, connector: OpenFile?) throws(SystemError) {
    try socket.doNotBlock()
    clinux_allow_unsent(socket.number, Int32(Self.unsentByteCountMax))
    connection = socket
    self.socket = socket.number
    self.connector = connector
    unsafe received = .allocate(byteCount: Self.capacity, alignment: 16)
    unsafe unsent = .allocate(byteCount: Self.prefixByteCount + Self.frameByteCountMax, alignment: 16)
    unsafe vectors = .allocate(capacity: Self.vectorLimit)
    unsafe vectors.initialize(repeating: iovec(), count: Self.vectorLimit)
  }

  /// The link to whoever listens at `path`. Starts a process that connects there again when that is needed.
  public init(connectingTo path: String) throws(SystemError) {
    let socket = try OpenFile(checking: unsafe clinux_connect(path))
    try self.init(socket, connector: try OpenFile(checking: unsafe clinux_connector(path)))
  }

  deinit {
    unsafe received.deallocate()
    unsafe unsent.deallocate()
    unsafe vectors.deallocate()
  }

  /// News and room of the socket, and new connections.
  public var events: [OpenFile] { [connection, connector].compactMap { $0 } }

  /// A new connection, once.
  public mutating func takeNewEvents() -> [OpenFile] {
    if newEvents.isEmpty { return [] }
    defer { newEvents = [] }
    return newEvents
  }

  /// Takes over a connection that came, if the link is down.
  public mutating func gather() {
    guard !isUp, let connector else { return }
    var byte: UInt8 = 0
    var number: Int32 = -1
    var count: Int32 = 1
    // Room for a byte and a descriptor.
    let result = unsafe clinux_receive(connector.number, &byte, 1, &number, &count)
    if result == -Int(EAGAIN) { return }
    guard result == 1, count == 1 else {
      Log.warn("the process that connects the network link is gone; the link stays down")
      self.connector = nil
      return
    }
    let connection = OpenFile(number)
    clinux_allow_unsent(number, Int32(Self.unsentByteCountMax))
    self.connection = connection
    socket = number
    newEvents = [connection]
    Log.warn("the network link is connected again")
  }

  /// Whether a call handled as many frames as it may, so that more may wait without further news.
  public mutating func takeMore() -> Bool {
    defer { handledCount = 0 }
    return handledCount >= frameBudget
  }

  private mutating func close(_ why: String) {
    let what = connector == nil ? "stays down" : "is down until it is connected again"
    Log.warn("the peer of the network link \(why); the link \(what)")
    connection = nil
    socket = -1
    receivedBytes = 0..<0
    unsentBytes = 0..<0
    guard let connector else { return }
    var byte: UInt8 = 0
    // Lives for the call. It has room, and if it is gone that is seen when the connection should come.
    _ = unsafe clinux_put(connector.number, &byte, 1)
  }

  // MARK: Transmission

  /// Sends at once as much as the socket takes, and keeps the rest of that frame.
  public mutating func transmit(
    _ frame: borrowing NetworkFrame, _ offload: NetworkOffload, tag: UInt32
  ) -> NetworkTransmission {
    guard isUp, frame.byteCount <= Self.frameByteCountMax else { return .done }
    guard flush() else { return isUp ? .busy : .done }
    var prefix = UInt32(frame.byteCount).bigEndian
    let total = Self.prefixByteCount + frame.byteCount
    // The length lives for the call, the pieces are checked guest memory, and there are fewer than vectors.
    let sent = unsafe withUnsafeMutableBytes(of: &prefix) { bytes in
      unsafe vectors[0] = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
      for i in frame.ranges.indices {
        let range = frame.ranges[i]
        unsafe vectors[1 + i] = iovec(iov_base: range.host, iov_len: Int(range.byteCount))
      }
      return unsafe clinux_send_vectors(socket, vectors, UInt32(1 + frame.ranges.count))
    }
    if sent == total { return .done }
    if sent == -Int(EAGAIN) { return .busy }
    if sent < 0 {
      close("is gone")
      return .done
    }
    unsafe unsent.storeBytes(of: prefix, as: UInt32.self)
    // As long as the longest frame and its length.
    var rest = unsafe MutableRawSpan(
      _unsafeStart: unsent + Self.prefixByteCount, byteCount: frame.byteCount)
    _ = frame.copyOut(to: &rest)
    unsentBytes = sent..<total
    return .done
  }

  /// Sends what is left of a frame. Returns whether nothing is.
  private mutating func flush() -> Bool {
    while !unsentBytes.isEmpty {
      // Within the buffer.
      unsafe vectors[0] = iovec(iov_base: unsent + unsentBytes.lowerBound, iov_len: unsentBytes.count)
      let sent = unsafe clinux_send_vectors(socket, vectors, 1)
      if sent == -Int(EAGAIN) { return false }
      if sent < 0 {
        close("is gone")
        return false
      }
      unsentBytes = unsentBytes.lowerBound + sent..<unsentBytes.upperBound
    }
    return true
  }

  // MARK: Reception

  /// The next whole frame.
  public mutating func waitingFrame() -> NetworkWaitingFrame? {
    if !flush() && !isUp { return nil }
    while isUp {
      if let byteCount = announcedByteCount {
        guard byteCount > 0, byteCount <= Self.frameByteCountMax else {
          close("announces a frame of \(byteCount) bytes")
          return nil
        }
        if receivedBytes.count >= Self.prefixByteCount + byteCount {
          return NetworkWaitingFrame(
            byteCount: byteCount, prefix: ByteArray<64>(prefixOf: frameBytes(byteCount)))
        }
      }
      guard fill() else { return nil }
    }
    return nil
  }

  /// The length of the frame at the front, when it is there.
  private var announcedByteCount: Int? {
    guard receivedBytes.count >= Self.prefixByteCount else { return nil }
    // Within the buffer.
    let prefix = unsafe (received + receivedBytes.lowerBound).loadUnaligned(as: UInt32.self)
    return Int(UInt32(bigEndian: prefix))
  }

  private var frameStart: Int { receivedBytes.lowerBound + Self.prefixByteCount }

  /// The frame at the front, which is there.
  @_lifetime(borrow self)
  private func frameBytes(_ byteCount: Int) -> RawSpan {
    // Within the received bytes, which stay until the next call that changes something.
    let span = unsafe RawSpan(_unsafeStart: received + frameStart, byteCount: byteCount)
    return unsafe _overrideLifetime(span, borrowing: self)
  }

  /// Reads what has come. Returns whether anything has.
  private mutating func fill() -> Bool {
    // A frame that is not whole lies at the front then, so that there is room for all of it.
    unsafe memmove(received, received + receivedBytes.lowerBound, receivedBytes.count)
    receivedBytes = 0..<receivedBytes.count
    let count = unsafe clinux_read(
      socket, received + receivedBytes.count, Self.capacity - receivedBytes.count)
    if count > 0 {
      receivedBytes = 0..<receivedBytes.count + count
      return true
    }
    if count != -Int(EAGAIN) && count != -Int(EINTR) { close("is gone") }
    return false
  }

  /// Copies the frame.
  public mutating func receive(into frame: borrowing NetworkFrame) -> Bool {
    _ = frame.copyIn(from: frameBytes(frame.byteCount))
    dropFrame()
    return true
  }

  /// Forgets the frame at the front.
  public mutating func dropFrame() {
    guard let byteCount = announcedByteCount else { return }
    handledCount += 1
    receivedBytes = frameStart + byteCount..<receivedBytes.upperBound
  }
}
