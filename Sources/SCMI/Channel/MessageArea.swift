// The shared memory area of an SCMI channel: one message at a time, in either direction.

public import Wire

/// Where the fields of the area are.
enum AreaLayout {
  static var status: Int { 0x04 }  // le32 channel status
  static var flags: Int { 0x10 }  // le32 channel flags
  static var length: Int { 0x14 }  // le32 bytes of header and payload
  static var message: Int { 0x18 }  // le32 message header, then the payload

  /// Bits of the channel status.
  static var isFree: UInt32 { 1 }
  static var hasError: UInt32 { 2 }
  /// Bit of the channel flags: the sender wants an interrupt when the message has been taken or answered.
  static var wantsInterrupt: UInt32 { 1 }
}

/// Private memory for one message, header first.
public typealias MessageBytes = ByteArray<256>

/// What was found in the area of a channel.
public enum AreaContent: Equatable, Sendable {
  /// Nothing for this side.
  case nothing
  /// A message of this many bytes, now in private memory. The flag says whether the sender wants an
  /// interrupt.
  case message(byteCount: Int, wantsInterrupt: Bool)
  /// A length that no message has. The flag is as above.
  case malformed(wantsInterrupt: Bool)
  /// The other side reports that it could not read what it was sent.
  case error
}

/// The area of one channel. `post` and `collect` are for the side that sends, `take`, `answer` and `refuse`
/// for the side that receives.
///
/// Whoever clears the free bit hands the area over; whoever sets it gives it back. A message is read once
/// into private memory and only looked at there.
public struct MessageArea {
  private let area: SharedArea
  /// Bytes of the longest message that fits, header included.
  public let capacity: Int

  /// The least length of an area: room for a header and a status.
  public static var byteCountMin: Int { AreaLayout.message + 8 }

  /// A channel over `area`, which is left as it is. Traps when it is shorter than `byteCountMin`.
  public init(_ area: SharedArea) {
    precondition(area.byteCount >= Self.byteCountMin, "an area without room for a status")
    self.area = area
    capacity = min(area.byteCount - AreaLayout.message, MemoryLayout<MessageBytes>.size)
  }

  /// Marks the channel as free and without error. For the platform, before any agent runs.
  public func initialize() {
    area.store(0, AreaLayout.flags)
    area.store(0, AreaLayout.length)
    area.storeReleasing(AreaLayout.isFree, AreaLayout.status)
  }

  /// Whether the channel is free.
  @inline(__always)
  public var isFree: Bool { area.loadAcquiring(AreaLayout.status) & AreaLayout.isFree != 0 }

  // MARK: The side that sends

  /// Puts the first `byteCount` bytes of `message` into the area and hands it over, unless it is not free:
  /// then false. Traps when the message does not fit `capacity`.
  public func post(_ message: borrowing MessageBytes, byteCount: Int, wantsInterrupt: Bool) -> Bool {
    guard isFree else { return false }
    area.store(wantsInterrupt ? AreaLayout.wantsInterrupt : 0, AreaLayout.flags)
    write(message.bytes, byteCount)
    area.storeReleasing(0, AreaLayout.status)
    return true
  }

  /// Reads the answer to what was posted into `message`, once the other side has given the area back.
  public func collect(_ message: inout MessageBytes) -> AreaContent {
    let status = area.loadAcquiring(AreaLayout.status)
    if status & AreaLayout.isFree == 0 { return .nothing }
    if status & AreaLayout.hasError != 0 { return .error }
    return read(&message, wantsInterrupt: false)
  }

  // MARK: The side that receives

  /// Reads a message that the other side has handed over into `message`.
  @inline(__always)
  public func take(_ message: inout MessageBytes) -> AreaContent {
    if area.loadAcquiring(AreaLayout.status) & AreaLayout.isFree != 0 { return .nothing }
    return read(&message, wantsInterrupt: area.load(AreaLayout.flags) & AreaLayout.wantsInterrupt != 0)
  }

  /// Gives the area back with an answer: payload, length, free. Traps when it does not fit `capacity`.
  @inline(__always)
  public func answer(_ message: RawSpan, byteCount: Int) {
    write(message, byteCount)
    area.storeReleasing(AreaLayout.isFree, AreaLayout.status)
  }

  /// Gives the area back with an answer, as above.
  public func answer(_ message: borrowing MessageBytes, byteCount: Int) {
    answer(message.bytes, byteCount: byteCount)
  }

  /// Gives the area back as it is, for a message that has no answer.
  public func release() { area.storeReleasing(AreaLayout.isFree, AreaLayout.status) }

  /// Gives the area back and reports that the message could not be read.
  public func refuse() {
    area.storeReleasing(AreaLayout.isFree | AreaLayout.hasError, AreaLayout.status)
  }

  // MARK: Bytes

  @inline(__always)
  private func read(_ message: inout MessageBytes, wantsInterrupt: Bool) -> AreaContent {
    let length = area.load(AreaLayout.length)
    guard length >= UInt32(MessageHeader.byteCount), Int(length) <= capacity else {
      return .malformed(wantsInterrupt: wantsInterrupt)
    }
    let count = Int(length)
    // The last word may hold bytes beyond the message; the area and our memory are whole words.
    var bytes = message.mutableBytes
    area.copyOut(AreaLayout.message, AreaLayout.message + (count &+ 3) & ~3, into: &bytes)
    return .message(byteCount: count, wantsInterrupt: wantsInterrupt)
  }

  /// Writes payload and header, then the length. Bytes after the message, up to a whole word, become zero.
  @inline(__always)
  private func write(_ message: RawSpan, _ count: Int) {
    precondition(count >= MessageHeader.byteCount && count <= capacity, "a message that does not fit")
    let offset = count & ~3
    area.copyIn(AreaLayout.message, AreaLayout.message + offset, from: message)
    if offset < count {
      // Nothing of our memory beyond the message gets out.
      let mask = UInt32.max >> UInt32(8 * (4 - (count - offset)))
      area.store(message.load(UInt32.self, at: offset) & mask, AreaLayout.message + offset)
    }
    area.store(UInt32(truncatingIfNeeded: count), AreaLayout.length)
  }
}
