// The messages of in-flight tracking: a file that the front end keeps, and gives to the next process.

extension VhostUserSession where Device: ~Copyable {
  /// What GET_INFLIGHT_FD and SET_INFLIGHT_FD say.
  private struct RecordDescription {
    /// Length of the record in bytes.
    var byteCount: UInt64
    /// Where in its file it starts.
    var offset: UInt64
    var ringCount: Int

    /// A front end pads the fields to 24 bytes, or does not.
    init(_ message: VhostUserMessage) throws(VhostUserError) {
      let payload = message.payload
      guard payload.count == 20 || payload.count == 24, let byteCount = payload.load(UInt64.self, at: 0),
        let offset = payload.load(UInt64.self, at: 8), let ringCount = payload.load(UInt16.self, at: 16),
        let ringSize = payload.load(UInt16.self, at: 18)
      else { throw .wrongLength }
      guard ringCount > 0, ringCount <= queueCount, ringSize > 0 else { throw .noSuchRing }
      self.byteCount = byteCount
      self.offset = offset
      self.ringCount = Int(ringCount)
    }
  }

  /// GET_INFLIGHT_FD: a new record, which the front end keeps.
  mutating func makeRecord(_ message: VhostUserMessage) throws(VhostUserError) -> [UInt8] {
    try require(VhostUserFeature.inFlightFile)
    let description = try RecordDescription(message)
    let byteCount = SharedMemory.recordByteCountMax
    let file: OpenFile
    do throws(SystemError) { file = try .memory(byteCount: byteCount) } catch { throw .system(error) }
    try keep(file, offset: 0, byteCount: byteCount, ringCount: description.ringCount)
    replyDescriptors = [file]
    var reply: [UInt8] = []
    reply.append(UInt64(byteCount))
    reply.append(0 as UInt64)
    return reply + message.payload.dropFirst(16)
  }

  /// SET_INFLIGHT_FD: the record that the front end has kept.
  mutating func takeRecord(_ message: VhostUserMessage) throws(VhostUserError) {
    try require(VhostUserFeature.inFlightFile)
    let description = try RecordDescription(message)
    guard description.byteCount <= UInt64(SharedMemory.recordByteCountMax),
      description.byteCount >= UInt64(RingRecord.byteCount(ringCount: description.ringCount))
    else { throw .invalid("a record of the rings of an impossible length") }
    try keep(
      message.descriptors[0], offset: description.offset, byteCount: Int(description.byteCount),
      ringCount: description.ringCount)
  }

  private mutating func keep(
    _ file: OpenFile, offset: UInt64, byteCount: Int, ringCount: Int
  ) throws(VhostUserError) {
    // The device lets go of the old one first: its memory goes.
    try device.keep(nil)
    let place = try memory.mapRecord(file, offset: offset, byteCount: byteCount)
    try device.keep(RingRecord(place, ringCount: ringCount))
  }
}
