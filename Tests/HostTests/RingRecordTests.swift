// In-flight tracking: requests that a server has taken and not used are done by the next one, once.

import CLinux
import DeviceTypes
import QTestSupport
import TestSupport
import Testing
import Virtio
import Wire

@testable import Host

/// A disk whose requests end only when nobody wants them any more, but for those of the first sector.
private struct StuckDisk: BlockBackend, HostedBackend {
  let started: OpenFile
  var properties: BlockProperties { BlockProperties() }
  var sectorCount: UInt64 { 64 }
  private var tags: [UInt32] = []
  private var cancelled: [UInt32] = []

  init(started: OpenFile) { self.started = started }

  mutating func read(
    at sector: UInt64, into segments: Span<GuestRange>, tag: UInt32
  ) throws(BackendFault) -> BlockProgress {
    if sector == 0 { return .finished }
    tags.append(tag)
    started.signal()
    return .pending
  }
  mutating func write(
    at sector: UInt64, from segments: Span<GuestRange>, isDurable: Bool, tag: UInt32
  ) throws(BackendFault) -> BlockProgress { .finished }
  mutating func flush(tag: UInt32) throws(BackendFault) -> BlockProgress { .finished }
  mutating func cancel(tag: UInt32) { cancelled.append(tag) }
  mutating func nextCompletion() -> BlockBackendCompletion? {
    cancelled.popLast().map { BlockBackendCompletion(tag: $0, fault: .inputOutput) }
  }
}

@Suite struct `The record of the rings` {
  private static let user: UInt64 = 0x7000_0000_0000
  private static let ringSize = 8

  /// Guest memory with one ring and requests in it, written by hand.
  private struct Guest {
    let memory: HostFile
    let isPacked: Bool

    init(isPacked: Bool) throws {
      self.isPacked = isPacked
      memory = try HostFile([UInt8](repeating: 0, count: 1 << 20))
      for request in 0..<2 { try offer(request) }
      // Without interrupts; the available index of a split ring.
      if !isPacked { try memory.write(le(UInt16(1), UInt16(2)), at: 0x1000) }
    }

    /// Request `number`, a read of that sector, in three descriptors.
    private func offer(_ number: Int) throws {
      let header = 0x4000 + 0x1000 * number
      try memory.write(le(UInt32(0), UInt32(0), UInt64(number)), at: header)
      try memory.write([0xff], at: header + 0x800)
      let pieces: [(Int, UInt32, UInt16)] = [
        (header, 16, 1), (header + 0x200, 512, 3), (header + 0x800, 1, 2),
      ]
      for (i, piece) in pieces.enumerated() {
        let index = 3 * number + i
        let last: [UInt8] =
          isPacked ? le(UInt16(number), piece.2 | 0x80) : le(piece.2, UInt16(index + 1))
        try memory.write(le(UInt64(piece.0), piece.1) + last, at: 16 * index)
      }
      if !isPacked { try memory.write(le(UInt16(3 * number)), at: 0x1004 + 2 * number) }
    }

    /// The status byte of request `number`, 0xff until it is written.
    func status(_ number: Int) throws -> UInt8 { try memory.read(1, at: 0x4800 + 0x1000 * number)[0] }

    /// How many requests the driver can see used.
    func usedCount() throws -> Int {
      guard isPacked else { return Int(try memory.read(2, at: 0x2002).load(UInt16.self, at: 0)!) }
      return try [0, 3].prefix {
        try memory.read(2, at: 16 * $0 + 14).load(UInt16.self, at: 0)! & 0x8080 == 0x8080
      }.count
    }

