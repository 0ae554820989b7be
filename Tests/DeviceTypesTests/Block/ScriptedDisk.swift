// A block backend that does what the test says, when the test says it.

import DeviceTypes
import TestSupport
import Virtio
import Wire

/// What a `ScriptedDisk` is told to do, and what it was asked.
final class DiskScript {
  enum Answer { case finish, wait, busy }

  /// A request that waits.
  struct Waiting {
    let tag: UInt32
    let operation: Operation
    let segments: [GuestRange]
    let ranges: [BlockRange]
  }

  enum Operation: Equatable {
    case read(UInt64)
    case write(UInt64, isDurable: Bool)
    case flush
    case discard
    case writeZeroes(isDurable: Bool)
    case secureErase
  }

  var properties = MemoryDisk.defaultProperties
  var sectorCount: UInt64
  var answer = Answer.finish
  /// What every request fails with.
  var fault: BackendFault?
  var lifetime = BlockLifetime(preEndOfLife: 2, estimateA: 3, estimateB: 4)
  /// Every request that was not answered with busy.
  var log: [Operation] = []
  /// The ranges of the last request that had some.
  var ranges: [BlockRange] = []
  var waiting: [Waiting] = []
  /// What `nextCompletion` will tell.
  var ended: [(request: Waiting, fault: BackendFault?)] = []
  /// Completions of which nobody knows what they are for.
  var strayTags: [UInt32] = []
  var cancelled: [UInt32] = []
  /// The memory lives as long as the script.
  let memory: TestMemory

  init(sectorCount: UInt64 = 64) {
    self.sectorCount = sectorCount
    memory = TestMemory(byteCount: 4096, ownByteCount: Int(sectorCount) * 512)
  }

  /// Lets the request at `index` of those that wait end at the next poll.
  func end(_ index: Int = 0, fault: BackendFault? = nil) {
    ended.append((waiting.remove(at: index), fault))
  }
}

struct ScriptedDisk: BlockBackend, ~Copyable {
  static var endsAtOnce: Bool { true }

  let script: DiskScript
  var disk: MemoryDisk

  init(_ script: DiskScript) {
    self.script = script
    var arena = script.memory.arena()
    disk = MemoryDisk(arena.allocatePrivate(byteCount: Int(script.sectorCount) * 512)!)
    for i in 0..<Int(script.sectorCount) * 128 { disk.memory.store(UInt32(i), at: i * 4) }
  }

  var properties: BlockProperties { script.properties }
  var sectorCount: UInt64 { script.sectorCount }

  /// The bytes of one sector.
  func sector(_ index: UInt64) -> [UInt8] {
    (0..<512).map { disk.memory.load(UInt8.self, at: Int(index) * 512 + $0) }
  }

  /// What a sector holds that nobody wrote.
  static func original(_ index: UInt64) -> [UInt8] {
    (0..<128).flatMap { i in
      let word = UInt32(index) * 128 + UInt32(i)
      return (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * UInt32($0))) }
    }
  }

  private mutating func start(
    _ operation: DiskScript.Operation, _ tag: UInt32, segments: [GuestRange] = [],
    ranges: [BlockRange] = []
  ) throws(BackendFault) -> BlockProgress {
    if script.answer == .busy { return .busy }
    script.log.append(operation)
    if !ranges.isEmpty { script.ranges = ranges }
    if let fault = script.fault { throw fault }
    let request = DiskScript.Waiting(tag: tag, operation: operation, segments: segments, ranges: ranges)
    if script.answer == .wait {
      script.waiting.append(request)
      return .pending
    }
    perform(request)
    return .finished
  }

  private mutating func perform(_ request: DiskScript.Waiting) {
    let tag = request.tag
    switch request.operation {
    case .read(let sector): _ = try! disk.read(at: sector, into: request.segments.span, tag: tag)
    case .write(let sector, let isDurable):
      _ = try! disk.write(at: sector, from: request.segments.span, isDurable: isDurable, tag: tag)
    case .flush: break
    case .discard: _ = try! disk.discard(request.ranges.span, tag: tag)
    case .writeZeroes: _ = try! disk.writeZeroes(request.ranges.span, isDurable: false, tag: tag)
    case .secureErase: _ = try! disk.secureErase(request.ranges.span, tag: tag)
    }
  }

  private func list<T>(_ span: Span<T>) -> [T] { span.indices.map { span[$0] } }

  mutating func read(
    at sector: UInt64, into segments: Span<GuestRange>, tag: UInt32
  ) throws(BackendFault) -> BlockProgress { try start(.read(sector), tag, segments: list(segments)) }

  mutating func write(
    at sector: UInt64, from segments: Span<GuestRange>, isDurable: Bool, tag: UInt32
  ) throws(BackendFault) -> BlockProgress {
    try start(.write(sector, isDurable: isDurable), tag, segments: list(segments))
  }

  mutating func flush(tag: UInt32) throws(BackendFault) -> BlockProgress { try start(.flush, tag) }

  mutating func discard(_ ranges: Span<BlockRange>, tag: UInt32) throws(BackendFault) -> BlockProgress {
    try start(.discard, tag, ranges: list(ranges))
  }

  mutating func writeZeroes(
    _ ranges: Span<BlockRange>, isDurable: Bool, tag: UInt32
  ) throws(BackendFault) -> BlockProgress {
    try start(.writeZeroes(isDurable: isDurable), tag, ranges: list(ranges))
  }

  mutating func secureErase(_ ranges: Span<BlockRange>, tag: UInt32) throws(BackendFault) -> BlockProgress {
    try start(.secureErase, tag, ranges: list(ranges))
  }

  mutating func lifetime() throws(BackendFault) -> BlockLifetime {
    if let fault = script.fault { throw fault }
    return script.lifetime
  }

  mutating func nextCompletion() -> BlockBackendCompletion? {
    if !script.strayTags.isEmpty { return BlockBackendCompletion(tag: script.strayTags.removeFirst()) }
    if script.ended.isEmpty { return nil }
    let (request, fault) = script.ended.removeFirst()
    // A request that was called off leaves guest memory alone.
    if fault != nil || script.cancelled.contains(request.tag) {
      return BlockBackendCompletion(tag: request.tag, fault: fault ?? .inputOutput)
    }
    perform(request)
    return BlockBackendCompletion(tag: request.tag)
  }

  mutating func cancel(tag: UInt32) { script.cancelled.append(tag) }
}