    /// Says to `frontEnd` all that starts the ring at the beginning; `record`: what an earlier one kept.
    func start(_ frontEnd: HostileFrontEnd, record: (payload: [UInt8], file: OpenFile)?, kick: OpenFile)
      throws
      -> (payload: [UInt8], file: OpenFile)
    {
      frontEnd.negotiate(isPacked: isPacked)
      var record = record
      if let record {
        #expect(frontEnd.ask(.setInFlightFile, record.payload, [record.file]) == true)
      } else {
        frontEnd.send(
          VhostUserRequest.getInFlightFile.rawValue, le(UInt64(0), UInt64(0), UInt16(1), UInt16(8), UInt32(0))
        )
        record = try frontEnd.receiveFile()
      }
      let file = try OpenFile.open(memory.path, isWritable: true)
      #expect(
        frontEnd.ask(.addMemoryRegion, le(UInt64(0), UInt64(0), UInt64(1 << 20), user, UInt64(0)), [file])
          == true)
      #expect(frontEnd.ask(.setRingSize, le(UInt32(0), UInt32(ringSize))) == true)
      // What QEMU knows of a ring whose device died: the used index, or nothing.
      let base = isPacked ? 0x8000_8000 : UInt32(try usedCount())
      #expect(frontEnd.ask(.setRingBase, le(UInt32(0), base)) == true)
      let areas = le(UInt32(0), UInt32(0), user, user + 0x2000, user + 0x1000, UInt64(0))
      #expect(frontEnd.ask(.setRingAddresses, areas) == true)
      #expect(frontEnd.ask(.setRingEnable, le(UInt32(0), UInt32(1))) == true)
      #expect(frontEnd.ask(.setRingKick, le(UInt64(0)), [kick]) == true)
      return try #require(record)
    }
  }

  @Test(arguments: [false, true])
  func `what one server has taken the next one does, and no more`(_ isPacked: Bool) throws {
    let guest = try Guest(isPacked: isPacked)
    let started = try OpenFile.event()
    let kick = try OpenFile.event()
    let first = try ServedDevice { BlockDevice(backend: StuckDisk(started: started)) }
    var record: (payload: [UInt8], file: OpenFile)?
    do {
      let frontEnd = try HostileFrontEnd(first.path)
      record = try guest.start(frontEnd, record: nil, kick: kick)
      #expect(spin(seconds: 20) { clinux_clear(started.number) != 0 })
      // Shown when the service ends, after the second request began.
      #expect(spin(seconds: 20) { (try? guest.usedCount()) == 1 })
    }
    first.join()
    #expect(try guest.status(1) == 0xff)
    // A request that is done again would show: the driver has taken its memory back.
    try guest.memory.write([0xaa], at: 0x4800)
    let second = try ServedDevice { BlockDevice(backend: NullDisk(sectorCount: 64)) }
    do {
      let frontEnd = try HostileFrontEnd(second.path)
      _ = try guest.start(frontEnd, record: record, kick: kick)
      #expect(spin(seconds: 20) { (try? guest.usedCount()) == 2 })
    }
    second.join()
    #expect(try guest.status(1) == 0)
    #expect(try guest.status(0) == 0xaa)
  }

  @Test func `what is no record of ours is refused`() throws {
    let served = try ServedDevice { BlockDevice(backend: NullDisk(sectorCount: 64)) }
    do {
      let frontEnd = try HostileFrontEnd(served.path)
      frontEnd.negotiate()
      let good = le(UInt64(4096), UInt64(0), UInt16(1), UInt16(8))
      let file = try HostFile([UInt8](repeating: 0, count: 8192))
      let open = try OpenFile.open(file.path, isWritable: true)
      let readOnly = try OpenFile.open(file.path, isWritable: false)
      let refused: [([UInt8], [OpenFile])] = [
        ([], [open]), (Array(good.prefix(19)), [open]), (good + le(UInt64(0)), [open]),
        (good, []), (good, [open, open]), (good, [try OpenFile.event()]), (good, [readOnly]),
        (le(UInt64(0), UInt64(0), UInt16(1), UInt16(8)), [open]),
        (le(UInt64(63), UInt64(0), UInt16(1), UInt16(8)), [open]),
        (le(UInt64(4097), UInt64(0), UInt16(1), UInt16(8)), [open]),
        (le(UInt64.max, UInt64(0), UInt16(1), UInt16(8)), [open]),
        (le(UInt64(4096), UInt64(1), UInt16(1), UInt16(8)), [open]),
        (le(UInt64(4096), UInt64(8192), UInt16(1), UInt16(8)), [open]),
        (le(UInt64(4096), UInt64.max - 4095, UInt16(1), UInt16(8)), [open]),
        (le(UInt64(4096), UInt64(0), UInt16(0), UInt16(8)), [open]),
        (le(UInt64(4096), UInt64(0), UInt16(2), UInt16(8)), [open]),
        (le(UInt64(4096), UInt64(0), UInt16(1), UInt16(0)), [open]),
      ]
      for (payload, descriptors) in refused {
        #expect(frontEnd.ask(.setInFlightFile, payload, descriptors) == false, "\(payload)")
      }
      // Another program's: a version of its own, or the same version with other features.
      for other in [le(UInt64(0), UInt16(1)), le(UInt64(7), UInt16(1)), le(UInt64(0), UInt16(9))] {
        try file.write(other, at: 0)
        #expect(frontEnd.ask(.setInFlightFile, good, [open]) == false)
      }
      try file.write([UInt8](repeating: 0, count: 64), at: 0)
      #expect(frontEnd.ask(.setInFlightFile, good, [open]) == true)
      #expect(frontEnd.ask(.getInFlightFile, Array(good.prefix(8))) == false)
      #expect(frontEnd.ask(.getInFlightFile, good, [open]) == false)
      // The file goes away under the mapping: the connection ends, and nothing else.
      try file.truncate(to: 0)
      _ = frontEnd.ask(.resetDevice)
    }
    served.join()
  }

  @Test(arguments: [le(UInt16(8), UInt16(9), UInt16(9)), le(UInt16(4), UInt16(0), UInt16(0))])
  func `a record that contradicts the ring is refused`(_ fields: [UInt8]) throws {
    let guest = try Guest(isPacked: true)
    let served = try ServedDevice { BlockDevice(backend: NullDisk(sectorCount: 64)) }
    do {
      let frontEnd = try HostileFrontEnd(served.path)
      frontEnd.negotiate(isPacked: true)
      let file = try HostFile([UInt8](repeating: 0, count: 4096))
      let open = try OpenFile.open(file.path, isWritable: true)
      let payload = le(UInt64(4096), UInt64(0), UInt16(1), UInt16(8))
      #expect(frontEnd.ask(.setInFlightFile, payload, [open]) == true)
      try file.write(fields, at: 10)
      let memory = try OpenFile.open(guest.memory.path, isWritable: true)
      let region = le(UInt64(0), UInt64(0), UInt64(1 << 20), Self.user, UInt64(0))
      #expect(frontEnd.ask(.addMemoryRegion, region, [memory]) == true)
      #expect(frontEnd.ask(.setRingSize, le(UInt32(0), UInt32(Self.ringSize))) == true)
      let areas = le(
        UInt32(0), UInt32(0), Self.user, Self.user + 0x2000, Self.user + 0x1000, UInt64(0))
      #expect(frontEnd.ask(.setRingAddresses, areas) == true)
      #expect(frontEnd.ask(.setRingKick, le(UInt64(0)), [try OpenFile.event()]) == false)
      try file.write(le(UInt16(0)), at: 10)
      #expect(frontEnd.ask(.setRingKick, le(UInt64(0)), [try OpenFile.event()]) == true)
      // Not while a ring works.
      #expect(frontEnd.ask(.setInFlightFile, payload, [open]) == false)
    }
    served.join()
  }
}
